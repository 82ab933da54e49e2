"""A built figure and its JSON. Scores and differences are points (0 to 100); None means: not measured."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from repro import stats
from repro.cells.records import Experiment, Statement
from repro.config import Profile
from repro.errors import BadInput
from repro.stats.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    EQUIVALENT,
    IN_ORDER,
    NOT_TESTED,
    REVERSED,
    SIZES,
    SUPPORTED,
)

ALL = "all"  # the base of a decision over all bases
Value = str | int | float | bool | None


@dataclass(frozen=True)
class FigureHead:
    """Names and provenance of a figure. paper: what the paper shows, in words."""

    id: str
    title: str
    profile: str
    stamp: str
    command: str
    paper: str
    bases: tuple[str, ...]
    seeds: int
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    cells: tuple[str, ...]
    dirty: bool


@dataclass(frozen=True)
class Decision:
    """What was found about one sentence on one base (or over all of them, base = `ALL`).

    verdict: a word of `repro.stats.verdicts`. measured: the numbers behind it, in words. p: of the test behind it,
    holm: the same, corrected over the primary sentences of the figure; None where there is no single test.
    """

    statement: str
    text: str
    asks: str
    base: str
    primary: bool
    verdict: str
    measured: str
    p: float | None = None
    holm: float | None = None


@dataclass(frozen=True)
class FigureData:
    """Everything that a reader of a figure sees; drawing and printing need no other input.

    rows: the points, one flat record each, all with the same keys: the CSV. shown: the keys that the text prints, with
    their headings; listed: the kinds of rows (`row["kind"]`) that it prints, all if empty. finding: what the figure
    says, in one sentence. notes: what a reader must know besides. examples: answers of two policies to one question
    each (`repro.evaluation.sides.examples`).
    """

    head: FigureHead
    rows: tuple[dict[str, Value], ...]
    shown: dict[str, str]
    finding: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    examples: tuple[dict[str, str], ...] = ()
    told_by: tuple[str, ...] = ()

    def decision(self, statement: str, base: str) -> Decision:
        """What was found about one sentence on a base. Raises BadInput for an unknown one."""
        for each in self.decisions:
            if (each.statement, each.base) == (statement, base):
                return each
        raise BadInput(f"figure {self.head.id} decides nothing called {statement!r} on {base!r}")


def trained_seeds(summaries: Sequence[dict[str, Any]]) -> dict[tuple[str, str], set[int]]:
    """(base, arm) -> its seeds, of arms that are no untrained base and no measurement of cost."""
    found: dict[tuple[str, str], set[int]] = {}
    for each in summaries:
        if each.get("method") and "bench" not in each:
            found.setdefault((each["base"], each["arm"]), set()).add(each["seed"])
    return found


def figure_head(profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], command: str) -> FigureHead:
    """The head of a figure from its finished cells' summaries."""
    return FigureHead(
        id=experiment.id,
        title=experiment.title,
        profile=profile.name,
        stamp=profile.stamp,
        command=command,
        paper=experiment.paper,
        bases=tuple(base for base in experiment.bases(profile) if any(cell["base"] == base for cell in cells)),
        seeds=len(set().union(*trained_seeds(cells).values()) or {cell["seed"] for cell in cells}),
        commits=tuple(sorted({cell["commit"] for cell in cells})),
        devices=tuple(sorted({str(cell["device"]) for cell in cells})),
        cells=tuple(sorted(cell["cell_id"] for cell in cells)),
        dirty=any(cell["dirty"] for cell in cells),
    )


def decide(statement: Statement, base: str, verdict: str, measured: str, p: float | None = None) -> Decision:
    """The decision of a registered sentence on a base."""
    return Decision(statement.id, statement.text, statement.asks, base, statement.primary, verdict, measured, p)


