"""What a profile trains on and is measured on, behind one small interface: questions, training rows, grading, votes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from repro.config import TaskSpec
from repro.errors import BadInput
from repro.tasks.procedural import final_answer, load_suite, training_problems, verify


@dataclass(frozen=True)
class Question:
    """One evaluation question: a stable id, the prompt as text, the gold answer (read by the grader alone)."""

    id: str
    prompt: str
    answer: str


class TaskSet(Protocol):
    """What a cell needs to know about its tasks."""

    def questions(self, suite: str) -> list[Question]: ...

    def training_rows(self, base: str, seed: int, count: int) -> list[dict[str, str]]: ...

    def grade(self, texts: Sequence[str], answers: Sequence[str], ended: Sequence[bool]) -> list[tuple[bool, str]]: ...

    def final_answer(self, text: str, ended: bool) -> str | None: ...


class ProceduralTasks:
    """The arithmetic families of repro.tasks with their exact verifier."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def questions(self, suite: str) -> list[Question]:
        """The suite's questions, in a fixed order that does not depend on the seed."""
        return [Question(p.key, p.prompt, p.answer) for p in load_suite(suite, self.spec.suites[suite])]

    def training_rows(self, base: str, seed: int, count: int) -> list[dict[str, str]]:
        """`count` rows {prompt, answer} of the training split; the same for every arm of a seed."""
        problems = training_problems(self.spec.train_levels, seed, count, families=self.spec.train_families)
        return [{"prompt": p.prompt, "answer": p.answer} for p in problems]

    def grade(self, texts: Sequence[str], answers: Sequence[str], ended: Sequence[bool]) -> list[tuple[bool, str]]:
        """(correct, reason) per text."""
        return [verify(text, answer, ended=done) for text, answer, done in zip(texts, answers, ended, strict=True)]

    def final_answer(self, text: str, ended: bool) -> str | None:
        """The answer a text votes for in maj@k, or None when it has none."""
        return final_answer(text, ended=ended)


def make_taskset(spec: TaskSpec) -> TaskSet:
    """The task set of a profile. Raises BadInput for a kind that has no implementation."""
    if spec.kind == "procedural":
        return ProceduralTasks(spec)
    raise BadInput(f"tasks.kind {spec.kind!r} cannot be trained on by this version; want 'procedural'")
