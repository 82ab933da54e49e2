"""What a table or figure of the paper is, as data: arms, claims, sentences, sweeps. No instance is here.

The instances are in `repro.cells.experiments` (tables) and `repro.cells.figures`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from repro.config import Profile
from repro.errors import BadInput


@dataclass(frozen=True)
class Arm:
    """One row of a table: `method` is a key of `gcpo.trainers.METHODS`, or None for the untrained base.

    like: an arm whose definition, and whose words in a profile, hold for this one too; its own overrides win over both.
    """

    id: str
    title: str
    method: str | None
    overrides: dict[str, Any] = field(default_factory=dict)
    built: bool = True
    why_not: str = ""
    search: str | None = None  # the arm whose trained policy searches
    beside: str | None = None  # the search whose cell also holds this row
    forced: bool = False  # the base, never beginning with `evaluate.direct_start`
    curve: bool = False  # held-out accuracy is measured along the training
    paper_method: str | None = None  # the `method` label of the paper's row it stands beside
    like: str | None = None
    multiples: dict[str, float] = field(default_factory=dict)  # arguments as multiples of the profile's shared ones
    once: bool = False  # one cell per base, whatever the number of seeds

    def measurable(self, profile: Profile) -> bool:
        """Whether the profile has what the row needs."""
        return not self.forced or profile.evaluate.direct_start is not None


PRIMARY_OUTCOME = "avg@k"  # the average over suites of avg@k decides; greedy passes stand beside it without a verdict
EQUIVALENCE_MARGIN = 0.10  # of the gain of the reference arm over the base: arms closer than this are equivalent
REFERENCE = "grpo"
RATIO, SHARE_LOST = "ratio", "share lost"
NEW_TO_TRAINING = ("far", "reworded")  # suites of longer problems, and of the same structure in other words
# Overrides that several arms have: the form called expected, and parts of controls
EXPECTED = {"estimator": "centroid", "eq13": "p_q"}
CONSTANT = {"upsilon_control": "constant"}
NO_KL = {"kappa": 0.0}
CORRECTED = {
    "estimator": "mc",
    "num_integrated": 2,
    "num_context_outputs": 1,
    "phi_sampling": "resample",
    "eq13": "mean",
}
STEP_COST = "step_cost"  # the arm that measures what a step costs
CURVE = "_curve"  # ends the name of an arm whose training is measured on the way; its cells are no table's
CODE = "code"  # what a figure may need of a profile's suites


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that a measurement can decide: `better` has the higher outcome than `worse`, on every
    base.

    Direction: `supported` if the interval of the difference lies above 0, `reversed` if below, `equivalent` if two
    one-sided tests place it within EQUIVALENCE_MARGIN, else `undecided`. Size against the paper, on a scale that does
    not need equal tasks: `ratio`, gain(better) / gain(worse) over the own base, or `share lost`, the share of
    gain(better) that `worse`, which lacks a term, does not reach.
    on: how the names of the suites end whose average decides, e.g. "far"; empty: the average over all suites.
    """

    id: str
    text: str
    better: str
    worse: str
    primary: bool = False  # fixed beforehand; Holm-corrected together with the other primary ones
    scale: str = RATIO
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statement:
    """A sentence of the paper about a figure, or one of ours, and the rule by which a measurement decides it.

    asks: the rule in words, fixed before the run. test: its name in the module that measures the figure. primary:
    Holm-corrected together with the other primary ones of the figure, as claims are.
    """

    id: str
    text: str
    asks: str
    test: str
    primary: bool = False


@dataclass(frozen=True)
class Series:
    """One line of a sweep: title, and the arm of every value of the setting."""

    title: str
    arms: dict[float | str, str]


