"""`evaluate`: a model on benchmarks, from prompts to summaries; `regrade` and `audit`: the same without a model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.bases.files import fingerprint, resolve_model
from repro.closure import code_hash
from repro.config import TaskSpec
from repro.errors import BadInput
from repro.evaluation.audit import Audited, audit_samples
from repro.evaluation.draw import Progress, draw_suite, encode_prompts, passes, regrade_samples
from repro.evaluation.engines import Engine, make_engine
from repro.evaluation.protocols import Protocol, get_preset, resolve
from repro.evaluation.scores import by_question, cost, is_code, summarise
from repro.evaluation.store import (
    CONFIG,
    ENV,
    SAMPLED,
    SAMPLES,
    SUMMARY,
    claim_folder,
    note_run,
    read_samples,
    replace_samples,
)
from repro.files import exclusive_lock, read_json, sha256_text, write_json
from repro.paths import results_dir
from repro.provenance import provenance
from repro.tasks.benchmarks.loading import SUITES, Suite, load_benchmark
from repro.tasks.benchmarks.prompts import prompt_digest
from repro.tasks.benchmarks.taskset import BenchmarkTasks
from repro.tasks.protocol import Question

GRADER = ("repro.tasks.benchmarks.grading",)  # what decides a verdict, with all that it imports
AUDIT = "audit.json"


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

    def protocol(self, suite: Suite) -> Protocol:
        """How a suite is sampled."""
        return resolve(
            get_preset(self.preset),
            suite,
            samples=self.samples,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
        )

    def tasks(self) -> BenchmarkTasks:
        """The suites as a task set."""
        spec = TaskSpec(
            kind="benchmark",
            prompt=self.prompt,
            hub_data=self.hub_data,
            suites={suite.name: self.limit or 0 for suite in self.suites},
        )
        return BenchmarkTasks(spec, data_revision=self.data_revision, workers=self.workers, unsafe=self.unsafe)


def evaluate(task: Task, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """Draw, grade and store what is missing, and write a summary per suite; returns the summaries by suite.

    Raises BadInput for everything that can be known before the first token is drawn: suites, data, model, protocol,
    templates, prompts longer than the model's context, samples of another model in the folder, a missing sandbox.
    """
    if task.limit is not None and task.limit < 1:
        raise BadInput(f"--limit is {task.limit}; want at least 1")
    protocols = {suite.name: task.protocol(suite) for suite in task.suites}
    template = None if task.chat_template is None else _read_template(task.chat_template)
    with task.tasks() as tasks:
        questions = {suite.name: _first(tasks, suite, task.limit) for suite in task.suites}
        model: dict[str, Any] = {"name": task.model_name}
        source = task.model
        if task.engine != "replay":
            folder = resolve_model(task.model, task.revision)
            source, model["sha256"] = str(folder), fingerprint(folder)
        engine = make_engine(task.engine, source, dtype=task.dtype, batch_size=task.batch_size)
        replayed = task.engine == "replay"
        stops = (engine.tokenizer.eos_token_id,) if replayed else tasks.stop_ids(engine.tokenizer, Path(source))
        if any(is_code(each) for each in questions.values()):
            tasks.grader.isolation()
        prompts = {
            name: encode_prompts(
                engine.tokenizer,
                tasks,
                name,
                asked,
                context_tokens=engine.context_tokens,
                new_tokens=protocols[name].max_new_tokens,
                prompt_cap=None if replayed else protocols[name].prompt_cap,
                template=template,
            )
            for name, asked in questions.items()
        }
        summaries = {}
        for suite in task.suites:
            folder, protocol, name = task.folder / suite.name, protocols[suite.name], suite.name
            with exclusive_lock(folder / "lock", f"evaluation {folder}"):
                claim_folder(folder, _identity(task, tasks, suite, protocol, engine, model, stops, template))
                draw_suite(
                    engine,
                    tasks,
                    name,
                    questions[name],
                    prompts[name],
                    passes(protocol.samples, protocol.settings(stops), greedy=protocol.greedy),
                    folder / SAMPLES,
                    seed=task.seed,
                    batch_size=task.batch_size,
                    progress=progress,
                    before_drawing=lambda folder=folder: note_run(folder, provenance()),
                )
                run = {"preset": task.preset, "row": task.row}
                summaries[name] = _summarise(folder, tasks, name, questions[name], protocol.samples, run)
    return summaries


def _first(tasks: BenchmarkTasks, suite: Suite, limit: int | None) -> Sequence[Question]:
    known = len(tasks.loaded(suite.name).problems)
    return tasks.questions(suite.name, min(limit or known, known))


def _read_template(path: Path) -> str:
    if not path.is_file():
        raise BadInput(f"--chat-template: no file {path}; want a Jinja template")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"--chat-template: {path} is not UTF-8 at byte {error.start}; want a Jinja template") from None


def _identity(
    task: Task,
    tasks: BenchmarkTasks,
    suite: Suite,
    protocol: Protocol,
    engine: Engine,
    model: dict[str, Any],
    stops: tuple[int, ...],
    template: str | None,
) -> dict[str, Any]:
    """Everything that moves a sample. The number of samples and of questions is left out: both may grow later."""
    free = ("preset", "samples", "greedy")
    used = template or engine.tokenizer.chat_template
    return {
        "suite": suite.name,
        "data": dict(tasks.loaded(suite.name).source),
        "model": model,
        "engine": engine.describe(),
        "protocol": {name: value for name, value in protocol.as_json().items() if name not in free},
        "prompt": {
            "form": task.prompt,
            "words_sha256": prompt_digest(code=suite.benchmark.kind == "code"),
            "template_sha256": None if task.prompt == "raw" or used is None else sha256_text(str(used)),
        },
        "stop_token_ids": list(stops),
        "seed": task.seed,
    }


def _summarise(
    folder: Path, tasks: BenchmarkTasks, suite: str, questions: Sequence[Question], k: int, run: dict[str, Any]
) -> dict[str, Any]:
    """Write and return the summary of a suite's stored samples."""
    asked = {question.id for question in questions}
    samples = [sample for sample in read_samples(folder / SAMPLES) if sample.question_id in asked]
    config = read_json(folder / CONFIG, "configuration")
    described = tasks.describe(suite)
    summary = {
        "suite": suite,
        **{name: described[name] for name in ("title", "kind", "rows")},
        **summarise(samples, questions, k, tasks.classes),
        "cost": cost(samples, config["engine"]["device"]),
        "config": config,
        "run": run,
        "env": read_json(folder / ENV, "provenance"),
        "grader_code": code_hash(GRADER),
    }
    if not is_code(questions):
        drawn = [sample for group in by_question(samples, questions, SAMPLED, k) for sample in group]
        summary["audit"] = audit_samples({question.id: question for question in questions}, drawn).as_json()
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
    names = stored_suites(folder)
    changed = {}
    spec = TaskSpec(kind="benchmark", hub_data=hub_data, suites=dict.fromkeys(names, 0))
    with BenchmarkTasks(spec, data_revision=data_revision, workers=workers, unsafe=unsafe) as tasks:
        for name in names:
            place = folder / name
            with exclusive_lock(place / "lock", f"evaluation {place}"):
                source = dict(tasks.loaded(name).source)
                config = read_json(place / CONFIG, "configuration")
                if config["data"] != source:
                    raise BadInput(f"{place}: samples are of {config['data']}, the data here are {source}")
                if not (place / SUMMARY).exists():
                    raise BadInput(f"{place} has no {SUMMARY}: the evaluation is not finished; run it again first")
                previous = read_json(place / SUMMARY, "summary")
                after, counts = regrade_samples(tasks, [name], read_samples(place / SAMPLES), progress)
                replace_samples(place / SAMPLES, after)
                known = {question.id: question for question in tasks.questions(name)}
                questions = [known[question] for question in previous["question_ids"]]
                _summarise(place, tasks, name, questions, previous["k"], previous["run"])
                changed |= counts
    return changed


def audit_evaluation(folder: Path, *, hub_data: bool = False, data_revision: str | None = None) -> dict[str, Audited]:
    """Audit every mathematical suite of a stored evaluation and write audit.json into each one's folder.

    Raises BadInput for a folder without samples of mathematics, and for data other than the samples' own.
    """
    names = [name for name in stored_suites(folder) if SUITES[name].benchmark.kind == "math"]
    if not names:
        raise BadInput(f"{folder} holds no samples of mathematics; programs are judged by their tests alone")
    audited = {}
    for name in names:
        place = folder / name
        loaded = load_benchmark(SUITES[name].benchmark, hub=hub_data, revision=data_revision)
        if read_json(place / CONFIG, "configuration")["data"] != dict(loaded.source):
            raise BadInput(f"{place}: its samples answer other data than {dict(loaded.source)}")
        questions = {question.id: question for question in loaded.problems}
        audited[name] = audit_samples(questions, read_samples(place / SAMPLES))
        write_json(place / AUDIT, audited[name].as_json())
    return audited
