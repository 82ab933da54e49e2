"""What GCPO costs beside GRPO: Figure 8. Whole runs (accuracy over the cost of training) and single steps by phase.

A run's cost is the processor time of its training, in core-seconds, or the time of its GPU where a profile counts
GPU-hours. A step's cost is measured side by side with GRPO's on the same rollouts (`repro.bench.overhead`), so that a
busy machine does not move the ratio. Does not count what evaluation costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from repro import stats
from repro.bench.ratios import PHASES
from repro.cells.experiments import get_arm
from repro.cells.records import Experiment
from repro.config import Profile
from repro.errors import BadInput
from repro.figuredata.model import FigureData, Value, decide, make_figure
from repro.figuredata.scores import measured_arms
from repro.paper import load_table
from repro.stats import Steadiness
from repro.stats.verdicts import NOT_TESTED, above_each, direction_verdict, size_verdict
from repro.tables.measured import Measured
from repro.tables.model import in_points
from repro.tables.words import signed

RUN, STEP = "run", "step"  # what a row is
FORM_OF = {"grpo": "grpo", "gcpo_expected": "expected", "gcpo_mc": "mc m=2 R=1 f=1"}  # arm -> form of the bench
RIVALS = ("grpo", "gvpo", "drgrpo", "rest_mcts")
_KEYS = (
    "kind", "base", "arm", "title", "unit", "cost", "ratio", "ratio_low", "ratio_high", "ours", "low", "high", "gain",
    "seeds", "parameters", "n", "length", "peak_mib", *PHASES,
)  # fmt: skip


def printed_ratio() -> float:
    """The paper's cost of GCPO over GRPO's."""
    frame = load_table("figures")
    return float(frame[(frame.figure == "8") & (frame.series == "GCPO")].printed.iloc[0])


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """Cost and accuracy of whole runs, cost of steps, and the verdict on each sentence.

    cells: summaries of finished cells; those with a `bench` hold the steps. folder: not read. Raises BadInput for cells
    that cannot be compared, or that have no processor time.
    """
    steps = {cell["base"]: cell["bench"] for cell in cells if "bench" in cell}
    answering = replace(experiment, arms=tuple(arm for arm in experiment.arms if not get_arm(arm).once))
    measured = measured_arms(profile, answering, [cell for cell in cells if "bench" not in cell], command)
    costs = _Costs(measured, steps, profile.resources.gpu_hours)
    rows, decisions = [], []
    for base in experiment.bases(profile):
        rows += [*costs.run_rows(base), *costs.step_rows(base)]
        for statement in experiment.statements:
            test, arm = statement.test.split()
            word, found, p = getattr(costs, test)(base, arm)
            decisions.append(decide(statement, base, word, found, p))
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "kind": "of a", "title": "arm", "cost": f"cost, {costs.unit}", "ratio": "x GRPO",
            "ratio_low": "low", "ratio_high": "high", "ours": "avg@k", "gain": "gain", "seeds": "seeds",
            "parameters": "parameters",
        },
        decisions=decisions,
        notes=costs.notes(),
        told_by=("base", "kind", "title"),
        p_values=measured.spec.p_values,
    )  # fmt: skip


_Found = tuple[str, str, float | None]  # verdict, numbers in words, p
_MISSING: _Found = (NOT_TESTED, "not measured", None)


class _Costs:
    """Runs and steps of a figure, by base and arm."""

    def __init__(self, measured: Measured, steps: Mapping[str, dict[str, Any]], gpu_hours: bool) -> None:
        self.measured, self.steps, self.gpu_hours = measured, steps, gpu_hours
        self.unit = "GPU-hours" if gpu_hours else "core-seconds"

    def cost(self, cell: Mapping[str, Any]) -> float:
        """What the training of one cell took."""
        key = "wall_seconds" if self.gpu_hours else "cpu_seconds"
        if key not in cell["train"]:
            raise BadInput(f"cell {cell['cell_id']} has no {key} of its training; delete it and run the target again")
        return cell["train"][key] / (3600 if self.gpu_hours else 1)

    def by_seed(self, base: str, arm: str) -> dict[int, float]:
        return {cell["seed"]: self.cost(cell) for cell in self.measured.group(base, arm)}

    def ratio(self, base: str, arm: str) -> Steadiness | None:
        """Cost of an arm's runs over GRPO's, paired by seed."""
        ours, theirs = self.by_seed(base, arm), self.by_seed(base, self.measured.spec.reference)
        common = sorted(ours.keys() & theirs.keys())
        return stats.geometric_mean([ours[seed] / theirs[seed] for seed in common]) if common else None

    def run_rows(self, base: str) -> list[dict[str, Value]]:
        spec = self.measured.spec
        rows = []
        for arm in spec.arms:
            trained = arm.id != spec.base_arm and self.measured.group(base, arm.id)
            costs = list(self.by_seed(base, arm.id).values()) if trained else []
            ratio = self.ratio(base, arm.id) if trained else None
            ours, gain = self.measured.score(base, arm.id), self.measured.difference(base, arm.id, spec.base_arm)
            rows.append(
                dict.fromkeys(_KEYS)
                | {
                    "kind": RUN,
                    "base": base,
                    "arm": arm.id,
                    "title": arm.title,
                    "unit": self.unit,
                    "cost": float(np.mean(costs)) if costs else None,
                    "ratio": ratio and ratio.value,
                    "ratio_low": ratio and ratio.low,
                    "ratio_high": ratio and ratio.high,
                    "ours": ours and ours.value,
                    "low": ours and ours.low,
                    "high": ours and ours.high,
                    "gain": gain and gain.value,
                    "seeds": len(self.measured.group(base, arm.id)),
                }
            )
        return rows

    def step_rows(self, base: str) -> list[dict[str, Value]]:
        if base not in self.steps:
            return []
        bench = self.steps[base]
        return [
            dict.fromkeys(_KEYS)
            | {
                "kind": STEP,
                "base": base,
                "arm": row["form"],
                "title": row["form"],
                "unit": "core-seconds",
                "cost": row["cpu_seconds"],
                "ratio": row["ratio"],
                "ratio_low": row["ratio_ci"][0],
                "ratio_high": row["ratio_ci"][1],
                "parameters": bench["parameters"],
                "n": row["n"],
                "length": row["length"],
                "peak_mib": row["peak_mib"],
                **row["seconds"],
            }
            for row in bench["rows"]
        ]

    def whole(self, base: str, arm: str) -> _Found:
        """The ratio of whole runs beside the paper's."""
        ratio = self.ratio(base, arm)
        if ratio is None:
            return _MISSING
        text = _times(ratio) + _beyond(ratio.low, ratio.high)
        return size_verdict(ratio.low, ratio.high, (printed_ratio(),), 1.0, False), text, None

    def step(self, base: str, arm: str) -> _Found:
        """The ratio of a step beside the paper's."""
        rows = [row for row in self.step_rows(base) if row["arm"] == FORM_OF[arm]]
        if not rows:
            return _MISSING
        low, high = rows[0]["ratio_low"], rows[0]["ratio_high"]
        text = f"{rows[0]['ratio']:.2f} [{low:.2f}, {high:.2f}] x GRPO's step{_beyond(low, high)}, "
        text += f"{rows[0]['parameters']:,} parameters"
        return size_verdict(low, high, (printed_ratio(),), 1.0, False), text, None

    def outperforms(self, base: str, arm: str) -> _Found:
        """Accuracy against every baseline that was measured."""
        found = {rival: self.measured.difference(base, arm, rival) for rival in RIVALS}
        found = {rival: each for rival, each in found.items() if each is not None}
        if not found:
            return _MISSING
        near = [self.measured.equivalence(base, arm, rival) for rival in found]
        p_values = [each.p for each in found.values()]
        word = above_each([each.value for each in found.values()], p_values, near)
        text = ", ".join(f"{signed(each)} over {get_arm(rival).title}" for rival, each in found.items())
        return word, text, max(stats.holm(p_values))

    def trade_off(self, base: str, arm: str) -> _Found:
        """Gain per cost: w x gain(arm) - gain(GRPO), w the cost of GRPO over the arm's."""
        spec, ratio = self.measured.spec, self.ratio(base, arm)
        seeds = self.measured.seeds(base, arm, spec.reference)
        if ratio is None or not seeds or not self.measured.group(base, spec.base_arm):
            return _MISSING
        counts = {each: self.measured.counts(base, each, seeds=seeds) for each in (arm, spec.reference)}
        zero, worth = self.measured.counts(base, spec.base_arm), 1 / ratio.value
        arms = [(worth, counts[arm]), (-1.0, counts[spec.reference])]
        estimate = in_points(stats.contrast(arms, zero, 1 - worth))
        p = stats.contrast_equivalence_p(arms, counts[spec.reference], zero, spec.margin, base_weight=1 - worth)
        text = f"{signed(estimate)} points at GRPO's cost"
        return direction_verdict(estimate.low, estimate.high, p), text, estimate.p

    def notes(self) -> tuple[str, ...]:
        sizes = sorted({bench["parameters"] for bench in self.steps.values()})
        which = "the GPU's time" if self.gpu_hours else "processor time"
        size = f"Model sizes: {', '.join(f'{each:,}' for each in sizes) or 'none measured'} parameters"
        return (
            f"Cost of a run: {which} of its training, from the start of loading to the saved policy; evaluation is not "
            "counted, nor what an interrupted training had spent before its last checkpoint. Runs shared a machine, "
            "which their seconds hold; steps were measured in turn in one process.",
            "Cost of a step: processor time, medians over rounds, both forms on the same rollouts in turn; phases are "
            "wall time. The step of GCPO mc has its divergence on every row, its runs on the rows of their settings.",
            size + ("." if len(sizes) != 1 else ": one size alone, and a ratio at one size says nothing of another."),
        )


def _beyond(low: float | None, high: float | None) -> str:
    """On which side of the paper's ratio the whole interval lies; nothing where it holds it."""
    printed = printed_ratio()
    if low is None or high is None or low <= printed <= high:
        return ""
    return f" ({'above' if low > printed else 'below'} {printed:g})"


def _times(ratio: Steadiness) -> str:
    ends = "one seed" if ratio.low is None else f"[{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{ratio.value:.2f} {ends} x GRPO's run"
