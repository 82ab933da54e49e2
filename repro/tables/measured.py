"""The finished cells of one table, and every estimate that is made from their counts. Points, not fractions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from repro import stats
from repro.errors import BadInput
from repro.paper import AVERAGE
from repro.stats import Counts
from repro.tables.model import Estimate, in_points
from repro.tables.spec import TableSpec

CHECKPOINT = "one checkpoint: questions, samples"
GREEDY_CHECKPOINT = "one checkpoint: questions"
GREEDY = "seeds, questions"
Suites = str | tuple[str, ...]  # one suite, some of them, or AVERAGE for all


class Measured:
    """Cells by base and arm. Raises BadInput for a cell of another base, arm or suite than the spec's."""

    def __init__(self, cells: Sequence[dict[str, Any]], spec: TableSpec) -> None:
        self.cells, self.spec = cells, spec
        self.suites = [suite.id for suite in spec.suites]
        self._by_arm: dict[tuple[str, str], list[dict[str, Any]]] = {}
        bases, arms = {base.id for base in spec.bases}, {arm.id for arm in spec.arms}
        for cell in cells:
            if cell["base"] not in bases or cell["arm"] not in arms:
                raise BadInput(f"cell {cell['cell_id']} is no row of {spec.id}; want its bases and arms only")
            if sorted(cell["suites"]) != sorted(self.suites):  # stored JSON has its own order of keys
                raise BadInput(f"cell {cell['cell_id']} has suites {list(cell['suites'])}; want {self.suites}")
            self._by_arm.setdefault((cell["base"], cell["arm"]), []).append(cell)

    def group(self, base: str, arm: str) -> list[dict[str, Any]]:
        """Cells of one base and arm, by seed."""
        return self._by_arm.get((base, arm), [])

    def seeds(self, base: str, *arms: str) -> set[int]:
        """Seeds that all of these arms have."""
        return set.intersection(*({cell["seed"] for cell in self.group(base, arm)} for arm in arms))

    def has_greedy(self, base: str, *arms: str) -> bool:
        """Was every cell of these arms measured greedily on every suite?"""
        groups = [self.group(base, arm) for arm in arms]
        return all(groups) and all(
            "greedy" in suite for group in groups for cell in group for suite in cell["suites"].values()
        )

    def counts(
        self, base: str, arm: str, suite: Suites = AVERAGE, *, seeds: set[int] | None = None, greedy: bool = False
    ) -> list[Counts]:
        """Counts per suite of one arm, rows by seed. Of an untrained checkpoint the evaluations are pooled into one row
        of samples, and its greedy pass is the same in all of them.
        """
        checkpoint = arm in self.spec.checkpoints
        cells = [cell for cell in self.group(base, arm) if seeds is None or checkpoint or cell["seed"] in seeds]
        tables = []
        for name in self._names(suite):
            entries = [cell["suites"][name] for cell in cells]
            if greedy:
                rows = entries[:1] if checkpoint else entries
                tables.append(Counts(np.array([entry["greedy"]["correct"] for entry in rows]), 1, sampled=False))
                continue
            correct, k = np.array([entry["correct"] for entry in entries]), entries[0]["k"]
            if checkpoint:
                correct, k = correct.sum(axis=0, keepdims=True), k * len(entries)
            tables.append(Counts(correct, k))
        return tables

    def score(self, base: str, arm: str, suite: str = AVERAGE, *, greedy: bool = False) -> Estimate | None:
        """avg@k, or the accuracy of the greedy pass; None where it was not measured."""
        if not self.group(base, arm) or (greedy and not self.has_greedy(base, arm)):
            return None
        interval = stats.arm_interval(self.counts(base, arm, suite, greedy=greedy))
        if arm in self.spec.checkpoints:
            return in_points(interval, GREEDY_CHECKPOINT if greedy else CHECKPOINT)
        return in_points(interval, GREEDY if greedy and interval.seeds > 1 else None)

    def difference(
        self, base: str, better: str, worse: str, suite: Suites = AVERAGE, *, greedy: bool = False
    ) -> Estimate | None:
        """better - worse: against an untrained one a gain over one checkpoint, otherwise paired on common seeds."""
        if not self._names(suite) or not self.comparable(base, better, worse):
            return None
        if greedy and not self.has_greedy(base, better, worse):
            return None
        seeds = self._common(base, better, worse)
        arms = [self.counts(base, arm, suite, seeds=seeds, greedy=greedy) for arm in (better, worse)]
        compare = stats.difference_from_checkpoint if worse in self.spec.checkpoints else stats.paired_difference
        interval = compare(*arms)
        return in_points(interval, GREEDY if greedy and interval.seeds > 1 else None)

    def comparable(self, base: str, better: str, worse: str) -> bool:
        """Are both measured, different, and on common seeds, `better` trained?"""
        if (
            better == worse
            or better in self.spec.checkpoints
            or not self.group(base, better)
            or not self.group(base, worse)
        ):
            return False
        return bool(self._common(base, better, worse))

    def ratio(self, base: str, arm: str, rival: str) -> stats.Ratio | None:
        """gain(arm) / gain(rival) over the base, on the seeds that both have."""
        if not self._have_gains(base, arm, rival):
            return None
        return stats.ratio_of_gains(*self._gaining(base, arm, rival))

    def ratio_p(self, base: str, arm: str, rival: str, ratio: float) -> float:
        """p-value of gain(arm) = ratio x gain(rival)."""
        return stats.ratio_p(*self._gaining(base, arm, rival), ratio)

    def equivalence(self, base: str, better: str, worse: str, suite: Suites = AVERAGE) -> float | None:
        """p-value of better and worse being closer than the table's margin, a share of the reference's gain."""
        reference, zero = self.spec.reference, self.spec.base_arm
        trained = [arm for arm in (better, worse, reference) if arm != zero]
        if any(arm in self.spec.checkpoints for arm in trained):
            return None  # the margin compares gains of trained policies
        if not self._names(suite) or not self.comparable(base, better, worse) or not self._have_gains(base, *trained):
            return None
        seeds = self.seeds(base, *trained)
        counted = {arm: self.counts(base, arm, suite, seeds=seeds) for arm in (*trained, zero)}
        other = None if worse == zero else counted[worse]
        return stats.equivalence_p(counted[better], other, counted[reference], counted[zero], self.spec.margin)

    def per_seed(self, base: str, better: str, worse: str) -> np.ndarray:
        """better - worse on the average for every seed that both have, fractions."""
        seeds = self._common(base, better, worse)
        first, second = (
            np.mean([suite.rates.mean(axis=-1) for suite in self.counts(base, arm, seeds=seeds)], axis=0)
            for arm in (better, worse)
        )
        return first - second

    def scores(self, base: str, arm: str) -> np.ndarray:
        """avg@k as fractions, [seeds, suites]."""
        return np.array([[cell["suites"][name]["avg_at_k"] for name in self.suites] for cell in self.group(base, arm)])

    def _names(self, suite: Suites) -> Sequence[str]:
        if suite == AVERAGE:
            return self.suites
        return [suite] if isinstance(suite, str) else suite

    def _common(self, base: str, better: str, worse: str) -> set[int]:
        return self.seeds(base, *(arm for arm in (better, worse) if arm not in self.spec.checkpoints))

    def _have_gains(self, base: str, *arms: str) -> bool:
        zero = self.spec.base_arm
        measured = all(self.group(base, arm) for arm in (*arms, zero))
        return measured and not set(arms) & set(self.spec.checkpoints) and bool(self.seeds(base, *arms))

    def _gaining(self, base: str, arm: str, rival: str) -> list[list[Counts]]:
        seeds = self.seeds(base, arm, rival)
        return [self.counts(base, each, seeds=seeds) for each in (arm, rival, self.spec.base_arm)]
