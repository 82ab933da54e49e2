"""Tests: sign flips on per-question differences, exact McNemar, Holm's correction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from repro.errors import BadInput

_EXACT_QUESTIONS = 14  # 2^14 sign patterns are enumerated at once; above that the flips are drawn


def sign_flip_test(
    differences: ArrayLike, *, rng: np.random.Generator, draws: int = 10_000, chunk: int = 1_000
) -> float:
    """Two-sided p-value of "no difference" by flipping the signs of per-question differences of avg@k.

    differences: [questions]. Tests two *sets of checkpoints* on exchangeable questions: the training seed shifts all
    questions together, so this p-value says nothing about methods (`repro.studies.calibrate` measures false alarms).
    Up to 14 questions all sign patterns are enumerated; beyond, `draws` random ones, counting the observed one.
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or values.size < 1:
        raise BadInput(f"sign-flip test: differences of shape {values.shape}; want one value per question")
    observed = abs(values.sum()) * (1 - 1e-12)  # equal sums must count as equal in spite of rounding
    if values.size <= _EXACT_QUESTIONS:
        patterns = (np.arange(2**values.size)[:, None] >> np.arange(values.size)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ values) >= observed))
    hits = 0
    for start in range(0, draws, chunk):
        signs = rng.integers(0, 2, size=(min(chunk, draws - start), values.size)) * 2 - 1
        hits += int(np.sum(np.abs(signs @ values) >= observed))
    return (hits + 1) / (draws + 1)


def mcnemar_exact(a: ArrayLike, b: ArrayLike) -> float:
    """Exact two-sided McNemar p-value for two greedy passes over the same questions (booleans [questions])."""
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise BadInput(f"McNemar: shapes {first.shape} and {second.shape}; want one verdict per question from both")
    only_a, only_b = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: running maximum of (m - rank) p, capped at 1."""
    values = np.asarray(p_values, dtype=float)
    if values.size and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise BadInput("Holm: want p-values within 0..1")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (values.size - rank) * values[index]))
        adjusted[index] = running
    return [float(value) for value in adjusted]
