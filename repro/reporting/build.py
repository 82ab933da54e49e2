"""From finished cells to what people read: table files, figure, notebook, and one text for the terminal."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from repro.cells.plan import DEVELOPMENT_SEED, Cell
from repro.cells.records import Experiment
from repro.cells.state import load_summary
from repro.cells.training import with_training
from repro.config import Profile
from repro.files import read_json, write_json
from repro.paper import load_table
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.figure import build_figure
from repro.reporting.footnotes import generation_notes, retest_notes
from repro.reporting.record import Report, inputs_hash, notebook_path
from repro.reporting.variant import PLAIN, Variant, variant_of
from repro.tables import (
    Table1,
    answered_by,
    build_table1,
    compare_with_published,
    comparison_markdown,
    read_table,
    search_record,
    table_spec,
    write_table1,
)

BESIDE = "_beside_published.md"  # behind a target's name: a user's own table beside the published one


def build_report(profile: Profile, experiment: Experiment, cells: list[Cell], *, force: bool = False) -> Report:
    """Build table, figure and notebook of a user's own run from its finished cells, unless nothing changed since they
    were built. A variant of the profile's run has its files in a folder of its own.

    Raises BadInput for a damaged record or cells that cannot be compared, and for a figure without any finished cell.
    """
    finished = [(cell, summary) for cell in cells if (summary := load_summary(cell)) is not None]
    summaries = [with_training(summary, cell.folder) for cell, summary in finished]
    seeds = len({cell.seed for cell in cells})
    variant = variant_of(profile, experiment, cells)
    return _kind(experiment)(profile, experiment, summaries, seeds, variant, kind="local", force=force)


def build_published(profile: Profile, experiment: Experiment) -> Report:
    """The same for the published cells; the notebook goes to notebooks/ of the checkout."""
    folder = results_dir(profile.name, "published")
    summaries = [read_json(path, "published summary") for path in sorted((folder / "cells").glob("*/summary.json"))]
    bases = experiment.bases(profile)
    chosen = [
        each
        for each in summaries
        if each["arm"] in experiment.arms
        and each["base"] in bases
        and (each["seed"] >= DEVELOPMENT_SEED) == experiment.development
    ]
    seeds = len({summary["seed"] for summary in chosen})
    return _kind(experiment)(profile, experiment, chosen, seeds, PLAIN, kind="published", force=True)


def _kind(experiment: Experiment) -> Callable[..., Report]:
    return build_figure if experiment.kind == "figure" else _build


def _build(
    profile: Profile,
    experiment: Experiment,
    summaries: list[dict],
    seeds: int,
    variant: Variant,
    *,
    kind: str,
    force: bool,
) -> Report:
    folder = results_dir(variant.place(profile.name), kind)
    spec = variant.label(table_spec(profile, experiment, variant.command(experiment.id, profile.name, seeds)))
    stamp_file = folder / "tables" / f".{experiment.id}.inputs.json"
    inputs = {"hash": inputs_hash(summaries, repr(spec))}
    fresh = stamp_file.exists() and read_json(stamp_file, "record of the table's inputs") == inputs
    table_file = folder / "tables" / f"{experiment.id}.json"
    notebook, published = notebook_path(experiment, profile, folder, kind), kind == "published"
    stale = force or not fresh or not table_file.exists() or not notebook.exists()
    if stale:
        from repro.figures.table1 import write_figures

        rows = [each for summary in summaries for each in answered_by(summary)]
        table = build_table1(rows, spec, load_table(experiment.paper_table))
        notes = (*generation_notes(summaries), *retest_notes(summaries), *variant.notes())
        if published and table_file.exists() and not any("training" in summary for summary in summaries):
            notes = _kept(read_table(table_file), table)
        table = replace(table, footnotes=(*table.footnotes, *notes))
        write_table1(table, folder / "tables")
        if variant.folder and not (folder / "runs").exists():  # where pictures look for curves
            (folder / "runs").symlink_to(os.path.relpath(results_dir(profile.name) / "runs", folder))
        write_figures(table, folder / "figures", folder / ("cells" if published else "runs"))
        searches = search_record(summaries)
        if searches is not None:
            from repro.figures.search import write_search_figures

            write_json(folder / "tables" / f"{experiment.id}_search.json", searches)
            write_search_figures(searches, table.head.arms, folder / "figures", experiment.id)
    table = read_table(table_file)
    beside = "" if published else _beside(table, folder / "tables" / f"{experiment.id}{BESIDE}")
    if stale:
        from repro.notebooks import render

        where = {"TARGET": experiment.id, "PROFILE": variant.place(profile.name), "KIND": kind}
        render(REPO_ROOT / "notebooks" / "table.py", notebook, {}, where)
        write_json(stamp_file, inputs)
    files = [
        *sorted((folder / "tables").glob(f"{experiment.id}[._]*")),
        *sorted((folder / "figures").glob(f"{experiment.id}*")),
        notebook,
    ]
    lines = [(folder / "tables" / f"{experiment.id}.md").read_text(encoding="utf-8")]
    lines += ["## Yours beside the published run", "", beside] if beside else []
    lines += ["Files:", *(f"  {path}" for path in files)]
    verdicts = json.loads(table_file.read_text(encoding="utf-8")).get("claims", [])
    return Report("\n".join(lines), [str(path) for path in files], verdicts)


def _beside(table: Table1, path: Path) -> str:
    """Yours | published | inside its interval, as Markdown, written to `path`; empty where nothing is published."""
    published = results_dir(table.head.profile, "published") / "tables" / f"{table.head.id}.json"
    if not published.exists():
        path.unlink(missing_ok=True)
        return ""
    text = comparison_markdown(compare_with_published(table, read_table(published)), table.head.arms)
    path.write_text(text, encoding="utf-8")
    return text


def _kept(before: Table1, table: Table1) -> tuple[str, ...]:
    """Notes of a published table whose cells were published without their records of training: those that it has, as
    long as it is made of the same cells.
    """
    if before.head.cells != table.head.cells:
        return ()
    return tuple(note for note in before.footnotes if note not in table.footnotes)
