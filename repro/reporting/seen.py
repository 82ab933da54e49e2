"""The three paragraphs of a table or figure: what was asked, what was seen, what that means and does not mean.

What was seen is written from the verdicts and estimates of its published files; no number is typed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.figuredata.model import ALL, Decision, FigureData, over_bases, primary
from repro.files import read_json
from repro.reporting.published import Published
from repro.reporting.readings import READINGS
from repro.stats.verdicts import CONSISTENT, CONTRADICTED, EQUIVALENT, NOT_TESTED, REVERSED, SUPPORTED, UNDECIDED
from repro.tables import ClaimResult, Table1
from repro.tables.bases import over_all, spoken
from repro.tables.claim_text import claim_name
from repro.tables.finding import by_base, overall, sentences
from repro.tables.words import signed

_SAYS = {  # verdict -> what it says of a sentence, whatever the sentence
    SUPPORTED: "what is claimed holds here",
    CONSISTENT: "the paper's size lies in the interval",
    REVERSED: "the opposite was measured",
    CONTRADICTED: "the measurement excludes it",
    EQUIVALENT: "the difference is smaller than the margin",
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
        f"*What it means.* {limits}{_meant(_answers(made), reading.says)} {reading.means} "
        f"*What it does not mean.* {reading.not_means}",
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
        behind = over_all(by_base(table, claim), claim.direction)
        said = ", ".join(found) + behind if found else "not measured on any base"
        parts.append(f"{arms[claim.better]} minus {arms[claim.worse]}: {said}.")
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


@dataclass(frozen=True)
class _Answer:
    """A claim of a table or a sentence of a figure: its verdict on each base, and over all."""

    name: str
    verdict: str
    bases: Mapping[str, str]
    primary: bool


def _answers(made: Published) -> list[_Answer]:
    if made.table:
        return [
            _Answer(claim_name(claim, made.table.head), claim.direction, by_base(made.table, claim), claim.primary)
            for claim in overall(made.table)
        ]
    decisions = made.figure.decisions if made.figure else ()
    return [
        _Answer(
            last.statement,
            last.verdict,
            {each.base: each.verdict for each in decisions if each.statement == last.statement and each.base != ALL},
            last.primary,
        )
        for last in over_bases(decisions)
    ]


def _meant(answers: Sequence[_Answer], says: Mapping[str, str]) -> str:
    """What the verdicts say: of the primary claims with what each verdict means, then of the others, by verdict."""
    primary = [each for each in answers if each.primary]
    others = [each for each in answers if not each.primary]
    if not primary or not others:
        return _counted(answers, says, explained=True)
    said = _counted(primary, says, explained=True), _counted(others, says, explained=False)
    return f"Primary claims: {said[0]} Other claims: {said[1]}"


def _counted(answers: Sequence[_Answer], says: Mapping[str, str], *, explained: bool) -> str:
    """A sentence per verdict in the order of the closed list: how many, which, and what that says.

    One whose verdict depends on bases that were not run is told apart, with what those say that were.
    """
    count, said = len(answers), []
    for word, text in _SAYS.items():
        own = [each for each in answers if each.verdict == word]
        if not own:
            continue
        named = [each for each in own if not _told_apart(each)]
        names = "; ".join(each.name for each in named)
        what = f": {says.get(word, text)}" if explained and named else ""
        if named:
            said.append(f"{word.capitalize()} ({len(named)} of {count}: {names}){what}.")
        groups: dict[str, list[str]] = {}
        for each in own:
            if _told_apart(each):
                groups.setdefault(spoken(each.bases, each.verdict), []).append(each.name)
        said += [f"{'; '.join(group)} ({len(group)} of {count}): {text}." for text, group in groups.items()]
    return " ".join(said)


def _told_apart(answer: _Answer) -> bool:
    """Do its bases differ, so that one word over all of them says too little?"""
    return len(set(answer.bases.values())) > 1
