"""From finished cells to what people read: table files, figure, notebook, and one text for the terminal."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from repro.cells.plan import Cell
from repro.cells.records import Experiment
from repro.cells.state import load_summary
from repro.config import Profile
from repro.files import read_json, write_json
from repro.paper import load_table
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.figure import build_figure
from repro.reporting.footnotes import generation_notes, retest_notes
from repro.reporting.record import Report, inputs_hash, make_command, notebook_path
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


def build_report(profile: Profile, experiment: Experiment, cells: list[Cell], *, force: bool = False) -> Report:
    """Build table, figure and notebook of a user's own run from its finished cells, unless nothing changed since they
    were built.

    Raises BadInput for a damaged record or cells that cannot be compared, and for a figure without any finished cell.
    """
    folder = results_dir(profile.name)
    summaries = [summary for cell in cells if (summary := load_summary(cell)) is not None]
    seeds = len({cell.seed for cell in cells})
    return _kind(experiment)(profile, experiment, summaries, seeds, folder, kind="local", force=force)


def build_published(profile: Profile, experiment: Experiment) -> Report:
    """The same for the published cells; the notebook goes to notebooks/ of the checkout."""
    folder = results_dir(profile.name, "published")
    summaries = [read_json(path, "published summary") for path in sorted((folder / "cells").glob("*/summary.json"))]
    bases = experiment.bases(profile)
    chosen = [each for each in summaries if each["arm"] in experiment.arms and each["base"] in bases]
    seeds = len({summary["seed"] for summary in chosen})
    return _kind(experiment)(profile, experiment, chosen, seeds, folder, kind="published", force=True)


def _kind(experiment: Experiment) -> Callable[..., Report]:
    return build_figure if experiment.kind == "figure" else _build


def _build(
    profile: Profile, experiment: Experiment, summaries: list[dict], seeds: int, folder: Path, *, kind: str, force: bool
) -> Report:
    spec = table_spec(profile, experiment, make_command(profile, experiment, seeds))
    stamp_file = folder / "tables" / f".{experiment.id}.inputs.json"
    inputs = {"hash": inputs_hash(summaries, repr(spec))}
    fresh = stamp_file.exists() and read_json(stamp_file, "record of the table's inputs") == inputs
    table_file = folder / "tables" / f"{experiment.id}.json"
    notebook = notebook_path(experiment, profile, folder, kind)
    if force or not fresh or not table_file.exists() or not notebook.exists():
        from repro.figures.table1 import write_figures
        from repro.notebooks import render

        rows = [each for summary in summaries for each in answered_by(summary)]
        table = build_table1(rows, spec, load_table(experiment.paper_table))
        runs = results_dir(profile.name) / "runs"
        notes = (*generation_notes(summaries, runs), *retest_notes(summaries, runs))
        table = replace(table, footnotes=(*table.footnotes, *notes))
        write_table1(table, folder / "tables")
        write_figures(table, folder / "figures", runs)
        searches = search_record(summaries)
        if searches is not None:
            from repro.figures.search import write_search_figures

            write_json(folder / "tables" / f"{experiment.id}_search.json", searches)
            write_search_figures(searches, table.head.arms, folder / "figures", experiment.id)
        where = {"GCPO_TARGET": experiment.id, "GCPO_PROFILE": profile.name, "GCPO_KIND": kind}
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
