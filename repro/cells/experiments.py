"""Every table and figure of the paper as data: its arms, what the paper claims of it, and whether it is built yet.

An arm is a method with overrides of its trainer's arguments. A profile says how large everything is
(repro/profiles/), this file says what is compared with what, on which outcome, and what the words of the verdicts mean.
It is written before the run. Nothing here is a result.
"""

from dataclasses import dataclass, field
from typing import Any

from repro.config import Profile, closest
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
    search: str | None = None  # the arm whose trained policy searches
    beside: str | None = None  # the search whose cell also holds this row
    forced: bool = False  # the base, never beginning with `evaluate.direct_start`
    paper_method: str | None = None  # the `method` label of the paper's row it stands beside

    def measurable(self, profile: Profile) -> bool:
        """Whether the profile has what the row needs."""
        return not self.forced or profile.evaluate.direct_start is not None


PRIMARY_OUTCOME = "avg@k"  # the average over suites of avg@k decides; greedy passes stand beside it without a verdict
EQUIVALENCE_MARGIN = 0.10  # of the gain of the reference arm over the base: arms closer than this are equivalent
REFERENCE = "grpo"
RATIO, SHARE_LOST = "ratio", "share lost"


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that a measurement can decide: `better` has the higher outcome than `worse`, on every
    base.

    Direction: `supported` if the interval of the difference lies above 0, `reversed` if below, `equivalent` if two
    one-sided tests place it within EQUIVALENCE_MARGIN, else `undecided`. Size against the paper, on a scale that does
    not need equal tasks: `ratio`, gain(better) / gain(worse) over the own base, or `share lost`, the share of
    gain(better) that `worse`, which lacks a term, does not reach.
    """

    id: str
    text: str
    better: str
    worse: str
    primary: bool = False  # fixed beforehand; Holm-corrected together with the other primary ones
    scale: str = RATIO


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
    role: str | None = None  # the only base model of the paper's table; None: all of the profile's
    outcome: str = PRIMARY_OUTCOME
    margin: float = EQUIVALENCE_MARGIN
    reference: str = REFERENCE  # whose gain the margin is a share of, and whom the other arms are compared with

    def bases(self, profile: Profile) -> list[str]:
        """Names of the profile's bases that it compares on; the first one where none plays the role."""
        names = list(profile.bases)
        if self.role is None:
            return names
        return [name for name in names if profile.bases[name].role.startswith(self.role)] or names[:1]


_SEARCHED = (
    ("base", "base", "base"),
    ("grpo", "GRPO", "GRPO"),
    ("gvpo", "GVPO", "GVPO"),
    ("drgrpo", "Dr.GRPO", "Dr.GRPO"),
    ("gcpo_expected", "GCPO expected", "GCPO"),
)
_EXPECTED = {"estimator": "centroid", "eq13": "p_q"}
_CONSTANT = {"upsilon_control": "constant"}
_NO_KL = {"kappa": 0.0}

