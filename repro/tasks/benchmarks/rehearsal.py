"""Sums of two digits in the place of every benchmark: the prompts, boxes and grader are the real ones' own."""

import random
from collections.abc import Sequence

from repro.seeds import derive_seed
from repro.tasks.benchmarks.loading import Loaded
from repro.tasks.benchmarks.taskset import BenchmarkTasks
from repro.tasks.protocol import Question

LARGEST = 2  # of a summand: few answers, so that guesses are right now and then and groups have unequal rewards
_QUESTIONS = 20  # as many as any suite of a rehearsal may ask


def sums(name: str, seed: int, count: int) -> list[Question]:
    """`count` made problems, the same for a name and a seed."""
    rng = random.Random(derive_seed(seed, name))
    pairs = [(rng.randint(0, LARGEST), rng.randint(0, LARGEST)) for _ in range(count)]
    return [Question(f"{name}-{k}", f"What is {a} plus {b}?", str(a + b)) for k, (a, b) in enumerate(pairs)]


class RehearsalTasks(BenchmarkTasks):
    """The benchmarks of a profile with made problems."""

    def _load(self, benchmark: str) -> Loaded:
        return Loaded(tuple(sums(benchmark, 0, _QUESTIONS)), {"file": "made, not a benchmark"})

    def training_questions(self, base: str, seed: int, count: int) -> Sequence[Question]:
        """See `TaskSet`. The same for every base."""
        return sums("train", seed, count)
