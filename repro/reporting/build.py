"""From finished cells to what people read: table files, figure, notebook, and one text for the terminal."""

import hashlib
import json
import os
from dataclasses import dataclass, replace

from repro.cells.experiments import Experiment
from repro.cells.plan import Cell
from repro.cells.state import load_summary
from repro.config import Profile
from repro.files import canonical_json, read_json, sha256_text, write_json
from repro.paper import PAPER_DIR, load_table
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.footnotes import generation_notes, retest_notes
from repro.reporting.variant import PLAIN, Variant, variant_of
from repro.tables import (
    answered_by,
    build_table1,
    compare_with_published,
    comparison_markdown,
    read_table,
    search_record,
    table_spec,
    write_table1,
)

# Touching one of these builds the table again from finished cells; it trains nothing.
_REPORTING_CODE = (
    "repro/stats/*.py",
    "repro/tables/*.py",
    "repro/figures/*.py",
    "repro/reporting/footnotes.py",
    "repro/reporting/build.py",
    "repro/reporting/variant.py",
    "repro/notebooks.py",
    "notebooks/table.py",
)


@dataclass(frozen=True)
class Report:
    """What a report wrote and what it says."""

    text: str
    files: list[str]
    verdicts: list[dict]

    def as_json(self) -> str:
        return json.dumps({"files": self.files, "verdicts": self.verdicts}, indent=1)


def build_report(profile: Profile, experiment: Experiment, cells: list[Cell], *, force: bool = False) -> Report:
    """Build table, figure and notebook of a user's own run from its finished cells, unless nothing changed since they
    were built. A variant of the profile's run has its files in a folder of its own.

    Raises BadInput for a damaged record or cells that cannot be compared.
    """
    summaries = [summary for cell in cells if (summary := load_summary(cell)) is not None]
    seeds = len({cell.seed for cell in cells})
    variant = variant_of(profile, experiment, cells)
    return _build(profile, experiment, summaries, seeds, kind="local", force=force, variant=variant)


def build_published(profile: Profile, experiment: Experiment) -> Report:
    """The same for the published cells; the notebook goes to notebooks/ of the checkout."""
    folder = results_dir(profile.name, "published")
    summaries = [read_json(path, "published summary") for path in sorted((folder / "cells").glob("*/summary.json"))]
    bases = experiment.bases(profile)
    chosen = [each for each in summaries if each["arm"] in experiment.arms and each["base"] in bases]
    return _build(profile, experiment, chosen, len({s["seed"] for s in chosen}), kind="published", force=True)


def notebook_name(target: str, profile: str) -> str:
    """The published notebook of a target: under its own name for the default profile alone."""
    return f"{target}.ipynb" if profile == "micro" else f"{target}-{profile}.ipynb"


def _build(
    profile: Profile,
    experiment: Experiment,
    summaries: list[dict],
    seeds: int,
    *,
    kind: str,
    force: bool,
    variant: Variant = PLAIN,
) -> Report:
    place = f"{profile.name}/{variant.folder}".rstrip("/")
    folder = results_dir(place, kind)
    spec = variant.label(table_spec(profile, experiment, variant.command(experiment.id, profile.name, seeds)))
    stamp_file = folder / "tables" / f".{experiment.id}.inputs.json"
    inputs = {"hash": _inputs_hash(summaries, repr(spec))}
    fresh = stamp_file.exists() and read_json(stamp_file, "record of the table's inputs") == inputs
    table_file = folder / "tables" / f"{experiment.id}.json"
    published = kind == "published"
    name = notebook_name(experiment.id, profile.name) if published else f"{experiment.id}.ipynb"
    notebook = (REPO_ROOT if published else folder) / "notebooks" / name
    if force or not fresh or not table_file.exists() or not notebook.exists():
        from repro.figures.table1 import write_figures
        from repro.notebooks import render

        rows = [each for summary in summaries for each in answered_by(summary)]
        table = build_table1(rows, spec, load_table(experiment.paper_table))
        runs = results_dir(profile.name) / "runs"
        notes = (*generation_notes(summaries, runs), *retest_notes(summaries, runs), *variant.notes())
        table = replace(table, footnotes=(*table.footnotes, *notes))
        write_table1(table, folder / "tables")
        write_figures(table, folder / "figures", runs)
        if variant.folder and not (folder / "runs").exists():  # where the notebook looks for curves
            (folder / "runs").symlink_to(os.path.relpath(runs, folder))
        searches = search_record(summaries)
        if searches is not None:
            from repro.figures.search import write_search_figures

            write_json(folder / "tables" / f"{experiment.id}_search.json", searches)
            write_search_figures(searches, table.head.arms, folder / "figures", experiment.id)
        where = {"GCPO_TARGET": experiment.id, "GCPO_PROFILE": place, "GCPO_KIND": kind}
        render(REPO_ROOT / "notebooks" / "table.py", notebook, where)
        write_json(stamp_file, inputs)
    table = read_table(table_file)
    files = [
        *sorted((folder / "tables").glob(f"{experiment.id}[._]*")),
        *sorted((folder / "figures").glob(f"{experiment.id}*")),
        notebook,
    ]
    lines = [(folder / "tables" / f"{experiment.id}.md").read_text(encoding="utf-8")]
    published = results_dir(profile.name, "published") / "tables" / f"{experiment.id}.json"
    if kind == "local" and published.exists():
        titles = {arm.id: arm.title for arm in spec.arms}
        lines += [
            "## Yours beside the published run",
            "",
            comparison_markdown(compare_with_published(table, read_table(published)), titles),
        ]
    lines += ["Files:", *(f"  {path}" for path in files)]
    verdicts = json.loads(table_file.read_text(encoding="utf-8")).get("claims", [])
    return Report("\n".join(lines), [str(path) for path in files], verdicts)


def _inputs_hash(summaries: list[dict], spec_text: str) -> str:
    """A hash of everything a table is built from: counts, specification, the paper's numbers, the code that builds
    it.
    """
    digest = hashlib.sha256(spec_text.encode())
    for summary in sorted(summaries, key=lambda each: each["cell_id"]):
        digest.update(sha256_text(canonical_json(summary)).encode())
    code = [path for pattern in _REPORTING_CODE for path in sorted(REPO_ROOT.glob(pattern))]
    for path in [*code, *sorted(PAPER_DIR.glob("*.csv"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
