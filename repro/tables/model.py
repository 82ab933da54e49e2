"""A built table and its JSON. Scores and differences are points; `None` means: not measured."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from repro.cells.records import RATIO
from repro.errors import BadInput
from repro.paper import AVERAGE
from repro.stats import Interval, Ratio, minimum_detectable_gap


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, in points.

    covers says what varies; mdg is the gap found with 80 % power; p is None when withheld.
    """

    value: float
    low: float
    high: float
    se: float
    mdg: float
    p: float | None
    seeds: int
    covers: str


@dataclass(frozen=True)
class Size:
    """A size on a scale that does not need equal tasks, with its 95 % interval and what the paper prints.

    scale: `ratio` of two gains over the base, or the `share lost` of one. low, high: None where no value is excluded,
    because the gain below the line may be nothing. nothing: the value of "no difference". printed: the paper's size
    from its averages, then from its cells; empty where it prints none.
    """

    scale: str
    value: float
    low: float | None
    high: float | None
    nothing: float
    printed: tuple[float, ...]
    seeds: int
    covers: str


@dataclass(frozen=True)
class Row:
    """One base, arm and suite (or the average): paper, independent, ours.

    printed and printed_gain are the paper's text as numbers. ours: avg@k; greedy: one greedy pass. gain, greedy_gain:
    over our base. versus: difference to the reference arm on common seeds. size: the gain as a multiple of the
    reference's, on the average alone; printed_multiples: the same in the paper, whether or not ours is measured.
    """

    base: str
    arm: str
    suite: str
    printed: float | None
    printed_gain: float | None
    provenance: str
    independent: float | None
    independent_source: str
    ours: Estimate | None
    greedy: Estimate | None
    gain: Estimate | None
    greedy_gain: Estimate | None
    versus: Estimate | None
    size: Size | None
    printed_multiples: tuple[float, ...]


@dataclass(frozen=True)
class ArmSummary:
    """One base and arm over all suites: aggregates beside the mean, and what the runs looked like.

    status: `measured`, `not run yet`, or `cannot be run (reason)`. k: samples per question and seed of every suite.
    """

    base: str
    arm: str
    seeds: tuple[int, ...]
    dirty: bool
    status: str
    iqm: tuple[float, float, float] | None  # value, low, high; points
    improvement: tuple[float, float, float] | None  # probability of improvement over the reference; fractions
    pass_at_k: float | None
    maj_at_k: float | None
    truncated: float | None
    mean_tokens: float | None
    reasons: dict[str, int]
    seed_sd: float | None  # SD between trained models on the average, sampling noise included; points
    grid_flag: bool
    k: dict[str, int]


@dataclass(frozen=True)
class ClaimResult:
    """A claim on one base, or over all bases (base = "all", numbers None).

    suites: those whose average decides, None for all. difference: of avg@k on that average, better - worse; greedy: the
    same of the greedy passes, without a verdict.
    margin: of equivalence, points. p: of the tests behind the verdicts, `difference`, `equivalence` and `size`; holm:
    the same, each kind corrected over the primary claims of the table. direction and size_verdict: words of
    `repro.stats.verdicts`; size_verdict is None where the paper prints no size.
    """

    claim: str
    text: str
    base: str
    better: str
    worse: str
    primary: bool
    difference: Estimate | None
    greedy: Estimate | None
    margin: float | None
    size: Size | None
    p: dict[str, float]
    holm: dict[str, float]
    direction: str
    size_verdict: str | None
    suites: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Head:
    """Names, order and provenance of a table. k: samples per question and seed of every suite, once one is measured."""

    id: str
    title: str
    profile: str
    stamp: str
    command: str
    base_arm: str
    reference: str
    outcome: str
    margin: float
    p_values: bool
    k: dict[str, int]
    questions: dict[str, int]
    bases: dict[str, str]  # id -> the paper's model beside it, "" if none
    arms: dict[str, str]  # id -> title
    suites: dict[str, str]  # id -> the paper's benchmark beside it, "" if none
    stand_in: bool
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    cells: tuple[str, ...]
    base_weights: dict[str, str]
    hours: float
    checkpoints: tuple[str, ...] = ("base",)  # arms that no seed trains

    @property
    def trained(self) -> list[str]:
        """The arms that are trained, in order."""
        return [arm for arm in self.arms if arm not in self.checkpoints]


@dataclass(frozen=True)
class Table1:
    """Everything that a reader sees, and nothing else; writers and figures need no other input."""

    head: Head
    rows: tuple[Row, ...]
    arms: tuple[ArmSummary, ...]
    claims: tuple[ClaimResult, ...]
    footnotes: tuple[str, ...]

    def row(self, base: str, arm: str, suite: str = AVERAGE) -> Row:
        """The row of one base, arm and suite. Raises BadInput when the table has none."""
        for row in self.rows:
            if (row.base, row.arm, row.suite) == (base, arm, suite):
                return row
        raise BadInput(f"table {self.head.id} has no row {base} / {arm} / {suite}")

    def arm(self, base: str, arm: str) -> ArmSummary:
        """The summary of one base and arm. Raises BadInput when the table has none."""
        for summary in self.arms:
            if (summary.base, summary.arm) == (base, arm):
                return summary
        raise BadInput(f"table {self.head.id} has no arm {base} / {arm}")


def in_points(interval: Interval, covers: str | None = None) -> Estimate:
    """An interval of fractions as an estimate in points."""
    return Estimate(
        value=100 * interval.value,
        low=100 * interval.low,
        high=100 * interval.high,
        se=100 * interval.se,
        mdg=100 * minimum_detectable_gap(interval.se, interval.df),
        p=interval.p,
        seeds=interval.seeds,
        covers=covers or interval.covers,
    )


def as_size(scale: str, ratio: Ratio, printed: tuple[float, ...]) -> Size:
    """A ratio of gains on its scale: itself, or 1 - ratio as the share of a gain that is lost."""
    if scale == RATIO:
        value, low, high, nothing = ratio.value, ratio.low, ratio.high, 1.0
    else:
        ends = (None, None) if not ratio.bounded else (1 - ratio.high, 1 - ratio.low)
        value, (low, high), nothing = 1 - ratio.value, ends, 0.0
        printed = tuple(1 - each for each in printed)
    return Size(scale, value, low, high, nothing, printed, ratio.seeds, ratio.covers)


def table_json(table: Table1) -> str:
    """The table as JSON text, indented, equal for equal tables."""
    return TypeAdapter(Table1).dump_json(table, indent=1).decode() + "\n"


def read_table(path: Path) -> Table1:
    """Read a table from its JSON. Raises BadInput when the file is missing or not such a table."""
    if not path.exists():
        raise BadInput(f"table {path} does not exist; run its target first")
    try:
        return TypeAdapter(Table1).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"table {path} is damaged at {where or 'the start'}: {first['msg']}; build it again") from None
