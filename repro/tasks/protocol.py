"""What a policy is trained on and measured on: questions, prompts, verdicts and votes behind one interface.

A task set is all that a cell knows of its tasks. The reward of training and the verdict of an evaluation are one call,
`grade`. Does not sample, store or score.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from repro.grading import CodeProblem


@dataclass(frozen=True)
class Question:
    """One question. Only `grade` reads its gold.

    golds: other golds to report beside `gold`, by name; any of a name's golds counts as right. A function to write has
    `code`, an empty gold and a `solution`, the canonical body. shots: worked examples that its prompt shows.
    """

    id: str
    text: str
    gold: str
    golds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    code: "CodeProblem | None" = None
    solution: str = ""
    shots: int = 0


@dataclass(frozen=True)
class Response:
    """What a policy wrote, without its end token. ended: false where it was cut at the limit.

    thinking: the prompt ended inside an open <think>.
    """

    text: str
    ended: bool
    thinking: bool = False


@dataclass(frozen=True)
class Verdict:
    """extracted: the answer that was read, None where there is none. others: verdicts under other golds and readings.

    seconds: the time that grading took.
    """

    correct: bool
    reason: str
    detail: str = ""
    extracted: str | None = None
    others: Mapping[str, bool] = field(default_factory=dict)
    seconds: float = 0.0


class TaskSet(Protocol):
    """The tasks of one profile. A context manager: graders may hold processes.

    keep_special_tokens: whether a special token inside an answer is part of its text.
    """

    keep_special_tokens: bool

    def questions(self, suite: str) -> Sequence[Question]:
        """The suite's questions in a fixed order that does not depend on a seed. Raises BadInput for an unknown one."""
        ...

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """`count` questions to train a base on, the same for every arm of a seed; none of them is in a suite."""
        ...

    def prompt(self, question: Question) -> str | list[dict[str, str]]:
        """What a policy is asked: plain text, or the turns of a chat."""
        ...

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """The verdict of each response to its question."""
        ...

    def final_answer(self, response: Response) -> str | None:
        """The answer that a response gives, None without one. Reads no gold."""
        ...

    def classes(self, answers: Sequence[str | None]) -> Sequence[Hashable | None]:
        """What each answer to one question votes for: equal answers are one class; None without an answer."""
        ...

    def stop_ids(self, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> tuple[int, ...]:
        """The token ids that end a response of the model in `folder`."""
        ...

    def describe(self, suite: str) -> dict[str, Any]:
        """The suite for a summary: title, kind (math or code), the number of all its questions, where they are from."""
        ...

    def __enter__(self) -> "TaskSet": ...

    def __exit__(self, *exception: object) -> None: ...


def response_of(
    tasks: TaskSet,
    tokenizer: "PreTrainedTokenizerBase",
    ids: Sequence[int],
    stops: Sequence[int],
    thinking: bool = False,
) -> Response:
    """The response that generated ids give: what stands before the first end token."""
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    text = tokenizer.decode(
        list(ids[:end]), skip_special_tokens=not tasks.keep_special_tokens, clean_up_tokenization_spaces=False
    )
    return Response(text, end is not None, thinking)
