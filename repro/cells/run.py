"""Plans a target's cells, makes the bases and fills what is missing."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.cells.bases import base_marker, base_seconds, base_specs, lineage, make_profile_base
from repro.cells.cell import Cell
from repro.cells.experiments import ARMS, EXPERIMENTS, get_arm
from repro.cells.plan import plan_cells, training_values, trains, why_not_run
from repro.cells.pool import Outcome, Task, run_pool
from repro.cells.records import Experiment
from repro.cells.state import load_summary, state
from repro.cluster.preflight import check_cells, price, why_not
from repro.config import Profile
from repro.errors import BadInput
from repro.files import canonical_json, exclusive_lock
from repro.paths import cache_dir, results_dir
from repro.provenance import provenance

_NEEDED_MIB = 500
_INPUTS_COST = 10  # of the answers from other inputs, in evaluations: n - 1 candidates and seven contexts an answer


@dataclass(frozen=True)
class Options:
    """What the command line may narrow down: seeds, arms, bases, cells side by side."""

    seeds: int | None = None
    arms: list[str] | None = None
    bases: list[str] | None = None
    jobs: int | None = None


def estimate_seconds(profile: Profile, cell: Cell) -> float:
    """Seconds one cell takes by the profile's estimates; on a cluster by tokens and throughput, GPUs added up."""
    cost = profile.resources
    if profile.cluster is not None and "search" not in cell.spec:
        return price(profile, cell).total * 3600
    scale = cost.base_cost.get(cell.base, 1.0)
    if "search" in cell.spec:
        return scale * cost.search_seconds
    if "bench" in cell.spec:
        return scale * cost.bench_seconds
    if "inputs" in cell.spec:
        return scale * _INPUTS_COST * cost.evaluate_seconds
    train = cost.train_seconds * cost.arm_cost.get(cell.arm, 1.0) if cell.trained else 0.0
    return scale * (train + cost.evaluate_seconds)


