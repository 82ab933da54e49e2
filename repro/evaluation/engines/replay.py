"""The engine without a model: it gives stored answers back, as tokens, one per byte.

For answers that were drawn elsewhere (a file of JSON lines with `id` and `text`), and for the two oracles that prove
the path from prompt to score: `gold` answers every question rightly, `wrong-last-step` gives the same text with a last
step that spoils the answer.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from repro.errors import BadInput
from repro.evaluation.engines import Completion, Request, SamplingSettings, Watch
from repro.grading.json_lines import BadLine, read_object

ORACLES = ("gold", "wrong-last-step")
_TEMPLATE = (
    "{% for turn in messages %}<|{{ turn.role }}|>{{ turn.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>")
_SPOILED = """

_right = {name}


def {name}(*arguments):
    return [_right(*arguments), "one more"]
"""


class ReplayEngine:
    """Answers by question id, in sample order; a question with one answer gives it to every sample."""

    name = "replay"
    watch: Watch | None = None
    context_tokens = 1 << 20

    def __init__(self, model: str, **_machine: Any) -> None:
        self._answers = _oracle(model) if model in ORACLES else read_answers(Path(model))
        self.tokenizer = byte_tokenizer()

    def describe(self) -> dict[str, Any]:
        """Engine and a digest of the answers."""
        return {"engine": self.name, "answers_sha256": answers_digest(self._answers), "device": "none"}

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """See `Engine`. Answers longer than `max_new_tokens` are cut. Raises BadInput for a gap."""
        for index, request in enumerate(requests):
            answers = self._answers.get(request.question_id, ())
            place = 0 if len(answers) == 1 else request.sample
            if place >= len(answers):
                raise BadInput(f"replay: no answer {request.sample} to question {request.question_id!r}")
            ids = (*self.tokenizer(answers[place])["input_ids"], self.tokenizer.eos_token_id)
            yield index, Completion(ids[: settings.max_new_tokens], len(ids) <= settings.max_new_tokens)


def read_answers(path: Path) -> dict[str, list[str]]:
    """Answers by question id from JSON lines with `id` and `text`. Raises BadInput naming the first bad line."""
    if not path.is_file():
        raise BadInput(f"replay: no file {path}; want JSON lines with id and text, or one of {', '.join(ORACLES)}")
    answers: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = read_object(line, ("id", "text"))
        except BadLine as error:
            raise BadInput(
                f"replay: line {number} of {path}: {error}; want an object with the strings id and text"
            ) from None
        answers.setdefault(row["id"], []).append(row["text"])
    return answers


def answers_digest(answers: Mapping[str, Sequence[str]]) -> str:
    """sha256 of all answers."""
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()


def _oracle(kind: str) -> dict[str, list[str]]:
    from repro.tasks.benchmarks.loading import SUITES, load_benchmark

    problems = [problem for suite in SUITES.values() for problem in load_benchmark(suite.benchmark).problems]
    return {problem.id: [oracle_text(problem, wrong=kind != "gold")] for problem in problems}


def oracle_text(problem: Any, *, wrong: bool) -> str:
    """An answer that must be graded right to a problem of `repro.tasks.benchmarks`, or one with a bad last step."""
    if problem.code is not None:
        end = _SPOILED.format(name=problem.code.entry_point) if wrong else ""
        return f"Here is the function.\n\n```python\n{problem.text}{problem.solution}{end}```"
    step = " In the last step we take three times that and add 7." if wrong else ""
    # adding alone would not spoil 4.5e33: a decimal gold is compared to nine digits
    answer = f"3 ({problem.gold}) + 7" if wrong else problem.gold
    return f"All steps lead to \\({problem.gold}\\).{step}\n\n\\[\\boxed{{{answer}}}\\]"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, lossless on every text, with a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = (*_SPECIAL, *alphabet)
    backend = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(word, normalized=False) for word in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", chat_template=_TEMPLATE
    )
