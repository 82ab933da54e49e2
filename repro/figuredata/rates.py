"""One grid of learning rates for every arm, on development seeds and questions that no table uses.

The rule that picks a rate was written before the grid was run: the highest mean of avg@k over the development seeds
among the rates at which no seed ends below the untrained base; of rates within `TIE` of it, the lowest. A method
that ends below the base at every rate has none, and is reported so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro.cells.experiments import get_arm
from repro.cells.plan import training_values
from repro.cells.records import Experiment, Statement
from repro.config import Profile
from repro.figuredata.model import Decision, FigureData, Value, decide, make_figure
from repro.figuredata.scores import measured_arms
from repro.stats.verdicts import NOT_TESTED, REVERSED, SUPPORTED
from repro.tables.measured import Measured

TIE = 0.005  # half a point of avg@k: the order of the noise of a mean over two seeds
RULE = (
    "the rate of the profile is the one with the highest mean avg@k over the development seeds among those at which no "
    "seed ends below the base; of rates within half a point of it, the lowest"
)


def pick(scores: Mapping[float, Sequence[float]], base: float) -> float | None:
    """The factor that the rule picks. scores: factor -> avg@k of every seed, fractions; base: the untrained base's."""
    sound = {factor: float(np.mean(each)) for factor, each in scores.items() if min(each) >= base}
    if not sound:
        return None
    best = max(sound.values())
    return min(factor for factor, mean in sound.items() if mean >= best - TIE)


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """Every method's scores over the grid, and whether the profile trains it at the rate that the rule picks."""
    measured = measured_arms(profile, experiment, cells, command)
    spec = measured.spec
    rows: list[dict[str, Value]] = []
    decisions: list[Decision] = []
    for base in experiment.bases(profile):
        if not measured.group(base, spec.base_arm):
            continue
        zero = measured.score(base, spec.base_arm).value
        for series, statement in zip(experiment.sweep.series, experiment.statements, strict=True):
            scores = {
                factor: [float(each) for each in measured.scores(base, arm).mean(axis=1)]
                for factor, arm in series.arms.items()
                if measured.group(base, arm)
            }
            chosen = pick(scores, zero / 100) if len(scores) == len(series.arms) else None  # no pick among a part
            own = _own_factor(profile, base, series.arms)
            for factor, arm in series.arms.items():
                if factor in scores:
                    rows.append(_row(profile, base, series.title, factor, arm, measured, chosen, own, zero))
            decisions.append(_decide(statement, base, chosen, own, len(series.arms), scores))
    rate = profile.train["learning_rate"]
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "method": "method", "rate": "learning rate", "ours": "avg@k", "lowest_seed": "lowest seed",
            "greedy": "greedy", "gain": "gain", "collapsed": "ends below the base", "picked": "picked",
            "in_profile": "in the profile", "seeds": "seeds",
        },
        decisions=decisions,
        notes=(
            f"Rates are multiples of the profile's {rate:g}. No table has these seeds and questions.",
            f"The rule, fixed before the run: {RULE}.",
            "Steps, rollouts and updates of every method are those of its arm in the tables.",
        ),
        told_by=("base", "method", "factor"),
    )  # fmt: skip


def _own_factor(profile: Profile, base: str, arms: Mapping[float, str]) -> float:
    """The profile's own rate of the arm that the grid varies, as a multiple of the shared one."""
    model = get_arm(get_arm(next(iter(arms.values()))).like)
    return training_values(profile, base, model)["learning_rate"] / profile.train["learning_rate"]


def _row(
    profile: Profile, base: str, method: str, factor: float, arm: str, measured: Measured, chosen: float | None,
    own: float, zero: float,
) -> dict[str, Value]:  # fmt: skip
    ours, greedy = measured.score(base, arm), measured.score(base, arm, greedy=True)
    lowest = 100 * float(measured.scores(base, arm).mean(axis=1).min())
    return {
        "base": base,
        "method": method,
        "arm": arm,
        "factor": factor,
        "rate": factor * profile.train["learning_rate"],
        "ours": ours.value,
        "low": ours.low,
        "high": ours.high,
        "lowest_seed": lowest,
        "greedy": greedy and greedy.value,
        "gain": ours.value - zero,
        "collapsed": lowest < zero,
        "picked": factor == chosen,
        "in_profile": bool(np.isclose(factor, own)),
        "seeds": len(measured.group(base, arm)),
    }


def _decide(
    statement: Statement,
    base: str,
    chosen: float | None,
    own: float,
    rates: int,
    scores: Mapping[float, Sequence[float]],
) -> Decision:
    if len(scores) < rates:
        return decide(statement, base, NOT_TESTED, f"{len(scores)} of {rates} rates measured")
    if chosen is None:
        return decide(statement, base, REVERSED, "ends below the base at every rate")
    word = SUPPORTED if np.isclose(chosen, own) else REVERSED
    return decide(statement, base, word, f"trained at {own:g}x the shared rate, the rule picks {chosen:g}x")
