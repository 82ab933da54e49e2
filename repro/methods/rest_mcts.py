"""Trains a policy by ReST-MCTS*: questions and verdicts in, metrics.jsonl and a policy out."""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from gcpo.trainers.rest_mcts import RestMCTS
from repro.bases.load import load_model, load_tokenizer
from repro.errors import BadInput
from repro.methods.run import Report, Trained, Training
from repro.tasks.encoding import encode_prompt
from repro.tasks.protocol import Question, Response, TaskSet


def make_loop(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: Any,
    tasks: TaskSet,
    questions: Sequence[Question],
    **options: Any,
) -> RestMCTS:
    """The loop over some questions, graded as an evaluation grades. Raises ValueError for what it cannot work with.

    A row's `answer` is its question's place, which the loop hands to the grader alone.
    """
    prompts = [encode_prompt(tokenizer, tasks.prompt(question)) for question in questions]

    def grade(ids: Sequence[Sequence[int]], places: Sequence[str], ended: Sequence[bool]) -> list[bool]:
        keep = not tasks.keep_special_tokens
        responses = [
            Response(tokenizer.decode(list(each), skip_special_tokens=keep), done, prompts[int(place)].thinking)
            for each, place, done in zip(ids, places, ended, strict=True)
        ]
        return [verdict.correct for verdict in tasks.grade([questions[int(place)] for place in places], responses)]

    rows = [{"prompt": prompt.text, "answer": str(place)} for place, prompt in enumerate(prompts)]
    return RestMCTS(model, tokenizer, config, rows=rows, grade=grade, **options)


class _Metrics(TrainerCallback):
    """One line of metrics.jsonl per step of the fine-tuning, numbered through all rounds."""

    def __init__(self, path: Path, report: Report) -> None:
        self.path, self.report, self.steps = path, report, 0
        path.write_text("")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:  # the closing summary of transformers has no loss of a step
            return
        self.steps += 1
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps({**logs, "step": self.steps}, sort_keys=True) + "\n")
        self.report(0.9, f"fine-tuning, step {self.steps}")


def train(run: Training) -> Trained:
    """Self-train the run's base. The record holds the tokens generated, the traces kept and the tokens per kept trace.

    An interrupted training starts again. Raises BadInput for arguments that cannot be used.
    """
    tokenizer = load_tokenizer(run.model)
    model = load_model(run.model, run.device, attn_implementation=run.attn_implementation)
    with tempfile.TemporaryDirectory() as scratch:
        config = run.settings(scratch)
        metrics = _Metrics(run.folder / "metrics.jsonl", run.report)
        started = time.perf_counter()
        run.report(0.0, "growing trees")
        questions = run.tasks.training_questions(run.base, run.seed, config.questions)
        try:
            loop = make_loop(model, tokenizer, config, run.tasks, questions, callbacks=[metrics])
            model = loop.run()
        except ValueError as error:
            raise BadInput(f"{run.where}: {str(error).splitlines()[0]}") from None
        seconds = time.perf_counter() - started
    record = {"form": None, "steps": metrics.steps, "seconds": seconds, **loop.ledger.as_record()}
    return Trained(model, tokenizer, record)
