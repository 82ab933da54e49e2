"""A user's own table beside the published one: yours | published | does yours lie in its interval."""

from dataclasses import dataclass

from repro.errors import BadInput
from repro.stats import cell_verdict
from repro.tables.model import AVERAGE, Estimate, Table1

SCORE, GREEDY = "score", "greedy score"
GAIN, VERSUS = "gain over the base", "difference to the reference"


@dataclass(frozen=True)
class Comparison:
    """One number on both sides, in points; `verdict` is `within CI`, `outside CI` or `not run`."""

    base: str
    arm: str
    suite: str
    what: str
    yours: Estimate | None
    published: Estimate | None
    verdict: str


def compare_with_published(local: Table1, published: Table1) -> list[Comparison]:
    """Your averages, greedy averages, gains and differences against the published intervals, then every suite's score.

    Rows of your table that the published one lacks are `not run`. Raises BadInput when the tables are of other targets
    or profiles, or their suites hold other numbers of questions: those are no two measurements of one thing.
    """
    mine, theirs = local.head, published.head
    if (mine.id, mine.profile) != (theirs.id, theirs.profile):
        raise BadInput(f"tables {mine.id}/{mine.profile} and {theirs.id}/{theirs.profile} are different; want the same")
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
        for what, yours, theirs_value in pairs:
            if yours is None and theirs_value is None:
                continue
            limits = (theirs_value.low, theirs_value.high) if theirs_value else (None, None)
            verdict = cell_verdict(yours.value if yours else None, *limits)
            result.append(Comparison(row.base, row.arm, row.suite, what, yours, theirs_value, verdict))
    return result


def comparison_markdown(rows: list[Comparison], titles: dict[str, str]) -> str:
    """The comparison as a Markdown table, with a count of what agrees. titles: arm id -> display name."""
    judged = [row for row in rows if row.yours and row.published]
    inside = sum(row.verdict == "within CI" for row in judged)
    lines = [
        f"{inside} of {len(judged)} of your numbers lie in the published 95 % interval. It is an interval for the true "
        "value: a rerun has noise of its own and lands outside more often than 1 in 20.",
        "",
        "| base | method | suite | what | yours | published [95 % CI] | yours in its interval |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for row in rows:
        yours = "-" if row.yours is None else f"{row.yours.value:.1f}"
        theirs = "-" if row.published is None else _published(row.published)
        lines.append(
            f"| {row.base} | {titles[row.arm]} | {row.suite} | {row.what} | {yours} | {theirs} | {row.verdict} |"
        )
    return "\n".join(lines) + "\n"


def _published(estimate: Estimate) -> str:
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"