@dataclass(frozen=True)
class Sweep:
    """One argument of the trainer varied, everything else equal.

    series: the first is the paper's, the others are controls. best: where the paper sees the best result. unset: the
    argument's own default, what an arm without it has. void: values at which nothing is learnt from rewards, which a
    test of the curve's shape leaves out. marked: values of a coarser grid that the paper searched first.
    """

    setting: str
    series: tuple[Series, ...]
    best: float | str | None = None
    unset: float | str | None = None
    multiple: bool = False  # values are multiples of the profile's shared one
    void: tuple[float, ...] = ()
    marked: tuple[float, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm once, series by series."""
        return tuple(dict.fromkeys(arm for series in self.series for arm in series.arms.values()))


@dataclass(frozen=True)
class Panel:
    """One panel of a figure of arms: its title and the label of every arm in it.

    suite: the place of its suite in the profile, None for the average over suites. paper: the `quantity` under which
    repro/paper/figures.csv holds the paper's values.
    """

    title: str
    arms: dict[str, str]
    suite: int | None = None
    paper: str = ""


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Of a figure alone: paper, what the paper shows in words; statements; measure and draw, "module:function" names (see
    `repro.figuredata`); sweep or panels; remarks, what a reader must know of it; files, further files of a cell that it
    reads and `publish` copies. needs: "code" where its suites must be of programs.
    """

    id: str
    title: str
    kind: str  # table | figure
    arms: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    paper_table: str | None = None
    built: bool = False
    note: str = ""
    role: str | None = None  # the only base model of the paper's table; None: all of the profile's
    elsewhere: bool = False  # on all bases but the one in that role
    outcome: str = PRIMARY_OUTCOME
    margin: float = EQUIVALENCE_MARGIN
    reference: str = REFERENCE  # whose gain the margin is a share of, and whom the other arms are compared with
    paper: str = ""
    statements: tuple[Statement, ...] = ()
    measure: str = ""
    draw: str = ""
    sweep: Sweep | None = None
    panels: tuple[Panel, ...] = ()
    remarks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    needs: str = ""
    development: bool = False  # on seeds and questions that no table uses

    def bases(self, profile: Profile) -> list[str]:
        """Names of the profile's bases that it compares on; the first one where none plays the role."""
        names = list(profile.bases)
        if self.role is None:
            return names
        own = [name for name in names if profile.bases[name].role.startswith(self.role)] or names[:1]
        return [name for name in names if name not in own] if self.elsewhere else own

    def why_not(self, profile: Profile) -> str:
        """Why the profile cannot run it, "" where it can."""
        if self.elsewhere and not self.bases(profile):
            return f"{self.id} needs more bases than the one in the grid, which is all that profile {profile.name} has"
        suites = profile.tasks.suites
        if (
            self.needs != CODE
            or profile.tasks.kind == "programs"
            or all(name.startswith("HumanEval") for name in suites)
        ):
            return ""
        return (
            f"{self.id} asks for programs; profile {profile.name} has {', '.join(suites)} and names none under targets"
        )

    def in_profile(self, profile: Profile) -> "Experiment":
        """The same with the points of its sweep that the profile keeps (all where it names none).

        Raises BadInput where the profile cannot run it, for a value that is not on the grid, and where the paper's best
        value is missing.
        """
        if reason := self.why_not(profile):
            raise BadInput(reason)
        kept = profile.sweeps.get(self.id)
        if self.sweep is None or kept is None:
            return self
        grid = list(self.sweep.series[0].arms)
        where = f"profile {profile.name}, sweeps.{self.id}"
        for value in kept:
            if value not in grid:
                raise BadInput(f"{where}: {value} is not on its grid: {', '.join(map(str, grid))}")
        if self.sweep.best is not None and self.sweep.best not in kept:
            raise BadInput(f"{where}: {self.sweep.best}, the paper's best, is missing; add it")
        series = tuple(
            Series(each.title, {v: arm for v, arm in each.arms.items() if v in kept}) for each in self.sweep.series
        )
        sweep = replace(self.sweep, series=series)
        dropped = set(self.sweep.arms) - set(sweep.arms)
        return replace(self, sweep=sweep, arms=tuple(arm for arm in self.arms if arm not in dropped))
