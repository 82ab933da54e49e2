"""Held-out accuracy along the training: is one arm faster, better, or neither? The paper has endpoints alone.

A curve is the mean over seeds of the accuracy on questions common to all arms and steps. The sigmoid of
`repro.stats.curves` is fitted to it over generated tokens and over core-seconds; intervals are jackknives over seeds,
and two arms are compared on the seeds that both have.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro.cells.experiments import get_arm
from repro.cells.records import Experiment, Statement
from repro.config import Profile
from repro.figuredata.model import Decision, FigureData, Value, decide, make_figure
from repro.stats.curves import Jackknifed, fit_sigmoid, jackknife
from repro.stats.verdicts import NOT_TESTED, direction_verdict

TOKENS, CORE_SECONDS = "completion_tokens", "core_seconds"
UNITS = {TOKENS: "generated tokens", CORE_SECONDS: "core-seconds"}
CEILING, MIDPOINT = "ceiling", "midpoint"
POINT, FIT = "point", "fit"  # what a row is


class Curves:
    """The points of every arm's trainings on one base: accuracy (fractions) and compute, [seeds, points]."""

    def __init__(self, cells: Sequence[dict[str, Any]], base: str) -> None:
        self.by_arm: dict[str, dict[int, list[dict[str, Any]]]] = {}
        for cell in cells:
            if cell["base"] == base and cell["train"] is not None:
                self.by_arm.setdefault(cell["arm"], {})[cell["seed"]] = cell["train"]["curve"]

    def seeds(self, *arms: str) -> list[int]:
        """Seeds that all of these arms have."""
        return sorted(set.intersection(*(set(self.by_arm.get(arm, {})) for arm in arms)))

    def steps(self, arm: str) -> list[int]:
        """After which steps the arm was measured."""
        return [point["step"] for point in next(iter(self.by_arm[arm].values()))]

    def accuracy(self, arm: str, seeds: Sequence[int], *, greedy: bool = False) -> np.ndarray:
        """Mean over suites of the share of right answers, [seeds, points]."""
        return np.array([[_share(point, greedy) for point in self.by_arm[arm][seed]] for seed in seeds])

    def compute(self, arm: str, seeds: Sequence[int], unit: str) -> np.ndarray:
        """Compute before every point, [seeds, points]; nothing before the first."""
        found = np.array([[point[unit] for point in self.by_arm[arm][seed]] for seed in seeds], dtype=float)
        return found - found[:, :1]

    def start(self, arm: str, seeds: Sequence[int]) -> float:
        """Accuracy before the first step."""
        return float(self.accuracy(arm, seeds)[:, 0].mean())

    def parameter(self, arm: str, seeds: Sequence[int], unit: str, name: str) -> float:
        """`ceiling`, or the log of `midpoint`, of the mean curve of these seeds."""
        mean = self.accuracy(arm, seeds).mean(axis=0)
        fitted = fit_sigmoid(self.compute(arm, seeds, unit).mean(axis=0), mean)
        return fitted.ceiling if name == CEILING else float(np.log(fitted.midpoint))


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """The points of every arm, its fitted sigmoid, and the verdicts. cells: summaries of finished cells."""
    rows: list[dict[str, Value]] = []
    decisions: list[Decision] = []
    for base in experiment.bases(profile):
        curves = Curves(cells, base)
        for arm in experiment.arms:
            if curves.by_arm.get(arm):
                rows += [*_points(curves, base, arm), *_fits(curves, base, arm)]
        decisions += [_compare(curves, base, each) for each in experiment.statements]
    spec = profile.curve
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "arm": "arm", "kind": "what", "unit": "compute in", "step": "step", "compute": "compute",
            "accuracy": "avg@k", "greedy": "greedy", "ceiling": "ceiling", "ceiling_low": "low",
            "ceiling_high": "high", "midpoint": "midpoint", "midpoint_low": "low ", "midpoint_high": "high ",
            "seeds": "seeds",
        },
        decisions=decisions,
        notes=(
            f"Every {spec.every} rollouts the first {spec.questions} questions of every suite, {spec.samples} samples "
            "each and one greedy answer; questions and draws are common to all arms and steps.",
            "Sigmoid: R - R_0 = (A - R_0) / (1 + (C_mid / C)^B), least squares on the mean curve of the seeds; R_0 is "
            "the untrained base. Intervals are 95 %, jackknife over seeds.",
            "A midpoint or ceiling near the bounds of the fit (three times the compute spent, 100) means: not reached.",
        ),
        told_by=("base", "title", "kind", "unit", "step"),
    )  # fmt: skip


