"""The verb `run`: plans a target's cells, makes the bases, fills what is missing, and builds the tables and figures."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from repro.cells.code import BASE_CODE, code_hash
from repro.cells.experiments import ARMS, EXPERIMENTS, Experiment
from repro.cells.plan import Cell, plan_cells
from repro.cells.pool import Outcome, Task, run_pool
from repro.cells.state import load_summary, state
from repro.config import Profile
from repro.errors import BadInput
from repro.files import exclusive_lock, sha256_text
from repro.paths import cache_dir, results_dir
from repro.provenance import provenance

_NEEDED_MIB = 500


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
    scale = cost.base_cost[cell.base]
    if "search" in cell.spec:
        return scale * cost.search_seconds
    train = 0.0 if cell.spec["train"] is None else cost.train_seconds * cost.arm_cost.get(cell.arm, 1.0)
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


def target_status(profile: Profile) -> list[dict]:
    """One row per registered table or figure: id, title, built, and how many cells of this profile are in which
    state.
    """
    rows = []
    for experiment in EXPERIMENTS.values():
        row = {
            "id": experiment.id,
            "kind": experiment.kind,
            "title": experiment.title,
            "built": experiment.built,
            "note": experiment.note,
        }
        if experiment.built:
            counts = dict.fromkeys(("done", "running", "failed", "waiting"), 0)
            running = []
            for cell in plan_cells(profile, experiment):
                now = state(cell)
                counts[now] += 1
                if now == "running":
                    running.append(cell.id)
            row |= {"cells": counts, "running": running}
        rows.append(row)
    return rows


def plan(profile: Profile, experiment: Experiment, options: Options) -> dict:
    """What `run` would do: cells with state and estimated seconds, bases to make, the total. Runs nothing."""
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    rows = [{"cell": cell.id, "state": state(cell), "seconds": estimate_seconds(profile, cell)} for cell in cells]
    todo = [cell for cell, row in zip(cells, rows, strict=True) if row["state"] != "done"]
    missing = _missing_bases(profile, todo)
    base_seconds = {name: profile.resources.base_seconds.get(name, 0.0) for name in missing}
    work = sum(row["seconds"] for row in rows if row["state"] != "done") + sum(base_seconds.values())
    return {
        "target": experiment.id,
        "profile": profile.name,
        "cells": rows,
        "bases": base_seconds,
        "jobs": options.jobs or profile.resources.jobs,
        "seconds_of_work": work,
        "seconds_wall": work / (options.jobs or profile.resources.jobs),
        "unit": "GPU-seconds" if profile.resources.gpu_hours else "seconds on one quiet core",
        "not_run": {name: ARMS[name].why_not for name in experiment.arms if not ARMS[name].built},
    }


def _lineage(profile: Profile, base: str) -> list[str]:
    """The base and those it continues from, the first one first."""
    chain, name = [], base
    while name is not None:
        if name not in profile.bases:
            raise BadInput(
                f"profile {profile.name}: base {chain[-1]!r} continues from {name!r}, which is not in the profile"
            )
        chain.append(name)
        name = (profile.bases[name].spec or {}).get("continue_from")
    return chain[::-1]


def _missing_bases(profile: Profile, cells: list[Cell]) -> list[str]:
    """Bases that must be made first, parents before children. Reads only the disk."""
    names = dict.fromkeys(name for cell in cells for name in _lineage(profile, cell.base))
    return [name for name in names if profile.bases[name].kind == "trained" and not base_marker(profile, name).exists()]


def base_marker(profile: Profile, name: str) -> Path:
    """Where the measured quality of a base is recorded; it exists once the base is made and measured."""
    lineage = [profile.bases[each].model_dump() for each in _lineage(profile, name)]
    digest = sha256_text(repr((lineage, sorted(profile.tasks.suites.items()), code_hash(BASE_CODE))))[:10]
    return results_dir(profile.name) / "bases" / f"{name}__{digest}.json"


def run(profile: Profile, experiment: Experiment, options: Options) -> tuple[Outcome, list[Cell]]:
    """Fill every missing cell of a target. Returns what happened and all its cells.

    Raises BadInput before anything starts for values that no trainer accepts, a damaged record, a folder that cannot
    be written or is
    in use; KeyboardInterrupt when interrupted.
    """
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    folder = results_dir(profile.name)
    check_folder(folder)
    check_folder(cache_dir())
    with exclusive_lock(folder / "run.lock", f"results folder {folder}"):
        todo = [cell for cell in cells if load_summary(cell) is None]
        if not todo:
            return Outcome([], {}, {}), cells
        provenance()
        tasks = _tasks(profile, todo)
        return run_pool(tasks, options.jobs or profile.resources.jobs), cells


def _tasks(profile: Profile, todo: list[Cell]) -> list[Task]:
    """The pool's tasks, after every setting has been tried on its config class. Imports torch and TRL, once for all
    workers.
    """
    from repro.bases.profile import make_profile_base, profile_specs
    from repro.cells.fill import run_cell
    from repro.methods import rest_mcts, search
    from repro.methods.trl import build_config
    from repro.tasks.protocol import make_taskset

    for cell in {cell.arm: cell for cell in todo if cell.spec["train"] is not None}.values():
        method, where = cell.spec["method"], f"profile {profile.name}, arm {cell.arm}"
        if method == rest_mcts.METHOD:
            rest_mcts.build_config(cell.spec["train"], seed=0, output_dir="unused", where=where)
        else:
            build_config(method, cell.spec["train"], seed=0, output_dir="unused", where=where)
    if any("search" in cell.spec for cell in todo):
        search.mcts_config(profile.search, profile.evaluate.max_new_tokens, f"profile {profile.name}")
    profile_specs(profile)
    task_set = make_taskset(profile.tasks)
    for suite in profile.tasks.suites:
        task_set.questions(suite)  # raises for an unknown suite or an impossible size, before anything is trained
    tasks = []
    missing = _missing_bases(profile, todo)
    for name in sorted(
        missing,
        key=lambda each: (
            -sum(profile.resources.base_seconds.get(n, 0.0) for n in missing if each in _lineage(profile, n))
        ),
    ):
        marker = base_marker(profile, name)
        parents = tuple(f"base {parent}" for parent in _lineage(profile, name)[:-1] if parent in missing)
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
