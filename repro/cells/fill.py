"""Fills one cell: train, evaluate, store, and write the summary last. Runs in a child of the pool."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from repro.bases.profile import base_source
from repro.bases.tokenizer import load_tokenizer
from repro.cells.experiments import get_arm
from repro.cells.plan import Cell, searched_cell
from repro.cells.state import load_summary
from repro.config import Profile
from repro.errors import BadInput
from repro.evaluation.local import evaluate_suite, read_samples, summarise, write_samples
from repro.files import exclusive_lock, sha256_text, write_json
from repro.methods import rest_mcts, search
from repro.methods.trl import train_policy
from repro.paths import cache_dir
from repro.provenance import provenance
from repro.tasks.protocol import TaskSet, make_taskset

Report = Callable[[float, str], None]
_TRAIN_SHARE = 0.8  # of the progress bar


def policy_dir(cell: Cell) -> Path:
    """Where the cell's trained weights are kept, for search and later evaluations."""
    return cache_dir() / "policies" / cell.id


def run_cell(profile: Profile, cell: Cell, report: Report) -> None:
    """Train and measure one cell. Does nothing when it is done already; raises on bad input or divergence."""
    torch.set_num_threads(profile.resources.threads)
    folder = cell.folder
    with exclusive_lock(folder / "lock", f"cell {cell.id}"):
        if load_summary(cell) is not None:
            return
        write_json(folder / "config.json", cell.spec)
        write_json(folder / "env.json", {**provenance(), "threads": torch.get_num_threads(), "device": _device()})
        tasks = make_taskset(profile.tasks)
        base, weights = base_source(profile, cell.base)
        started = time.perf_counter()
        if cell.spec["method"] == search.METHOD:
            write_json(folder / "summary.json", _search(profile, cell, tasks, base, weights, report))
            return
        training = cell.spec["train"]
        if training is None:
            tokenizer, record = load_tokenizer(base), None
            model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        else:
            train = rest_mcts.train_policy if cell.spec["method"] == rest_mcts.METHOD else train_policy
            model, tokenizer, record = train(
                profile,
                cell.spec["method"],
                training,
                base=cell.base,
                model_path=base,
                seed=cell.seed,
                run_dir=folder,
                tasks=tasks,
                report=lambda fraction, text: report(fraction * _TRAIN_SHARE, text),
                checkpoint_dir=policy_dir(cell) / "checkpoints" if training.get("save_strategy") == "steps" else None,
            )
            model.save_pretrained(policy_dir(cell))
            tokenizer.save_pretrained(policy_dir(cell))
        trained = time.perf_counter()
        model.eval()
        samples = []
        for number, suite in enumerate(profile.tasks.suites):
            report(_TRAIN_SHARE + (1 - _TRAIN_SHARE) * number / len(profile.tasks.suites), f"evaluating {suite}")
            samples += evaluate_suite(model, tokenizer, tasks, suite, profile.evaluate, cell.seed)
        write_samples(folder / "samples.jsonl.zst", samples)
        summary = {
            **_head(profile, cell, weights),
            "train": record,
            "suites": _suites(samples, tasks),
            "seconds": {"train": trained - started, "evaluate": time.perf_counter() - trained},
        }
        write_json(folder / "summary.json", summary)


def _head(profile: Profile, cell: Cell, weights: str) -> dict:
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
        "device": _device(),
        "commit": provenance()["commit"],
        "dirty": provenance()["dirty"],
    }


def _search(profile: Profile, cell: Cell, tasks: TaskSet, base: str, weights: str, report: Report) -> dict:
    """The summary of a cell that searches with the policy of another, finished one."""
    policy = searched_cell(profile, cell.base, get_arm(cell.arm), cell.seed)
    source = base if policy.spec["train"] is None else str(policy_dir(policy))
    if source != base and not list(policy_dir(policy).glob("*.safetensors")):
        raise BadInput(f"policy of {policy.id} is not in {source}; delete {policy.folder} and run the target again")
    started = time.perf_counter()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source, dtype="float32").eval(), load_tokenizer(source)
    trees = cell.folder / "trees"
    answered, record = search.search_suites(model, tokenizer, tasks, profile, cell.seed, trees, report)
    for kind, samples in answered.items():
        write_samples(cell.folder / f"samples_{kind}.jsonl.zst", samples)
    kinds = {kind: _suites(samples, tasks) for kind, samples in answered.items()}
    return {
        **_head(profile, cell, weights),
        "train": None,
        "suites": kinds["mcts"],
        "kinds": kinds,
        "search": record,
        "seconds": {"train": 0.0, "evaluate": time.perf_counter() - started},
    }


def regrade_cell(profile: Profile, cell: Cell) -> dict[str, int]:
    """Grade the stored samples of a finished cell again, without a model, and rewrite its summary. Returns changed
    verdicts per suite.
    """
    summary = load_summary(cell)
    if cell.spec["method"] == search.METHOD:
        raise BadInput(f"cell {cell.id} is a search, whose curves need its trees; delete it and run the target again")
    tasks = make_taskset(profile.tasks)
    samples = read_samples(cell.folder / "samples.jsonl.zst")
    verdicts = tasks.grade([s.text for s in samples], [s.answer for s in samples], [s.ended for s in samples])
    regraded, changed = [], dict.fromkeys(profile.tasks.suites, 0)
    for sample, (correct, reason) in zip(samples, verdicts, strict=True):
        changed[sample.suite] += (sample.correct, sample.reason) != (correct, reason)
        regraded.append(type(sample)(**{**sample.__dict__, "correct": correct, "reason": reason}))
    suites = _suites(regraded, tasks)
    if any(changed.values()) or suites != summary["suites"]:
        write_samples(cell.folder / "samples.jsonl.zst", regraded)
        write_json(cell.folder / "summary.json", {**summary, "suites": suites})
    return changed


def _suites(samples: list, tasks) -> dict:
    names = dict.fromkeys(sample.suite for sample in samples)
    return {name: summarise([s for s in samples if s.suite == name], tasks.final_answer) for name in names}


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
