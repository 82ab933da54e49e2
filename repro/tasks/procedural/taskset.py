"""The arithmetic families with their exact verifier, as a task set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config import TaskSpec
from repro.tasks.procedural.suites import SUITES, load_suite, training_problems
from repro.tasks.procedural.verify import final_answer, verify
from repro.tasks.protocol import Question, Response, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ProceduralTasks:
    """Questions made by `families`, asked as plain text, graded token by token."""

    keep_special_tokens = True  # one inside an answer makes it malformed

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def __enter__(self) -> "ProceduralTasks":
        return self

    def __exit__(self, *exception: object) -> None:
        pass  # holds nothing

    def questions(self, suite: str) -> Sequence[Question]:
        """See `TaskSet`."""
        return [Question(p.key, p.prompt, p.answer) for p in load_suite(suite, self.spec.suites[suite], self.spec.skip)]

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """See `TaskSet`. The same for every base."""
        problems = training_problems(self.spec.train_levels, seed, count, families=self.spec.train_families)
        return [Question(p.key, p.prompt, p.answer) for p in problems]

    def prompt(self, question: Question) -> str:
        """See `TaskSet`."""
        return question.text

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """See `TaskSet`."""
        verdicts = []
        for question, response in zip(questions, responses, strict=True):
            correct, reason = verify(response.text, question.gold, ended=response.ended)
            verdicts.append(Verdict(correct, reason, extracted=self.final_answer(response)))
        return verdicts

    def final_answer(self, response: Response) -> str | None:
        """See `TaskSet`."""
        return final_answer(response.text, ended=response.ended)

    def classes(self, answers: Sequence[str | None]) -> Sequence[str | None]:
        """See `TaskSet`. Answers are one token each."""
        return answers

    def stop_ids(self, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> tuple[int, ...]:
        """See `TaskSet`. The tokenizer is ours and has one end token."""
        return (tokenizer.eos_token_id,)

    def describe(self, suite: str) -> dict[str, Any]:
        """See `TaskSet`."""
        return {
            "title": SUITES[suite].title,
            "kind": "math",
            "rows": self.spec.suites[suite],
            "source": {"made_by": "repro.tasks.procedural"},
        }
