"""A cell is one (base, arm, seed) run: its identity and its hash.

A cell's specification holds everything that can move its numbers: profile values, arm, seed, the hash of the code
that computes them and
of the lock file. The hash is part of the folder's name, so a changed specification is another cell and a stale result
can never be read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.cells.code import METHOD_CODE, code_hash
from repro.cells.experiments import Arm, Experiment, get_arm
from repro.config import Profile
from repro.errors import BadInput
from repro.files import canonical_json, sha256_text
from repro.paths import results_dir
from repro.provenance import lock_hash


@dataclass(frozen=True)
class Cell:
    """One run. `spec` is plain JSON data; `id` names the folder."""

    profile: str
    base: str
    arm: str
    seed: int
    spec: dict[str, Any]

    @property
    def spec_hash(self) -> str:
        return sha256_text(canonical_json(self.spec))

    @property
    def id(self) -> str:
        return f"{self.base}__{self.arm}__s{self.seed}__{self.spec_hash[:10]}"

    @property
    def folder(self) -> Path:
        return results_dir(self.profile) / "runs" / self.id


def make_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell of one base, arm and seed, with its resolved specification."""
    ref = profile.bases[base]
    lineage = {}
    name: str | None = base
    while name is not None:  # a further fine-tuned base depends on the one it continues
        lineage[name] = profile.bases[name].model_dump()
        name = (profile.bases[name].spec or {}).get("continue_from")
    training = None
    if arm.method == "rest_mcts":  # another family of arguments than the other trainers'
        training = {**arm.overrides, **profile.arms.get(arm.id, {})}
    elif arm.method not in (None, "search"):
        # What is said of a base wins over what is said of all; an arm's own definition wins over that; the profile's
        # words for this arm win over all.
        training = {**profile.train, **ref.train, **arm.overrides, **profile.arms.get(arm.id, {})}
    spec = {
        "profile": profile.name,
        "base": lineage,
        "role": ref.role,
        "arm": arm.id,
        "method": arm.method,
        "train": training,
        "tasks": profile.tasks.model_dump(),
        "evaluate": profile.evaluate.model_dump(),
        "seed": seed,
        "threads": profile.resources.threads,
        "code": code_hash(METHOD_CODE[arm.method]),
        "lock": lock_hash(),
    }
    if arm.search is not None:
        if profile.search is None:
            raise BadInput(f"profile {profile.name} has no section 'search'; arm {arm.id} needs one")
        spec |= {"search": profile.search.model_dump(), "policy": searched_cell(profile, base, arm, seed).id}
    return Cell(profile.name, base, arm.id, seed, spec)


def searched_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell whose policy a search arm searches with."""
    return make_cell(profile, base, get_arm(arm.search), seed)


def plan_cells(
    profile: Profile,
    experiment: Experiment,
    seeds: int | None = None,
    arms: list[str] | None = None,
    bases: list[str] | None = None,
) -> list[Cell]:
    """All cells of an experiment in running order: seeds outermost, so that an interrupted run has whole comparisons.

    Raises BadInput for an arm that is unknown or not part of the experiment, an unknown base, and seeds < 1.
    """
    count = profile.seeds if seeds is None else seeds
    if count < 1:
        raise BadInput(f"seeds is {count}; want at least 1")
    for name in arms or []:
        get_arm(name)
        if name not in experiment.arms:
            raise BadInput(f"arm {name!r} is not part of {experiment.id}; its arms: {', '.join(experiment.arms)}")
    for name in bases or []:
        if name not in profile.bases:
            raise BadInput(f"base {name!r} is not in profile {profile.name!r}; its bases: {', '.join(profile.bases)}")
    for name in profile.arms:
        get_arm(name)
    chosen = [get_arm(name) for name in experiment.arms if _planned(get_arm(name)) and (not arms or name in arms)]
    return [
        make_cell(profile, base, arm, seed)
        for seed in range(count)
        for base in experiment.bases(profile)
        if not bases or base in bases
        for arm in chosen
    ]


def _planned(arm: Arm) -> bool:
    return arm.built and arm.beside is None
