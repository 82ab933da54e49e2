"""Gradient norms during training: Figure 7.

One definition for every arm: the length of the whole gradient before clipping, once per optimizer step, as the trainer
logs it. Arms read the same questions in the same order and have the same number of rollouts; an arm with several
updates per rollout has as many norms per rollout. Rescaled: divided by the step's mean Upsilon, by which GCPO
multiplies the advantages (alpha = 2 about doubles them). Spread and oscillation are shares of the mean, which no scale
changes.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro import stats
from repro.cells.experiments import get_arm
from repro.cells.records import Experiment
from repro.cells.state import read_metrics
from repro.config import Profile
from repro.errors import BadInput
from repro.figuredata.model import FigureData, Value, decide, make_figure
from repro.stats import Steadiness
from repro.stats.steadiness import OVER_SEEDS
from repro.stats.verdicts import (
    ALPHA,
    CONTRADICTED,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    above_each,
)  # fmt: skip

ARM, STEP = "arm", "step"  # what a row is
CONSTANT_BELOW = 0.10  # of the mean: a spread below it is called nearly constant; ours, fixed before the run
RIVALS = ("grpo", "gvpo", "drgrpo")
NORM, UPSILON = "grad_norm", "upsilon/mean"


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """Norms step by step, their spread per arm, and the verdict on each sentence.

    cells: summaries of finished cells; folder: where their metrics lie, by cell id. Raises BadInput for a cell without
    logged norms.
    """
    rows, decisions = [], []
    for base in experiment.bases(profile):
        arms = {
            arm: [_Run(cell, folder) for cell in sorted(cells, key=lambda cell: cell["seed"]) if _is(cell, base, arm)]
            for arm in experiment.arms
        }
        arms = {arm: runs for arm, runs in arms.items() if runs}
        rows += [_arm_row(base, arm, runs) for arm, runs in arms.items()]
        rows += [row for arm, runs in arms.items() for run in runs for row in run.rows(base, arm)]
        for statement in experiment.statements:
            test, *words = statement.test.split()
            word, measured, p = _TESTS[test](arms, experiment.margin, *words)
            decisions.append(decide(statement, base, word, measured, p))
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=sorted(rows, key=lambda row: row["kind"] != ARM),
        shown={
            "base": "base", "title": "arm", "updates": "updates", "rollouts": "rollouts", "seeds": "seeds",
            "norm": "mean norm", "rescaled": "mean norm / mean Upsilon", "spread": "spread", "spread_low": "low",
            "spread_high": "high", "spread_rescaled": "spread, rescaled", "oscillation": "oscillation",
            "drift": "drift",
        },
        listed=(ARM,),
        decisions=decisions,
        notes=(
            "Norm: of the whole gradient, before clipping, per optimizer step; questions and rollouts are the same for "
            "every arm.",
            "Spread: standard deviation over steps as a share of the mean, geometric mean over seeds, 95 % interval by "
            "Student's t over their logarithms (one seed: blocks of steps). Oscillation: the same from successive "
            "differences. Drift: of the least-squares line, first step to last, as a share of the mean.",
            f"Nearly constant: a spread below {100 * CONSTANT_BELOW:g} % of the mean; ours, the paper gives no number.",
            "Rescaled: the norm over the step's mean Upsilon; arms without Upsilon are as they are.",
        ),
        told_by=("base", "title", "kind", "seed", "step"),
    )  # fmt: skip


def _is(cell: Mapping[str, Any], base: str, arm: str) -> bool:
    return (cell["base"], cell["arm"]) == (base, arm)


class _Run:
    """The norms of one cell."""

    def __init__(self, cell: Mapping[str, Any], folder: Path) -> None:
        logged = [row for row in read_metrics(folder / cell["cell_id"]) if NORM in row]
        if not logged:
            raise BadInput(f"{folder / cell['cell_id']}/metrics.jsonl has no {NORM}; run the cell again")
        self.seed: int = cell["seed"]
        self.steps = [row["step"] for row in logged]
        self.norms = np.array([row[NORM] for row in logged])
        self.upsilons = [row.get(UPSILON) for row in logged]
        self.rollouts = sum("reward" in row for row in logged)  # a step that reuses a rollout logs no reward
        scale = [1.0 if each is None else each for each in self.upsilons]
        self.rescaled = self.norms / np.array(scale)

    def rows(self, base: str, arm: str) -> list[dict[str, Value]]:
        """One record per step; `place` is the share of the rollouts that are over."""
        empty = dict.fromkeys(_ARM_KEYS)
        return [
            empty
            | {"kind": STEP, "base": base, "arm": arm, "title": get_arm(arm).title, "seed": self.seed, "step": step,
               "place": step / len(self.steps) * self.rollouts, "norm": float(norm), "rescaled": float(rescaled),
               "upsilon": upsilon}
            for step, norm, rescaled, upsilon in zip(self.steps, self.norms, self.rescaled, self.upsilons, strict=True)
        ]  # fmt: skip


_ARM_KEYS = (
    "kind", "base", "arm", "title", "seed", "step", "place", "norm", "rescaled", "upsilon", "seeds", "updates",
    "rollouts", "spread", "spread_low", "spread_high", "spread_rescaled", "spread_rescaled_low",
    "spread_rescaled_high", "oscillation", "oscillation_low", "oscillation_high", "drift", "covers",
)  # fmt: skip


def _arm_row(base: str, arm: str, runs: Sequence[_Run]) -> dict[str, Value]:
    raw, rescaled = ([getattr(run, kind) for run in runs] for kind in ("norms", "rescaled"))
    spread = _over_seeds(raw, stats.relative_spread)
    return dict.fromkeys(_ARM_KEYS) | {
        "kind": ARM,
        "base": base,
        "arm": arm,
        "title": get_arm(arm).title,
        "norm": float(np.mean([run.mean() for run in raw])),
        "rescaled": float(np.mean([run.mean() for run in rescaled])),
        "seeds": len(runs),
        "updates": len(runs[0].steps),
        "rollouts": runs[0].rollouts,
        **_ends("spread", spread),
        **_ends("spread_rescaled", _over_seeds(rescaled, stats.relative_spread)),
        **_ends("oscillation", _over_seeds(raw, stats.oscillation)),
        "drift": spread and float(np.mean([stats.relative_drift(run) for run in raw])),
        "covers": spread and spread.covers,
    }


def _ends(name: str, found: Steadiness | None) -> dict[str, float | None]:
    return {name: found and found.value, f"{name}_low": found and found.low, f"{name}_high": found and found.high}


def _moves(series: np.ndarray) -> bool:
    return bool(series.size > 2 and series.mean() > 0 and series.std() > 0)


def _over_seeds(series: Sequence[np.ndarray], statistic: Callable) -> Steadiness | None:
    """None where a run's norm never moves, as without any reward: it has no spread to speak of."""
    if not all(_moves(run) for run in series):
        return None
    return stats.over_seeds(series, statistic, rng=np.random.default_rng(0))


