"""What a table says, in words: one line for a picture's title, and sentences with the numbers behind them.

Every word follows from the verdicts of the table's claims, and every number is one of its estimates. Pure.
"""

from collections.abc import Collection, Mapping, Sequence

from repro.stats.verdicts import CONTRADICTED, EQUIVALENT, NOT_TESTED, REVERSED, SUPPORTED, UNDECIDED
from repro.tables.bases import joined, over_all, parts, without_verdict
from repro.tables.claim_text import not_upheld, upheld
from repro.tables.claims import ALL
from repro.tables.model import AVERAGE, ClaimResult, Row, Table1
from repro.tables.spec import RATIO
from repro.tables.words import readings, signed, size, target_name

_SAYS = {  # direction -> words between the two arms: one arm in front, several
    SUPPORTED: ("beats", "beat"),
    EQUIVALENT: ("equals", "equal"),
    REVERSED: ("falls behind", "fall behind"),
    UNDECIDED: ("is not told apart from", "are not told apart from"),
}


def finding(table: Table1) -> str:
    """One line: what became of the primary claims, over all bases, e.g. `GCPO mc is not told apart from GRPO`.

    A verdict that Holm's correction does not uphold is none here.
    """
    primary = [claim for claim in overall(table) if claim.primary]
    parts = []
    for suites in dict.fromkeys(claim.suites for claim in primary):
        where = f"on {joined(suites)} " if suites else ""
        parts += [f"{where}{text}" for text in _verdicts(table, [c for c in primary if c.suites == suites])]
    return "; ".join(parts) or "nothing is compared yet"


def _verdicts(table: Table1, claims: Sequence[ClaimResult]) -> list[str]:
    """The directions of claims on the same suites, in words: base by base where the bases differ."""
    groups: dict[tuple[tuple[str, str], ...], list[ClaimResult]] = {}
    for claim in claims:
        held = {each.base: upheld(each) for each in on_bases(table, claim)}
        groups.setdefault(_places(held), []).append(claim)
    order, said = list(_SAYS), []
    groups.pop((), None)  # measured nowhere
    for places, found in sorted(groups.items(), key=lambda each: order.index(each[0][0][0])):
        better, worse = ([table.head.arms[name] for name in dict.fromkeys(names)] for names in (
            [claim.better for claim in found], [claim.worse for claim in found],
        ))  # fmt: skip
        if len(better) * len(worse) == len(found):  # every one against every other
            said.append(_in_words(better, worse, places))
        else:
            said += [_in_words([table.head.arms[c.better]], [table.head.arms[c.worse]], places) for c in found]
    return said


