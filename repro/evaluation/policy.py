"""Measures a policy's folder on a profile's suites: every answer stored as it comes, then one summary per suite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from repro.config import EvaluateSpec
from repro.errors import BadInput
from repro.evaluation.draw import draw_suite, encode_prompts, passes
from repro.evaluation.engines import Engine, SamplingSettings, make_engine
from repro.evaluation.scores import summarise
from repro.evaluation.store import Sample, read_samples
from repro.tasks.protocol import Question, TaskSet


def settings_of(spec: EvaluateSpec, stops: Sequence[int]) -> SamplingSettings:
    """What an engine is told. Whatever a profile does not state is off."""
    return SamplingSettings(
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        max_new_tokens=spec.max_new_tokens,
        stop_token_ids=tuple(stops),
    )


def evaluate_policy(
    source: Path,
    tasks: TaskSet,
    suites: Sequence[str],
    spec: EvaluateSpec,
    *,
    seed: int,
    path: Path,
    device: torch.device,
    report: Callable[[float, str], None],
    forbidden_first: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Answer every suite with the model in `source`; samples go to `path`. Returns the summaries by suite.

    forbidden_first: the text of one token with which no answer may begin. What is stored is not drawn again.
    Raises BadInput for prompts that the model has no room for.
    """
    engine = make_engine(spec.engine, str(source), batch_size=spec.batch_size, device=device)
    if spec.seeds == "batch":
        if spec.engine != "transformers":
            raise BadInput(f"evaluate.seeds is 'batch'; engine {spec.engine!r} makes its own batches: want 'sample'")
        engine.seeds = "batch"
    settings = settings_of(spec, tasks.stop_ids(engine.tokenizer, source))
    if forbidden_first is not None:
        settings = replace(settings, forbidden_first=(_one_token(engine.tokenizer, forbidden_first),))
    return answer(engine, tasks, asked(tasks, suites), spec, settings, seed=seed, path=path, report=report)


def asked(tasks: TaskSet, suites: Sequence[str]) -> dict[str, Sequence[Question]]:
    """All questions of the suites."""
    return {suite: tasks.questions(suite) for suite in suites}


def answer(
    engine: Engine,
    tasks: TaskSet,
    questions: Mapping[str, Sequence[Question]],
    spec: EvaluateSpec,
    settings: SamplingSettings,
    *,
    seed: int,
    path: Path,
    report: Callable[[float, str], None],
) -> dict[str, dict[str, Any]]:
    """Answer the questions of every suite with a loaded engine; otherwise as `evaluate_policy`."""
    for number, (suite, own) in enumerate(questions.items()):
        prompts = encode_prompts(
            engine.tokenizer,
            tasks,
            suite,
            own,
            context_tokens=engine.context_tokens,
            new_tokens=spec.max_new_tokens,
        )
        draw_suite(
            engine,
            tasks,
            suite,
            own,
            prompts,
            passes(spec.samples_of(suite), settings, greedy=spec.greedy),
            path,
            seed=seed,
            batch_size=spec.batch_size,
            seeds=spec.seeds,
            progress=lambda name, done, total, _, number=number: report(
                (number + done / total) / len(questions), f"evaluating {name} {done:.0f}/{total}"
            ),
        )
    return summaries(tasks, questions, spec, read_samples(path))


def _one_token(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise BadInput(f"evaluate.direct_start {text!r} is {len(ids)} tokens of this model; want the text of one")
    return ids[0]


def summaries(
    tasks: TaskSet, questions: Mapping[str, Sequence[Question]], spec: EvaluateSpec, samples: Sequence[Sample]
) -> dict[str, dict[str, Any]]:
    """The summaries of stored samples, by suite; `questions`: those asked."""
    return {
        suite: summarise(
            [sample for sample in samples if sample.suite == suite], own, spec.samples_of(suite), tasks.classes
        )
        for suite, own in questions.items()
    }
