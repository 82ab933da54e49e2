"""Everything of a profile as one HTML page that holds all it shows: summary, claims, pictures, tables, cost,
what was not run and why, provenance.

Reads built tables and pictures and the records of their cells; computes nothing. Jinja2 fills `page.html.j2`, which
escapes what it is given; markdown-it makes HTML of the tables' Markdown.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from repro.cells.experiments import EXPERIMENTS
from repro.config import Profile
from repro.errors import BadInput
from repro.figuredata.model import over_bases
from repro.paper.findings import write_text
from repro.paths import results_dir
from repro.reporting.order import BESIDE_TITLE
from repro.reporting.published import Published, published
from repro.reporting.results_page import cell_seconds, read_cell
from repro.tables import Table1, headline_markdown, to_markdown
from repro.tables.claims import ALL
from repro.tables.finding import doubts, finding, overall, sentences
from repro.tables.words import signed, target_name

NAME = "report.html"
MAX_MIB = 10
_WHOSE = {"local": "A run on this machine.", "published": "Measured and published by the project."}
_STAND_INS = "Tasks are stand-ins in the roles of the paper's benchmarks, so only multiples of gains are compared."


@dataclass(frozen=True)
class Picture:
    """A picture inside the page, and what it shows in words."""

    uri: str
    alt: str


def write_page(profile: Profile, kind: str) -> Path:
    """Write report.html of a profile's results beside its tables; kind: `local` or `published`.

    Raises BadInput when no table is built, and when the page would be larger than MAX_MIB.
    """
    path = results_dir(profile.name, kind) / NAME
    text = page(profile, kind)
    if len(text.encode()) > MAX_MIB << 20:
        raise BadInput(
            f"{path} would have {len(text) >> 20} MiB; want at most {MAX_MIB}: remove pictures of old targets"
        )
    write_text(path, text)
    return path


def page(profile: Profile, kind: str) -> str:
    """The page as text. Equal results give equal pages."""
    made = published(profile.name, kind)
    if not made:
        raise BadInput(
            f"{results_dir(profile.name, kind)} has no table or figure; run make reproduce-table1 "
            f"PROFILE={profile.name} first"
        )
    cells = _cells(made, kind)
    sections = [_section(each) for each in made]
    first = next((each for each in made if each.table), None)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        profile=profile.name,
        title=profile.title,
        stamp=profile.stamp.upper(),
        whose=_WHOSE[kind],
        sections=sections,
        beside_title=BESIDE_TITLE,
        sentences=_list([*doubts(first.table), *sentences(first.table)[1:]]) if first else "",
        scope=_STAND_INS if first and first.table.head.stand_in else "",
        picture=next((section["pictures"][0] for section in sections if section["pictures"]), None),
        claims=[row for each in made for row in _claims(each)],
        cost=_html(cell_seconds(profile.name, cells)),
        not_run=_not_run(profile, made),
        provenance=_provenance(made, cells),
    )


def _section(made: Published) -> dict[str, Any]:
    table, head = made.table, made.head
    says = finding(table) if table else made.figure.finding if made.figure else ""
    numbers = headline_markdown(table) if table else made.text.read_text(encoding="utf-8")
    return {
        "id": made.target,
        "name": target_name(made.target),
        "title": head.get("title", EXPERIMENTS[made.target].title),
        "finding": says,
        "sentences": _list(sentences(table)) if table else "",
        "pictures": [_picture(path, f"{target_name(made.target)}, {_shows(path)}: {says}") for path in made.pictures],
        "numbers": _html(numbers),
        "command": head.get("command", ""),
        "beside": _html(made.beside),
        "details": _html("## Suites" + to_markdown(table).partition("## Suites")[2]) if table else "",
    }


def _claims(made: Published) -> list[dict[str, Any]]:
    """One row per claim over all bases, with the difference on each."""
    name = target_name(made.target)
    if made.table:
        return [_claim(name, made.table, claim) for claim in overall(made.table)]
    decided = made.figure.decisions if made.figure else ()
    return [
        {"name": name, "claim": last.statement + (" (primary)" if last.primary else ""), "text": last.text,
         "measured": [f"{each.base}: {each.measured}" for each in decided
                      if each.statement == last.statement and each.base != ALL],
         "direction": last.verdict, "size": "", "whole": False}
        for last in over_bases(decided)
    ]  # fmt: skip


def _claim(name: str, table: Table1, claim: Any) -> dict[str, Any]:
    arms = table.head.arms
    own = [each for each in table.claims if each.claim == claim.claim and each.difference]
    return {
        "name": name,
        "claim": f"{arms[claim.better]} > {arms[claim.worse]}" + (" (primary)" if claim.primary else ""),
        "text": claim.text,
        "measured": [f"{each.base}: {signed(each.difference)}" for each in own] or ["-"],
        "direction": claim.direction,
        "size": claim.size_verdict or "",
        "whole": True,  # an interval is not broken over lines
    }


def _not_run(profile: Profile, made: Sequence[Published]) -> list[tuple[str, str]]:
    """Targets without files, and arms without cells, each with its reason."""
    found = {each.target for each in made}
    rows = [
        (f"{target_name(name)}: {experiment.title}",
         f"not run: make reproduce-{name} PROFILE={profile.name}" if experiment.built else experiment.note)
        for name, experiment in EXPERIMENTS.items() if name not in found
    ]  # fmt: skip
    for each in made:
        arms = each.table.arms if each.table else ()
        rows += [
            (f"{target_name(each.target)}: {each.table.head.arms[arm.arm]} on {arm.base}", arm.status)
            for arm in arms if not arm.seeds
        ]  # fmt: skip
    return rows or [("nothing is missing", "every table and figure of the paper has cells of every arm")]


def _cells(made: Sequence[Published], kind: str) -> list[dict[str, Any]]:
    """Summary and environment of every cell behind the page, once each, in order."""
    room = made[0].folder / ("runs" if kind == "local" else "cells")
    names = dict.fromkeys(cell.partition(":")[0] for each in made for cell in each.head.get("cells", ()))
    return [read_cell(room / name) for name in names]


def _provenance(made: Sequence[Published], cells: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """What made the numbers: code, machines, versions, weights, questions."""
    environments = [cell["env"] for cell in cells]
    packages = Counter(f"{name} {version}" for each in environments for name, version in each["packages"].items())
    rows = [
        ("cells", str(len(cells))),
        ("commits", _several(each["commit"][:12] for each in environments)),
        ("uncommitted changes", _several("yes" if each["dirty"] else "no" for each in environments)),
        ("lock files", _several(each["lock"][:12] for each in environments)),
        ("machines", _several(f"{e['cpu']}, {e['cores']} cores, {e['device']}, {e['system']}" for e in environments)),
        ("versions", ", ".join(sorted({f"Python {each['python']}" for each in environments}) + sorted(packages))),
    ]
    weights: dict[str, str] = {}
    for each in made:
        weights |= each.table.head.base_weights if each.table else {}
    rows.append(("weights of the bases", ", ".join(f"{base} {sha[:12]}" for base, sha in weights.items())))
    for each in made:
        if each.table:
            head = each.table.head
            asked = ", ".join(f"{suite} {count} x {head.k.get(suite, 0)}" for suite, count in head.questions.items())
            rows.append((f"{target_name(each.target)}: questions x samples", asked))
    return rows


def _several(values: Any) -> str:
    """Distinct values with their counts, the most frequent first."""
    counts = Counter(values)
    return ", ".join(value if len(counts) == 1 else f"{value} ({count})" for value, count in counts.most_common())


def _picture(path: Path, alt: str) -> Picture:
    return Picture("data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(), alt)


def _shows(path: Path) -> str:
    return path.stem.partition("_")[2].replace("_", " ") or "figure"


def _list(lines: Sequence[str]) -> Markup:
    return _html("\n".join(f"- {line}" for line in lines))


def _html(markdown: str) -> Markup:
    """Our own Markdown as HTML: headings a step down, wide tables in a frame that scrolls, no link to a local file."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.validateLink = lambda url: url.startswith(("https://", "#"))
    text = reader.render(markdown.replace("\n## ", "\n### ").removeprefix("# "))
    return Markup(text.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>"))
