"""What is published: which profiles have which tables and figures of the paper, and where their files are.

A table's files lie in tables/, a figure's in figures/.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.cells.experiments import EXPERIMENTS
from repro.config import PROFILE_DIR, load_profile
from repro.figuredata.model import FigureData, read_figure
from repro.paths import results_dir
from repro.reporting.order import BESIDE
from repro.tables import Table1, read_table

DEFAULT = "micro"  # the profile of a command that names none
# the order in which profiles are shown; others follow
_FIRST = (DEFAULT, "micro-slips", "integrate", "pretrained", "gpu", "paper")
_LAST = ("smoke",)


@dataclass(frozen=True)
class Published:
    """One table or figure of the paper under one profile: `table` is a comparison of arms, `figure` anything else;
    either is None where the other is there, both where its text alone is.
    """

    target: str
    profile: str
    folder: Path
    text: Path  # the whole of it for people
    table: Table1 | None
    figure: FigureData | None

    @property
    def head(self) -> Mapping[str, Any]:
        """Title, command, stamp, commits, devices, cells; empty where its files have none."""
        made = self.table or self.figure
        return vars(made.head) if made else {}

    @property
    def beside(self) -> str:
        """A user's own numbers beside the published ones, as Markdown; empty where nothing is published."""
        path = self.text.with_name(f"{self.target}{BESIDE}")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def figure_beside(self, target: str) -> FigureData | None:
        """Another target of the same profile and kind that is a figure; None where it is not there."""
        made = _made(target, self.profile, self.folder)
        return made.figure if made else None

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


def stamp(profile: str) -> str:
    """What everything of a profile is stamped with; empty where its numbers are results."""
    return load_profile(profile).stamp if (PROFILE_DIR / f"{profile}.yaml").exists() else ""


def link(path: Path, document: Path) -> str:
    """A path as a link from a document."""
    return Path(os.path.relpath(path.resolve(), document.resolve().parent)).as_posix()


def _made(target: str, profile: str, folder: Path) -> Published | None:
    text = next((path for room in ("tables", "figures") if (path := folder / room / f"{target}.md").exists()), None)
    if text is None:
        return None
    path = text.with_suffix(".json")
    if not path.exists():
        return Published(target, profile, folder, text, None, None)
    if EXPERIMENTS[target].kind == "figure":
        return Published(target, profile, folder, text, None, read_figure(path))
    return Published(target, profile, folder, text, read_table(path), None)


def _is_of(stem: str, target: str) -> bool:
    return stem == target or stem.startswith(f"{target}_")
