"""Fills one cell: train, evaluate, store, and write the summary last. Runs in a child of the pool."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from repro.cells import Cell, exclusive_lock, load_summary, provenance, sha256_text, write_json
from repro.config import Profile
from repro.evaluate import evaluate_suite, read_samples, summarise, write_samples
from repro.measure import base_source
from repro.paths import cache_dir
from repro.tasks import load_tokenizer
from repro.taskset import make_taskset
from repro.train import train_policy

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
        training = cell.spec["train"]
        if training is None:
            tokenizer, record = load_tokenizer(base), None
            model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
        else:
            model, tokenizer, record = train_policy(
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
            "train": record,
            "suites": _suites(samples, tasks),
            "seconds": {"train": trained - started, "evaluate": time.perf_counter() - trained},
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "device": _device(),
            "commit": provenance()["commit"],
            "dirty": provenance()["dirty"],
        }
        write_json(folder / "summary.json", summary)


def regrade_cell(profile: Profile, cell: Cell) -> dict[str, int]:
    """Grade the stored samples of a finished cell again, without a model, and rewrite its summary. Returns changed
    verdicts per suite.
    """
    summary = load_summary(cell)
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
