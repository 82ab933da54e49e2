"""Which published cells today's code, data and settings still cover, and taking those over into a run.

A published cell covers a planned one if their names agree: the name ends in a hash of everything that can move its
numbers, the code included. One of the same base, arm and seed under another name is stale.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.cells.cell import Cell
from repro.cells.state import load_summary
from repro.paths import results_dir

COVERED, STALE, MISSING = "covered", "stale", "missing"
STATES = (COVERED, STALE, MISSING)


@dataclass(frozen=True)
class Coverage:
    """How many planned cells of one target are published: under today's hash, under another, or not at all."""

    covered: int
    stale: int
    missing: int


def published_folder(cell: Cell) -> Path:
    """Where the records of the cell lie once it is published."""
    return results_dir(cell.profile, "published") / "cells" / cell.id


def coverage_of(cell: Cell) -> str:
    """`covered`, `stale` or `missing`."""
    folder = published_folder(cell)
    if (folder / "summary.json").exists():
        return COVERED
    return STALE if any(older_versions(cell)) else MISSING


def older_versions(cell: Cell) -> list[Path]:
    """Published folders of the same base, arm and seed under another hash."""
    folder = published_folder(cell)
    stem = f"{cell.base}__{cell.arm}__s{cell.seed}__"
    return [path for path in sorted(folder.parent.glob(f"{stem}*")) if path.name != cell.id]


def count(cells: Iterable[Cell]) -> Coverage:
    """The coverage of a target's planned cells."""
    states = [coverage_of(cell) for cell in cells]
    return Coverage(*(states.count(state) for state in STATES))


def take_over(cells: Iterable[Cell]) -> list[Cell]:
    """Put the published records of covered cells where a run looks for its own; returns those that were put.

    What a cell does not publish, its samples and its policy, is not there afterwards: one whose policy a search still
    needs is not taken over, and is trained again.
    """
    taken, cells = [], list(cells)
    needed = {cell.spec["policy"] for cell in cells if "policy" in cell.spec and coverage_of(cell) != COVERED}
    for cell in cells:
        if coverage_of(cell) == COVERED and load_summary(cell) is None and cell.id not in needed:
            cell.folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(published_folder(cell).iterdir(), key=lambda each: each.name == "summary.json"):
                shutil.copyfile(path, cell.folder / path.name)  # the summary last: with it a cell is done
            taken.append(cell)
    return taken
