"""`grade`: whether the last box of a model's output equals the gold answer. One grader for rewards and evaluation."""

from gcpo.rewards.pool import GraderPool, default_pool
from gcpo.rewards.verdict import Verdict


def grade(*, gold: str, prediction: str) -> Verdict:
    """Grade one model output. Never raises on the content of two strings; a verdict comes within seconds.

    Keyword-only, since a swapped pair would grade silently wrong. Runs in a worker process of its own, so that it may
    be called from any thread. For many outputs use `GraderPool.grade_many`, which gives the same verdicts.
    """
    return default_pool().grade_many([(gold, prediction)])[0]


__all__ = ["GraderPool", "grade"]
