"""Plans a target's cells, makes the bases and fills what is missing."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.cells.bases import base_marker, base_specs, lineage, make_profile_base
from repro.cells.cell import Cell
from repro.cells.experiments import ARMS, EXPERIMENTS
from repro.cells.plan import plan_cells
from repro.cells.pool import Outcome, Task, run_pool
from repro.cells.records import Experiment
from repro.cells.state import load_summary, state
from repro.config import Profile
from repro.errors import BadInput
from repro.files import exclusive_lock
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
    """Seconds one cell takes by the profile's estimates."""
    cost = profile.resources
    scale = cost.base_cost.get(cell.base, 1.0)
    if "search" in cell.spec:
        return scale * cost.search_seconds
    if "inputs" in cell.spec:
        return scale * _INPUTS_COST * cost.evaluate_seconds
    if "bench" in cell.spec:
        return scale * cost.bench_seconds
    train = cost.train_seconds * cost.arm_cost.get(cell.arm, 1.0) if cell.trained else 0.0
    return scale * (train + cost.evaluate_seconds)


def check_folder(folder: Path) -> None:
    """Raise BadInput unless results can be written to `folder` and there is room for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"results folder {folder} cannot be written ({error.strerror}); set GCPO_RESULTS to a folder that can"
        ) from None
    free = shutil.disk_usage(folder).free >> 20
    if free < _NEEDED_MIB:
        raise BadInput(f"results folder {folder} has {free} MiB free; want at least {_NEEDED_MIB} MiB")


def target_status(profile_for: Callable[[str], Profile]) -> list[dict]:
    """One row per registered table or figure: id, title, whether it is built and the profile can run it, and how many
    of its cells are in which state. profile_for: a target's profile.
    """
    rows = []
    for experiment in EXPERIMENTS.values():
        profile = profile_for(experiment.id)
        reason = experiment.why_not(profile)
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
    """The same for several targets, a shared cell once."""
    parts = [_estimate(profile, cells, options) for profile, cells in _by_profile(targets, options)[0]]
    return {
        "target": "all",
        **parts[0],
        "cells": [row for part in parts for row in part["cells"]],
        "bases": {name: seconds for part in parts for name, seconds in part["bases"].items()},
        "work": sum(part["work"] for part in parts),
        "seconds_wall": sum(part["seconds_wall"] for part in parts),
        "not_run": {name: arm.why_not for name, arm in ARMS.items() if not arm.built},
    }


def _by_profile(targets: Targets, options: Options) -> tuple[list[tuple[Profile, list[Cell]]], dict[str, list[Cell]]]:
    """(the cells of each distinct profile, each once; the cells of every target).

    A target may have another profile's values under the same name. Raises BadInput for arms or bases, which belong to
    one target.
    """
    if options.arms or options.bases:
        raise BadInput("--arms and --bases narrow one target; name it instead of 'all'")
    planned = {experiment.id: plan_cells(profile, experiment, options.seeds) for profile, experiment in targets}
    profiles = [profile for profile, _ in targets]
    groups = []
    for profile in (each for place, each in enumerate(profiles) if each not in profiles[:place]):
        own = [cell for each, experiment in targets if each == profile for cell in planned[experiment.id]]
        groups.append((profile, list({cell.id: cell for cell in own}.values())))
    return groups, planned


def _estimate(profile: Profile, cells: list[Cell], options: Options) -> dict:
    """Cells with state and seconds, bases to make, and their sum."""
    check(profile, cells)
    rows = [{"cell": cell.id, "state": state(cell), "seconds": estimate_seconds(profile, cell)} for cell in cells]
    todo = [cell for cell, row in zip(cells, rows, strict=True) if row["state"] != "done"]
    missing = _missing_bases(profile, todo)
    base_seconds = {name: profile.resources.base_seconds.get(name, 0.0) for name in missing}
    work = sum(row["seconds"] for row in rows if row["state"] != "done") + sum(base_seconds.values())
    return {
        "profile": profile.name,
        "cells": rows,
        "bases": base_seconds,
        "jobs": options.jobs or profile.resources.jobs,
        "work": work / 3600,
        "seconds_wall": work / (options.jobs or profile.resources.jobs),
        "unit": profile.resources.unit,
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
    groups, planned = _by_profile(targets, options)
    outcomes = [fill(profile, cells, options) for profile, cells in groups]
    return Outcome(
        [name for each in outcomes for name in each.done],
        {name: line for each in outcomes for name, line in each.failed.items()},
        {name: line for each in outcomes for name, line in each.skipped.items()},
    ), planned


def fill(profile: Profile, cells: list[Cell], options: Options) -> Outcome:
    """Fill every one of these cells that is missing, bases first. Returns what happened.

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
        check(profile, todo)
        tasks = _tasks(profile, todo)
        return run_pool(tasks, options.jobs or profile.resources.jobs)


def check(profile: Profile, cells: list[Cell]) -> None:
    """Raise BadInput for whatever would stop a cell before its first step: settings, bases, suites, training data.

    Imports torch and TRL; when `run` calls it, once for all workers.
    """
    from repro.methods.registry import get_method
    from repro.tasks.build import make_taskset

    for cell in {cell.arm: cell for cell in cells if cell.trained}.values():
        where = f"profile {profile.name}, arm {cell.arm}"
        get_method(cell.spec["method"]).settings(cell.spec["train"], seed=0, output_dir="unused", where=where)
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
    with make_taskset(profile.tasks) as tasks:
        for base in dict.fromkeys(cell.base for cell in cells if cell.trained):
            tasks.training_questions(base, 0, 1)


def _tasks(profile: Profile, todo: list[Cell]) -> list[Task]:
    """The pool's tasks: bases that are missing, then cells."""
    from repro.cells.fill import run_cell

    tasks = []
    missing = _missing_bases(profile, todo)
    for name in sorted(
        missing,
        key=lambda each: (
            -sum(profile.resources.base_seconds.get(n, 0.0) for n in missing if each in lineage(profile, n))
        ),
    ):
        marker = base_marker(profile, name)
        parents = tuple(f"base {parent}" for parent in lineage(profile, name)[:-1] if parent in missing)
        tasks.append(
            Task(
                id=f"base {name}",
                label=f"base {name}",
                folder=marker.with_suffix(""),
                body=lambda report, name=name, marker=marker: make_profile_base(profile, name, marker, report),
                seconds=profile.resources.base_seconds.get(name, 60.0),
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
