"""Benchmarks whose output is committed: a GRPO step beside stock TRL's, and the wall time and memory of whole runs.

Times on shared machines are noisy, so a step is given as a ratio of runs interleaved in one process, with its
quartiles.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

from repro.config import Profile
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import REPO_ROOT, cache_dir, results_dir
from repro.provenance import provenance

_RUN_LIMIT_SECONDS = {"smoke": 120.0, "micro": 1800.0}
_MEMORY_LIMIT_MIB = 4096.0


def bench_step(profile: Profile, *, steps: int = 4, repeats: int = 6) -> dict[str, Any]:
    """CPU seconds of a training step of `PaperGRPOTrainer` over stock `GRPOTrainer` at the profile's settings, on its
    first base.

    Runs alternate in one process; the first step of each is dropped. Returns the median of the paired ratios and its
    quartiles.
    Raises BadInput when the base has not been made yet.
    """
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    from gcpo.trainers import PaperGRPOTrainer
    from repro.bases.load import load_model, load_tokenizer
    from repro.cells.bases import base_source
    from repro.device import decide
    from repro.methods.registry import get_method
    from repro.methods.trl import make_reward, rows_needed, rows_of
    from repro.tasks.build import make_taskset

    torch.set_num_threads(profile.resources.threads)
    base = next(iter(profile.bases))
    source, _ = base_source(profile, base)
    tasks, tokenizer, device = make_taskset(profile.tasks), load_tokenizer(source), decide(profile.resources.device)
    stops = tasks.stop_ids(tokenizer, source)

    def seconds_per_step(trainer_class: type) -> list[float]:
        class Timed(trainer_class):
            spent: ClassVar[list[float]] = []

            def training_step(self, *args: Any) -> Any:
                started = time.process_time()
                loss = super().training_step(*args)
                Timed.spent.append(time.process_time() - started)
                return loss

        with tempfile.TemporaryDirectory() as folder:
            values = {**profile.train, "max_steps": steps + 1}
            where, cpu = f"profile {profile.name}", device.type == "cpu"
            config = get_method("grpo").settings(values, seed=0, output_dir=folder, where=where, cpu=cpu)
            questions = tasks.training_questions(base, 0, rows_needed(config))
            trainer = Timed(
                model=load_model(source, device, stop_ids=stops),
                args=config,
                reward_funcs=make_reward(tasks, tokenizer, questions, stops),
                train_dataset=Dataset.from_list(rows_of(tasks, questions)),
                processing_class=tokenizer,
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return Timed.spent[1:]

    pairs: list[float] = []
    medians: dict[str, list[float]] = {"stock": [], "ours": []}
    for repeat in range(repeats):
        order = (GRPOTrainer, PaperGRPOTrainer) if repeat % 2 == 0 else (PaperGRPOTrainer, GRPOTrainer)
        spent = {kind: seconds_per_step(kind) for kind in order}
        pairs += [ours / stock for stock, ours in zip(spent[GRPOTrainer], spent[PaperGRPOTrainer], strict=True)]
        medians["stock"].append(statistics.median(spent[GRPOTrainer]))
        medians["ours"].append(statistics.median(spent[PaperGRPOTrainer]))
    low, _, high = statistics.quantiles(pairs, n=4)
    return {
        "what": "CPU seconds of one GRPO step: ours over stock TRL, same base, data, seed and settings",
        "ratio": statistics.median(pairs),
        "quartiles": [low, high],
        "pairs": len(pairs),
        "limit": 1.05,
        "cpu_seconds_per_step": {name: statistics.median(values) for name, values in medians.items()},
    }


def bench_run(profile: Profile, target: str = "table1", keep: Path | None = None) -> dict[str, Any]:
    """Wall seconds and peak memory of a whole target in empty results and cache folders, and of running it a second
    time.

    keep: a folder that does not exist yet, where results/ and cache/ then stay; None for a temporary one.
    Raises BadInput for a profile without a limit and a folder that exists.
    """
    if profile.name not in _RUN_LIMIT_SECONDS:
        raise BadInput(
            f"profile {profile.name!r} has no time limit to check; want one of {', '.join(_RUN_LIMIT_SECONDS)}"
        )
    if keep is not None and keep.exists():
        raise BadInput(f"--keep {keep} exists; want a new folder, because finished cells would spoil the time")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir()) if keep is None else nullcontext(keep.resolve()) as folder:
        env = {**os.environ, "GCPO_RESULTS": f"{folder}/results", "GCPO_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-m", "repro", "run", target, "--profile", profile.name]
        seconds, spent = [], []
        for _ in range(2):
            started, used = time.perf_counter(), _child_cpu_seconds()
            subprocess.run(command, env=env, cwd=REPO_ROOT, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
            spent.append(_child_cpu_seconds() - used)
        summaries = list(Path(folder).glob("results/local/*/runs/*/summary.json"))
    # The largest child is the driver or one of its cells; both cells side by side and the driver bound the sum from
    # above.
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "what": f"make reproduce-{target} PROFILE={profile.name}, environment aside, twice",
        "cells": len(summaries),
        "wall_seconds": seconds[0],
        "cpu_seconds": spent[0],  # what two quiet cores share; wall time on a shared machine can be any multiple of it
        "second_run_seconds": seconds[1],
        "limit_seconds": _RUN_LIMIT_SECONDS[profile.name],
        "largest_process_mib": largest,
        "limit_mib": _MEMORY_LIMIT_MIB,
        "load_average_at_end": os.getloadavg()[1],
    }


def _child_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def save(profile: Profile, name: str, result: dict[str, Any]) -> Path:
    """Write a benchmark's result with its provenance to results/published/<profile>/bench/."""
    folder = results_dir(profile.name, "published") / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    write_json(path, {**result, "env": provenance()})
    return path
