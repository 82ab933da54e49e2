"""The generated blocks of results/README.md and repro/README.md: every published table with what it says, and costs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from repro.config import PROFILE_DIR, load_profile
from repro.figuredata.markdown import decisions_markdown
from repro.files import read_json
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.published import Published, link, profiles, published, stamp
from repro.reporting.record import notebook_name
from repro.reporting.seen import paragraphs
from repro.tables import headline_markdown
from repro.tables.claim_text import claims_markdown
from repro.tables.words import target_name

RESULTS = REPO_ROOT / "results" / "README.md"
SUITE = REPO_ROOT / "repro" / "README.md"
_WANTED = {
    "all right": "at least 90.0",
    "mixed as sampled": "at least the vote minus 5 points",
    "all wrong": "at least one sample minus 5 points",
}
_ESTIMATORS = ("spearman_within", "bias", "variance", "gradient_cosine", "cost")


def blocks() -> dict[str, str]:
    """Of results/README.md."""
    names = profiles()
    return {
        "contents": _contents(names),
        "tables": "\n\n".join(_profile(name) for name in names),
        "bases": "\n\n".join(_bases(name) for name in names if _file(name, "bases_quality.md").exists()),
        "integration": "\n\n".join(_acceptance(name) for name in names if _file(name, "acceptance.csv").exists()),
        "estimators": "\n\n".join(_estimators(name) for name in names if _file(name, "estimators.csv").exists()),
        "mechanism": "\n\n".join(_mechanism(name) for name in names if _bench(name, "mechanism").exists()),
    }


def cost_blocks() -> dict[str, str]:
    """Of repro/README.md: seconds per cell of every profile, and a step of each form beside GRPO's."""
    names = profiles()
    steps = sorted(results_dir("any", "published").parent.glob("*/bench/overhead.json"))
    return {
        "cost": "\n\n".join(text for name in names if (text := cell_seconds(name, published_cells(name)))),
        "steps": "\n\n".join(_steps(path.parent.parent.name, path) for path in steps),
    }


def _contents(names: Sequence[str]) -> str:
    """A line per profile whose numbers are results, with links to its tables and figures on this page."""
    lines = []
    for name in names:
        if not stamp(name):
            links = ", ".join(f"[{target_name(each.target)}](#{_anchor(each)})" for each in published(name))
            lines.append(f"- `{name}`{_title(name)}: {links}")
    return "\n".join(lines)


def _profile(name: str) -> str:
    """Every table and figure of a profile with its words and numbers; of one that is no result, where they are."""
    made = published(name)
    if not stamp(name):
        return "\n\n".join([f"## Profile `{name}`{_title(name)}", *(_section(each) for each in made)])
    links = [
        f"- [{target_name(each.target)}]({link(each.text, RESULTS)}): {each.head['title']}; `{each.head['command']}`"
        for each in made
        if each.head
    ]
    return "\n\n".join([f"## Profile `{name}`{_title(name)}", f"**{stamp(name)}**", "\n".join(links)])


def _title(profile: str) -> str:
    return f": {load_profile(profile).title}" if (PROFILE_DIR / f"{profile}.yaml").exists() else ""


def _anchor(made: Published) -> str:
    return f"{made.target}-{made.profile}"


def _section(made: Published) -> str:
    """One table or figure: asked, seen, means; its numbers, its claims folded, its picture, where the rest is."""
    head = made.head
    title = f"### {target_name(made.target)}" + (f": {head['title']}" if head else "")
    parts = [f'<a id="{_anchor(made)}"></a>', title, *paragraphs(made)]
    if made.table:
        parts.append(headline_markdown(made.table).strip())
        if made.table.claims:
            claims = "\n".join(claims_markdown(made.table)).strip()
            parts.append(_folded("Claims and verdicts", claims))
    if made.figure:
        notes = "\n".join(f"- {note}" for note in made.figure.notes)
        parts.append(_folded("Sentences and verdicts", f"{decisions_markdown(made.figure).strip()}\n\n{notes}"))
    parts += [f"![{path.stem}]({link(path, RESULTS)})" for path in made.pictures[:1]]
    more = [f"[whole]({link(made.text, RESULTS)})"]
    notebook = REPO_ROOT / "notebooks" / notebook_name(made.target, made.profile)
    more += [f"[notebook]({link(notebook, RESULTS)})"] if notebook.exists() else []
    more += [f"[{path.stem}]({link(path, RESULTS)})" for path in made.pictures[1:]]
    command = f" Again: `{head['command']}`." if head else ""
    return "\n\n".join([*(part for part in parts if part), ", ".join(more) + "." + command])


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _file(profile: str, name: str) -> Path:
    return results_dir(profile, "published") / "tables" / name


def _bench(profile: str, name: str) -> Path:
    return results_dir(profile, "published") / "bench" / f"{name}.json"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _bases(profile: str) -> str:
    """Tables of what the bases can do; small titles, because they stand inside a section."""
    text = _file(profile, "bases_quality.md").read_text(encoding="utf-8").strip()
    return f"### Profile `{profile}`\n\n{text}"


