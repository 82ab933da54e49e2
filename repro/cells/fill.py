"""Fills one cell: train, evaluate, store, and write the summary last. Runs in a child of the pool.

What is finished is kept on the way: the trained policy, every answered batch, every searched chunk. An interrupted cell
goes on from there.
"""

import resource
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from repro.bases.files import weight_files
from repro.bases.load import load_model, load_tokenizer
from repro.cells.bases import base_source
from repro.cells.cell import Cell
from repro.cells.state import load_summary
from repro.config import EvaluateSpec, Profile, TaskSpec
from repro.device import decide, device_name
from repro.errors import BadInput
from repro.evaluation.draw import regrade_samples
from repro.evaluation.policy import asked, evaluate_policy, summaries
from repro.evaluation.store import Sample, read_samples, replace_samples
from repro.files import exclusive_lock, read_json, sha256_text, write_json
from repro.methods.checkpoints import is_main
from repro.methods.registry import BENCH, INPUTS, SEARCH, get_method
from repro.methods.run import Curve, Report, Training
from repro.paths import cache_dir
from repro.provenance import provenance
from repro.references import resolve
from repro.tasks.build import make_taskset
from repro.tasks.protocol import TaskSet

SAMPLES = "samples.jsonl.zst"
_TRAINED = "trained.json"  # written when the policy is on disk
_TRAIN_SHARE = 0.8  # of the progress bar


def policy_dir(cell_id: str) -> Path:
    """Where a cell's trained weights are kept, for search and later evaluations."""
    return cache_dir() / "policies" / cell_id


def run_cell(profile: Profile, cell: Cell, report: Report) -> None:
    """Train and measure one cell. Does nothing when it is done already; raises on bad input or divergence."""
    torch.set_num_threads(profile.resources.threads)
    profile = _as_measured(profile, cell)
    folder, device = cell.folder, decide(profile.resources.device)
    with exclusive_lock(folder / "lock", f"cell {cell.id}"):
        if load_summary(cell) is not None:
            return
        env = record_environment(cell, device)
        base, weights = base_source(profile, cell.base)
        with make_taskset(profile.tasks) as tasks:
            if cell.spec["method"] in _OF_A_POLICY:
                result = _with_policy(profile, cell, tasks, base, device, report)
            elif cell.spec["method"] == BENCH:
                result = _step_cost(profile, cell, report)
            else:
                result = _measure(profile, cell, tasks, base, device, report)
        write_json(folder / "summary.json", summary_head(profile, cell, weights, env) | result)


def _as_measured(profile: Profile, cell: Cell) -> Profile:
    """The profile with the cell's own questions, which for development are others than the tables'."""
    return profile.model_copy(update={"tasks": TaskSpec.model_validate(cell.spec["tasks"])})


def record_environment(cell: Cell, device: torch.device) -> dict[str, Any]:
    """Write the cell's specification, and code and machine that run it; returns the latter."""
    write_json(cell.folder / "config.json", cell.spec)
    env = {**provenance(), "threads": torch.get_num_threads(), "device": device_name(device)}
    write_json(cell.folder / "env.json", env)
    return env


def summary_head(profile: Profile, cell: Cell, weights: str, env: dict[str, Any]) -> dict[str, Any]:
    """What every summary says of its cell and of the run."""
    return {
        "cell_id": cell.id,
        "spec_hash": cell.spec_hash,
        "evaluate_hash": sha256_text(
            str(sorted(cell.spec["evaluate"].items())) + str(sorted(profile.tasks.suites.items()))
        ),
        "profile": cell.profile,
        "base": cell.base,
        "base_weights": weights,
        "arm": cell.arm,
        "method": cell.spec["method"],
        "seed": cell.seed,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device": env["device"],
        "commit": env["commit"],
        "dirty": env["dirty"],
    }


def _measure(
    profile: Profile, cell: Cell, tasks: TaskSet, base: Path, device: torch.device, report: Report
) -> dict[str, Any]:
    """Train the cell's policy, if it has a method, and evaluate it."""
    started = time.perf_counter()
    source, record, share = base, None, 0.0
    if cell.trained:
        share = _TRAIN_SHARE
        record = train_policy(profile, cell, tasks, base, device, lambda done, text: report(done * share, text))
        source = policy_dir(cell.id)
    measured, cpu_measured = time.perf_counter(), time.process_time()
    suites = evaluate_policy(
        source,
        tasks,
        list(profile.tasks.suites),
        profile.evaluate,
        seed=cell.seed,
        path=cell.folder / SAMPLES,
        device=device,
        forbidden_first=cell.spec.get("forbidden_first"),
        report=lambda done, text: report(share + (1 - share) * done, text),
    )
    train = record["wall_seconds"] if record else measured - started
    return {
        "train": record,
        "suites": suites,
        "seconds": {"train": train, "evaluate": time.perf_counter() - measured},
        "cpu_seconds": {
            "train": record["cpu_seconds"] if record else 0.0,
            "evaluate": time.process_time() - cpu_measured,
        },
    }


def trained_record(cell: Cell) -> dict[str, Any] | None:
    """What the summary says of the cell's training, None while its policy is not there."""
    marker, target = cell.folder / _TRAINED, policy_dir(cell.id)
    if marker.exists() and target.is_dir() and weight_files(target):
        return read_json(marker, "record of the training")
    return None


