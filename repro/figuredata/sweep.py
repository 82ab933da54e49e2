"""Accuracy over one setting: Figure 4. Points with intervals over seeds, and tests of the curve's shape.

Every point is an arm of a table and is measured as one (`repro.tables.measured`). Whether a best value is told from a
flat curve is a test: permutations within seeds, and contrasts paired over seeds and questions.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from repro import stats
from repro.cells.records import Experiment, Statement
from repro.cells.state import read_metrics
from repro.config import Profile
from repro.figuredata.model import Decision, FigureData, Value, decide, make_figure
from repro.figuredata.scores import (
    Contrast,
    Named,
    all_within,
    contrast,
    directed,
    measured_arms,
    notes,
    on_common_seeds,
)
from repro.paper import AVERAGE
from repro.stats.verdicts import ALPHA, EQUIVALENT, NOT_TESTED, SUPPORTED, UNDECIDED, above_each
from repro.tables.measured import Measured
from repro.tables.model import Estimate
from repro.tables.words import signed

BASE, REFERENCE, POINT = "base", "reference", "point"  # what a row is


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """The points of a sweep and the verdict on each sentence about it.

    cells: summaries of finished cells; folder: where their metrics lie, by cell id. Raises BadInput for cells that
    cannot be compared.
    """
    cells = on_common_seeds(cells)
    measured = measured_arms(profile, experiment, cells, command)
    sweep, spec = experiment.sweep, measured.spec
    rows, decisions = [], []
    for base in experiment.bases(profile):
        rows += _rows(base, experiment, measured, folder)
        curve = _Curve(base, experiment, measured)
        decisions += [_TESTS[each.test.split()[0]](curve, each) for each in experiment.statements]
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "arm": "arm", "series": "series", "value": sweep.setting, "ours": "avg@k",
            "low": "low", "high": "high", "greedy": "greedy", "versus": f"minus {spec.reference}",
            "mean_upsilon": "mean Upsilon", "seeds": "seeds",
        },
        decisions=decisions,
        notes=notes(experiment, measured, sweep.arms, f"Everything but {sweep.setting} is equal along a line."),
        told_by=("base", "series", "arm"),
        p_values=spec.p_values,
        exact=[each.id for each in experiment.statements if each.test == "flat"],
    )  # fmt: skip


def _rows(base: str, experiment: Experiment, measured: Measured, folder: Path) -> list[dict[str, Value]]:
    sweep, spec = experiment.sweep, measured.spec
    alone = [(BASE, "", None, spec.base_arm), (REFERENCE, "", None, spec.reference)]
    placed = [(POINT, series.title, value, arm) for series in sweep.series for value, arm in series.arms.items()]
    rows = []
    for kind, series, value, arm in (*alone, *placed):
        ours, greedy = measured.score(base, arm), measured.score(base, arm, greedy=True)
        versus = measured.difference(base, arm, spec.reference)
        rows.append(
            {
                "base": base,
                "kind": kind,
                "series": series,
                "setting": sweep.setting,
                "value": value,
                "arm": arm,
                "searched_first": value in sweep.marked,
                "paper_best": value is not None and value == sweep.best,
                **_parts("ours", ours),
                "greedy": greedy and greedy.value,
                **_parts("versus", versus),
                "mean_upsilon": _mean_upsilon(measured.group(base, arm), folder),
                "seeds": len(measured.group(base, arm)),
            }
        )
    return rows


def _parts(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    prefix = "" if name == "ours" else f"{name}_"
    ends = {f"{prefix}{end}": estimate and getattr(estimate, end) for end in ("low", "high", "se", "mdg")}
    return {name: estimate and estimate.value, **ends}


def _mean_upsilon(cells: Sequence[Mapping[str, Any]], folder: Path) -> float | None:
    """Mean of Upsilon over a point's steps and seeds; None where no step has one."""
    rows = [row for cell in cells for row in read_metrics(folder / cell["cell_id"])]
    logged = [row["upsilon/mean"] for row in rows if row.get("upsilon/mean") is not None]  # null: no group had any
    return fmean(logged) if logged else None


class _Curve:
    """The arms of a sweep on one base, and contrasts between them on the seeds that all of these have."""

    def __init__(self, base: str, experiment: Experiment, measured: Measured) -> None:
        self.base, self.sweep, self.measured = base, experiment.sweep, measured
        self.lines = [
            {value: arm for value, arm in series.arms.items() if measured.group(base, arm)}
            for series in self.sweep.series
        ]

    def learning(self, line: int = 0) -> dict[float | str, str]:
        """The measured points at which rewards are learnt from."""
        return {value: arm for value, arm in self.lines[line].items() if value not in self.sweep.void}

    def contrast(self, weights: Mapping[str, float]) -> Contrast | None:
        """Sum of weight x avg@k over arms; None without arms and without common seeds."""
        return (
            contrast(self.measured, self.base, [(w, arm, AVERAGE) for arm, w in weights.items()]) if weights else None
        )

    def pairs(self, line: int) -> list[Named]:
        """(names, difference, equivalence p) of every pair of points at which rewards are learnt from."""
        found = []
        for (one, a), (other, b) in itertools.combinations(self.learning(line).items(), 2):
            compared = self.contrast({a: 1.0, b: -1.0})
            if compared is not None:
                found.append((f"{one} - {other}", *compared))
        return found


