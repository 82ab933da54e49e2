"""The words of a table or figure: what was asked, what was seen, what that means and does not mean.

What was seen is written from the verdicts and estimates of its published files; no number is typed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.config import PROFILE_DIR, load_profile
from repro.figuredata.model import ALL, Decision, FigureData, over_bases, primary
from repro.files import read_json
from repro.reporting.footnotes import kappa_notes
from repro.reporting.published import Published
from repro.reporting.readings import READINGS
from repro.stats.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    EQUIVALENT,
    IN_ORDER,
    NOT_TESTED,
    REVERSED,
    SUPPORTED,
    UNDECIDED,
)
from repro.tables import ClaimResult, Table1
from repro.tables.bases import over_all, spoken
from repro.tables.claim_text import claim_name
from repro.tables.finding import by_base, on_bases, overall, verdict_list
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
    """Asked, seen, means with a table of all verdicts, does not mean; as blocks of Markdown."""
    reading = READINGS[made.target]
    stamp = made.head.get("stamp", "")
    limits = f"**{stamp}.** " if stamp else ""
    return [
        f"*Asked.* {reading.asked}",
        f"*Seen.*\n\n{seen(made)}",
        f"*What it means.* {limits}{reading.means}",
        *_verdicts(_answers(made), reading.says),
        f"*What it does not mean.* {reading.not_means}",
    ]


def seen(made: Published) -> str:
    """What was measured about the primary questions, as a Markdown list: values with 95 % intervals, and verdicts."""
    if made.table:
        lines = [*(verdict_list(made.table) or _tested(made.table)), *_weight(made)]
    elif made.figure:
        lines = _decided(made.figure)
    else:
        lines = []
    premise = made.folder / "bench" / "premise.json"
    if made.target == "gc2po" and premise.exists():
        lines = [*lines, *_premise(premise)]
    return "\n".join(lines) or "Nothing that decides it was measured yet."


def _weight(made: Published) -> list[str]:
    """Where the divergence has another weight than the paper's: that it has, and where other weights were tried."""
    if not (PROFILE_DIR / f"{made.profile}.yaml").exists():
        return []
    notes = kappa_notes(load_profile(made.profile), list(made.table.head.arms))
    sweep = made.figure_beside("figure4b")
    tried = f" What kappa does is Figure 4b: {sweep.finding}." if sweep else ""
    return [f"- {note}{tried}" for note in notes]


def _primary(table: Table1) -> list[ClaimResult]:
    return [claim for claim in overall(table) if claim.primary]


def _tested(table: Table1) -> list[str]:
    """The primary claims base by base, where not every base is measured, and what is missing."""
    arms, parts = table.head.arms, []
    for claim in _primary(table):
        own = [each for each in on_bases(table, claim) if each.difference]
        found = [f"{signed(each.difference)} on `{each.base}`, {each.direction}" for each in own]
        behind = over_all(by_base(table, claim), claim.direction)
        said = ", ".join(found) + behind if found else "not measured on any base"
        parts.append(f"  - {arms[claim.better]} minus {arms[claim.worse]}: {said}")
    return [f"- Points of {table.head.outcome} with 95 % intervals:", *parts] if parts else []


def _decided(figure: FigureData) -> list[str]:
    """The primary sentences of a figure, base by base."""
    return [_sentence(figure.decisions, last) for last in over_bases(primary(figure.decisions))]


def _sentence(decisions: Sequence[Decision], last: Decision) -> str:
    own = [each for each in decisions if each.statement == last.statement and each.base != ALL]
    name = last.statement[:1].upper() + last.statement[1:]
    if len(own) == 1:
        return f"- {name}: {own[0].measured} on `{own[0].base}`, **{last.verdict}**"
    lines = [f"  - `{each.base}`: {each.measured}, {each.verdict}" for each in own]
    return "\n".join([f"- {name}: **{last.verdict}** over all bases", *lines])


def _premise(path: Path) -> list[str]:
    """The claims of GC2PO's premise with the figures behind them, from the record of `bench premise --save`."""
    result: dict[str, Any] = read_json(path, "record of the premise")
    parts = []
    for claim in result["claims"]:
        found = result["figures"][claim["figure"]]
        value = f"{found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}], " if found else ""
        parts.append(f"  - {claim['text']}: {value}**{claim['verdict']}**")
    return [
        f"- Its premise, on {result['questions']} questions x {result['n']} completions of `{result['base']}`:",
        *parts,
    ]


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


def _verdicts(answers: Sequence[_Answer], says: Mapping[str, str]) -> list[str]:
    """A Markdown table: a row per verdict, in the order of the closed list, with its claims."""
    kinds = {"primary claims": [each for each in answers if each.primary],
             "other claims": [each for each in answers if not each.primary]}  # fmt: skip
    kinds = {title: own for title, own in kinds.items() if own}
    if not kinds:
        return []
    lines = [
        f"| verdict | {' | '.join(f'{title} ({len(own)})' for title, own in kinds.items())} |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    ordered = sorted(answers, key=lambda answer: IN_ORDER.index(answer.verdict))
    for text in dict.fromkeys(_says(each, says) for each in ordered):
        cells = ("<br>".join(each.name for each in own if _says(each, says) == text) or "-" for own in kinds.values())
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return ["\n".join(lines)]


def _says(answer: _Answer, says: Mapping[str, str]) -> str:
    """A verdict and what it says; where the bases differ, what each of them says."""
    if len(set(answer.bases.values())) > 1:
        return spoken(answer.bases, answer.verdict)
    return f"**{answer.verdict}**: {says.get(answer.verdict, _SAYS[answer.verdict])}"
