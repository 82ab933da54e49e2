"""Scores of sampled answers: avg@k, pass@k, maj@k.

Question i has n_i samples in stored order, c_i of them correct. Every function takes what was stored, never a rate, and
refuses k above n: a score labelled with a k that was not sampled is the commonest error in published tables.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from repro.errors import BadInput


def avg_at_k(verdicts: Sequence[Sequence[bool]], k: int) -> float:
    """Mean over questions of the share of right answers among the first k samples (the tables' pass@1).

    verdicts: per question the verdicts in stored order. Returns a fraction in [0, 1]; its expectation does not depend
    on k. Raises BadInput when there is no question, k < 1, or a question has fewer than k samples.
    """
    if k < 1 or not len(verdicts):
        raise BadInput(f"avg@{k} of {len(verdicts)} questions: want k >= 1 and at least one question")
    for number, row in enumerate(verdicts):
        if len(row) < k:
            raise BadInput(f"avg@{k}: question {number} has {len(row)} samples; want at least {k}")
    return float(np.mean([np.mean(np.asarray(row[:k], dtype=bool)) for row in verdicts]))


def mean_accuracy(correct: ArrayLike, k: int) -> float:
    """avg@k from stored counts: mean over questions of c_i / k, with exactly k samples each.

    correct: [questions] integers in 0..k. Returns a fraction. Raises BadInput when a count is outside 0..k.
    """
    counts = np.asarray(correct)
    if k < 1 or counts.size == 0 or counts.min() < 0 or counts.max() > k:
        raise BadInput(f"avg@{k} from {counts.size} counts: want k >= 1 and counts in 0..{k}")
    return float(counts.mean() / k)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> float:
    """Mean over questions of 1 - C(n-c, k) / C(n, k): the chance that k of the n samples hold a right one, unbiased.

    n, c: [questions] or scalars: samples and right samples. Computed as a product, so that no factorial overflows.
    Raises BadInput when k < 1, k > n, or c is outside 0..n.
    """
    samples, right = np.broadcast_arrays(np.atleast_1d(np.asarray(n)), np.atleast_1d(np.asarray(c)))
    if samples.size == 0 or k < 1 or k > samples.min():
        raise BadInput(f"pass@{k} of {samples.size} questions: want 1 <= k <= samples of every question")
    if right.min() < 0 or np.any(right > samples):
        raise BadInput(f"pass@{k}: counts {right.min()}..{right.max()} do not lie within the samples of each question")
    pairs, multiplicity = np.unique(np.stack([samples, right]), axis=1, return_counts=True)
    values = [_pass_one(int(size), int(hits), k) for size, hits in pairs.T]
    return float(np.average(values, weights=multiplicity))


def _pass_one(n: int, c: int, k: int) -> float:
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def maj_at_k(answers: Sequence[Hashable | None], correct: Sequence[bool], k: int, *, tie: str = "share") -> float:
    """Majority vote of k samples on one question, averaged over the floor(n/k) disjoint k-tuples in stored order.

    answers: the class of each final answer under grader equivalence; None is a response without an answer and does not
    vote. correct: the verdict of each sample. tie = "share" pays the share of tied classes that is correct; tie =
    "first" takes the tied class seen first. A tuple without votes pays 0. Returns a fraction in [0, 1].
    Raises BadInput when k is outside 1..n, the lengths differ, or one class is graded both right and wrong.
    """
    if tie not in ("share", "first"):
        raise BadInput(f"maj@{k}: tie rule {tie!r}; want 'share' or 'first'")
    if len(answers) != len(correct) or not 1 <= k <= len(answers):
        raise BadInput(f"maj@{k}: {len(answers)} answers and {len(correct)} verdicts; want as many, at least k")
    verdict: dict[Hashable, bool] = {}
    for answer, right in zip(answers, correct, strict=True):
        if answer is not None and verdict.setdefault(answer, bool(right)) != bool(right):
            raise BadInput(f"maj@{k}: class {answer!r} is graded right and wrong; want one verdict per class")
    tuples = len(answers) // k
    return float(np.mean([_vote(answers[i * k : (i + 1) * k], verdict, tie) for i in range(tuples)]))


def _vote(answers: Sequence[Hashable | None], verdict: dict[Hashable, bool], tie: str) -> float:
    votes: dict[Hashable, int] = {}
    for answer in answers:
        if answer is not None:
            votes[answer] = votes.get(answer, 0) + 1
    if not votes:
        return 0.0
    top = max(votes.values())
    tied = [answer for answer, number in votes.items() if number == top]  # dicts keep the order of first sight
    if tie == "first":
        return float(verdict[tied[0]])
    return float(np.mean([verdict[answer] for answer in tied]))
