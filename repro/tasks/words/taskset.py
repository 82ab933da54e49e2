"""Word problems as a task set: a short chat, a boxed answer, compared exactly."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config import TaskSpec
from repro.errors import BadInput
from repro.tasks.encoding import stop_token_ids
from repro.tasks.protocol import Question, Response, Verdict
from repro.tasks.words.grading import final_answer, grade
from repro.tasks.words.problem import WordProblem, chat_messages
from repro.tasks.words.suites import SUITES, load_suite, make_question, training_problems

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class WordTasks:
    """Questions made by `families`, asked through the model's chat template with the profile's system line."""

    keep_special_tokens = False

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def __enter__(self) -> "WordTasks":
        return self

    def __exit__(self, *exception: object) -> None:
        pass  # holds nothing

    def questions(self, suite: str) -> Sequence[Question]:
        """See `TaskSet`."""
        wanted = self.spec.suites[suite]
        if wanted < 1:
            raise BadInput(f"suite {suite}: {wanted} questions asked; want at least 1")
        return [_question(problem) for problem in load_suite(suite, wanted)]

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """See `TaskSet`. The same for every base. Every family is looked at: a draw meets a wrong one by chance."""
        for family in self.spec.train_families:
            make_question(family, "train", seed, 0)
        return [_question(problem) for problem in training_problems(self.spec.train_families, seed, count)]

    def prompt(self, question: Question) -> list[dict[str, str]]:
        """See `TaskSet`."""
        return chat_messages(self.spec.system, question.text)

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """See `TaskSet`."""
        verdicts = []
        for question, response in zip(questions, responses, strict=True):
            correct, reason = grade(response.text, question.gold, response.ended)
            verdicts.append(Verdict(correct, reason, extracted=self.final_answer(response)))
        return verdicts

    def final_answer(self, response: Response) -> str | None:
        """See `TaskSet`."""
        return final_answer(response.text, response.ended)

    def classes(self, answers: Sequence[str | None]) -> Sequence[str | None]:
        """See `TaskSet`. Answers are numbers in one spelling."""
        return answers

    def stop_ids(self, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> tuple[int, ...]:
        """See `TaskSet`."""
        return stop_token_ids(folder, tokenizer)

    def describe(self, suite: str) -> dict[str, Any]:
        """See `TaskSet`."""
        return {
            "title": SUITES[suite].title,
            "kind": "math",
            "rows": self.spec.suites[suite],
            "source": {"made_by": "repro.tasks.words"},
        }


def _question(problem: WordProblem) -> Question:
    return Question(problem.id, problem.text, problem.gold)
