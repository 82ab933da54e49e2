"""From summaries of finished cells to a built table: pure, deterministic, no reading or writing."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from repro import stats
from repro.errors import BadInput
from repro.stats import Counts, Interval
from repro.stats.verdicts import NOT_RUN, NOT_TESTED
from repro.tables.checks import check_cells, lint_grid
from repro.tables.model import AVERAGE, ArmSummary, ClaimResult, Estimate, Head, Row, Table1, in_points
from repro.tables.spec import BEST_OTHER, NOT_RUN_YET, ArmRow, BaseRow, ClaimRow, SuiteColumn, TableSpec

CHECKPOINT = "one checkpoint: questions, samples"
_REPLICATES = 2_000


def build_table1(cells: Sequence[dict[str, Any]], spec: TableSpec, paper: pd.DataFrame) -> Table1:
    """The built table of `spec` from summaries and the paper's frame (`repro.paper.load_table("table1")`).

    cells: summaries in any order; those of bases or arms outside the spec are refused. Missing ones show as not run.
    Raises BadInput for cells that cannot be compared (see `check_cells`) or that the spec does not know.
    """
    cells = sorted(cells, key=lambda cell: (cell["base"], cell["arm"], cell["seed"]))
    check_cells(cells)
    maker = _Maker(cells, spec, paper)
    rows = [
        maker.row(base, arm, suite)
        for base in spec.bases
        for arm in spec.arms
        for suite in (*spec.suites, SuiteColumn(AVERAGE, AVERAGE, all(s.same_task for s in spec.suites)))
    ]
    arms = [maker.summary(base, arm) for base in spec.bases for arm in spec.arms]
    claims = _with_holm([result for claim in spec.claims for result in maker.claim(claim)], spec.p_values)
    return Table1(maker.head(), tuple(rows), tuple(arms), tuple(claims), tuple(_footnotes(spec, paper)))


class _Maker:
    """The cells of one table, indexed, and the estimates made from them."""

    def __init__(self, cells: Sequence[dict[str, Any]], spec: TableSpec, paper: pd.DataFrame) -> None:
        self.cells, self.spec = cells, spec
        self.suites = [suite.id for suite in spec.suites]
        self.printed = {(r.model, r.method, r.benchmark): r for r in paper.itertuples()}
        self.by_arm: dict[tuple[str, str], list[dict[str, Any]]] = {}
        known = {base.id for base in spec.bases}, {arm.id for arm in spec.arms}
        for cell in cells:
            if cell["base"] not in known[0] or cell["arm"] not in known[1]:
                raise BadInput(f"cell {cell['cell_id']} is no row of {spec.id}; want its bases and arms only")
            if sorted(cell["suites"]) != sorted(self.suites):  # stored JSON has its own order of keys
                raise BadInput(f"cell {cell['cell_id']} has suites {list(cell['suites'])}; want {self.suites}")
            self.by_arm.setdefault((cell["base"], cell["arm"]), []).append(cell)

    def group(self, base: str, arm: str) -> list[dict[str, Any]]:
        return self.by_arm.get((base, arm), [])

    def counts(self, base: str, arm: str, suite: str, seeds: set[int] | None = None) -> list[Counts]:
        """Counts per suite of one arm, rows by seed; the base's evaluations are pooled into one row."""
        cells = [cell for cell in self.group(base, arm) if seeds is None or cell["seed"] in seeds]
        tables = []
        for name in self.suites if suite == AVERAGE else [suite]:
            correct, k = np.array([cell["suites"][name]["correct"] for cell in cells]), cells[0]["suites"][name]["k"]
            if arm == self.spec.base_arm:  # evaluations of one model are samples, not training seeds
                correct, k = correct.sum(axis=0, keepdims=True), k * len(cells)
            tables.append(Counts(correct, k))
        return tables

    def ours(self, base: str, arm: str, suite: str) -> Estimate | None:
        if not self.group(base, arm):
            return None
        interval = stats.arm_interval(self.counts(base, arm, suite))
        return in_points(interval, CHECKPOINT if arm == self.spec.base_arm else None)

    def difference(self, base: str, better: str, worse: str, suite: str) -> Estimate | None:
        """better - worse: against the base a gain over one checkpoint, otherwise paired on the seeds that both have."""
        if better == worse or not self.group(base, better) or not self.group(base, worse):
            return None
        if better == self.spec.base_arm:
            return None
        if worse == self.spec.base_arm:
            return self._shown(
                stats.difference_from_checkpoint(self.counts(base, better, suite), self.counts(base, worse, suite))
            )
        seeds = self.seeds(base, better) & self.seeds(base, worse)
        if not seeds:
            return None
        return self._shown(
            stats.paired_difference(
                *_same_k(self.counts(base, better, suite, seeds), self.counts(base, worse, suite, seeds))
            )
        )

    def _shown(self, interval: Interval) -> Estimate:
        return replace(in_points(interval), **({} if self.spec.p_values else {"p": None}))

    def seeds(self, base: str, arm: str) -> set[int]:
        return {cell["seed"] for cell in self.group(base, arm)}

    def row(self, base: BaseRow, arm: ArmRow, suite: SuiteColumn) -> Row:
        printed = self.printed.get((base.paper_model, arm.paper_method, suite.paper_benchmark))
        value, gain = (_number(getattr(printed, name, None)) for name in ("printed", "printed_gain"))
        ours = self.ours(base.id, arm.id, suite.id)
        our_gain = self.difference(base.id, arm.id, self.spec.base_arm, suite.id)
        return Row(
            base=base.id,
            arm=arm.id,
            suite=suite.id,
            printed=value,
            printed_gain=gain,
            provenance=str(getattr(printed, "provenance", "")),
            independent=_number(getattr(printed, "independent", None)),
            independent_source=str(getattr(printed, "independent_source", "")),
            ours=ours,
            gain=our_gain,
            versus=self.difference(base.id, arm.id, self.spec.reference, suite.id),
            verdict=self._verdict(arm, suite, ours, our_gain, value, gain),
        )

    def _verdict(
        self,
        arm: ArmRow,
        suite: SuiteColumn,
        ours: Estimate | None,
        our_gain: Estimate | None,
        value: float | None,
        gain: float | None,
    ) -> str:
        if arm.why_not not in ("", NOT_RUN_YET):
            return stats.cannot_be_run(arm.why_not)
        if ours is None:
            return NOT_RUN
        if arm.id == self.spec.base_arm:
            if not suite.same_task or value is None:
                return ""
            return stats.cell_verdict(value, ours.low, ours.high)
        if gain is None:
            return ""
        return stats.cell_verdict(gain, our_gain.low, our_gain.high) if our_gain else NOT_RUN

    def summary(self, base: BaseRow, arm: ArmRow) -> ArmSummary:
        cells = self.group(base.id, arm.id)
        empty = dict.fromkeys(
            ("iqm", "improvement", "pass_at_k", "maj_at_k", "truncated", "mean_tokens", "seed_sd"), None
        )
        if not cells:
            return ArmSummary(
                base.id, arm.id, (), False, arm.why_not or NOT_RUN_YET, **empty, reasons={}, grid_flag=False
            )
        scores = self._scores(cells)
        trained = arm.id != self.spec.base_arm
        improvement = None
        reference = self.group(base.id, self.spec.reference)
        if reference and trained and arm.id != self.spec.reference:
            improvement = _with_interval(stats.probability_of_improvement, scores, self._scores(reference), scale=1)
        reasons = Counter()
        for cell in cells:
            for suite in cell["suites"].values():
                reasons.update(suite["reasons"])
        means = {
            key: float(np.mean([suite[key] for cell in cells for suite in cell["suites"].values()]))
            for key in ("pass_at_k", "maj_at_k", "truncated", "mean_tokens")
        }
        return ArmSummary(
            base=base.id,
            arm=arm.id,
            seeds=tuple(cell["seed"] for cell in cells),
            dirty=any(cell["dirty"] for cell in cells),
            why_not="",
            iqm=_with_interval(stats.iqm, scores, scale=100),
            improvement=improvement,
            pass_at_k=100 * means["pass_at_k"],
            maj_at_k=100 * means["maj_at_k"],
            truncated=100 * means["truncated"],
            mean_tokens=means["mean_tokens"],
            reasons=dict(sorted(reasons.items())),
            seed_sd=100 * float(scores.mean(axis=1).std(ddof=1)) if trained and len(cells) > 1 else None,
            grid_flag=lint_grid(cells),
            k=cells[0]["suites"][self.suites[0]]["k"],
        )

    def _scores(self, cells: Sequence[dict[str, Any]]) -> np.ndarray:
        """avg@k as fractions, [seeds, suites]."""
        return np.array([[cell["suites"][name]["avg_at_k"] for name in self.suites] for cell in cells])

    def claim(self, claim: ClaimRow) -> list[ClaimResult]:
        """One result per base, then one over all bases: supported everywhere, contradicted anywhere, else undecided."""
        titles = {arm.id: arm for arm in self.spec.arms}
        if claim.better not in titles or claim.worse not in (*titles, BEST_OTHER):
            raise BadInput(f"claim {claim.id}: {claim.better} > {claim.worse} names an arm outside {self.spec.id}")
        results = []
        for base in self.spec.bases:
            worse = self._best_other(base.id, claim.better) if claim.worse == BEST_OTHER else claim.worse
            gap = self._claimed_gap(base, titles[claim.better], claim.worse)
            difference = self.difference(base.id, claim.better, worse, AVERAGE) if worse else None
            limits = (difference.low, difference.high, difference.mdg) if difference else (None, None, None)
            results.append(
                ClaimResult(
                    claim=claim.id,
                    text=claim.text,
                    base=base.id,
                    better=claim.better,
                    worse=worse or claim.worse,
                    primary=claim.primary,
                    claimed_gap=gap,
                    difference=difference,
                    holm_p=None,
                    verdict=stats.claim_verdict(*limits, gap),
                )
            )
        return [*results, replace(results[0], base="all", claimed_gap=None, difference=None, worse=claim.worse,
                                  verdict=_overall(results))]  # fmt: skip

    def _best_other(self, base: str, better: str) -> str | None:
        paper_method = {arm.id: arm.paper_method for arm in self.spec.arms}
        others = {
            arm: self.ours(base, arm, AVERAGE).value
            for arm in paper_method
            if arm not in (self.spec.base_arm, self.spec.reference)
            and paper_method[arm] != paper_method[better]
            and self.group(base, arm)
        }
        return max(others, key=others.get) if others else None

    def _claimed_gap(self, base: BaseRow, better: ArmRow, worse: str) -> float | None:
        """Printed average of `better` minus that of `worse`, to the digit printed; None where one row is both's."""
        methods = {arm.id: arm.paper_method for arm in self.spec.arms}
        if methods.get(worse) == better.paper_method:
            return None
        if worse == BEST_OTHER:
            skipped = {better.paper_method, methods.get(self.spec.base_arm), methods.get(self.spec.reference)}
            rivals = [m for m in dict.fromkeys(methods.values()) if m is not None and m not in skipped]
        else:
            rivals = [methods[worse]]
        values = [self._average(base, method) for method in rivals]
        values = [value for value in values if value is not None]
        own = self._average(base, better.paper_method)
        return None if own is None or not values else round(own - max(values), 2)

    def _average(self, base: BaseRow, method: str | None) -> float | None:
        return _number(getattr(self.printed.get((base.paper_model, method, AVERAGE)), "printed", None))

    def head(self) -> Head:
        spec, first = self.spec, self.cells[0] if self.cells else None
        ks = {suite["k"] for cell in self.cells if "search" not in cell for suite in cell["suites"].values()}
        return Head(
            id=spec.id,
            title=spec.title,
            profile=spec.profile,
            stamp=spec.stamp,
            command=spec.command,
            base_arm=spec.base_arm,
            reference=spec.reference,
            p_values=spec.p_values,
            k=ks.pop() if len(ks) == 1 else None,
            questions={name: first["suites"][name]["n"] if first else 0 for name in self.suites},
            bases={base.id: base.paper_model or "" for base in spec.bases},
            arms={arm.id: arm.title for arm in spec.arms},
            suites={suite.id: suite.paper_benchmark or "" for suite in spec.suites},
            stand_in=not all(suite.same_task for suite in spec.suites),
            commits=tuple(sorted({cell["commit"] for cell in self.cells})),
            devices=tuple(sorted({str(cell["device"]) for cell in self.cells if "device" in cell})),
            cells=tuple(cell["cell_id"] for cell in self.cells),
            base_weights={c["base"]: str(c["base_weights"]) for c in self.cells if "base_weights" in c},
            hours=sum(sum(cell["seconds"].values()) for cell in self.cells if "seconds" in cell) / 3600,
        )


