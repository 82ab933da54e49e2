"""What the paper prints, as numbers for a table: rows, averages, and ratios of gains in two readings."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.paper import AVERAGE, BENCHMARKS, load_table

COPIED, DERIVED = "second-hand", "derived"  # provenances of a number that was not read in its own paper


class Printed:
    """One transcribed table. Models that are no row of it give nothing, never an error."""

    def __init__(self, paper: pd.DataFrame) -> None:
        """paper: the frame of `repro.paper.load_table`. Gains need a base, which Table 2 lacks: it is Table 1's."""
        self.frame = paper
        self._rows = {(r.model, r.method, r.benchmark): r for r in paper.itertuples()}
        self._beside = {(r.model, r.method, r.benchmark): r for r in load_table("table1").itertuples()} | self._rows

    def row(self, model: str | None, method: str | None, benchmark: str | None) -> Any:
        """The printed row with its provenance and independent measurement, None if there is none."""
        return self._rows.get((model, method, benchmark))

    def ratios(self, model: str | None, method: str | None, rival: str | None) -> tuple[float, ...]:
        """gain(method) / gain(rival) over the model's base: from the printed averages, then from the printed cells.

        Empty where a row is missing, both are one row, or the rival gains nothing.
        """
        if None in (model, method, rival) or method == rival:
            return ()
        pairs = [(self._gain(model, method, of), self._gain(model, rival, of)) for of in (self._average, self._cells)]
        return tuple(own / other for own, other in pairs if own is not None and other is not None and other > 1e-9)

    def misprints(self, models: Sequence[str | None], methods: Sequence[str | None]) -> list[str]:
        """Printed averages of these rows that do not follow from their printed cells, half up to the printed digit."""
        notes = []
        shown = self.frame[self.frame.model.isin(models) & self.frame.method.isin(methods)]
        for model, method in dict.fromkeys(zip(shown.model, shown.method, strict=True)):
            average, cells = self._average(model, method), self._cells(model, method)
            if average is None or cells is None:
                continue
            if abs(math.floor(10 * cells + 0.5 + 1e-9) / 10 - average) > 1e-6:
                notes.append(
                    f"The paper prints {average:.1f} as the average of {model}, {method}; its cells give {cells:.2f}."
                )
        return notes

    def _gain(self, model: str, method: str, score) -> float | None:
        own, base = score(model, method), score(model, "base")
        return None if own is None or base is None else own - base

    def second_hand(self, models: Sequence[str | None]) -> list[str]:
        """What to know of the printed numbers of some models that were not read in their own paper."""
        copied = self.frame[self.frame.model.isin(models) & (self.frame.provenance == COPIED)]
        copied = copied[copied.benchmark == AVERAGE]
        if copied.empty:
            return []
        averages = ", ".join(f"{row.method} {row.printed}" for row in copied.itertuples())
        return [
            f"Numbers marked {COPIED} were read in a copy of GC2PO's table for the 7B model, not in the paper. Their "
            f"averages ({averages}) are over six suites, GSM8K among them, so the multiple of GRPO's gain is read from "
            f"the five cells that both tables have. {DERIVED.capitalize()}: it follows from that average, +-.3."
        ]

    def _average(self, model: str, method: str) -> float | None:
        """The printed average, None where it is over other suites than Table 1's."""
        if any(key[:2] == (model, method) and key[2] not in (*BENCHMARKS, AVERAGE) for key in self._beside):
            return None
        return number(getattr(self._beside.get((model, method, AVERAGE)), "printed", None))

    def _cells(self, model: str, method: str) -> float | None:
        cells = [
            number(row.printed)
            for key, row in self._beside.items()
            if key[:2] == (model, method) and key[2] in BENCHMARKS
        ]
        return sum(cells) / len(cells) if cells and None not in cells else None


def number(value: Any) -> float | None:
    """A printed text as a number; None for nothing."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return float(value)
