"""Trains a policy with stock TRL and a trainer of `gcpo`. Glue: questions in, metrics.jsonl and a policy out."""

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback

from gcpo.trl_adapter import tokenize_prompts
from repro.bases.load import load_model, load_tokenizer
from repro.errors import BadInput
from repro.methods.checkpoints import (
    RoomForCheckpoints,
    StopBetweenRollouts,
    Stopped,
    checkpoint_bytes,
    newest_checkpoint,
    ranks_here,
)
from repro.methods.curve import CurveWriter
from repro.methods.run import Report, Trained, Training
from repro.references import resolve
from repro.tasks.encoding import encode_prompt
from repro.tasks.protocol import Question, TaskSet, response_of

log = logging.getLogger(__name__)


def rows_of(tasks: TaskSet, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """The rows of a trainer's data set: a question's prompt and its place, by which `make_reward` knows it."""
    return [{"prompt": tasks.prompt(question), "question": place} for place, question in enumerate(questions)]


def make_reward(
    tasks: TaskSet, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question], stops: Sequence[int]
) -> Callable[..., list[float]]:
    """TRL reward function: 1.0 for a right answer, 0.0 otherwise, by the verdict of an evaluation.

    Reads token ids, because TRL's texts hide the end token. The data's column `question` is a place in `questions`.
    """
    thinking = [encode_prompt(tokenizer, tasks.prompt(question)).thinking for question in questions]

    def accuracy_reward(completion_ids: list[list[int]], question: list[int], **_: Any) -> list[float]:
        responses = [
            response_of(tasks, tokenizer, ids, stops, thinking[place])
            for ids, place in zip(completion_ids, question, strict=True)
        ]
        verdicts = tasks.grade([questions[place] for place in question], responses)
        return [1.0 if verdict.correct else 0.0 for verdict in verdicts]

    return accuracy_reward


class MetricsWriter(TrainerCallback):
    """Writes one line of metrics.jsonl per step and reports progress. The file is the only record that tables and
    figures read. Of several processes the first one writes; every one keeps the rows.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self.path, self.report, self.rows = path, report, []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = []
        if state.global_step and self.path.exists():  # resumed from a checkpoint: rows after it are trained again
            kept = [
                row for row in map(json.loads, self.path.read_text().splitlines()) if row["step"] <= state.global_step
            ]
        self.rows = kept
        if state.is_world_process_zero:
            self.path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:  # the closing summary of transformers has no loss of a step
            return
        row = {"step": state.global_step, **logs}
        self.rows.append(row)
        if not state.is_world_process_zero:
            return
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row, sort_keys=True) + "\n")
        rewards = self.rewards()
        reward = f" reward {rewards[-1]:.3f}" if rewards else ""
        self.report(state.global_step / max(1, state.max_steps), f"step {state.global_step}/{state.max_steps}{reward}")

    def rewards(self) -> list[float]:
        """Mean reward of every rollout so far; a step that reuses a rollout has none."""
        return [row["reward"] for row in self.rows if "reward" in row]


def rows_needed(config: Any) -> int:
    """Distinct prompts that a run reads: one per group, for every generation round, on all of its processes."""
    rounds = math.ceil(
        config.max_steps * config.gradient_accumulation_steps / (config.steps_per_generation * config.num_iterations)
    )
    rows = config.per_device_train_batch_size * config.steps_per_generation * config.world_size
    return rounds * rows // config.num_generations


def train(run: Training) -> Trained:
    """Train the run's base with the run's method.

    With `save_strategy="steps"` among the arguments, an interrupted training goes on from its last whole checkpoint.
    Started in several processes, all of them train one policy. Raises Stopped where the run was asked to stop, BadInput
    for arguments that cannot be used and FloatingPointError when loss or gradient stop being finite.
    """
    tokenizer = load_tokenizer(run.model)
    stops = run.tasks.stop_ids(tokenizer, run.model)
    with tempfile.TemporaryDirectory() as scratch:
        output = str(run.checkpoints or scratch)
        config = run.settings(output)  # before the model: under ZeRO-3 it is loaded in shards, by this configuration
        model = load_model(run.model, run.device, stop_ids=stops, attn_implementation=run.attn_implementation)
        stop = StopBetweenRollouts(run.stop)
        writer = MetricsWriter(run.folder / "metrics.jsonl", run.report)
        curve = None if run.curve is None else CurveWriter(run, run.curve, stops, tokenizer)
        callbacks = [writer, stop, *([curve] if curve else [])]
        if run.checkpoints is not None:
            callbacks.append(RoomForCheckpoints(checkpoint_bytes(model)))
        questions = run.tasks.training_questions(run.base, run.seed, rows_needed(config))
        rows = rows_of(run.tasks, questions)
        try:
            trainer = resolve(run.method.trainer)(
                model=model,
                args=config,
                reward_funcs=make_reward(run.tasks, tokenizer, questions, stops),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                callbacks=callbacks,
            )
        except ValueError as error:
            raise BadInput(f"{run.where}: {str(error).splitlines()[0]}") from None
        _check_prompt(trainer, tokenizer, rows[0]["prompt"], run.where)
        last = None if run.checkpoints is None else newest_checkpoint(run.checkpoints, ranks_here(), log.warning)
        started = time.perf_counter()
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        seconds = time.perf_counter() - started
        if stop.stopped:
            raise Stopped(f"{run.where}: stopped at step {trainer.state.global_step} of {trainer.state.max_steps}")
    record = {
        "form": resolve(run.method.form)(config) if run.method.form else None,
        "steps": len(writer.rows),
        "reward_first": writer.rewards()[0],
        "reward_last": writer.rewards()[-1],
        "tokens": writer.rows[-1].get("num_tokens"),
        "seconds": seconds,
    }
    if curve is not None:
        completions = config.per_device_train_batch_size * config.steps_per_generation * ranks_here()
        record["curve"] = curve.record(writer.rows, completions)
    return Trained(trainer.model, tokenizer, record, write=trainer.save_model if ranks_here() > 1 else None)


def _check_prompt(trainer: Any, tokenizer: PreTrainedTokenizerBase, prompt: Any, where: str) -> None:
    """Raise BadInput unless training asks a question in the same tokens as an evaluation does."""
    trained = list(tokenize_prompts(trainer, [prompt])[0])
    asked = list(encode_prompt(tokenizer, prompt).token_ids)
    if trained != asked:
        raise BadInput(
            f"{where}: the chat template gives other prompts in training ({len(trained)} tokens, ending in "
            f"{tokenizer.decode(trained[-4:])!r}) than in evaluation ({len(asked)}, {tokenizer.decode(asked[-4:])!r}); "
            "save a tokenizer whose template ends an assistant's turn as it is evaluated"
        )
