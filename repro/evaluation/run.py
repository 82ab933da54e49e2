"""`evaluate`: a model on benchmarks, from prompts to stored samples and summaries; `regrade`: the same without a model.

Every finished chunk of samples is on disk at once, graded. A killed run goes on where it stopped: what is stored is
neither drawn again nor counted twice.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repro.bases.load import fingerprint, resolve_model, stop_token_ids
from repro.cells.code import code_hash
from repro.errors import BadInput
from repro.evaluation.engines import Engine, Request, SamplingSettings, make_engine
from repro.evaluation.grading import Grader
from repro.evaluation.scores import cost, summarise
from repro.evaluation.store import (
    CONFIG,
    ENV,
    GREEDY,
    SAMPLED,
    SAMPLES,
    SUMMARY,
    Sample,
    append_samples,
    claim_folder,
    note_run,
    read_samples,
    replace_samples,
)
from repro.files import exclusive_lock, read_json, sha256_text, write_json
from repro.paths import results_dir
from repro.provenance import provenance
from repro.seeds import derive_seed
from repro.tasks.benchmarks.loading import SUITES, Loaded, Problem, Suite, load_benchmark
from repro.tasks.benchmarks.prompts import Prompt, build_prompt, prompt_digest
from repro.tasks.benchmarks.protocols import Protocol, get_preset, greedy_pass, resolve

FLUSH_SAMPLES, FLUSH_SECONDS = 512, 20.0  # a killed run loses at most this much
GRADER_CODE = (
    "gcpo/rewards/*.py",
    "gcpo/rewards/sandbox/*.py",
    "repro/evaluation/grading.py",
    "repro/tasks/benchmarks/prompts.py",
)
Progress = Callable[[str, int, int, int], None]  # suite, samples done, samples wanted, tokens drawn by this run


@dataclass(frozen=True)
class Task:
    """What to evaluate. None means: as the preset says.

    limit: only the first questions of each suite. row: the row of the paper to stand beside, as MODEL/METHOD.
    """

    model: str
    suites: tuple[Suite, ...]
    engine: str = "transformers"
    preset: str = "standard"
    samples: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    limit: int | None = None
    prompt: str = "chat"
    chat_template: Path | None = None
    output: Path | None = None
    revision: str | None = None
    row: str | None = None
    seed: int = 0
    dtype: str = "auto"
    batch_size: int = 16
    workers: int = 2
    unsafe: bool = False
    hub_data: bool = False
    data_revision: str | None = None

    @property
    def model_name(self) -> str:
        """The model without the folders it lies in."""
        hub = re.fullmatch(r"[\w.-]+/[\w.-]+", self.model) and not Path(self.model).exists()
        return self.model if hub else Path(self.model).resolve().name

    @property
    def folder(self) -> Path:
        """Where the evaluation is kept."""
        if self.output is not None:
            return self.output
        parts = [self.model_name.replace("/", "--"), self.preset, *([self.prompt] if self.prompt != "chat" else [])]
        return results_dir("evaluation") / "__".join(parts)


@dataclass(frozen=True)
class _Asked:
    """A suite with its problems and protocol, ready to be drawn."""

    suite: Suite
    loaded: Loaded
    problems: tuple[Problem, ...]
    protocol: Protocol


def evaluate(task: Task, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """Draw, grade and store what is missing, and write a summary per suite; returns the summaries by suite.

    Raises BadInput for everything that can be known before the first token is drawn: suites, data, model, protocol,
    templates, prompts longer than the model's context, samples of another model in the folder, a missing sandbox.
    """
    asked = [_ask(task, suite) for suite in task.suites]
    template = None if task.chat_template is None else _read_template(task.chat_template)
    model: dict[str, Any] = {"name": task.model_name}
    source = task.model
    if task.engine != "replay":
        source_folder = resolve_model(task.model, task.revision)
        source = str(source_folder)
        model["sha256"] = fingerprint(source_folder)
    engine = make_engine(task.engine, source, dtype=task.dtype, batch_size=task.batch_size)
    if task.engine == "replay":
        stops: tuple[int, ...] = (engine.tokenizer.eos_token_id,)
    else:
        stops = stop_token_ids(Path(source), engine.tokenizer)
    summaries = {}
    with Grader(workers=task.workers, unsafe=task.unsafe) as grader:
        if any(each.suite.benchmark.kind == "code" for each in asked):
            grader.isolation()
        prompts = {each.suite.name: _prompts(task, engine, each, template) for each in asked}
        for each in asked:
            folder = task.folder / each.suite.name
            with exclusive_lock(folder / "lock", f"evaluation {folder}"):
                identity = _identity(task, each, engine, model, stops, template)
                claim_folder(folder, identity)
                _draw_missing(task, each, engine, prompts[each.suite.name], stops, folder, grader, progress)
                summaries[each.suite.name] = _summarise(folder, each.suite, each.loaded, each.problems, task, grader)
    return summaries


def _ask(task: Task, suite: Suite) -> _Asked:
    loaded = load_benchmark(suite.benchmark, hub=task.hub_data, revision=task.data_revision)
    if task.limit is not None and task.limit < 1:
        raise BadInput(f"--limit is {task.limit}; want at least 1")
    protocol = resolve(
        get_preset(task.preset),
        suite,
        samples=task.samples,
        max_new_tokens=task.max_new_tokens,
        temperature=task.temperature,
    )
    return _Asked(suite, loaded, loaded.problems[: task.limit], protocol)


def _read_template(path: Path) -> str:
    if not path.is_file():
        raise BadInput(f"--chat-template: no file {path}; want a Jinja template")
    return path.read_text(encoding="utf-8")


def _prompts(task: Task, engine: Engine, asked: _Asked, template: str | None) -> dict[str, Prompt]:
    """The prompt of every problem. Raises BadInput for one that the protocol or the model's context has no room for."""
    prompts = {
        problem.id: build_prompt(engine.tokenizer, asked.suite, problem, task.prompt, template=template)
        for problem in asked.problems
    }
    name, longest = max(prompts.items(), key=lambda item: len(item[1].token_ids))
    size, limit = len(longest.token_ids), asked.protocol.max_new_tokens
    room = engine.context_tokens - size
    cap = min(asked.protocol.prompt_cap, engine.context_tokens - 1)
    if task.engine != "replay" and size > cap:
        raise BadInput(f"{asked.suite.name}: the prompt of {name} has {size} tokens; at most {cap} fit this model")
    if limit > room:
        raise BadInput(
            f"{asked.suite.name}: the prompt of {name} ({size} tokens) and {limit} new ones exceed the model's context "
            f"of {engine.context_tokens}; pass --max-new-tokens {room} or less"
        )
    return prompts


