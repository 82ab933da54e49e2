"""What is published: which profiles have which tables and figures of the paper, and where their files are.

A table's files lie in tables/, a figure's in figures/; a figure's JSON holds `head`, `finding` and `decisions`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.cells.experiments import EXPERIMENTS
from repro.files import read_json
from repro.paths import results_dir
from repro.tables import Table1, read_table

# the order in which profiles are shown; others follow
_FIRST = ("micro", "micro-slips", "integrate", "pretrained", "gpu", "paper")
_LAST = ("smoke",)


@dataclass(frozen=True)
class Published:
    """One table or figure of the paper under one profile: `table` is a comparison of arms, `figure` the JSON of
    anything else; either is None where the other is there.
    """

    target: str
    profile: str
    folder: Path
    text: Path  # the whole of it for people
    table: Table1 | None
    figure: dict[str, Any] | None

    @property
    def head(self) -> Mapping[str, Any]:
        """Title, command, stamp, commits, devices, cells; empty where its files have none."""
        return vars(self.table.head) if self.table else (self.figure or {}).get("head", {})

    @property
    def pictures(self) -> list[Path]:
        """Its figures as PNG; those that answer the question come first: contrasts of an ablation, gains."""
        found = [path for path in (self.folder / "figures").glob("*.png") if _is_of(path.stem, self.target)]
        first = {"contrasts": 0, "gains": 1}
        return sorted(found, key=lambda path: (first.get(path.stem.rpartition("_")[2], 2), path.name))


def published(profile: str, kind: str = "published") -> list[Published]:
    """Every target of the paper with files of this profile, in the paper's order. kind: `published` or `local`."""
    folder = results_dir(profile, kind)
    return [made for target in EXPERIMENTS if (made := _made(target, profile, folder))]


def profiles() -> list[str]:
    """Profiles with at least one published table or figure: the default first, what is no result last."""
    root = results_dir("any", "published").parent
    names = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and published(folder.name))
    others = [name for name in names if name not in _FIRST + _LAST]
    order = {name: place for place, name in enumerate((*_FIRST, *others, *_LAST))}
    return sorted(names, key=order.__getitem__)


def link(path: Path, document: Path) -> str:
    """A path as a link from a document."""
    return Path(os.path.relpath(path.resolve(), document.resolve().parent)).as_posix()


def _made(target: str, profile: str, folder: Path) -> Published | None:
    text = next((path for room in ("tables", "figures") if (path := folder / room / f"{target}.md").exists()), None)
    if text is None:
        return None
    path = text.with_suffix(".json")
    record = read_json(path, "record of a table or figure") if path.exists() else {}
    if "claims" in record:
        return Published(target, profile, folder, text, read_table(path), None)
    return Published(target, profile, folder, text, None, record)


def _is_of(stem: str, target: str) -> bool:
    return stem == target or stem.startswith(f"{target}_")
