"""Trains a cell of the ReST-MCTS* row: questions and verdicts in, metrics.jsonl and weights out."""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
)

from gcpo.trainers.rest_mcts import Grade, RestMCTS, RestMCTSConfig
from repro.bases.tokenizer import load_tokenizer
from repro.config import Profile, closest
from repro.errors import BadInput
from repro.tasks.protocol import TaskSet

METHOD = "rest_mcts"
# Arguments that belong to the run and not to the method; a profile may not set them.
_RESERVED = ("output_dir", "seed", "data_seed", "report_to", "run_name", "logging_steps", "disable_tqdm")


def build_config(values: dict[str, Any], *, seed: int, output_dir: str, where: str) -> RestMCTSConfig:
    """The loop's settings. Raises BadInput for an argument that it does not have, naming the nearest, and for a value
    that it refuses.
    """
    known = [each.name for each in dataclasses.fields(RestMCTSConfig) if each.init]
    for name in values:
        if name in _RESERVED:
            raise BadInput(f"{where}: {name!r} is set by the run itself; remove it")
        if name not in known:
            raise BadInput(f"{where}: RestMCTSConfig has no argument {name!r}; {closest(name, known)[:200]}")
    try:
        return RestMCTSConfig(output_dir=output_dir, seed=seed, data_seed=seed, disable_tqdm=True, **values)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None


def make_grade(tasks: TaskSet, tokenizer: PreTrainedTokenizerBase) -> Grade:
    """Right or not, from token ids without the end token."""

    def grade(ids: Sequence[Sequence[int]], answers: Sequence[str], ended: Sequence[bool]) -> list[bool]:
        return [right for right, _ in tasks.grade([tokenizer.decode(list(each)) for each in ids], answers, ended)]

    return grade


class _Metrics(TrainerCallback):
    """One line of metrics.jsonl per step of the fine-tuning, numbered through all rounds."""

    def __init__(self, path: Path, report: Callable[[float, str], None]) -> None:
        self.path, self.report, self.steps = path, report, 0
        path.write_text("")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:  # the closing summary of transformers has no loss of a step
            return
        self.steps += 1
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps({**logs, "step": self.steps}, sort_keys=True) + "\n")
        self.report(0.9, f"fine-tuning, step {self.steps}")


def train_policy(
    profile: Profile,
    method: str,
    values: dict[str, Any],
    *,
    base: str,
    model_path: str,
    seed: int,
    run_dir: Path,
    tasks: TaskSet,
    report: Callable[[float, str], None],
    checkpoint_dir: Path | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """Self-train the base in `model_path`; returns (policy, tokenizer, record for summary.json).

    The record holds the tokens generated, the traces kept and the tokens per kept trace. An interrupted cell starts
    again: `checkpoint_dir` is not used. Raises BadInput for arguments that cannot be used.
    """
    tokenizer = load_tokenizer(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype="float32")
    with tempfile.TemporaryDirectory() as scratch:
        where = f"profile {profile.name}, method {method}"
        config = build_config(values, seed=seed, output_dir=scratch, where=where)
        metrics = _Metrics(run_dir / "metrics.jsonl", report)
        started = time.perf_counter()
        report(0.0, "growing trees")
        try:
            loop = RestMCTS(
                model,
                tokenizer,
                config,
                rows=tasks.training_rows(base, seed, config.questions),
                grade=make_grade(tasks, tokenizer),
                callbacks=[metrics],
            )
            model = loop.run()
        except ValueError as error:
            raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None
        seconds = time.perf_counter() - started
    record = {"form": None, "steps": metrics.steps, "seconds": seconds, **loop.ledger.as_record()}
    return model, tokenizer, record
