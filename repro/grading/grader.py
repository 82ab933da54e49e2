"""`grade`: whether the last box of a model's output equals the gold answer. One grader for rewards and evaluation."""

from collections.abc import Sequence

from repro.grading.extract import last_box
from repro.grading.pool import GraderPool, default_pool
from repro.grading.verdict import Verdict


def grade(*, gold: str, prediction: str) -> Verdict:
    """Grade one model output. Never raises on the content of two strings; a verdict comes within seconds.

    Keyword-only, since a swapped pair would grade silently wrong. Runs in a worker process of its own, so that it may
    be called from any thread. For many outputs use `GraderPool.grade_many`, which gives the same verdicts.
    """
    return default_pool().grade_many([(gold, prediction)])[0]


def answer_classes(predictions: Sequence[str], pool: GraderPool | None = None) -> list[int | None]:
    """Class of each output's answer under the grader's equality, numbered by first appearance; None without an answer.

    The first member of a class is the gold the others are graded against, so classes depend on the stored order alone.
    """
    pool = pool or default_pool()
    answers = [last_box(prediction).content for prediction in predictions]
    classes: list[int | None] = [None] * len(answers)
    open_places = [place for place, answer in enumerate(answers) if answer is not None and answer.strip()]
    count = 0
    while open_places:
        first, *rest = open_places
        verdicts = pool.grade_many([(answers[first], f"\\boxed{{{answers[place]}}}") for place in rest])
        classes[first] = count
        for place, verdict in zip(rest, verdicts, strict=True):
            if verdict.correct or answers[place] == answers[first]:
                classes[place] = count
        open_places = [place for place in rest if classes[place] is None]
        count += 1
    return classes


__all__ = ["GraderPool", "answer_classes", "grade"]