def _identity(
    task: Task, asked: _Asked, engine: Engine, model: dict[str, Any], stops: tuple[int, ...], template: str | None
) -> dict[str, Any]:
    """Everything that moves a sample. The number of samples and of questions is left out: both may grow later."""
    free = ("preset", "samples", "greedy")
    protocol = {name: value for name, value in asked.protocol.as_json().items() if name not in free}
    used = template or engine.tokenizer.chat_template
    return {
        "suite": asked.suite.name,
        "data": dict(asked.loaded.source),
        "model": model,
        "engine": engine.describe(),
        "protocol": protocol,
        "prompt": {
            "form": task.prompt,
            "words_sha256": prompt_digest(asked.suite),
            "template_sha256": None if task.prompt == "raw" or used is None else sha256_text(str(used)),
        },
        "stop_token_ids": list(stops),
        "seed": task.seed,
    }


def _draw_missing(
    task: Task,
    asked: _Asked,
    engine: Engine,
    prompts: dict[str, Prompt],
    stops: tuple[int, ...],
    folder: Path,
    grader: Grader,
    progress: Progress | None,
) -> None:
    path = folder / SAMPLES
    stored = {sample.key for sample in read_samples(path, mend=True)}
    passes = [(SAMPLED, asked.protocol)]
    if asked.protocol.greedy:
        passes.append((GREEDY, greedy_pass(asked.protocol)))
    # The longest prompts come first, so that too little memory shows at once.
    order = sorted(asked.problems, key=lambda problem: -len(prompts[problem.id].token_ids))
    total = sum(len(order) * protocol.samples for _, protocol in passes)
    done = sum(
        (problem.id, draw, number) in stored
        for draw, protocol in passes
        for problem in order
        for number in range(protocol.samples)
    )
    tokens = 0
    if progress is not None:
        progress(asked.suite.name, done, total, tokens)
    for draw, protocol in passes:
        requests = [
            Request(problem.id, number, prompts[problem.id].token_ids, derive_seed(task.seed, problem.id, number))
            for problem in order
            for number in range(protocol.samples)
            if (problem.id, draw, number) not in stored
        ]
        settings = SamplingSettings(
            temperature=protocol.temperature,
            top_p=protocol.top_p,
            top_k=protocol.top_k,
            min_p=protocol.min_p,
            repetition_penalty=protocol.repetition_penalty,
            max_new_tokens=protocol.max_new_tokens,
            stop_token_ids=stops,
        )
        if requests:
            note_run(folder, provenance())
        for chunk in _chunks(engine, requests, settings, task.batch_size, asked.suite.name, draw, prompts):
            problems = {problem.id: problem for problem in asked.problems}
            graded = grader.grade([problems[sample.question_id] for sample in chunk], chunk)
            append_samples(path, graded)
            done += len(graded)
            tokens += sum(sample.tokens for sample in graded)
            if progress is not None:
                progress(asked.suite.name, done, total, tokens)