def _points(curves: Curves, base: str, arm: str) -> list[dict[str, Value]]:
    seeds = curves.seeds(arm)
    accuracy, greedy = (100 * curves.accuracy(arm, seeds, greedy=each).mean(axis=0) for each in (False, True))
    rows = []
    for unit, name in UNITS.items():
        compute = curves.compute(arm, seeds, unit).mean(axis=0)
        for place, step in enumerate(curves.steps(arm)):
            values = {"step": step, "compute": compute[place], "accuracy": accuracy[place], "greedy": greedy[place]}
            rows.append(_row(base, arm, POINT, name, len(seeds)) | {key: float(v) for key, v in values.items()})
    return rows


def _fits(curves: Curves, base: str, arm: str) -> list[dict[str, Value]]:
    seeds, rows = curves.seeds(arm), []
    for unit, name in UNITS.items():
        found = {each: _jackknifed(curves, [(1.0, arm)], seeds, unit, each) for each in (CEILING, MIDPOINT)}
        mean = curves.accuracy(arm, seeds).mean(axis=0)
        fitted = fit_sigmoid(curves.compute(arm, seeds, unit).mean(axis=0), mean)
        row = _row(base, arm, FIT, name, len(seeds)) | {"steepness": fitted.steepness, "start": 100 * fitted.start}
        for each, scale in ((CEILING, lambda value: 100 * value), (MIDPOINT, np.exp)):
            for key, value in (("", found[each].value), ("_low", found[each].low), ("_high", found[each].high)):
                row[f"{each}{key}"] = None if value is None else float(scale(value))
        rows.append(row)
    return rows


def _row(base: str, arm: str, kind: str, unit: str, seeds: int) -> dict[str, Value]:
    empty = dict.fromkeys(
        ("step", "compute", "accuracy", "greedy", "start", "ceiling", "ceiling_low", "ceiling_high", "midpoint",
         "midpoint_low", "midpoint_high", "steepness")
    )  # fmt: skip
    return {"base": base, "arm": arm, "title": get_arm(arm).title, "kind": kind, "unit": unit, **empty, "seeds": seeds}


def _jackknifed(
    curves: Curves, weights: Sequence[tuple[float, str]], seeds: Sequence[int], unit: str, name: str
) -> Jackknifed:
    """A weighted sum of one parameter over arms, every arm on the same seeds."""

    def statistic(places: Sequence[int]) -> float:
        kept = [seeds[place] for place in places]
        return sum(weight * curves.parameter(arm, kept, unit, name) for weight, arm in weights)

    return jackknife(statistic, len(seeds))


def _compare(curves: Curves, base: str, statement: Statement) -> Decision:
    """A statement's test is `parameter unit better worse`: a higher ceiling, or a lower midpoint."""
    name, unit, better, worse = statement.test.split()
    seeds = curves.seeds(better, worse)
    if not seeds:
        return decide(statement, base, NOT_TESTED, "not measured")
    falling = [
        arm for arm in (better, worse) if curves.parameter(arm, seeds, unit, CEILING) <= curves.start(arm, seeds)
    ]
    if name == MIDPOINT and falling:  # the midpoint of a fall is no speed of learning
        return decide(statement, base, NOT_TESTED, f"{' and '.join(falling)} does not rise above the base")
    sign = 1.0 if name == CEILING else -1.0
    found = _jackknifed(curves, [(sign, better), (-sign, worse)], seeds, unit, name)
    if name == CEILING:
        shown = [None if each is None else f"{100 * each:+.1f}" for each in (found.value, found.low, found.high)]
        what = "points"
    else:  # a difference of logs: how many times the rival's compute it takes
        ends = (found.value, found.high, found.low)
        shown = [None if each is None else f"{np.exp(-each):.2f}" for each in ends]
        what = f"times the {UNITS[unit]}"
    text = f"{shown[0]} {what}" + (f" [{shown[1]}, {shown[2]}]" if shown[1] else "") + f", {len(seeds)} seeds"
    return decide(statement, base, direction_verdict(found.low, found.high, None), text)


def _share(point: dict[str, Any], greedy: bool) -> float:
    """Mean over suites of the share of right answers at one point."""
    counts, samples = (point["greedy"], 1) if greedy else (point["correct"], point["samples"])
    return float(np.mean([np.mean(right) / samples for right in counts.values()]))
