"""Real benchmarks and training sets as a task set: chat prompts, boxed answers, functions that pass their tests."""

import random
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.config import TaskSpec
from repro.errors import BadInput
from repro.grading.extract import last_box
from repro.seeds import derive_seed
from repro.tasks.benchmarks.grading import Grader
from repro.tasks.benchmarks.loading import SUITES, Loaded, Suite, get_suites, load_benchmark
from repro.tasks.benchmarks.prompts import prompt_of
from repro.tasks.benchmarks.training_sets import load_training_set
from repro.tasks.encoding import answer_part, stop_token_ids
from repro.tasks.protocol import Question, Response, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EVERY_BASE = "default"  # key of `train_sets` for bases without a line of their own


class BenchmarkTasks:
    """Questions of files or of the hub, asked through the model's chat template. workers, unsafe: as `Grader`."""

    keep_special_tokens = False

    def __init__(
        self,
        spec: TaskSpec,
        *,
        data_revision: str | None = None,
        workers: int = 2,
        unsafe: bool = False,
    ) -> None:
        self.spec = spec
        self._revision = data_revision
        self._loaded = cache(self._load)
        self.grader = Grader(workers=workers, unsafe=unsafe)

    def __enter__(self) -> "BenchmarkTasks":
        return self

    def __exit__(self, *exception: object) -> None:
        self.grader.__exit__(*exception)

    def suite(self, name: str) -> Suite:
        """The suite of a name. Raises BadInput for an unknown one."""
        return SUITES[name] if name in SUITES else get_suites(name)[0]

    def loaded(self, name: str) -> Loaded:
        """All problems of a suite's benchmark and where they are from."""
        return self._loaded(self.suite(name).benchmark.name)

    def _load(self, benchmark: str) -> Loaded:
        revision = self._revision or self.spec.hub_revisions.get(benchmark)
        return load_benchmark(SUITES[benchmark].benchmark, hub=self.spec.hub_data, revision=revision)

    def questions(self, suite: str, first: int | None = None) -> Sequence[Question]:
        """See `TaskSet`. The first ones of the benchmark, as many as the profile says; 0 asks all."""
        shots, wanted = self.suite(suite).shots, self.spec.suites[suite] if first is None else first
        problems = self.loaded(suite).problems
        if wanted < 0 or wanted > len(problems):
            raise BadInput(f"suite {suite}: {wanted} questions asked; want 0 (all) to {len(problems)}")
        return [replace(problem, shots=shots) for problem in problems[: wanted or None]]

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """See `TaskSet`. The whole set in an order that depends on the seed; once more, in another order, if it ends.

        Raises BadInput where the profile names no training set for the base, and for data that cannot be had.
        """
        name = self.spec.train_sets.get(base, self.spec.train_sets.get(EVERY_BASE))
        if name is None:
            raise BadInput(f"tasks.train_sets names no set for base {base!r}; add one, or one under {EVERY_BASE!r}")
        rows = load_training_set(
            name,
            hub=self.spec.hub_data,
            drop_overlaps=self.spec.drop_overlaps,
            revisions=self.spec.hub_revisions,
        ).rows
        questions = [Question(row.id, row.problem, row.answer) for row in rows]
        drawn: list[Question] = []
        while len(drawn) < count:
            turn = list(questions)
            random.Random(derive_seed(seed, name, len(drawn))).shuffle(turn)
            drawn += turn
        return drawn[:count]

    def prompt(self, question: Question) -> str | list[dict[str, str]]:
        """See `TaskSet`."""
        return prompt_of(question, self.spec.prompt)

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """See `TaskSet`."""
        return self.grader.grade(questions, responses)

    def final_answer(self, response: Response) -> str | None:
        """See `TaskSet`. The last box of what is not a thought."""
        answer = answer_part(response.text, thinking=response.thinking).text
        return None if answer is None else last_box(answer).content

    def classes(self, answers: Sequence[str | None]) -> Sequence[Hashable | None]:
        """See `TaskSet`."""
        return self.grader.classes(answers)

    def stop_ids(self, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> tuple[int, ...]:
        """See `TaskSet`."""
        return stop_token_ids(folder, tokenizer)

    def describe(self, suite: str) -> dict[str, Any]:
        """See `TaskSet`."""
        asked, loaded = self.suite(suite), self.loaded(suite)
        return {
            "title": asked.benchmark.title + (f" {asked.shots}-shot" if asked.shots else ""),
            "kind": asked.benchmark.kind,
            "rows": len(loaded.problems),
            "source": dict(loaded.source),
        }