def make_figure(
    profile: Profile,
    experiment: Experiment,
    cells: Sequence[dict[str, Any]],
    command: str,
    *,
    rows: Sequence[dict[str, Value]],
    shown: dict[str, str],
    decisions: Sequence[Decision],
    notes: Sequence[str],
    told_by: Sequence[str],
    finding: str = "",
    p_values: bool = True,
    exact: Sequence[str] = (),
    listed: Sequence[str] = (),
    examples: Sequence[dict[str, str]] = (),
) -> FigureData:
    """A figure from its points and what was decided base by base; the other arguments are those of `FigureData`.

    finding: the primary verdicts in words where it is left out. p_values: False for a profile whose intervals no
    calibration has passed; then none is shown but those of `exact`, sentences whose tests need none.
    """
    settled = _settled(decisions)
    if not p_values:
        settled = tuple(each if each.statement in exact else replace(each, p=None, holm=None) for each in settled)
    return FigureData(
        head=figure_head(profile, experiment, cells, command),
        rows=tuple(rows),
        shown=shown,
        finding=finding or primary_words(settled),
        decisions=settled,
        notes=tuple(notes),
        listed=tuple(listed),
        examples=tuple(examples),
        told_by=tuple(told_by),
    )


def _settled(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """Decisions with Holm's correction over the primary ones, and behind those of each sentence one over all bases.

    Over all bases: the word that every base says, or one base's `reversed` or `contradicted`; else `undecided`. A
    sentence with one base has that base's word alone.
    """
    made = list(decisions)
    places = [place for place, each in enumerate(made) if each.primary and each.p is not None]
    for place, p in zip(places, stats.holm([made[place].p for place in places]), strict=True):
        made[place] = replace(made[place], holm=p)
    ordered = []
    for name in dict.fromkeys(each.statement for each in made):
        own = [each for each in made if each.statement == name]
        ordered += own if len(own) == 1 else [*own, _over_all(own)]
    return tuple(ordered)


def over_bases(decisions: Sequence[Decision]) -> list[Decision]:
    """One decision per sentence: the one over all bases, or the only one."""
    return list({each.statement: each for each in decisions}.values())  # the one over all bases comes last


def primary(decisions: Sequence[Decision]) -> list[Decision]:
    """Those on primary sentences; all where a figure has none."""
    return [each for each in decisions if each.primary] or list(decisions)


def primary_words(decisions: Sequence[Decision]) -> str:
    """The primary sentences with their verdicts, word by word: what a figure says in its title."""
    last = over_bases(primary(decisions))
    text = "; ".join(f"{each.statement}: {each.verdict}" for word in IN_ORDER for each in last if each.verdict == word)
    return text[:1].upper() + text[1:]


def _over_all(own: Sequence[Decision]) -> Decision:
    words = [each.verdict for each in own]
    sizes = all(word in (*SIZES, NOT_TESTED) for word in words) and CONSISTENT in words
    everywhere, anywhere = ((CONSISTENT,), CONTRADICTED) if sizes else ((SUPPORTED, EQUIVALENT), _against(words))
    word = stats.over_bases(words, everywhere=everywhere, anywhere=anywhere)
    return replace(own[0], base=ALL, verdict=word, measured="", p=None, holm=None)


def _against(words: Sequence[str]) -> str:
    return CONTRADICTED if CONTRADICTED in words else REVERSED


def to_csv(figure: FigureData) -> str:
    """The points, one line each, every number unrounded; what was not measured is an empty field."""
    buffer = io.StringIO()
    columns = ["figure", "profile", "stamp", *(figure.rows[0] if figure.rows else {})]
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    head = {"figure": figure.head.id, "profile": figure.head.profile, "stamp": figure.head.stamp}
    for row in figure.rows:
        writer.writerow({key: "" if value is None else value for key, value in (head | row).items()})
    return buffer.getvalue()


def to_json(figure: FigureData) -> str:
    """The figure as JSON text, indented, equal for equal figures."""
    return TypeAdapter(FigureData).dump_json(figure, indent=1).decode() + "\n"


def read_figure(path: Path) -> FigureData:
    """Read a figure from its JSON. Raises BadInput when the file is missing or not such a figure."""
    if not path.exists():
        raise BadInput(f"figure data {path} does not exist; run its target first")
    try:
        return TypeAdapter(FigureData).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the start"
        raise BadInput(f"figure data {path} is damaged at {where}: {first['msg']}; build it again") from None
