"""A built table and its JSON. Scores and differences are points; `None` means: not measured."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from repro.errors import BadInput
from repro.stats import Interval, minimum_detectable_gap

AVERAGE = "average"


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
class Row:
    """One base, arm and suite (or the average): paper, independent, ours.

    printed and printed_gain are the paper's text as numbers. ours: avg@k. gain: over our base. versus: difference to
    the reference arm on common seeds. `verdict` sets the paper's printed gain against our gain's interval
    (on the base row of a real benchmark: its score against our score's); "" where there is nothing to compare.
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
    gain: Estimate | None
    versus: Estimate | None
    verdict: str


@dataclass(frozen=True)
class ArmSummary:
    """One base and arm over all suites: aggregates beside the mean, and what the runs looked like."""

    base: str
    arm: str
    seeds: tuple[int, ...]
    dirty: bool
    why_not: str
    iqm: tuple[float, float, float] | None  # value, low, high; points
    improvement: tuple[float, float, float] | None  # probability of improvement over the reference; fractions
    pass_at_k: float | None
    maj_at_k: float | None
    truncated: float | None
    mean_tokens: float | None
    reasons: dict[str, int]
    seed_sd: float | None  # SD between trained models on the average, sampling noise included; points
    grid_flag: bool
    k: int | None = None  # samples per question and seed; a search answers once


@dataclass(frozen=True)
class ClaimResult:
    """A claim on one base, or over all bases (base = "all", numbers None)."""

    claim: str
    text: str
    base: str
    better: str
    worse: str
    primary: bool
    claimed_gap: float | None
    difference: Estimate | None
    holm_p: float | None
    verdict: str


@dataclass(frozen=True)
class Head:
    """Names, order and provenance of a table."""

    id: str
    title: str
    profile: str
    stamp: str
    command: str
    base_arm: str
    reference: str
    p_values: bool
    k: int | None
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