def train_policy(
    profile: Profile,
    cell: Cell,
    tasks: TaskSet,
    base: Path,
    device: torch.device,
    report: Report,
    stop: Path | None = None,
) -> dict[str, Any]:
    """Train the cell's policy into `policy_dir`, unless it is there; returns what the summary says of it.

    Of several processes that train it together every one must call this. stop: as in `Training`.
    """
    known = trained_record(cell)
    if known is not None:
        return known
    started, cpu_started = time.perf_counter(), time.process_time()
    method, values = get_method(cell.spec["method"]), cell.spec["train"]
    keeps = values.get("save_strategy") == "steps"
    checkpoints = cache_dir() / "checkpoints" / cell.id
    trained = resolve(method.run)(
        Training(
            method=method,
            values=values,
            base=cell.base,
            model=base,
            seed=cell.seed,
            folder=cell.folder,
            tasks=tasks,
            report=report,
            device=device,
            where=f"profile {profile.name}, arm {cell.arm}",
            checkpoints=checkpoints if keeps else None,
            attn_implementation=cell.spec["attn_implementation"],
            curve=_curve(profile, cell),
            stop=stop,
        )
    )
    trained.save(policy_dir(cell.id))
    spent = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started}
    record = trained.record | spent
    if is_main():
        write_json(cell.folder / _TRAINED, record)
        shutil.rmtree(checkpoints, ignore_errors=True)  # the policy is whole
    return record


def _curve(profile: Profile, cell: Cell) -> Curve | None:
    """What is measured along the training, if the cell asks for it."""
    if cell.spec.get("curve") is None:
        return None
    return Curve(tuple(profile.tasks.suites), profile.curve, profile.evaluate)


def _step_cost(profile: Profile, cell: Cell, report: Report) -> dict[str, Any]:
    """Measure what a step of GCPO's forms costs on the cell's base."""
    started = time.perf_counter()
    rows = resolve("repro.bench.overhead:bench_base")(profile, cell.base, report)
    seconds = {"train": 0.0, "evaluate": time.perf_counter() - started}
    return {"train": None, "suites": {}, "bench": rows, "seconds": seconds}


def _with_policy(
    profile: Profile, cell: Cell, tasks: TaskSet, base: Path, device: torch.device, report: Report
) -> dict[str, Any]:
    """Search with the policy of another, finished cell, or give it other inputs: answers of several kinds."""
    policy = cell.spec["policy"]
    source = policy_dir(policy) if cell.spec["policy_trained"] else base
    if not source.is_dir() or not weight_files(source):
        raise BadInput(f"policy of {policy} is not in {source}; delete its cell's folder and run the target again")
    started, cpu_started = time.perf_counter(), time.process_time()
    finished = _Policy(load_model(source, device).eval(), load_tokenizer(source), source)
    result = _OF_A_POLICY[cell.spec["method"]](profile, cell, tasks, finished, report)
    return {
        "train": None,
        **result,
        "seconds": {"train": 0.0, "evaluate": time.perf_counter() - started},
        "cpu_seconds": {"train": 0.0, "evaluate": time.process_time() - cpu_started},
    }


@dataclass(frozen=True)
class _Policy:
    """A finished policy in memory, and the folder it came from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: Path


def _search(profile: Profile, cell: Cell, tasks: TaskSet, policy: _Policy, report: Report) -> dict[str, Any]:
    answered, record = resolve("repro.methods.search:search_suites")(
        policy.model, policy.tokenizer, tasks, profile, cell.spec, cell.folder / "trees", report
    )
    for kind, samples in answered.items():
        replace_samples(cell.folder / f"samples_{kind}.jsonl.zst", samples)
    single = profile.evaluate.model_copy(update={"samples": 1})
    kinds = _kinds(tasks, profile, single, answered)
    return {"suites": kinds["mcts"], "kinds": kinds, "search": record}


def _inputs(profile: Profile, cell: Cell, tasks: TaskSet, policy: _Policy, report: Report) -> dict[str, Any]:
    answered = resolve("repro.methods.inputs:answer_suites")(
        policy.model, policy.tokenizer, policy.source, tasks, profile, cell.spec, cell.folder, report
    )
    kinds = _kinds(tasks, profile, profile.evaluate, answered)
    return {"suites": kinds["x"], "kinds": kinds}


_OF_A_POLICY = {SEARCH: _search, INPUTS: _inputs}


def _kinds(
    tasks: TaskSet, profile: Profile, spec: EvaluateSpec, answered: dict[str, list[Sample]]
) -> dict[str, dict[str, Any]]:
    return {
        kind: summaries(tasks, asked(tasks, list(profile.tasks.suites)), spec, samples)
        for kind, samples in answered.items()
    }


def regrade_cell(profile: Profile, cell: Cell) -> dict[str, int]:
    """Grade the stored samples of a finished cell again, without a model, and rewrite its summary.

    Returns changed verdicts per suite.
    """
    summary, profile = load_summary(cell), _as_measured(profile, cell)
    if cell.spec["method"] == BENCH:
        raise BadInput(f"cell {cell.id} measures cost and answers no question; name other arms")
    if cell.spec["method"] in _OF_A_POLICY:
        raise BadInput(f"cell {cell.id} holds answers of several kinds; delete it and run the target again")
    path, names = cell.folder / SAMPLES, list(profile.tasks.suites)
    stored = read_samples(path)
    if not stored:
        raise BadInput(f"samples {path} do not exist; run the cell first")
    with make_taskset(profile.tasks) as tasks:
        samples, changed = regrade_samples(tasks, names, stored)
        suites = summaries(tasks, asked(tasks, names), profile.evaluate, samples)
    if any(changed.values()) or suites != summary["suites"]:
        replace_samples(path, samples)
        write_json(cell.folder / "summary.json", {**summary, "suites": suites})
    return changed
