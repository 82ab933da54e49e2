"""From finished cells to what people read: table files, figure, notebook, and one text for the terminal."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.cells.plan import Cell, is_cell_of
from repro.cells.records import Experiment
from repro.cells.state import load_summary
from repro.cells.training import with_training
from repro.config import Profile
from repro.figuredata.model import trained_seeds
from repro.files import read_json, write_json
from repro.paper import load_table
from repro.paths import results_dir
from repro.reporting.figure import build_figure
from repro.reporting.footnotes import generation_notes, kappa_notes, retest_notes
from repro.reporting.order import Order
from repro.reporting.record import Report
from repro.reporting.variant import PLAIN, variant_of
from repro.tables import (
    Table1,
    TableSpec,
    answered_by,
    build_table1,
    compare_with_published,
    read_table,
    search_record,
    table_spec,
    write_table1,
)


def build_report(profile: Profile, experiment: Experiment, cells: list[Cell], *, force: bool = False) -> Report:
    """Build table, figure and notebook of a user's own run from its finished cells, unless nothing changed since they
    were built. A variant of the profile's run has its files in a folder of its own.

    Raises BadInput for a damaged record or cells that cannot be compared, for a figure without any finished cell, and
    for a target that the profile cannot run.
    """
    experiment = experiment.in_profile(profile)
    finished = [(cell, summary) for cell in cells if (summary := load_summary(cell)) is not None]
    summaries = [with_training(summary, cell.folder) for cell, summary in finished]
    seeds = len({cell.seed for cell in cells})
    variant = variant_of(profile, experiment, cells)
    return _build(Order(profile, experiment, summaries, seeds, variant, "local", force))


def build_published(profile: Profile, experiment: Experiment) -> Report:
    """The same for the published cells; the notebook goes to notebooks/ of the checkout."""
    experiment = experiment.in_profile(profile)
    folder = results_dir(profile.name, "published")
    summaries = [read_json(path, "published summary") for path in sorted((folder / "cells").glob("*/summary.json"))]
    chosen = [each for each in summaries if is_cell_of(profile, experiment, each)]
    return _build(Order(profile, experiment, chosen, _seeds(chosen), PLAIN, "published", True))


def _seeds(summaries: list[dict[str, Any]]) -> int:
    """The seeds that every trained arm has on every base: what the command that stands under a result asks for."""
    found = trained_seeds(summaries).values()
    return min(map(len, found), default=len({each["seed"] for each in summaries}))


def _build(order: Order) -> Report:
    return build_figure(order) if order.experiment.kind == "figure" else _build_table(order)


def _build_table(order: Order) -> Report:
    experiment, folder = order.experiment, order.folder
    spec = order.variant.label(table_spec(order.profile, experiment, order.command))
    table_file = folder / "tables" / f"{experiment.id}.json"
    beside = order.build(
        "tables",
        repr(spec),
        lambda: _write_table(order, spec, table_file),
        lambda mine, theirs: compare_with_published(read_table(mine), read_table(theirs)),
        "{:.1f}".format,
    )
    text = (folder / "tables" / f"{experiment.id}.md").read_text(encoding="utf-8")
    verdicts = json.loads(table_file.read_text(encoding="utf-8")).get("claims", [])
    return Report(*order.told(text, beside, ["tables", "figures"]), verdicts)


def _write_table(order: Order, spec: TableSpec, table_file: Path) -> None:
    """The table's files, its pictures, and those of its searches."""
    from repro.figures.table1 import write_figures

    folder, summaries, name = order.folder, order.summaries, order.experiment.id
    rows = [each for summary in summaries for each in answered_by(summary)]
    table = build_table1(rows, spec, load_table(order.experiment.paper_table))
    said = (*generation_notes(summaries), *kappa_notes(order.profile, order.experiment.arms))
    notes = (*said, *retest_notes(summaries), *order.variant.notes())
    if order.published and table_file.exists() and not any("training" in summary for summary in summaries):
        notes = _kept(read_table(table_file), table)
    table = replace(table, footnotes=(*table.footnotes, *notes))
    write_table1(table, folder / "tables")
    if order.variant.folder and not (folder / "runs").exists():  # where pictures look for curves
        (folder / "runs").symlink_to(os.path.relpath(results_dir(order.profile.name) / "runs", folder))
    write_figures(table, folder / "figures", folder / ("cells" if order.published else "runs"))
    searches = search_record(summaries)
    if searches is not None:
        from repro.figures.search import write_search_figures

        write_json(folder / "tables" / f"{name}_search.json", searches)
        write_search_figures(searches, table.head.arms, folder / "figures", name)


def _kept(before: Table1, table: Table1) -> tuple[str, ...]:
    """Notes of a published table whose cells were published without their records of training: those that it has, as
    long as it is made of the same cells.
    """
    if before.head.cells != table.head.cells:
        return ()
    return tuple(note for note in before.footnotes if note not in table.footnotes)