def _places(directions: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(direction, where) in the order of `_SAYS`; where is empty if every base says it, the tuple if none was run."""
    bases, missing = parts(directions, tuple(_SAYS))
    if len(bases) == 1 and not missing:
        return tuple((direction, "") for direction in bases)
    said = [(direction, f" on {joined(own)}") for direction, own in bases.items()]
    if said and missing:
        said[-1] = (said[-1][0], f"{said[-1][1]} ({without_verdict(missing)})")
    return tuple(said)


def _in_words(better: Sequence[str], worse: Sequence[str], places: Sequence[tuple[str, str]]) -> str:
    """`A beats B`, or `A equals B on x, is not told apart from it on y`."""
    (first, where), *rest = places
    many, them = len(better) > 1, "them" if len(worse) > 1 else "it"
    return ", ".join(
        [
            f"{joined(better)} {_SAYS[first][many]} {joined(worse)}{where}",
            *(f"{_SAYS[word][many]} {them}{place}" for word, place in rest),
        ]
    )


def question(table: Table1) -> str:
    """What the primary claims of the table ask, e.g. `Table 1: do GCPO expected and GCPO mc beat GRPO?`

    Arms of which no cell was run are named only where none was.
    """
    primary = [claim for claim in overall(table) if claim.primary]
    primary = [claim for claim in primary if _measured(table, claim)] or primary
    if not primary:
        return f"{target_name(table.head.id)}: {table.head.title}"
    better, worse = ([table.head.arms[name] for name in dict.fromkeys(getattr(claim, side) for claim in primary)]
                     for side in ("better", "worse"))  # fmt: skip
    verb = "do" if len(better) > 1 else "does"
    return f"{target_name(table.head.id)}: {verb} {joined(better)} beat {joined(worse)}?"


def _measured(table: Table1, claim: ClaimResult) -> bool:
    return any(direction != NOT_TESTED for direction in by_base(table, claim).values())


def by_base(table: Table1, claim: ClaimResult) -> dict[str, str]:
    """Base -> the direction of a claim there."""
    return {each.base: each.direction for each in on_bases(table, claim)}


def on_bases(table: Table1, claim: ClaimResult) -> list[ClaimResult]:
    """What was found of a claim on each base."""
    return [each for each in table.claims if each.claim == claim.claim and each.base != ALL]


def overall(table: Table1) -> list[ClaimResult]:
    """The claims of the table over all its bases."""
    return [claim for claim in table.claims if claim.base == ALL]


def sentences(table: Table1) -> list[str]:
    """The verdict in sentences: primary claims with their differences, their sizes beside the paper's, what GRPO and
    the best arm gain, where training did harm. Markdown; empty for a table that compares nothing yet.
    """
    primary = _compared(table)
    if not primary:
        return []
    points = f"(points of {table.head.outcome}, 95 % intervals)."
    return [
        " ".join([f"**{finding(table)}**: {'; '.join(differences(table))} {points}", *doubts(table)]),
        *_sizes(table, primary),
        *_gains(table),
        *_harm(table),
    ]


def verdict_list(table: Table1) -> list[str]:
    """The same as lines of a Markdown list: what became of the primary claims, under it a line per claim and what
    Holm's correction does not uphold; then the other sentences.
    """
    if not _compared(table):
        return []
    return [
        f"- **{finding(table)}** (points of {table.head.outcome}, 95 % intervals):",
        *(f"  - {each}" for each in (*differences(table), *doubts(table))),
        *(f"- {each}" for each in sentences(table)[1:]),
    ]


def _compared(table: Table1) -> list[ClaimResult]:
    return [claim for claim in overall(table) if claim.primary and claim.direction != NOT_TESTED]


def differences(table: Table1) -> list[str]:
    """The differences behind the first sentence, one text per primary claim."""
    return [_differences(table, claim) for claim in _compared(table)]


def doubts(table: Table1) -> list[str]:
    """Which verdicts of a base Holm's correction does not uphold, in a sentence; nothing where it upholds all."""
    lost = not_upheld(table)
    return [f"Holm's correction over the primary claims does not uphold: {'; '.join(lost)}."] if lost else []


def span(values: Sequence[float], digits: int = 1) -> str:
    """`1.2`, or `1.2 to 3.4`."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def seeds_in_words(counts: Collection[int]) -> str:
    """`1 seed`, `5 seeds`, `2 to 5 seeds`."""
    return "1 seed" if set(counts) == {1} else f"{span(sorted(counts), 0)} seeds"


def gain_row(table: Table1, base: str, arm: str) -> Row | None:
    """The average of an arm if it was measured."""
    row = table.row(base, arm)
    return row if row.gain else None


def _differences(table: Table1, claim: ClaimResult) -> str:
    """The differences of a claim base by base, with one verdict behind them, or one behind each where they differ."""
    arms, directions = table.head.arms, by_base(table, claim)
    own = [each for each in on_bases(table, claim) if each.difference]
    where = f" ({joined(claim.suites)} alone)" if claim.suites else ""
    pair = f"{arms[claim.better]} minus {arms[claim.worse]}{where}"
    if len(set(directions.values())) == 1:
        return f"{pair} {', '.join(f'{signed(each.difference)} on `{each.base}`' for each in own)}, {claim.direction}"
    shown = ", ".join(f"{signed(each.difference)} on `{each.base}` ({each.direction})" for each in own)
    return f"{pair} {shown}{over_all(directions, claim.direction)}"


def _sizes(table: Table1, primary: Sequence[ClaimResult]) -> list[str]:
    """Ours beside the paper's, per scale of the claims; nothing where the paper prints no size."""
    names = {claim.claim for claim in primary}
    found = [each for each in table.claims if each.claim in names and each.base != ALL and each.size]
    found = [each for each in found if each.size.printed]
    if not found:
        return []
    against = _against(table, found)
    if any(each.size.scale != RATIO for each in found):
        parts = [
            f"without {table.head.arms[each.worse].rpartition('w/o ')[2]} the paper loses "
            f"{readings(each.size.scale, each.size.printed)} of the gain, here {size(each.size)}"
            for each in found
        ]
        text = "; ".join(parts)
        return [f"{text[0].upper()}{text[1:]}: {against}."]
    paper = [value for each in found for value in each.size.printed]
    ours = [each.size.value for each in found]
    arms = table.head.arms
    better, worse = (joined([arms[n] for n in dict.fromkeys(getattr(c, side) for c in found)])
                     for side in ("better", "worse"))  # fmt: skip
    return [
        f"The gain of {better} is {span(paper)} times that of {worse} in the paper and {span(ours, 2)} times here; "
        f"{against}."
    ]


def _against(table: Table1, primary: Sequence[ClaimResult]) -> str:
    """How many comparisons contradict the paper's size: of the primary claims, and of all that have one."""
    everything = [each for each in table.claims if each.base != ALL and each.size and each.size.printed]
    lost, all_lost = (sum(c.size_verdict == CONTRADICTED for c in group) for group in (primary, everything))
    if len(everything) == len(primary):
        return f"{lost} of {len(primary)} comparisons contradict the paper's size"
    return (
        f"{all_lost} of {len(everything)} comparisons contradict the paper's size (of the primary ones: {lost} of "
        f"{len(primary)})"
    )


def _gains(table: Table1) -> list[str]:
    """What the reference gains, and which arm has the highest average on each base."""
    head = table.head
    rows = [row for row in table.rows if row.suite == AVERAGE and row.gain]
    reference = [row.gain.value for row in rows if row.arm == head.reference]
    if not reference:
        return []
    best = {base: max((r for r in rows if r.base == base), key=lambda r: r.gain.value) for base in head.bases
            if any(r.base == base for r in rows)}  # fmt: skip
    leaders = list(dict.fromkeys(head.arms[row.arm] for row in best.values()))
    where = "on every base" if len(leaders) == 1 and len(best) > 1 else "here"
    lead = f"the highest average of a trained arm {where} is that of {joined(leaders)}"
    text = f"{head.arms[head.reference]} gains {span(reference)} points over its base; {lead}."
    return [" ".join([text, *_untrained(table, best)])]


def _untrained(table: Table1, best: Mapping[str, Row]) -> list[str]:
    """How the best trained arms stand to other ways of asking the untrained base, one sentence each."""
    found = []
    for arm, title in table.head.arms.items():
        rows = [row for base in best if (row := table.row(base, arm)).ours and not row.gain]
        if rows and arm != table.head.base_arm:
            above = sum(row.ours.value > best[row.base].ours.value for row in rows)
            levels = span([row.ours.value for row in rows])
            more = f"more than every trained arm on {above} of {len(rows)} bases, by {table.head.outcome}"
            found.append(f'The untrained row "{title}" has {levels}, {more}.')
    return found


def _harm(table: Table1) -> list[str]:
    """Suites on which the reference ends below its own base: a comparison with it there is one with a failure."""
    head = table.head
    found = [
        row
        for row in table.rows
        if row.arm == head.reference and row.suite != AVERAGE and row.gain and row.gain.high < 0
    ]
    if not found:
        return []
    where = "; ".join(f"on {row.suite} of `{row.base}` by {signed(row.gain)}" for row in found)
    return [
        f"{head.arms[head.reference]} itself ends below its own base {where} points. An arm that is above it on such a "
        "base may only have failed less."
    ]