def _contrasted(curve: _Curve, statement: Statement, weights: Mapping[str, float]) -> Decision:
    """Direction of a contrast, by its interval and the margin."""
    return directed(statement, curve.base, curve.contrast(weights))


def _difference(curve: _Curve, high: float | str | None, low: float | str | None) -> dict[str, float]:
    """Weights of one point minus another; empty where one is missing or both are the same."""
    line = curve.lines[0]
    return {} if high == low or high not in line or low not in line else {line[high]: 1.0, line[low]: -1.0}


def _start(curve: _Curve, statement: Statement) -> Decision:
    return _contrasted(curve, statement, _difference(curve, curve.sweep.best, min(curve.sweep.series[0].arms)))


def _end(curve: _Curve, statement: Statement) -> Decision:
    return _contrasted(curve, statement, _difference(curve, curve.sweep.best, max(curve.sweep.series[0].arms)))


def _rise(curve: _Curve, statement: Statement) -> Decision:
    rising = {value: arm for value, arm in curve.learning().items() if value <= curve.sweep.best}
    if len(rising) < 2:
        return decide(statement, curve.base, NOT_TESTED, "fewer than two such values were run")
    return _contrasted(curve, statement, dict(zip(rising.values(), stats.trend_weights(list(rising)), strict=True)))


def _best(curve: _Curve, statement: Statement) -> Decision:
    """The paper's best value against every other one, Holm-corrected over these."""
    others = [value for value in curve.lines[0] if value != curve.sweep.best]
    found = [(value, curve.contrast(_difference(curve, curve.sweep.best, value))) for value in others]
    found = [(value, *each) for value, each in found if each is not None]
    if not found:
        return decide(statement, curve.base, NOT_TESTED, "not measured")
    p_values = [estimate.p for _, estimate, _ in found]
    word = above_each([estimate.value for _, estimate, _ in found], p_values, [near for *_, near in found])
    holm = stats.holm(p_values)
    leads = [(value, estimate.value) for (value, estimate, _), p in zip(found, holm, strict=True) if p < ALPHA]
    below, above = sum(lead > 0 for _, lead in leads), [str(value) for value, lead in leads if lead < 0]
    top = min(found, key=lambda each: each[1].value)
    text = f"above {below} of {len(found)} values" + (f", below {', '.join(above)}" if above else "")
    shown = f"{text}; smallest difference {signed(top[1])}, to {top[0]}"
    return decide(statement, curve.base, word, shown, max(holm))


def _flat(curve: _Curve, statement: Statement) -> Decision:
    line, measured = curve.learning(), curve.measured
    seeds = measured.seeds(curve.base, *line.values()) if line else set()
    if len(line) < 2 or not seeds:
        return decide(statement, curve.base, NOT_TESTED, "fewer than two such values were run")
    scores = np.array(
        [
            np.mean([suite.rates.mean(axis=-1) for suite in measured.counts(curve.base, arm, seeds=seeds)], axis=0)
            for arm in line.values()
        ]
    )  # [values, seeds]
    p = stats.flat_p(scores.T, rng=np.random.default_rng(0))
    if p is not None and p < ALPHA:
        word = SUPPORTED
    else:
        word = EQUIVALENT if _all_equivalent(each for *_, each in curve.pairs(0)) else UNDECIDED
    means = dict(zip(line, 100 * scores.mean(axis=1), strict=True))
    high, low = max(means, key=means.get), min(means, key=means.get)
    text = f"means from {means[low]:.1f} (at {low}) to {means[high]:.1f} (at {high}), {len(seeds)} seeds"
    return decide(statement, curve.base, word, text + ("" if len(seeds) > 1 else ": no test with one"), p)


def _control(curve: _Curve, statement: Statement) -> Decision:
    """First line minus second, averaged over the values that both have."""
    ours, control = curve.learning(0), curve.learning(1)
    common = [value for value in ours if value in control]
    share = 1 / len(common) if common else 0.0
    weights = {ours[value]: share for value in common} | {control[value]: -share for value in common}
    return _contrasted(curve, statement, weights)


def _negligible(curve: _Curve, statement: Statement) -> Decision:
    return all_within(statement, curve.base, curve.pairs(int(statement.test.split()[1])))


def _all_equivalent(p_values) -> bool:
    return all(p is not None and p < ALPHA for p in p_values)


_TESTS: dict[str, Callable[[_Curve, Statement], Decision]] = {
    "rise": _rise, "start": _start, "end": _end, "best": _best, "flat": _flat, "control": _control,
    "negligible": _negligible,
}  # fmt: skip
