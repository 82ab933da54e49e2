"""CLUSTER=local: the tasks of a launch on the GPUs of this machine, without a scheduler.

Trainings one after the other, each on all ranks; then the parts of all evaluations, one per GPU at a time.
"""

import fcntl
import os
from pathlib import Path

from repro.cells.cell import Cell
from repro.cells.pool import Outcome, Task, run_pool
from repro.cluster import tasks
from repro.cluster.preflight import price
from repro.cluster.record import FILE, Launch, planned
from repro.config import Profile
from repro.device import decide
from repro.errors import BadInput


def gpus_here() -> int:
    """GPUs of this machine that may be used, 0 without any. Does not start CUDA: children are forked afterwards."""
    import torch

    return torch.cuda.device_count() if decide().type == "cuda" else 0


def run_local(launch: Launch, folder: Path, gpus: int) -> Outcome:
    """Run every task of a launch; what failed is listed and the rest goes on. gpus: 0 on a machine without any."""
    profile, _, cells = planned(launch)
    by_id = {cell.id: cell for cell in cells}
    file = folder / FILE
    trainings = []
    for index, name in enumerate(launch.cells):
        cell = by_id[name]
        trainings.append(
            Task(
                id=f"train {name}",
                label=f"{cell.base} {cell.arm} seed {cell.seed}",
                folder=folder / f"train-{index}",
                body=lambda report, index=index: _train(file, index, folder),
                seconds=_seconds(profile, cell, training=True),
            )
        )
    trained = run_pool(trainings, 1)
    done = {name.partition(" ")[2] for name in trained.done}
    evaluations = [
        Task(
            id=f"evaluate {name} {part.name}",
            label=f"{by_id[name].base} {by_id[name].arm} seed {by_id[name].seed} {part.name}",
            folder=folder / f"evaluate-{index}-{part.name}",
            body=lambda report, name=name, part=part: _on_a_gpu(gpus, folder, by_id[name], profile, part),
            seconds=_seconds(profile, by_id[name], training=False) / len(launch.parts),
        )
        for index, name in enumerate(launch.cells)
        if name in done
        for part in launch.parts
    ]
    measured = run_pool(evaluations, gpus or profile.resources.jobs)
    return Outcome(
        [*trained.done, *measured.done], {**trained.failed, **measured.failed}, {**trained.skipped, **measured.skipped}
    )


def _seconds(profile: Profile, cell: Cell, *, training: bool) -> float:
    if profile.cluster is None or profile.stamp:
        return 60.0
    hours = price(profile, cell)
    return (hours.train / profile.cluster.ranks if training else hours.evaluate) * 3600


def _train(file: Path, index: int, folder: Path) -> None:
    stop, stopped = folder / f"stop-{index}", folder / f"stopped-{index}"
    for path in (stop, stopped):
        path.unlink(missing_ok=True)
    tasks.train(file, index, stop=stop, stopped=stopped)
    if stopped.exists():
        raise BadInput("stopped as asked; run the same command again to go on from its checkpoint")


def _on_a_gpu(gpus: int, folder: Path, cell: Cell, profile: Profile, part: tasks.Part) -> None:
    """Measure on the first free GPU: no more tasks run than there are GPUs. Its lock ends with this child."""
    if not gpus:
        tasks.evaluate_part(profile, cell, part)
        return
    for number in range(gpus):
        with (folder / f"gpu-{number}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = str(number)  # before this child touches CUDA
            tasks.evaluate_part(profile, cell, part)
            return
    raise BadInput(f"all {gpus} GPUs are taken by other evaluations of this launch")
