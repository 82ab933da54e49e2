"""Which cells an experiment needs, with their resolved specifications: profile values, arm, seed, code, lock file."""

from collections.abc import Mapping
from typing import Any

from repro.cells.bases import base_identity, lineage, recipe_module
from repro.cells.cell import Cell
from repro.cells.experiments import get_arm
from repro.cells.records import Arm, Experiment
from repro.closure import code_hash
from repro.cluster.settings import batch_as_prompts
from repro.config import Profile
from repro.errors import BadInput
from repro.evaluation.engines import ENGINES
from repro.methods.registry import BENCH, INPUTS, SEARCH, get_method
from repro.provenance import lock_hash
from repro.references import module_of
from repro.tasks.build import task_module

# What runs a cell, whatever its method: with all that it imports, its code can move the cell's numbers.
CELL = ("repro.cells.fill",)
SEARCH_CODE = ("repro.methods.search",)
VALUE_CODE = ("repro.methods.search_value",)
BENCH_CODE = ("repro.bench.overhead",)
INPUTS_CODE = ("repro.methods.inputs",)
DEVELOPMENT_SEED = 1000  # the first of those that no table uses
_CONTEXTS = "gcpo_mc"  # the arm whose contexts, n and m the three inputs of Figure 6 have


def code_roots(profile: Profile, base: str, arm: Arm) -> tuple[str, ...]:
    """The modules whose imports are a cell's code: changing one method re-runs that method alone."""
    roots = {*CELL, task_module(profile.tasks), module_of(ENGINES[profile.evaluate.engine])}
    roots |= {code for name in lineage(profile, base) if (code := recipe_module(profile, name))}
    if arm.method == SEARCH:
        roots |= {*SEARCH_CODE, *(VALUE_CODE if profile.search and profile.search.value == "value_model" else ())}
    elif arm.method == BENCH:
        roots |= {*BENCH_CODE, *get_method("grpo").modules, *get_method("gcpo").modules}
    elif arm.method == INPUTS:
        roots |= set(INPUTS_CODE)
    elif arm.method is not None:
        roots |= set(get_method(arm.method).modules)
    return tuple(sorted(roots))


def trains(arm: Arm) -> bool:
    """Whether an arm trains a policy; if not, it measures or searches with one that is there."""
    return arm.method not in (None, SEARCH, INPUTS, BENCH)


def training_values(profile: Profile, base: str, arm: Arm) -> dict[str, Any]:
    """The arguments of an arm's method on a base.

    What is said of a base wins over what is said of all; an arm's own definition wins over that, after those of the
    arm that it is like; the profile's words for this arm win over all.
    """
    shared = {**profile.train, **profile.bases[base].train} if get_method(arm.method).shared else {}
    model = get_arm(arm.like) if arm.like else None
    inherited = {**model.overrides, **profile.arms.get(model.id, {})} if model else {}
    multiples = {name: factor * shared[name] for name, factor in arm.multiples.items()}
    values = {**shared, **inherited, **arm.overrides, **multiples, **profile.arms.get(arm.id, {})}
    if shared and profile.cluster is not None and profile.cluster.batch_of == "prompts":
        return batch_as_prompts(values)
    return values


def why_not_run(profile: Profile, experiment: Experiment) -> str:
    """Why the profile cannot run a target, in one line; "" where it can."""
    arms = [get_arm(name) for name in experiment.arms]
    sections = {
        "search": any(arm.method == SEARCH for arm in arms),
        "bench": any(arm.method == BENCH for arm in arms),
        "curve": any(arm.curve for arm in arms),
    }
    for section, needed in sections.items():
        if needed and getattr(profile, section) is None:
            return f"{experiment.id} needs a section {section!r}, which profile {profile.name} does not have"
    if experiment.development and profile.tasks.kind != "procedural":
        return f"{experiment.id} needs development questions, which tasks of kind {profile.tasks.kind!r} do not have"
    return experiment.why_not(profile)


