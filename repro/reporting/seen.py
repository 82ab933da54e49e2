"""The three paragraphs of a table or figure: what was asked, what was seen, what that means and does not mean.

What was seen is written from the verdicts and estimates of its published files; no number is typed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro.figuredata.model import ALL, Decision, FigureData, over_bases, primary
from repro.files import read_json
from repro.reporting.published import Published
from repro.reporting.readings import READINGS
from repro.stats.verdicts import CONSISTENT, CONTRADICTED, EQUIVALENT, NOT_TESTED, REVERSED, SUPPORTED, UNDECIDED
from repro.tables import ClaimResult, Table1
from repro.tables.finding import joined, overall, sentences
from repro.tables.words import signed

_SAYS = {  # verdict -> what it says of a sentence, whatever the sentence
    SUPPORTED: "what was asked holds here",
    CONSISTENT: "the paper's size lies in the interval",
    REVERSED: "the opposite was measured",
    CONTRADICTED: "the measurement excludes it",
    EQUIVALENT: "the difference is smaller than the margin that was fixed beforehand",
    UNDECIDED: "neither a difference nor its absence is shown",
    NOT_TESTED: "too little was run to say anything",
}


def paragraphs(made: Published) -> list[str]:
    """Asked, seen, means; as Markdown, a paragraph each."""
    reading = READINGS[made.target]
    stamp = made.head.get("stamp", "")
    limits = f"**{stamp}.** " if stamp else ""
    return [
        f"*Asked.* {reading.asked}",
        f"*Seen.* {seen(made)}",
        f"*What it means.* {limits}{_meant(_words(made))} {reading.means} *What it does not mean.* {reading.not_means}",
    ]


def seen(made: Published) -> str:
    """What was measured about the primary questions: values with 95 % intervals, and the verdicts."""
    if made.table:
        parts = [*(sentences(made.table) or _tested(made.table))]
    elif made.figure:
        parts = _decided(made.figure)
    else:
        parts = []
    premise = made.folder / "bench" / "premise.json"
    if made.target == "gc2po" and premise.exists():
        parts += _premise(premise)
    return " ".join(parts) or "Nothing that decides it was measured yet."


def _primary(table: Table1) -> list[ClaimResult]:
    return [claim for claim in overall(table) if claim.primary]


def _tested(table: Table1) -> list[str]:
    """The primary claims base by base, where not every base is measured, and what is missing."""
    arms, parts = table.head.arms, []
    for claim in _primary(table):
        own = [each for each in table.claims if each.claim == claim.claim and each.base != ALL]
        found = [f"{signed(each.difference)} on `{each.base}`, {each.direction}" for each in own if each.difference]
        missing = [f"`{each.base}`" for each in own if not each.difference]
        rest = [f"not measured on {joined(missing)}"] if missing else []
        parts.append(f"{arms[claim.better]} minus {arms[claim.worse]}: {'; '.join([*found, *rest])}.")
    return [f"Points of {table.head.outcome} with 95 % intervals.", *parts] if parts else []


def _decided(figure: FigureData) -> list[str]:
    """The primary sentences of a figure, base by base."""
    return [_sentence(figure.decisions, last) for last in over_bases(primary(figure.decisions))]


def _sentence(decisions: Sequence[Decision], last: Decision) -> str:
    own = [each for each in decisions if each.statement == last.statement and each.base != ALL]
    measured = "; ".join(f"{each.measured} on `{each.base}`" for each in own)
    return f"{last.statement[:1].upper()}{last.statement[1:]}: {measured}, **{last.verdict}**."


def _premise(path: Path) -> list[str]:
    """The claims of GC2PO's premise with the figures behind them, from the record of `bench premise --save`."""
    result: dict[str, Any] = read_json(path, "record of the premise")
    parts = []
    for claim in result["claims"]:
        found = result["figures"][claim["figure"]]
        value = f"{found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}], " if found else ""
        parts.append(f"{claim['text']}: {value}**{claim['verdict']}**")
    head = f"Its premise, on {result['questions']} questions x {result['n']} completions of `{result['base']}`: "
    return [head + "; ".join(parts) + "."]


def _words(made: Published) -> list[str]:
    """The verdicts on the primary questions, over all bases."""
    if made.table:
        return [claim.direction for claim in _primary(made.table)]
    return [each.verdict for each in over_bases(primary(made.figure.decisions))] if made.figure else []


def _meant(words: Sequence[str]) -> str:
    """What the verdicts say, one clause per word, in the order of the closed list."""
    count = len(words)
    said = []
    for word, text in _SAYS.items():
        if times := words.count(word):
            share = "" if count == 1 else f" ({times} of {count})"
            said.append(f"{word.capitalize()}{share}: {text}.")
    return " ".join(said)