def _acceptance(profile: str) -> str:
    """Whether the bases of a profile use what other candidates answered, as repro.studies.integration measured it."""
    lines = [
        "| base | eight answers shown | questions | one sample | majority vote | integrated | wanted |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    path = _file(profile, "acceptance.csv")
    for row in _rows(path):
        if row["candidates"] in _WANTED:
            values = " | ".join(f"{100 * float(row[key]):.1f}" for key in ("one_sample", "majority", "integrated"))
            met = f"{_WANTED[row['candidates']]}: {'reached' if row['met'] == 'True' else 'not reached'}"
            lines.append(f"| {row['base']} | {row['candidates']} | {row['questions']} | {values} | {met} |")
    picture = path.parent.parent / "figures" / "acceptance.png"
    shown = f"\n\n![accuracy over right answers shown]({link(picture, RESULTS)})" if picture.exists() else ""
    return "\n".join(lines) + shown


def _estimators(profile: str) -> str:
    """One draw of each estimator of Upsilon against the mean of the literal form's redraws."""
    path = _file(profile, "estimators.csv")
    lines = [
        "| estimator | rank correlation in a group | bias | variance | cosine of the gradient | cost of Υ, GRPO = 1 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in _rows(path):
        cells = [f"{float(row[key]):.3f}" if row[key] else "-" for key in _ESTIMATORS]
        lines.append(f"| {row['estimator']} | {' | '.join(cells)} |")
    picture = path.parent.parent / "figures" / "estimators.png"
    shown = f"\n\n![agreement with the literal form over cost]({link(picture, RESULTS)})" if picture.exists() else ""
    return f"Profile `{profile}`:\n\n" + "\n".join(lines) + shown


def _mechanism(profile: str) -> str:
    """What `bench mechanism` found on a model: its figures, the cosines of the forms' gradients folded."""
    path = _bench(profile, "mechanism")
    found = read_json(path, "record of the mechanism")
    folded = [name for name in found["figures"] if name.startswith("gradient cosine")]
    shown = [name for name in found["figures"] if name not in folded]
    asked = f"{found['questions']} questions x {found['n']} candidates of {found['mean_length']:.0f} tokens"
    where = f"`{found['model']}` (profile `{profile}`, [all of it]({link(path, RESULTS)}))"
    head = (
        f"{where}: {asked}; {found['mixed']} questions have right and wrong candidates; 95 % intervals over questions."
    )
    return "\n\n".join(
        [head, _figures(found, shown), _folded("Cosines between the forms' gradients", _figures(found, folded))]
    )


def _figures(found: dict[str, Any], names: Sequence[str]) -> str:
    values = [(name, *found["figures"][name]) for name in names]
    lines = [f"| {name} | {value:.3f} [{low:.3f}, {high:.3f}] |" for name, value, low, high in values]
    return "\n".join(["| figure | value [95 %] |", "|---|---:|", *lines])


def published_cells(profile: str) -> list[dict[str, Any]]:
    """Every published cell of a profile, as `read_cell` reads it, by name."""
    folders = sorted((results_dir(profile, "published") / "cells").iterdir())
    return [read_cell(folder) for folder in folders if (folder / "summary.json").exists()]


def read_cell(folder: Path) -> dict[str, Any]:
    """The summary of a finished cell with its machine under `env`."""
    env = read_json(folder / "env.json", "environment record")
    return {**read_json(folder / "summary.json", "summary"), "env": env}


def cell_seconds(profile: str, cells: Sequence[dict[str, Any]]) -> str:
    """Seconds of one cell (training + evaluation) per arm and base, means over seeds; empty without cells."""
    if not cells:
        return ""
    bases = list(dict.fromkeys(cell["base"] for cell in cells))
    lines = [f"| seconds of a cell | {' | '.join(bases)} |", "|---|" + "---:|" * len(bases)]
    for arm in dict.fromkeys(cell["arm"] for cell in cells):
        shown = []
        for base in bases:
            own = [cell["seconds"] for cell in cells if (cell["arm"], cell["base"]) == (arm, base)]
            means = [fmean(seconds[part] for seconds in own) for part in ("train", "evaluate") if own]
            shown.append(" + ".join(f"{each:.0f}" for each in means) or "-")
        lines.append(f"| {arm} | {' | '.join(shown)} |")
    hours = sum(cell["seconds"][part] for cell in cells for part in ("train", "evaluate")) / 3600
    memory = max(cell["peak_mib"] for cell in cells)
    machines = ", ".join(dict.fromkeys(f"{cell['env']['cpu']} ({cell['env']['device']})" for cell in cells))
    lines += [
        "",
        f"Profile `{profile}`: {len(cells)} cells, {hours:.1f} hours of work on {machines}; the largest process took "
        f"{memory:.0f} MiB. Training + evaluation, means over seeds; two cells side by side.",
    ]
    return "\n".join(lines)


def _steps(profile: str, path: Path) -> str:
    """A step of each form beside a GRPO step, per length of completions."""
    rows = read_json(path, "overhead record")["rows"]
    columns = sorted({(row["n"], row["length"]) for row in rows})
    lines = [
        f"| a step, GRPO = 1 [95 %] | {' | '.join(f'n = {n}, {length:.0f} tokens' for n, length in columns)} |",
        "|---|" + "---:|" * len(columns),
    ]
    for form in dict.fromkeys(row["form"] for row in rows):
        found = {(row["n"], row["length"]): row for row in rows if row["form"] == form}
        cells = [_ratio(found.get(each)) for each in columns]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    where = f"profile `{profile}`, [all of it]({link(path, SUITE)}); `python -m repro bench overhead`"
    return "\n".join([*lines, "", f"Processor seconds of one optimizer step, {where}."])


def _ratio(row: dict[str, Any] | None) -> str:
    return "-" if row is None else f"{row['ratio']:.2f} [{row['ratio_ci'][0]:.2f}, {row['ratio_ci'][1]:.2f}]"