def _same_k(*arms: Sequence[Counts]) -> list[list[Counts]]:
    """The same rates counted out of one k: a search answers once where a plain policy is sampled k times."""
    k = math.lcm(*(counts.k for arm in arms for counts in arm))
    return [[Counts(counts.correct * (k // counts.k), k) for counts in arm] for arm in arms]


def _number(value: Any) -> float | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return float(value)


def _with_interval(statistic, *arms: np.ndarray, scale: float) -> tuple[float, float, float]:
    low, high = stats.seed_bootstrap(statistic, *arms, rng=np.random.default_rng(0), replicates=_REPLICATES)
    return scale * float(statistic(*arms)), scale * low, scale * high


def _overall(results: Sequence[ClaimResult]) -> str:
    verdicts = [result.verdict for result in results]
    if stats.verdicts.CONTRADICTED in verdicts:
        return stats.verdicts.CONTRADICTED
    if all(verdict == NOT_TESTED for verdict in verdicts):
        return NOT_TESTED
    if all(verdict == stats.verdicts.SUPPORTED for verdict in verdicts):
        return stats.verdicts.SUPPORTED
    open_gaps = [r.difference.mdg for r in results if r.difference and r.verdict.startswith("undecided")]
    return f"undecided (MDG {max(open_gaps):.1f})" if open_gaps else NOT_TESTED


def _with_holm(results: list[ClaimResult], p_values: bool) -> list[ClaimResult]:
    """Holm's correction over all primary contrasts of the table, bases together."""
    if not p_values:
        return results
    places = [i for i, result in enumerate(results) if result.primary and result.difference]
    adjusted = stats.holm([results[i].difference.p for i in places])
    for place, p in zip(places, adjusted, strict=True):
        results[place] = replace(results[place], holm_p=p)
    return results


def _footnotes(spec: TableSpec, paper: pd.DataFrame) -> list[str]:
    """Printed averages that do not follow from their printed cells, half up to the printed digit."""
    notes = []
    methods = {arm.paper_method for arm in spec.arms}
    shown = paper[paper.model.isin([base.paper_model for base in spec.bases]) & paper.method.isin(methods)]
    for (model, method), group in shown.groupby(["model", "method"], sort=False):
        values = {row.benchmark: _number(row.printed) for row in group.itertuples()}
        average = values.pop(AVERAGE, None)
        if average is None or not values:
            continue
        mean = sum(values.values()) / len(values)
        if abs(math.floor(10 * mean + 0.5 + 1e-9) / 10 - average) > 1e-6:
            notes.append(
                f"The paper prints {average:.1f} as the average of {model}, {method}; its cells give {mean:.2f}."
            )
    return notes
