"""Every table and figure of the paper as data: its arms, what the paper claims of it, and whether it is built yet.

An arm is a method with overrides of its trainer's arguments. A profile says how large everything is
(repro/profiles/), this file says
what is compared with what. Nothing here is a result.
"""

from dataclasses import dataclass, field
from typing import Any

from repro.config import closest
from repro.errors import BadInput


@dataclass(frozen=True)
class Arm:
    """One row of a table: `method` is a key of `gcpo.trainers.METHODS`, or None for the untrained base."""

    id: str
    title: str
    method: str | None
    overrides: dict[str, Any] = field(default_factory=dict)
    built: bool = True
    why_not: str = ""
    paper_method: str | None = None  # the `method` label of the paper's row it stands beside


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that a measurement can decide: `better` has the higher average than `worse`, on every
    base.
    """

    id: str
    text: str
    better: str
    worse: str
    primary: bool = False  # fixed beforehand; Holm-corrected together with the other primary ones


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper."""

    id: str
    title: str
    kind: str  # table | figure
    arms: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    paper_table: str | None = None
    built: bool = False
    note: str = ""


ARMS = {
    arm.id: arm
    for arm in (
        Arm("base", "base", None, paper_method="base"),
        Arm("grpo", "GRPO", "grpo", paper_method="GRPO"),
        Arm("rest_mcts", "ReST-MCTS*", None, built=False, why_not="not run yet", paper_method="ReST-MCTS"),
        Arm("gvpo", "GVPO", "gvpo", paper_method="GVPO"),
        Arm("drgrpo", "Dr.GRPO", "drgrpo", paper_method="Dr.GRPO"),
        Arm("gcpo_expected", "GCPO expected", "gcpo", {"estimator": "centroid", "eq13": "p_q"}, paper_method="GCPO"),
        Arm(
            "gcpo_mc",
            "GCPO mc",
            "gcpo",
            {
                "estimator": "mc",
                "num_integrated": 2,
                "num_context_outputs": 1,
                "eq13": "mean",
                "kappa_row_fraction": 1.0,
            },
            paper_method="GCPO",
        ),
        Arm("gcpo_corrected", "GCPO corrected", None, built=False, why_not="not run yet", paper_method="GCPO"),
    )
}

_BEST = "GCPO consistently achieves the best average performance"
_GAIN = "GCPO consistently outperforms GRPO"


def _table1_claims() -> tuple[Claim, ...]:
    claims = []
    for form in ("gcpo_expected", "gcpo_mc"):
        claims.append(Claim(f"{form}>base", _BEST, form, "base"))
        claims.append(Claim(f"{form}>grpo", _GAIN, form, "grpo", primary=True))
        claims.extend(Claim(f"{form}>{other}", _BEST, form, other) for other in ("gvpo", "drgrpo", "rest_mcts"))
    return tuple(claims)


_NOT_BUILT = "registered, not built yet"

EXPERIMENTS = {
    experiment.id: experiment
    for experiment in (
        Experiment(
            "table1",
            "Pass@1 on five reasoning suites, three base models",
            "table",
            ("base", "grpo", "rest_mcts", "gvpo", "drgrpo", "gcpo_expected", "gcpo_mc", "gcpo_corrected"),
            _table1_claims(),
            paper_table="table1",
            built=True,
        ),
        Experiment(
            "table2",
            "Ablation: without advantage weighting, without the KL term",
            "table",
            note=_NOT_BUILT,
            paper_table="table2",
        ),
        Experiment("table3", "Training methods with MCTS at test time", "table", note=_NOT_BUILT, paper_table="table3"),
        Experiment("figure3", "HumanEval, 0-shot and 5-shot", "figure", note=_NOT_BUILT),
        Experiment("figure4a", "Accuracy over alpha", "figure", note=_NOT_BUILT),
        Experiment("figure4b", "Accuracy over kappa", "figure", note=_NOT_BUILT),
        Experiment("figure4c", "Similarity in Upsilon: cosine, Euclidean, Gaussian", "figure", note=_NOT_BUILT),
        Experiment("figure6", "Accuracy given q, x and the projected input", "figure", note=_NOT_BUILT),
        Experiment("figure7", "Gradient norms during training", "figure", note=_NOT_BUILT),
        Experiment("figure8", "Training cost against GRPO (the 1.18x claim)", "figure", note=_NOT_BUILT),
    )
}


def get_experiment(name: str) -> Experiment:
    """The experiment called `name`. Raises BadInput for an unknown one and for one that is not built."""
    if name not in EXPERIMENTS:
        raise BadInput(f"target {name!r} does not exist; {closest(name, list(EXPERIMENTS))}")
    experiment = EXPERIMENTS[name]
    if not experiment.built:
        built = ", ".join(e.id for e in EXPERIMENTS.values() if e.built)
        raise BadInput(f"target {name!r} is {experiment.note or 'not built yet'}; built: {built}")
    return experiment


def get_arm(name: str) -> Arm:
    """The arm called `name`. Raises BadInput for an unknown one."""
    if name not in ARMS:
        raise BadInput(f"arm {name!r} does not exist; {closest(name, list(ARMS))}")
    return ARMS[name]