def check_folder(folder: Path) -> None:
    """Make a folder for results. Raises BadInput unless it can be written and has room."""
    check_room(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise _not_writable(folder, error.strerror) from None


def check_room(folder: Path) -> None:
    """Raise BadInput where a folder for results could not be made, or would have too little room. Makes nothing."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise _not_writable(folder, f"{existing} is no folder that you can write to")
    free = shutil.disk_usage(existing).free >> 20
    if free < _NEEDED_MIB:
        raise BadInput(f"results folder {folder} has {free} MiB free; want at least {_NEEDED_MIB} MiB")


def _not_writable(folder: Path, why: str) -> BadInput:
    return BadInput(f"results folder {folder} cannot be written ({why}); set GCPO_RESULTS to a folder that can")


def needs_gpu(profile: Profile) -> str:
    """What a machine without a GPU is told of a profile that counts GPU-hours."""
    return f"profile {profile.name!r} needs an NVIDIA GPU; install from repro/env/gpu.lock on such a machine"


def _check_gpu(profile: Profile) -> None:
    """Raise BadInput where a profile needs a GPU and there is none. GCPO_DEVICE says that a CPU is meant."""
    from repro.device import decide

    if profile.resources.gpu_hours and not os.environ.get("GCPO_DEVICE") and decide().type == "cpu":
        raise BadInput(f"{needs_gpu(profile)}, or set GCPO_DEVICE=cpu to run it all the same")


def target_status(profile_for: Callable[[str], Profile]) -> list[dict]:
    """One row per registered table or figure: id, title, whether it is built and the profile can run it, and how many
    of its cells are in which state. profile_for: a target's profile.
    """
    rows = []
    for experiment in EXPERIMENTS.values():
        profile = profile_for(experiment.id)
        reason = why_not_run(profile, experiment)
        row = {
            "id": experiment.id,
            "kind": experiment.kind,
            "title": experiment.title,
            "built": experiment.built and not reason,
            "note": experiment.note or reason,
        }
        if row["built"]:
            counts = dict.fromkeys(("done", "running", "failed", "waiting"), 0)
            running = []
            for cell in plan_cells(profile, experiment.in_profile(profile)):
                now = state(cell)
                counts[now] += 1
                if now == "running":
                    running.append(cell.id)
            row |= {"cells": counts, "running": running}
        rows.append(row)
    return rows


def plan(profile: Profile, experiment: Experiment, options: Options) -> dict:
    """What `run` would do: cells with state and estimated seconds, bases to make, the total. Runs nothing.

    Raises BadInput for whatever `run` would refuse.
    """
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    not_run = {name: ARMS[name].why_not for name in experiment.arms if not ARMS[name].built}
    return {"target": experiment.id, **_estimate(profile, cells, options), "not_run": not_run}


Targets = Sequence[tuple[Profile, Experiment]]  # tables and figures, each with its profile


def plan_all(targets: Targets, options: Options) -> dict:
    """The same for several targets, each with its profile, a shared cell once."""
    parts = [_estimate(profile, own, options) for profile, own in by_profile(targets, _cells_of(targets, options))]
    whole = {**parts[0], "target": "all", "not_run": {name: arm.why_not for name, arm in ARMS.items() if not arm.built}}
    for part in parts[1:]:
        for name in ("cells", "wanting", "work", "seconds_wall"):
            whole[name] = whole[name] + part[name]
        whole["bases"] = whole["bases"] | part["bases"]
    return whole


def _cells_of(targets: Targets, options: Options) -> dict[str, list[Cell]]:
    """Target -> its cells. Raises BadInput for arms or bases, which belong to one target."""
    if options.arms or options.bases:
        raise BadInput("--arms and --bases narrow one target; name it instead of 'all'")
    return {experiment.id: plan_cells(profile, experiment, options.seeds) for profile, experiment in targets}


def by_profile(targets: Targets, cells: dict[str, list[Cell]]) -> list[tuple[Profile, list[Cell]]]:
    """The cells of the targets of one profile together, each once."""
    profiles = [profile for profile, _ in targets]
    distinct = [each for place, each in enumerate(profiles) if each not in profiles[:place]]
    owned = [[cell for own, each in targets if own == profile for cell in cells[each.id]] for profile in distinct]
    return [
        (profile, list({cell.id: cell for cell in own}.values())) for profile, own in zip(distinct, owned, strict=True)
    ]


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """What happened in several pools."""
    return Outcome(
        [name for each in outcomes for name in each.done],
        {name: line for each in outcomes for name, line in each.failed.items()},
        {name: line for each in outcomes for name, line in each.skipped.items()},
    )


def _estimate(profile: Profile, cells: list[Cell], options: Options) -> dict:
    """Cells with state and seconds, bases to make, and their sum."""
    check_room(results_dir(profile.name))
    check_room(cache_dir())
    provenance()
    wanting = []
    if profile.cluster is None:
        check(profile, cells)
    else:  # planned on a login node, before anything is fetched: what is missing is part of the plan
        check_settings(profile, cells)
        wanting = _wanting(profile, cells)
    for cell in cells:
        load_summary(cell)
    rows = [{"cell": cell.id, "state": state(cell), "seconds": estimate_seconds(profile, cell)} for cell in cells]
    todo = [cell for cell, row in zip(cells, rows, strict=True) if row["state"] != "done"]
    missing = _missing_bases(profile, todo)
    seconds = {name: base_seconds(profile, name) for name in missing}
    work = sum(row["seconds"] for row in rows if row["state"] != "done") + sum(seconds.values())
    return {
        "profile": profile.name,
        "cells": rows,
        "bases": seconds,
        "jobs": options.jobs or profile.resources.jobs,
        "work": work / 3600,
        "seconds_wall": work / (options.jobs or profile.resources.jobs),
        "unit": profile.resources.unit,
        "wanting": wanting,
    }


def _missing_bases(profile: Profile, cells: list[Cell]) -> list[str]:
    """Bases that must be made first, parents before children. Reads only the disk."""
    names = dict.fromkeys(name for cell in cells for name in lineage(profile, cell.base))
    return [name for name in names if profile.bases[name].made and not base_marker(profile, name).exists()]


def run(profile: Profile, experiment: Experiment, options: Options) -> tuple[Outcome, list[Cell]]:
    """Fill every missing cell of a target. Returns what happened and all its cells. Raises as `fill`."""
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    return fill(profile, cells, options), cells


def run_all(targets: Targets, options: Options) -> tuple[Outcome, dict[str, list[Cell]]]:
    """Fill every missing cell of these targets, a shared one once. Returns what happened and the cells per target.

    targets: each with its profile. Raises as `fill`, and for arms or bases, which belong to one target.
    """
    cells = _cells_of(targets, options)
    outcomes = [fill(profile, own, options) for profile, own in by_profile(targets, cells)]
    return together(outcomes), cells


def fill(
    profile: Profile, cells: list[Cell], options: Options, finished: Callable[[Cell], None] = lambda cell: None
) -> Outcome:
    """Fill every one of these cells that is missing, bases first. Returns what happened.

    finished: called after each cell that is filled, and for none that was there.

    Raises BadInput before anything starts for values that no trainer accepts, a damaged record, a folder that cannot
    be written or is
    in use; KeyboardInterrupt when interrupted.
    """
    folder = results_dir(profile.name)
    check_folder(folder)
    check_folder(cache_dir())
    with exclusive_lock(folder / "run.lock", f"results folder {folder}"):
        todo = [cell for cell in cells if load_summary(cell) is None]
        if not todo:
            return Outcome([], {}, {})
        provenance()
        _check_gpu(profile)
        check(profile, todo)
        tasks = _tasks(profile, todo)
        by_id = {cell.id: cell for cell in todo}

        def tell(task: Task) -> None:
            if task.id in by_id:  # the others are bases
                finished(by_id[task.id])

        return run_pool(tasks, options.jobs or profile.resources.jobs, finished=tell)


def check(profile: Profile, cells: list[Cell]) -> None:
    """Raise BadInput for whatever would stop a cell before its first step: settings, bases, suites, training data.

    Imports torch and TRL; when `run` calls it, once for all workers.
    """
    check_settings(profile, cells)
    check_data(profile, cells)


def check_settings(profile: Profile, cells: list[Cell]) -> None:
    """The part of `check` that needs no data."""

    _check_arms(profile, cells)
    if any("search" in cell.spec for cell in cells):
        from repro.methods.search import mcts_config

        mcts_config(profile.search, profile.evaluate.max_new_tokens, f"profile {profile.name}")
    for cell in {cell.arm: cell for cell in cells if "inputs" in cell.spec}.values():
        from repro.methods.inputs import settings_of

        settings_of(cell.spec["inputs"], f"profile {profile.name}, arm {cell.arm}")
    for kind in dict.fromkeys(ref.kind for ref in profile.bases.values() if ref.made):
        base_specs(profile, kind)
    for suite in profile.tasks.suites:
        if profile.evaluate.samples_of(suite) < 2:
            raise BadInput(
                f"evaluate.samples of {suite} is 1; want at least 2, or a table has no sampling noise to know"
            )
    if profile.cluster is not None:
        check_cells(profile, cells)


def check_data(profile: Profile, cells: list[Cell]) -> None:
    """The part of `check` that reads the suites and the training sets."""
    from repro.tasks.build import make_taskset

    with make_taskset(profile.tasks) as tasks:
        for base in dict.fromkeys(cell.base for cell in cells if cell.trained):
            tasks.training_questions(base, 0, 1)


def _wanting(profile: Profile, cells: list[Cell]) -> list[str]:
    """What a cluster still lacks: what is to be fetched, and the cells that it cannot run, one line each."""
    from repro.cluster.fetch import missing, needed

    lines = [f"not launched: {cell.id}: {reason}" for cell in cells if (reason := why_not(profile, cell))]
    try:
        absent = missing(needed(profile, list(dict.fromkeys(cell.base for cell in cells))))
    except BadInput as error:
        return [*lines, str(error)]
    return lines + [
        f"not fetched: {each.kind} {each.repo} at {each.revision[:12]}; make fetch PROFILE={profile.name}"
        for each in absent
    ]


def _check_arms(profile: Profile, cells: list[Cell]) -> None:
    """Raise BadInput for arguments that no trainer accepts, of the cells' arms and of every arm that the profile names.

    Of arms and bases that are not selected too: a slip of the pen there would wait for a day when they are.
    """
    from repro.methods.registry import get_method

    checked = set()
    for name in dict.fromkeys([*(cell.arm for cell in cells), *profile.arms]):
        arm = get_arm(name)
        if not trains(arm):
            if name in profile.arms:
                raise BadInput(f"profile {profile.name}: arms.{name} has arguments, but the arm trains nothing")
            continue
        for base in profile.bases:
            values = training_values(profile, base, arm)
            key = (arm.method, canonical_json(values))
            if key not in checked:
                where = f"profile {profile.name}, arm {name}" + (f" on {base}" if profile.bases[base].train else "")
                get_method(arm.method).settings(values, seed=0, output_dir="unused", where=where)
                checked.add(key)


def _tasks(profile: Profile, todo: list[Cell]) -> list[Task]:
    """The pool's tasks: bases that are missing, then cells."""
    from repro.cells.fill import run_cell

    tasks = []
    missing = _missing_bases(profile, todo)
    seconds = {name: base_seconds(profile, name) for name in missing}
    for name in sorted(missing, key=lambda each: -sum(seconds[n] for n in missing if each in lineage(profile, n))):
        marker = base_marker(profile, name)
        parents = tuple(f"base {parent}" for parent in lineage(profile, name)[:-1] if parent in missing)
        tasks.append(
            Task(
                id=f"base {name}",
                label=f"base {name}",
                folder=marker.with_suffix(""),
                body=lambda report, name=name, marker=marker: make_profile_base(profile, name, marker, report),
                seconds=seconds[name],
                needs=parents,
            )
        )
    for cell in todo:
        tasks.append(
            Task(
                id=cell.id,
                label=f"{cell.base} {cell.arm} seed {cell.seed}",
                folder=cell.folder,
                body=lambda report, cell=cell: run_cell(profile, cell, report),
                seconds=estimate_seconds(profile, cell),
                needs=_needs(cell, missing, todo),
            )
        )
    return tasks


def _needs(cell: Cell, missing: list[str], todo: list[Cell]) -> tuple[str, ...]:
    """What must be done before a cell: its base, and for a search the cell whose policy it searches with."""
    needs = [f"base {cell.base}"] if cell.base in missing else []
    return (*needs, *(other.id for other in todo if other.id == cell.spec.get("policy")))
