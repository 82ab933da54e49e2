"""A cell is one (base, arm, seed) run. Its specification holds everything that can move its numbers.

The specification's hash is part of the folder's name, so a changed specification is another cell and a stale result can
never be read.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from repro.files import canonical_json, sha256_text
from repro.paths import results_dir


@dataclass(frozen=True)
class Cell:
    """One run. `spec` is plain JSON data; `id` names the folder."""

    profile: str
    base: str
    arm: str
    seed: int
    spec: dict[str, Any]

    @cached_property
    def spec_hash(self) -> str:
        return sha256_text(canonical_json(self.spec))

    @property
    def id(self) -> str:
        return f"{self.base}__{self.arm}__s{self.seed}__{self.spec_hash[:10]}"

    @property
    def folder(self) -> Path:
        return results_dir(self.profile) / "runs" / self.id

    @property
    def trained(self) -> bool:
        """Whether the cell trains a policy; if not, it measures or searches with one that is there."""
        return self.spec["train"] is not None
