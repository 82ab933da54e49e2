"""Draws what is missing of a suite from an engine, grades it and stores it, batch by batch.

Every finished batch is on disk at once, graded. A killed run goes on where it stopped: what is stored is neither drawn
again nor counted twice. The same for every engine, for cells and for `evaluate`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import BadInput
from repro.evaluation.engines import Completion, Engine, Request, SamplingSettings
from repro.evaluation.store import GREEDY, SAMPLED, Sample, append_samples, read_samples
from repro.seeds import derive_seed
from repro.tasks.encoding import Prompt, encode_prompt
from repro.tasks.protocol import Question, Response, TaskSet, response_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REGRADED_TOGETHER = 512
# suite, samples done (one that is being drawn: a share of it), samples wanted, tokens drawn by this run
Progress = Callable[[str, float, int, int], None]


@dataclass(frozen=True)
class Pass:
    """One way of answering a suite. draw: SAMPLED or GREEDY; samples: per question."""

    draw: str
    samples: int
    settings: SamplingSettings


def passes(samples: int, settings: SamplingSettings, *, greedy: bool) -> list[Pass]:
    """The sampled pass, and a greedy one beside it if asked for."""
    drawn = [Pass(SAMPLED, samples, settings)]
    if greedy:
        drawn.append(Pass(GREEDY, 1, replace(settings, temperature=0.0)))
    return drawn


def encode_prompts(
    tokenizer: "PreTrainedTokenizerBase",
    tasks: TaskSet,
    suite: str,
    questions: Sequence[Question],
    *,
    context_tokens: int,
    new_tokens: int,
    prompt_cap: int | None = None,
    template: str | None = None,
) -> dict[str, Prompt]:
    """The prompt of every question, by id. Raises BadInput for one that protocol or context has no room for."""
    prompts = {each.id: encode_prompt(tokenizer, tasks.prompt(each), template=template) for each in questions}
    name, longest = max(prompts.items(), key=lambda item: len(item[1].token_ids))
    size = len(longest.token_ids)
    cap = min(prompt_cap or context_tokens, context_tokens - 1)
    if size > cap:
        raise BadInput(f"{suite}: the prompt of {name} has {size} tokens; at most {cap} fit this model")
    room = context_tokens - size
    if new_tokens > room:
        raise BadInput(
            f"{suite}: the prompt of {name} ({size} tokens) and {new_tokens} new ones exceed the model's context of "
            f"{context_tokens}; pass --max-new-tokens {room} or less"
        )
    return prompts


def draw_suite(
    engine: Engine,
    tasks: TaskSet,
    suite: str,
    questions: Sequence[Question],
    prompts: Mapping[str, Prompt],
    wanted: Sequence[Pass],
    path: Path,
    *,
    seed: int,
    batch_size: int,
    seeds: str = "sample",
    progress: Progress | None = None,
    before_drawing: Callable[[], None] = lambda: None,
) -> None:
    """Add every missing sample of a suite to the file `path`.

    seeds: "sample": a sample's seed depends on question and number, and the longest prompts come first, so that too
    little memory shows at once. "batch": a batch has one seed, all samples of a question stand in one batch, and the
    shortest prompts come first; equal arguments then give equal batches. `before_drawing` is called once, if at all.
    """
    stored = {sample.key for sample in read_samples(path, mend=True)}
    asked = {question.id: question for question in questions}
    total = sum(len(questions) * each.samples for each in wanted)
    done = sum(
        (suite, question.id, each.draw, number) in stored
        for each in wanted
        for question in questions
        for number in range(each.samples)
    )
    tokens, started = 0, False
    engine.watch = None
    if progress is not None:
        engine.watch = lambda share, drawn: progress(suite, min(total, done + share), total, tokens + drawn)
        progress(suite, done, total, tokens)
    for each in wanted:
        plan = _by_sample if seeds == "sample" else by_batch
        for requests in plan(suite, questions, prompts, each, stored, seed, batch_size):
            if not started:
                before_drawing()
                started = True
            for drawn in _chunks(engine.generate(requests, each.settings), batch_size):
                chunk = [
                    _ungraded(tasks, engine, suite, each, requests[index], completion, prompts, seconds)
                    for index, completion, seconds in drawn
                ]
                chunk = [sample for sample in chunk if sample.key not in stored]
                graded = judge(tasks, [asked[sample.question_id] for sample in chunk], chunk)
                append_samples(path, graded)
                done += len(graded)
                tokens += sum(sample.tokens for sample in graded)
                if progress is not None:
                    progress(suite, done, total, tokens)


def judge(tasks: TaskSet, questions: Sequence[Question], samples: Sequence[Sample]) -> list[Sample]:
    """The samples with their verdicts; sample i answers question i."""
    responses = [Response(sample.text, sample.ended, sample.thinking) for sample in samples]
    return [
        replace(
            sample,
            correct=verdict.correct,
            reason=verdict.reason,
            detail=verdict.detail,
            extracted=verdict.extracted,
            others=dict(verdict.others),
            grade_seconds=round(verdict.seconds, 6),
        )
        for sample, verdict in zip(samples, tasks.grade(questions, responses), strict=True)
    ]


def regrade_samples(
    tasks: TaskSet, suites: Sequence[str], samples: Sequence[Sample], progress: Progress | None = None
) -> tuple[list[Sample], dict[str, int]]:
    """(samples graded again, changed verdicts by suite). Raises BadInput for a sample of a question that is unknown."""
    known = {(suite, question.id): question for suite in suites for question in tasks.questions(suite)}
    changed = dict.fromkeys(suites, 0)
    graded: list[Sample] = []
    for start in range(0, len(samples), REGRADED_TOGETHER):
        chunk = samples[start : start + REGRADED_TOGETHER]
        strange = [sample for sample in chunk if (sample.suite, sample.question_id) not in known]
        if strange:
            raise BadInput(f"a stored sample answers {strange[0].question_id!r}, no question of {strange[0].suite}")
        by_kind: dict[bool, list[Sample]] = {}
        for sample in chunk:
            by_kind.setdefault(known[sample.suite, sample.question_id].code is not None, []).append(sample)
        found = {
            sample.key: sample
            for group in by_kind.values()
            for sample in judge(tasks, [known[each.suite, each.question_id] for each in group], group)
        }
        for old in chunk:
            new = found[old.key]
            changed[old.suite] += (old.correct, old.reason) != (new.correct, new.reason)
            graded.append(new)
        if progress is not None:
            progress(chunk[0].suite, len(graded), len(samples), 0)
    return graded, changed


def _by_sample(
    suite: str,
    questions: Sequence[Question],
    prompts: Mapping[str, Prompt],
    each: Pass,
    stored: set[tuple[str, str, str, int]],
    seed: int,
    batch_size: int,
) -> Iterator[list[Request]]:
    """All missing samples at once: the engine cuts them into batches, or schedules them by itself."""
    order = sorted(questions, key=lambda question: -len(prompts[question.id].token_ids))
    requests = [
        Request(question.id, number, prompts[question.id].token_ids, derive_seed(seed, question.id, number))
        for question in order
        for number in range(each.samples)
        if (suite, question.id, each.draw, number) not in stored
    ]
    if requests:
        yield requests


def by_batch(
    suite: str,
    questions: Sequence[Question],
    prompts: Mapping[str, Prompt],
    each: Pass,
    stored: set[tuple[str, str, str, int]],
    seed: int,
    batch_size: int,
) -> Iterator[list[Request]]:
    """Batch by batch; one of which any sample is missing is drawn whole."""
    order = sorted(questions, key=lambda question: len(prompts[question.id].token_ids))  # stable: then as they stand
    size = max(1, batch_size // each.samples)
    for batch, start in enumerate(range(0, len(order), size)):
        requests = [
            Request(question.id, number, prompts[question.id].token_ids, derive_seed(seed, suite, batch))
            for question in order[start : start + size]
            for number in range(each.samples)
        ]
        if any((suite, request.question_id, each.draw, request.sample) not in stored for request in requests):
            yield requests


def _chunks(completions: Iterator[tuple[int, Completion]], size: int) -> Iterator[list[tuple[int, Completion, float]]]:
    """Completions in chunks of a batch, each with its share of the chunk's seconds."""
    pending: list[tuple[int, Completion]] = []
    started = time.perf_counter()
    for found in completions:
        pending.append(found)
        if len(pending) >= size:
            yield _shared(pending, time.perf_counter() - started)
            pending, started = [], time.perf_counter()
    if pending:
        yield _shared(pending, time.perf_counter() - started)


def _shared(pending: Sequence[tuple[int, Completion]], seconds: float) -> list[tuple[int, Completion, float]]:
    return [(index, completion, round(seconds / len(pending), 6)) for index, completion in pending]


def _ungraded(
    tasks: TaskSet,
    engine: Engine,
    suite: str,
    each: Pass,
    request: Request,
    completion: Completion,
    prompts: Mapping[str, Prompt],
    seconds: float,
) -> Sample:
    thinking = prompts[request.question_id].thinking
    response = response_of(tasks, engine.tokenizer, completion.token_ids, each.settings.stop_token_ids, thinking)
    return Sample(
        suite=suite,
        question_id=request.question_id,
        draw=each.draw,
        sample=request.sample,
        seed=request.seed,
        text=response.text,
        prompt_tokens=len(request.prompt),
        tokens=len(completion.token_ids),
        ended=completion.ended,
        thinking=thinking,
        correct=False,
        reason="",
        detail="",
        extracted=None,
        seconds=seconds,
    )
