"""Program synthesis as a task set: a description in words, a program in the small language, hidden tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config import TaskSpec
from repro.tasks.programs.grading import ProgramGrader
from repro.tasks.programs.language import Function, as_gold, is_program
from repro.tasks.programs.suites import load_functions, prompt_text, suite_of, training_functions
from repro.tasks.protocol import Question, Response, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ProgramTasks:
    """Functions made by `language`, asked as plain text, graded by running what was written."""

    keep_special_tokens = True  # one inside a program makes it malformed

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self._grader = ProgramGrader()

    def __enter__(self) -> "ProgramTasks":
        return self

    def __exit__(self, *exception: object) -> None:
        self._grader.__exit__(*exception)

    def questions(self, suite: str) -> Sequence[Question]:
        """See `TaskSet`. Both suites ask for the same functions."""
        shots = suite_of(suite).shots
        return [_question(each, shots) for each in load_functions(self.spec.suites[suite])]

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """See `TaskSet`. The same for every base, without solved examples."""
        return [_question(each, 0) for each in training_functions(self.spec.train_levels, seed, count)]

    def prompt(self, question: Question) -> str:
        """See `TaskSet`."""
        return prompt_text(question.text, question.shots)

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """See `TaskSet`."""
        return self._grader.grade(questions, responses)

    def final_answer(self, response: Response) -> str | None:
        """See `TaskSet`. The whole program, if it is one."""
        return response.text if response.ended and is_program(response.text) else None

    def classes(self, answers: Sequence[str | None]) -> Sequence[str | None]:
        """See `TaskSet`. Equal programs are one class; the hidden tests may not be asked."""
        return answers

    def stop_ids(self, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> tuple[int, ...]:
        """See `TaskSet`. The tokenizer is ours and has one end token."""
        return (tokenizer.eos_token_id,)

    def describe(self, suite: str) -> dict[str, Any]:
        """See `TaskSet`."""
        return {
            "title": suite_of(suite).title,
            "kind": "code",
            "rows": self.spec.suites[suite],
            "source": {"made_by": "repro.tasks.programs"},
        }


def _question(function: Function, shots: int) -> Question:
    return Question(function.key, function.description, as_gold(function), solution=function.worked, shots=shots)
