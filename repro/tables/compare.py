"""A user's own table beside the published one: yours | published | does yours lie in its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from repro.errors import BadInput
from repro.stats import cell_verdict
from repro.stats.verdicts import NOT_RUN, WITHIN
from repro.tables.model import AVERAGE, Estimate, Table1
from repro.tables.words import NOTHING

SCORE, GREEDY = "score", "greedy score"
GAIN, VERSUS = "gain over the base", "difference to the reference"
NO_INTERVAL = "no interval published"


@dataclass(frozen=True)
class Comparison:
    """One number on both sides, in one unit; None where it was not measured.

    place: what tells it from the others, heading -> name, the same headings in every comparison of a table or figure.
    published with low and high: the published number and its 95 % interval.
    """

    place: Mapping[str, str]
    what: str
    yours: float | None
    published: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """`within CI`, `outside CI`, `not run`, or that the published number has no interval."""
        if self.yours is None or self.published is None:
            return NOT_RUN
        return NO_INTERVAL if self.low is None else cell_verdict(self.yours, self.low, self.high)


def same_thing(mine: tuple[str, str], theirs: tuple[str, str]) -> None:
    """Raises BadInput unless both are of one target and one profile: (id, profile) of either."""
    if mine != theirs:
        raise BadInput(f"{'/'.join(mine)} and {'/'.join(theirs)} are different; want the same target and profile")


def compare_with_published(local: Table1, published: Table1) -> list[Comparison]:
    """Your averages, greedy averages, gains and differences against the published intervals, then every suite's score,
    in points.

    Rows of your table that the published one lacks are `not run`. Raises BadInput when the tables are of other targets
    or profiles, or their suites hold other numbers of questions: those are no two measurements of one thing.
    """
    mine, theirs = local.head, published.head
    same_thing((mine.id, mine.profile), (theirs.id, theirs.profile))
    if local.rows and published.rows and mine.cells and theirs.cells and mine.questions != theirs.questions:
        raise BadInput(f"questions differ: yours {mine.questions}, published {theirs.questions}; want the same suites")
    other = {(row.base, row.arm, row.suite): row for row in published.rows}
    result = []
    for row in sorted(local.rows, key=lambda row: row.suite != AVERAGE):
        match = other.get((row.base, row.arm, row.suite))
        pairs = [(SCORE, row.ours, match and match.ours)]
        if row.suite == AVERAGE:
            pairs += [(GREEDY, row.greedy, match and match.greedy)]
            pairs += [(GAIN, row.gain, match and match.gain), (VERSUS, row.versus, match and match.versus)]
        place = {"base": row.base, "method": mine.arms[row.arm], "suite": row.suite}
        result += [_estimates(place, *pair) for pair in pairs if pair[1] or pair[2]]
    return result


def _estimates(place: Mapping[str, str], what: str, yours: Estimate | None, theirs: Estimate | None) -> Comparison:
    ends = (theirs.value, theirs.low, theirs.high) if theirs else (None, None, None)
    return Comparison(place, what, yours.value if yours else None, *ends)


def comparison_markdown(rows: Sequence[Comparison], number: Callable[[float], str] = "{:.1f}".format) -> str:
    """The comparison as a Markdown table, with a count of what agrees. number: how a value is written.

    A heading under which no row has a name is left out.
    """
    judged = [row for row in rows if row.verdict not in (NOT_RUN, NO_INTERVAL)]
    inside = sum(row.verdict == WITHIN for row in judged)
    places = [name for name in (rows[0].place if rows else ()) if any(row.place[name] for row in rows)]
    heads = [*places, "what", "yours", "published [95 % CI]", "yours in its interval"]
    lines = [
        f"{inside} of {len(judged)} of your numbers lie in the published 95 % interval. It is an interval for the true "
        "value: a rerun has noise of its own and lands outside more often than 1 in 20.",
        "",
        f"| {' | '.join(heads)} |",
        "|" + "---|" * (len(places) + 1) + "---:|---:|---|",
    ]
    for row in rows:
        theirs = _written(row.published, number)
        if row.low is not None and row.high is not None:
            theirs += f" [{number(row.low)}, {number(row.high)}]"
        cells = [*(row.place[name] for name in places), row.what, _written(row.yours, number), theirs, row.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _written(value: float | None, number: Callable[[float], str]) -> str:
    return NOTHING if value is None else number(value)
