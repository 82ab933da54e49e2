"""Which cells an experiment needs, with their resolved specifications: profile values, arm, seed, code, lock file."""

from typing import Any

from repro.cells.bases import base_identity, lineage, recipe_module
from repro.cells.cell import Cell
from repro.cells.experiments import Arm, Experiment, get_arm
from repro.closure import code_hash
from repro.cluster.settings import batch_as_prompts
from repro.config import Profile
from repro.errors import BadInput
from repro.evaluation.engines import ENGINES
from repro.methods.registry import SEARCH, get_method
from repro.provenance import lock_hash
from repro.references import module_of
from repro.tasks.build import task_module

# What runs a cell, whatever its method: with all that it imports, its code can move the cell's numbers.
CELL = ("repro.cells.fill",)
SEARCH_CODE = ("repro.methods.search",)
VALUE_CODE = ("repro.methods.search_value",)


def code_roots(profile: Profile, base: str, arm: Arm) -> tuple[str, ...]:
    """The modules whose imports are a cell's code: changing one method re-runs that method alone."""
    roots = {*CELL, task_module(profile.tasks), module_of(ENGINES[profile.evaluate.engine])}
    roots |= {code for name in lineage(profile, base) if (code := recipe_module(profile, name))}
    if arm.method == SEARCH:
        roots |= {*SEARCH_CODE, *(VALUE_CODE if profile.search and profile.search.value == "value_model" else ())}
    elif arm.method is not None:
        roots |= set(get_method(arm.method).modules)
    return tuple(sorted(roots))


def training_values(profile: Profile, base: str, arm: Arm) -> dict[str, Any]:
    """The arguments of an arm's method on a base.

    What is said of a base wins over what is said of all; an arm's own definition wins over that; the profile's words
    for this arm win over all.
    """
    shared = {**profile.train, **profile.bases[base].train} if get_method(arm.method).shared else {}
    values = {**shared, **arm.overrides, **profile.arms.get(arm.id, {})}
    if shared and profile.cluster is not None and profile.cluster.batch_of == "prompts":
        return batch_as_prompts(values)
    return values


def make_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell of one base, arm and seed, with its resolved specification."""
    trained = arm.method not in (None, SEARCH)
    spec = {
        "profile": profile.name,
        "base": {name: base_identity(profile, name) for name in lineage(profile, base)},
        "role": profile.bases[base].role,
        "arm": arm.id,
        "method": arm.method,
        "train": training_values(profile, base, arm) if trained else None,
        "attn_implementation": profile.bases[base].attn_implementation,
        "tasks": profile.tasks.model_dump(),
        "evaluate": profile.evaluate.model_dump(),
        "seed": seed,
        "threads": profile.resources.threads,
        "device": profile.resources.device,
        "code": code_hash(code_roots(profile, base, arm)),
        "lock": lock_hash(),
    }
    if profile.cluster is not None:  # how a training is spread moves its rounding, and its batch
        cluster = profile.cluster
        spec["cluster"] = {"ranks": cluster.ranks, **cluster.layout(base, arm.id).model_dump()}
    if arm.search is not None:
        if profile.search is None:
            raise BadInput(f"profile {profile.name} has no section 'search'; arm {arm.id} needs one")
        policy = searched_cell(profile, base, arm, seed)
        spec |= {"search": profile.search.model_dump(), "policy": policy.id, "policy_trained": policy.trained}
        if profile.search.value == "value_model":
            spec["value_model"] = training_values(profile, base, get_arm("rest_mcts"))
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
