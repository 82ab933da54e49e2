"""The claims of a built table as Markdown: per base the numbers and both verdicts, then the verdicts over all bases."""

from repro.stats.verdicts import ALPHA, CONTRADICTED, EQUIVALENT, REVERSED, SUPPORTED, UNDECIDED
from repro.tables.bases import RULE
from repro.tables.claims import ALL
from repro.tables.model import ClaimResult, Head, Table1
from repro.tables.spec import RATIO
from repro.tables.words import NOTHING, readings, signed, size

_TESTS = {SUPPORTED: "difference", REVERSED: "difference", EQUIVALENT: "equivalence", CONTRADICTED: "size"}


def claims_markdown(table: Table1) -> list[str]:
    """Lines of the section: how to read a cell, the table, what the words mean."""
    head, by_claim = table.head, {}
    for result in table.claims:
        by_claim.setdefault(result.claim, {})[result.base] = result
    greedy = any(result.greedy for result in table.claims)
    lines = [
        f"In a cell: difference of {head.outcome} on the average"
        + (" (of the suites that a claim names)" if any(each.suites is not None for each in table.claims) else "")
        + ", points [95 % CI]"
        + (", and of the greedy passes" if greedy else "")
        + "; margin of equivalence and what this table can see (MDG); gain of the first as a multiple of the "
        "second's, or the share of it that is lost [95 % CI], with the paper's from its averages / from its cells; "
        "verdict on the direction; verdict on the size against the paper.",
        "",
        f"| claim | {' | '.join(head.bases)} | direction | size against the paper |",
        "|---|" + "---|" * (len(head.bases) + 2),
    ]
    for results in by_claim.values():
        overall = results[ALL]
        name = claim_name(overall, head) + (" (primary)" if overall.primary else "")
        cells = [_cell(results[base], greedy) for base in head.bases]
        words = f"**{overall.direction}** | {_bold(overall.size_verdict)}"
        lines.append(f"| {name} | {' | '.join(cells)} | {words} |")
    return [*lines, "", *_meaning(table)]


def claim_name(result: ClaimResult, head: Head) -> str:
    """better > worse, and on which suites where not on all."""
    pair = f"{head.arms[result.better]} > {head.arms[result.worse]}"
    if result.suites is None:
        return pair
    return f"{pair}, {' and '.join(result.suites)} alone" if result.suites else f"{pair}, on suites not in this profile"


def _cell(result: ClaimResult, greedy: bool) -> str:
    if result.difference is None:
        return result.direction
    parts = [signed(result.difference) + (f"; greedy {signed(result.greedy)}" if greedy else "")]
    margin = "" if result.margin is None else f"margin {abs(result.margin):.1f}; "
    parts.append(f"{margin}MDG {result.difference.mdg:.1f}")
    if result.size is not None:
        shown = f"gain x {size(result.size)}" if result.size.scale == RATIO else f"lost {size(result.size)}"
        parts.append(
            shown + (f"; paper {readings(result.size.scale, result.size.printed)}" if result.size.printed else "")
        )
    if result.holm:
        parts.append("Holm p: " + ", ".join(f"{kind} {_p(p)}" for kind, p in result.holm.items()))
    word = "" if result.size_verdict is None else f"; size {result.size_verdict}"
    parts.append(f"**{result.direction}**{word}")
    return "<br>".join(parts)


def _meaning(table: Table1) -> list[str]:
    share = f"{100 * table.head.margin:g} % of {table.head.arms.get(table.head.reference, 'the reference')}'s gain"
    lines = [
        "Direction: supported, the interval of the difference lies above 0; reversed, below 0; equivalent, two "
        f"one-sided tests at {100 * ALPHA:g} % place it within the margin, {share} as measured here; the share was "
        f"fixed before the runs. {RULE}",
        "",
        "Size: contradicted, the interval excludes the paper's size in both readings; consistent, it holds the paper's "
        "in at least one reading and excludes that there is no difference; undecided, it holds both the paper's and "
        "none, or has no bounds, or it excludes the paper's while every seed goes the paper's way. Over all bases: "
        "contradicted if one base says so. `-`: the paper prints no such size, as a multiple of a gain or a share of "
        "it.",
    ]
    if any(result.holm for result in table.claims):
        lost = not_upheld(table)
        lines += [
            "",
            "Holm p: of the tests behind the verdicts, each kind corrected over the primary claims of this table; the "
            "other claims are exploratory." + (f" Not upheld by it: {'; '.join(lost)}." if lost else ""),
        ]
    return lines


def not_upheld(table: Table1) -> list[str]:
    """The primary verdicts that Holm's correction does not uphold, e.g. `GCPO > GRPO on nano-m (supported)`."""
    return [
        f"{claim_name(result, table.head)} on {result.base} ({word})"
        for result in table.claims
        for word in (result.direction, result.size_verdict)
        if _lost(result, word)
    ]


def upheld(result: ClaimResult) -> str:
    """The direction of a claim on a base; undecided where Holm's correction does not uphold it."""
    return UNDECIDED if _lost(result, result.direction) else result.direction


def _lost(result: ClaimResult, word: str | None) -> bool:
    return word in _TESTS and result.holm.get(_TESTS[word], 0.0) >= ALPHA


def _bold(word: str | None) -> str:
    return NOTHING if word is None else f"**{word}**"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"