def _chunks(
    engine: Engine,
    requests: Sequence[Request],
    settings: SamplingSettings,
    batch_size: int,
    suite: str,
    draw: str,
    prompts: dict[str, Prompt],
) -> Iterator[list[Sample]]:
    """Samples without verdicts, in chunks that end with a batch: a resumed run makes up the same batches."""
    pending: list[Sample] = []
    started = time.perf_counter()

    def whole() -> list[Sample]:
        share = (time.perf_counter() - started) / len(pending)
        return [replace(sample, seconds=round(share, 6)) for sample in pending]

    for index, completion in engine.generate(requests, settings):
        request = requests[index]
        ids = completion.token_ids[:-1] if completion.ended else completion.token_ids
        pending.append(
            Sample(
                suite=suite,
                question_id=request.question_id,
                draw=draw,
                sample=request.sample,
                seed=request.seed,
                text=engine.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
                prompt_tokens=len(request.prompt),
                tokens=len(completion.token_ids),
                ended=completion.ended,
                thinking=prompts[request.question_id].thinking,
                correct=False,
                reason="",
                detail="",
                extracted=None,
            )
        )
        full = len(pending) >= FLUSH_SAMPLES or time.perf_counter() - started >= FLUSH_SECONDS
        if full and len(pending) % batch_size == 0:
            yield whole()
            pending, started = [], time.perf_counter()
    if pending:
        yield whole()


def _summarise(
    folder: Path, suite: Suite, loaded: Loaded, problems: Sequence[Problem], task: Task | None, grader: Grader
) -> dict[str, Any]:
    """Write and return the summary of a suite's stored samples. Without a task: of as many as every question has."""
    samples = read_samples(folder / SAMPLES)
    config = read_json(folder / CONFIG, "configuration")
    previous = read_json(folder / SUMMARY, "summary") if (folder / SUMMARY).exists() else None
    if task is not None:
        k = resolve(get_preset(task.preset), suite, samples=task.samples, temperature=task.temperature).samples
        run = {"preset": task.preset, "row": task.row}
    else:
        if previous is None:
            raise BadInput(f"{folder} has no {SUMMARY}: the evaluation is not finished; run it again to finish it")
        k, run = previous["k"], previous["run"]
    asked = {problem.id for problem in problems}
    samples = [sample for sample in samples if sample.question_id in asked]
    summary = {
        "suite": suite.name,
        "title": suite.benchmark.title + (f" {suite.shots}-shot" if suite.shots else ""),
        "kind": suite.benchmark.kind,
        "rows": len(loaded.problems),
        **summarise(samples, problems, k, grader.vote_classes),
        "cost": cost(samples, config["engine"]["device"]),
        "config": config,
        "run": run,
        "env": read_json(folder / ENV, "provenance"),
        "grader_code": code_hash(GRADER_CODE),
    }
    write_json(folder / SUMMARY, summary)
    return summary


def stored_suites(folder: Path) -> list[str]:
    """The suites of which a folder holds samples, in the usual order. Raises BadInput if there are none."""
    names = [name for name in SUITES if (folder / name / SAMPLES).is_file()]
    if not names:
        raise BadInput(
            f"{folder} holds no evaluation; want a folder with SUITE/{SAMPLES}, as `evaluate --output` writes"
        )
    return names


def regrade(
    folder: Path,
    *,
    workers: int = 2,
    unsafe: bool = False,
    hub_data: bool = False,
    data_revision: str | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Grade the stored samples again and rewrite their summaries, without a model; returns changed verdicts by suite.

    Raises BadInput for a folder without samples, an unfinished evaluation, and data other than the samples' own.
    """
    changed = {}
    with Grader(workers=workers, unsafe=unsafe) as grader:
        for name in stored_suites(folder):
            suite, place = SUITES[name], folder / name
            with exclusive_lock(place / "lock", f"evaluation {place}"):
                loaded = load_benchmark(suite.benchmark, hub=hub_data, revision=data_revision)
                config = read_json(place / CONFIG, "configuration")
                if config["data"] != dict(loaded.source):
                    raise BadInput(f"{place}: samples are of {config['data']}, the data here are {dict(loaded.source)}")
                if not (place / SUMMARY).exists():
                    raise BadInput(f"{place} has no {SUMMARY}: the evaluation is not finished; run it again first")
                known = {problem.id: problem for problem in loaded.problems}
                before = read_samples(place / SAMPLES)
                after: list[Sample] = []
                for start in range(0, len(before), FLUSH_SAMPLES):
                    chunk = before[start : start + FLUSH_SAMPLES]
                    after += grader.grade([known[sample.question_id] for sample in chunk], chunk)
                    if progress is not None:
                        progress(name, len(after), len(before), 0)
                replace_samples(place / SAMPLES, after)
                asked = read_json(place / SUMMARY, "summary")["question_ids"]
                problems = [known[question] for question in asked]
                _summarise(place, suite, loaded, problems, None, grader)
                changed[name] = sum(
                    (old.correct, old.reason) != (new.correct, new.reason)
                    for old, new in zip(before, after, strict=True)
                )
    return changed
