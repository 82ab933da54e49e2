"""Checkpoints: which is whole, stopping between two of them when asked, and room on the disk before one is written."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import TrainerCallback

from repro.errors import BadInput

SENTINEL = "checkpoint-is-incomplete.txt"  # transformers' mark of a save that a signal cut off
_STATE = "trainer_state.json"


class Stopped(Exception):
    """A training that was asked to stop and saved a checkpoint; the same command goes on from it."""


def ranks_here() -> int:
    """Processes of this training, as torchrun and accelerate name them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes what all of them agree on."""
    return int(os.environ.get("RANK", "0")) == 0


def why_incomplete(folder: Path, ranks: int) -> str:
    """Why a checkpoint cannot be gone on from, empty if it is whole.

    Whole means: the trainer's state, no sentinel, weights, and every rank's random numbers and, under DeepSpeed, every
    rank's shard of the optimizer.
    """
    if (folder / SENTINEL).exists():
        return f"it holds {SENTINEL}"
    if not (folder / _STATE).is_file():
        return f"it has no {_STATE}"
    random_states = ["rng_state.pth"] if ranks == 1 else [f"rng_state_{rank}.pth" for rank in range(ranks)]
    for name in random_states:
        if not (folder / name).is_file():
            return f"it has no {name}"
    latest = folder / "latest"
    if not latest.is_file():
        whole = any(folder.glob("*.safetensors")) and (folder / "optimizer.pt").is_file()
        return "" if whole else "it lacks weights or optimizer.pt"
    shards = folder / latest.read_text(encoding="utf-8").strip()
    for rank in range(ranks):
        if not any(shards.glob(f"*zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")):
            return f"it lacks the optimizer of rank {rank} in {shards.name}"
    return ""


def other_ranks(folder: Path, ranks: int) -> int | None:
    """How many ranks wrote a checkpoint, if not `ranks`: a sharded optimizer cannot be read by another number."""
    wrote = len(list(folder.glob("rng_state_*.pth"))) or 1
    finished = (folder / _STATE).is_file() and not (folder / SENTINEL).exists()
    return wrote if finished and wrote != ranks else None


def newest_checkpoint(folder: Path, ranks: int, say: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint, None without one. What is half-written is named by `say` and passed over.

    Raises BadInput for checkpoints that another number of processes wrote.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2]))
    for path in found:
        wrote = other_ranks(path, ranks)
        if wrote is not None:
            raise BadInput(
                f"checkpoint {path} was written by {wrote} processes; this training has {ranks}: start it "
                f"with {wrote}, or delete {folder} to train from the beginning"
            )
        reason = why_incomplete(path, ranks)
        if not reason:
            return path
        say(f"checkpoint {path.name} is passed over: {reason}")
    return None


class StopBetweenRollouts(TrainerCallback):
    """Stops a training when a file appears: saves where going on is exact, then ends the run.

    Rank 0 looks for the file at every step's end and tells the others, so that all of them save the same step.
    `gcpo.trainers.checks.CheckpointsBetweenRollouts` moves the save to the rollout's end; this run ends after it.
    """

    def __init__(self, file: Path | None) -> None:
        self.file, self.stopped = file, False

    def _asked(self) -> bool:
        told = [self.file is not None and is_main() and self.file.exists()]
        if ranks_here() > 1:
            broadcast_object_list(told, from_process=0)
        return told[0]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.file is not None and state.global_step < state.max_steps and self._asked():
            self.stopped = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = control.should_training_stop or self.stopped


class RoomForCheckpoints(TrainerCallback):
    """Ends a training before a checkpoint for which the disk has no room, instead of leaving half of one.

    bytes_needed: of one checkpoint. The checkpoints before it stay, so that the run goes on once there is room.
    """

    def __init__(self, bytes_needed: int) -> None:
        self.bytes_needed = bytes_needed

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not control.should_save:
            return
        free = shutil.disk_usage(args.output_dir).free
        if free < self.bytes_needed:
            raise BadInput(
                f"checkpoint of step {state.global_step}: {args.output_dir} has {free / 2**30:.1f} GiB free, one takes "
                f"{self.bytes_needed / 2**30:.1f}; free some (GCPO_CACHE) and run again: it goes on from the last one"
            )


def checkpoint_bytes(model: nn.Module) -> int:
    """Bytes of one checkpoint: 16 per parameter, the weights and Adam's two states and master copy in float32."""
    return 16 * sum(
        getattr(each, "ds_numel", each.numel()) for each in model.parameters()
    )  # ds_numel: sharded by ZeRO-3
