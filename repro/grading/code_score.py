"""Score programs against benchmark problems: text in, verdicts out (HumanEval's format of problem)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from repro.grading.code_extract import assemble
from repro.sandbox import Job, Outcome, SandboxPool


@dataclass(frozen=True)
class CodeProblem:
    """A function to write: `prompt` ends in its signature and docstring, `test` defines `check(candidate)`."""

    task_id: str
    prompt: str
    entry_point: str
    test: str


@dataclass(frozen=True)
class CodeAnswer:
    """A model's text for a problem; `format` is one of `code_extract.FORMATS`."""

    problem: CodeProblem
    completion: str
    format: str = "markdown"


def job_of(answer: CodeAnswer) -> Job:
    """The sandbox job of an answer. The check sees the prompt's own helpers, never the program's versions of them."""
    problem = answer.problem
    sources = assemble(
        prompt=problem.prompt,
        entry_point=problem.entry_point,
        completion=answer.completion,
        format=answer.format,
    )
    return Job(sources=sources, entry_point=problem.entry_point, test=problem.test, context=problem.prompt)


def score_answers(
    answers: Iterable[CodeAnswer], pool: SandboxPool, on_done: Callable[[int], None] | None = None
) -> Iterator[Outcome]:
    """One outcome per answer, in order, as they become known; `on_done(n)` reports the number finished."""
    return pool.run([job_of(answer) for answer in answers], on_done)