def is_cell_of(profile: Profile, experiment: Experiment, summary: Mapping[str, Any]) -> bool:
    """Whether a finished cell, by its summary, is one that the experiment compares: its bases, arms, kind of seeds."""
    return (
        summary["arm"] in experiment.arms
        and summary["base"] in experiment.bases(profile)
        and (summary["seed"] >= DEVELOPMENT_SEED) == experiment.development
    )


def check_parents(profile: Profile) -> None:
    """Raise BadInput where what a base continues from is no text: what has to be a base's name is looked up by it."""
    for name, ref in profile.bases.items():
        parent = (ref.spec or {}).get("continue_from")
        if parent is not None and not isinstance(parent, str):
            raise BadInput(
                f"profile {profile.name}: bases.{name}.spec.continue_from is {parent!r}; want the name of a base"
            )


def check_sweep(profile: Profile, experiment: Experiment) -> None:
    """Raise BadInput where the profile gives an arm of a sweep another value than the one it stands at."""
    if experiment.sweep is None:
        return
    setting = experiment.sweep.setting
    for base in experiment.bases(profile):
        for series in experiment.sweep.series:
            for value, arm in series.arms.items():
                given = training_values(profile, base, get_arm(arm)).get(setting, experiment.sweep.unset)
                wanted = value * profile.train[setting] if experiment.sweep.multiple else value
                if given != wanted:
                    raise BadInput(
                        f"{experiment.id}: arm {arm} stands at {setting} {value}, and profile {profile.name} gives it "
                        f"{given}; leave {setting} out of arms.{arm}"
                    )


def make_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell of one base, arm and seed, with its resolved specification."""
    trained = trains(arm)
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
    if arm.curve:
        spec["curve"] = profile.curve.model_dump()
    if arm.forced:
        spec["forbidden_first"] = profile.evaluate.direct_start
    if profile.cluster is not None:  # how a training is spread moves its rounding, and its batch
        cluster = profile.cluster
        spec["cluster"] = {"ranks": cluster.ranks, **cluster.layout(base, arm.id).model_dump()}
    if arm.method == BENCH:
        if profile.bench is None:
            raise BadInput(f"profile {profile.name} has no section 'bench'; arm {arm.id} needs one")
        spec |= {"bench": profile.bench.model_dump(), "train_arguments": profile.train}
    if arm.search is not None:
        policy = searched_cell(profile, base, arm, seed)
        spec |= {"policy": policy.id, "policy_trained": policy.trained}
    if arm.method == INPUTS:
        spec["inputs"] = training_values(profile, base, get_arm(_CONTEXTS))
    elif arm.method == SEARCH:
        if profile.search is None:
            raise BadInput(f"profile {profile.name} has no section 'search'; arm {arm.id} needs one")
        spec["search"] = profile.search.model_dump()
        if profile.search.value == "value_model":
            spec["value_model"] = training_values(profile, base, get_arm("rest_mcts"))
    return Cell(profile.name, base, arm.id, seed, spec)


def searched_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell whose policy an arm searches with, or gives other inputs."""
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
        if not get_arm(name).measurable(profile):
            raise BadInput(f"arm {name!r} forbids evaluate.direct_start, which profile {profile.name} does not set")
    for name in bases or []:
        if name not in profile.bases:
            raise BadInput(f"base {name!r} is not in profile {profile.name!r}; its bases: {', '.join(profile.bases)}")
    for name in profile.arms:
        get_arm(name)
    check_parents(profile)
    if reason := why_not_run(profile, experiment):
        raise BadInput(reason)
    check_sweep(profile, experiment)
    chosen = [
        get_arm(name) for name in experiment.arms if _planned(get_arm(name), profile) and (not arms or name in arms)
    ]
    first, measured = (DEVELOPMENT_SEED, profile.for_development()) if experiment.development else (0, profile)
    return [
        make_cell(measured, base, arm, seed)
        for seed in range(first, first + count)
        for base in experiment.bases(profile)
        if not bases or base in bases
        for arm in chosen
        if seed == 0 or not arm.once
    ]


def _planned(arm: Arm, profile: Profile) -> bool:
    return arm.built and arm.beside is None and arm.measurable(profile)