_Found = tuple[str, str, float | None]  # verdict, numbers in words, p
_Arms = Mapping[str, Sequence[_Run]]
_MISSING: _Found = (NOT_TESTED, "not measured, or the norm of a run never moves", None)


def _ratio(
    a: Sequence[_Run], b: Sequence[_Run], statistic: Callable, margin: float, kind: str = "norms"
) -> Steadiness | None:
    """Ratio of two arms' statistics on the seeds that both have; None without any, and where a norm never moves."""
    common = {run.seed for run in a} & {run.seed for run in b}
    one, other = ([getattr(run, kind) for run in runs if run.seed in common] for runs in (a, b))
    if not common or not all(_moves(run) for run in (*one, *other)):
        return None
    return stats.ratio_over_seeds(one, other, statistic, margin=margin, rng=np.random.default_rng(0))


def _most_stable(arms: _Arms, margin: float, ours: str) -> _Found:
    """The spread of `ours` over that of each rival, Holm-corrected over the rivals."""
    found = {
        rival: ratio
        for rival in RIVALS
        if ours in arms and rival in arms
        if (ratio := _ratio(arms[ours], arms[rival], stats.relative_spread, margin)) is not None
    }
    if not found:
        return _MISSING
    p_values, near = ([getattr(ratio, name) for ratio in found.values()] for name in ("p", "p_equivalent"))
    word = above_each([-np.log(ratio.value) for ratio in found.values()], p_values, near)  # steadier: a smaller spread
    said = ", ".join(f"{_interval(ratio)} x {get_arm(rival).title}'s" for rival, ratio in found.items())
    return word, f"spread {said}", max(stats.holm(p_values))


def _constant(arms: _Arms, margin: float, ours: str) -> _Found:
    if ours not in arms:
        return _MISSING
    found = _over_seeds([run.norms for run in arms[ours]], stats.relative_spread)
    return _below(found, "spread", SUPPORTED, CONTRADICTED)


def _oscillates(arms: _Arms, margin: float, rival: str) -> _Found:
    if rival not in arms:
        return _MISSING
    found = _over_seeds([run.norms for run in arms[rival]], stats.oscillation)
    return _below(found, "oscillation", CONTRADICTED, SUPPORTED)


def _below(found: Steadiness | None, what: str, below: str, above: str) -> _Found:
    if found is None:
        return NOT_TESTED, "the norm of a run never moves", None
    word = below if found.high < CONSTANT_BELOW else above if found.low > CONSTANT_BELOW else UNDECIDED
    alone = "" if found.covers == OVER_SEEDS else f" ({found.covers})"
    return word, f"{what} {_interval(found)} of the mean{alone}", None


def _scale(arms: _Arms, margin: float, ours: str) -> _Found:
    """Mean norms over GRPO's: as they are, and over the mean Upsilon, which decides."""
    if ours not in arms or "grpo" not in arms:
        return _MISSING
    pair = arms[ours], arms["grpo"]
    raw, rescaled = (_ratio(*pair, stats.mean_level, margin, kind) for kind in ("norms", "rescaled"))
    if raw is None or rescaled is None:
        return _MISSING
    edge = 1 + margin
    if rescaled.p_equivalent < ALPHA:
        word = SUPPORTED
    else:
        word = CONTRADICTED if rescaled.low > edge or rescaled.high < 1 / edge else UNDECIDED
    return word, f"mean norm {_interval(raw)} x GRPO's, rescaled {_interval(rescaled)}", rescaled.p


def _interval(found: Steadiness) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


_TESTS: dict[str, Callable[..., _Found]] = {
    "most_stable": _most_stable, "constant": _constant, "oscillates": _oscillates, "scale": _scale,
}  # fmt: skip