ARMS = {
    arm.id: arm
    for arm in (
        Arm("base", "base", None, paper_method="base"),
        # Beside GRPO it says what RL did: up to here it has chosen the worked strategy, beyond it it has taught steps
        Arm("base_worked", "base, worked strategy forced", None, forced=True),
        Arm("grpo", "GRPO", "grpo", paper_method="GRPO"),
        Arm("rest_mcts", "ReST-MCTS*", "rest_mcts", paper_method="ReST-MCTS"),
        Arm("gvpo", "GVPO", "gvpo", paper_method="GVPO"),
        Arm("drgrpo", "Dr.GRPO", "drgrpo", paper_method="Dr.GRPO"),
        Arm("gcpo_expected", "GCPO expected", "gcpo", _EXPECTED, paper_method="GCPO"),
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
        Arm(
            "gcpo_corrected",
            "GCPO corrected",
            "gcpo",
            {
                "estimator": "mc",
                "num_integrated": 2,
                "num_context_outputs": 1,
                "phi_sampling": "resample",
                "eq13": "mean",
            },
            paper_method="GCPO",
        ),
        # Controls: which term moves accuracy, and whether the causal part does
        Arm("grpo_rescaled", "GRPO, advantages x mean Upsilon", "gcpo", {**_EXPECTED, **_CONSTANT, **_NO_KL}),
        Arm(
            "gcpo_no_weighting",
            "GCPO expected, w/o Adv. Weighting",
            "gcpo",
            {**_EXPECTED, "upsilon_control": "one"},
            paper_method="w/o Adv. Weighting",
        ),
        Arm("gcpo_no_kl", "GCPO expected, w/o KL Term", "gcpo", {**_EXPECTED, **_NO_KL}, paper_method="w/o KL Term"),
        Arm("gcpo_kappa_06", "GCPO expected, kappa 0.06", "gcpo", {**_EXPECTED, "kappa": 0.06}),
        Arm("gcpo_constant", "GCPO expected, constant Upsilon", "gcpo", {**_EXPECTED, **_CONSTANT}),
        Arm("gcpo_shuffled", "GCPO expected, shuffled Upsilon", "gcpo", {**_EXPECTED, "upsilon_control": "shuffled"}),
        Arm("gcpo_sign_aware", "GCPO expected, sign-aware", "gcpo", {**_EXPECTED, "sign_rule": "sign_aware"}),
        # Each policy of Table 3 with search, and with votes over as many tokens
        *(
            arm
            for policy, title, paper in _SEARCHED
            for arm in (
                Arm(f"{policy}_mcts", f"{title} + MCTS", "search", search=policy, paper_method=f"{paper} + MCTS"),
                Arm(f"{policy}_maj", f"{title} + majority vote", "search", beside=f"{policy}_mcts"),
                Arm(f"{policy}_best", f"{title} + best-of-N", "search", beside=f"{policy}_mcts"),
            )
        ),
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
    taught = "ours: RL teaches steps, beyond choosing to work them (reversed: it chooses the strategy and no more)"
    claims.extend(Claim(f"{arm}>base_worked", taught, arm, "base_worked") for arm in (REFERENCE, "gcpo_expected"))
    return tuple(claims)


def _table2_claims() -> tuple[Claim, ...]:
    """The paper's ablation, then ours: does the weighting beat its controls, does any part beat GRPO?"""
    parts = "Removing either the advantage weighting or KL divergence degrades overall performance"
    full = "gcpo_expected"
    return (
        Claim("full>no_weighting", parts, full, "gcpo_no_weighting", primary=True, scale=SHARE_LOST),
        Claim("full>no_kl", parts, full, "gcpo_no_kl", primary=True, scale=SHARE_LOST),
        Claim("full>constant", "ours: the weights of Eq. 11 beat their group mean", full, "gcpo_constant",
              scale=SHARE_LOST),
        Claim("full>shuffled", "ours: it matters which candidate has which weight", full, "gcpo_shuffled",
              scale=SHARE_LOST),
        Claim("full>rescaled", "ours: more than a larger step", full, "grpo_rescaled", scale=SHARE_LOST),
        Claim("corrected>full", "ours: a projection that does not vanish beats its absence", "gcpo_corrected", full),
        Claim("mc>full", "ours: sampling the projection beats its expectation", "gcpo_mc", full),
    )  # fmt: skip


def _table3_claims() -> tuple[Claim, ...]:
    """The paper's three sentences on Table 3, then ours: does search beat votes that cost as much?"""
    better = "these test-time methods provide certain performance improvements"
    short = "they still fail to surpass GCPO even when combined with RL-based training baselines"
    ours = "ours: search beats votes over as many tokens"
    gcpo = "gcpo_expected"
    rivals = ("grpo", "gvpo", "drgrpo")
    return (
        Claim("gcpo_mcts>gcpo", better, f"{gcpo}_mcts", gcpo, primary=True),
        *(Claim(f"{each}_mcts>{each}", better, f"{each}_mcts", each) for each in ("base", *rivals)),
        *(Claim(f"gcpo>{each}_mcts", short, gcpo, f"{each}_mcts") for each in rivals),
        *(Claim(f"gcpo_mcts>{e}_mcts", "GCPO still achieves the best performance", f"{gcpo}_mcts", f"{e}_mcts")
          for e in rivals),
        *(Claim(f"{each}_mcts>{each}_{kind}", ours, f"{each}_mcts", f"{each}_{kind}")
          for each in ("base", *rivals, gcpo) for kind in ("maj", "best")),
    )  # fmt: skip


_NOT_BUILT = "registered, not built yet"

EXPERIMENTS = {
    experiment.id: experiment
    for experiment in (
        Experiment(
            "table1",
            "Pass@1 on five reasoning suites, three base models",
            "table",
            # GCPO corrected stands in Table 2: measured at four times a GRPO step, it does not fit here
            ("base", "base_worked", "grpo", "rest_mcts", "gvpo", "drgrpo", "gcpo_expected", "gcpo_mc"),
            _table1_claims(),
            paper_table="table1",
            built=True,
        ),
        Experiment(
            "table2",
            "Ablation, and the controls that the paper lacks",
            "table",
            (
                "base",
                "grpo",
                "grpo_rescaled",
                "gcpo_expected",
                "gcpo_no_weighting",
                "gcpo_no_kl",
                "gcpo_kappa_06",
                "gcpo_constant",
                "gcpo_shuffled",
                "gcpo_sign_aware",
                "gcpo_mc",
                "gcpo_corrected",
            ),
            _table2_claims(),
            paper_table="table2",
            built=True,
            role="DeepScaleR-1.5B",
        ),
        Experiment(
            "table3",
            "Training methods with MCTS at test time, and votes over as many tokens",
            "table",
            tuple(f"{policy}{kind}" for policy, _, _ in _SEARCHED for kind in ("", "_mcts", "_maj", "_best")),
            _table3_claims(),
            paper_table="table3",
            built=True,
            role="DeepScaleR-1.5B",
        ),
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
