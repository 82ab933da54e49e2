"""Which of a user's tables a run builds: the profile's own, or one that stands beside it.

A run with SET, ARMS, BASES or BASE answers another question than the profile does. Its table keeps out of the way of
the profile's own, has the exact command under it, and names what was changed.
"""

import re
import shlex
from dataclasses import dataclass, replace

from repro.cells.cell import Cell
from repro.cells.plan import plan_cells
from repro.cells.records import Experiment
from repro.config import Profile, model_name
from repro.files import sha256_text
from repro.tables.spec import TableSpec

_LONGEST_NAME = 60
_PLAIN = re.compile(r"[\w.=,+/@:-]+")  # what `make SET=` hands through as it is


@dataclass(frozen=True)
class Variant:
    """What differs from the profile's own run. arms, bases: those selected, empty for all; sets: KEY=VALUE."""

    base: str | None = None
    arms: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder's name below the profile's results, empty for the profile's own tables."""
        parts = []
        if self.base:
            parts.append(f"base-{model_name(self.base)}-{sha256_text(self.base)[:6]}")
        parts += [f"{kind}-{_short('+'.join(names))}" for kind, names in self._selected() if names]
        if self.sets:
            parts.append(f"set-{sha256_text(' '.join(sorted(self.sets)))[:8]}")
        return "variants/" + "__".join(parts) if parts else ""

    def place(self, profile: str) -> str:
        """What `results_dir` calls the place of the variant's files: a profile, or a folder below its results."""
        return f"{profile}/{self.folder}".rstrip("/")

    def command(self, target: str, profile: str, seeds: int) -> str:
        """The line that reproduces the table or figure."""
        if all(_PLAIN.fullmatch(text) for text in (*self.sets, self.base or "-")):
            words = [
                f"make reproduce-{target} PROFILE={profile} SEEDS={seeds}",
                *([f"BASE={self.base}"] if self.base else []),
            ]
            words += [f"{kind.upper()}={','.join(names)}" for kind, names in self._selected() if names]
            return " ".join([*words, *([f'SET="{" ".join(self.sets)}"'] if self.sets else [])])
        words = ["python", "-m", "repro", "run", target, "--profile", profile, "--seeds", str(seeds)]
        words += ["--base", self.base] if self.base else []
        words += [word for kind, names in self._selected() if names for word in (f"--{kind}", ",".join(names))]
        return shlex.join([*words, *(word for text in self.sets for word in ("--set", text))])

    def label(self, spec: TableSpec) -> TableSpec:
        """The spec with the settings that SET changed behind the title of each arm that it names."""
        changed: dict[str, list[str]] = {}
        for text in self.sets:
            section, _, rest = text.partition(".")
            if section == "arms":
                arm, _, setting = rest.partition(".")
                changed.setdefault(arm, []).append(setting)
        arms = (
            replace(arm, title=f"{arm.title} [{', '.join(changed[arm.id])}]") if arm.id in changed else arm
            for arm in spec.arms
        )
        return replace(spec, arms=tuple(arms))

    def notes(self) -> list[str]:
        """Footnotes that say how the run differs from the profile's own."""
        return [f"Not the profile's own run: SET {', '.join(self.sets)}."] if self.sets else []

    def _selected(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("arms", self.arms), ("bases", self.bases)


PLAIN = Variant()  # the profile's own run


def variant_of(profile: Profile, experiment: Experiment, cells: list[Cell]) -> Variant:
    """How a run of these cells differs from the profile's own run of a target."""
    whole = plan_cells(profile, experiment, 1)
    return Variant(profile.given_base, _narrowed(whole, cells, "arm"), _narrowed(whole, cells, "base"), profile.sets)


def _narrowed(whole: list[Cell], cells: list[Cell], name: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(getattr(cell, name) for cell in cells))
    return () if set(chosen) == {getattr(cell, name) for cell in whole} else chosen


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 7]}-{sha256_text(text)[:6]}"
