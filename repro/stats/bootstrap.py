"""Resampling: the hierarchical bootstrap (seeds, questions, samples), and IQM and probability of improvement over
seeds."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repro.errors import BadInput
from repro.stats.intervals import LEVEL, Counts

REPLICATES = 10_000


def hierarchical_bootstrap(
    a: Sequence[Counts],
    b: Sequence[Counts] | None = None,
    *,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    pair_seeds: bool = True,
    resample: frozenset[str] = frozenset({"seeds", "questions", "samples"}),
) -> NDArray:
    """Replicates of the mean over suites of avg@k of arm a, or of a minus b: seeds, then questions, then samples.

    Resampled questions are shared by both arms and all seeds; resampled seeds by all suites, and by both arms when
    `pair_seeds`. Samples: every drawn (seed, question) gets Binomial(k, c/k) right ones. Draws that share c sum to one
    Binomial(k · multiplicity, c/k), so a replicate costs k + 1 draws instead of seeds x questions.
    With one seed the seed level is fixed. Returns [replicates], fractions.
    """
    arms = [a] if b is None else [a, b]
    if any(suite.correct.ndim != 2 for arm in arms for suite in arm):
        raise BadInput("hierarchical bootstrap: want counts of shape [seeds, questions]")
    if b is not None and [x.questions for x in a] != [y.questions for y in b]:
        raise BadInput("hierarchical bootstrap: arms differ in their numbers of questions; want the same questions")
    pair_seeds = pair_seeds and len({arm[0].seeds for arm in arms}) == 1
    weights = [_seed_weights(arms[0][0].seeds, replicates, rng, "seeds" in resample)]
    if b is not None:
        weights.append(weights[0] if pair_seeds else _seed_weights(b[0].seeds, replicates, rng, "seeds" in resample))
    total = np.zeros(replicates)
    for index in range(len(a)):
        drawn = _draws(a[index].questions, replicates, rng, "questions" in resample)
        for sign, arm, seed_weights in zip((1.0, -1.0), arms, weights, strict=False):
            total += sign * _resampled_mean(arm[index], seed_weights, drawn, rng, "samples" in resample)
    return total / len(a)


def percentile_interval(replicates: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates."""
    low, high = np.quantile(np.asarray(replicates), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def iqm(scores: ArrayLike) -> NDArray:
    """Interquartile mean of scores [..., seeds, suites]: mean of the middle half of all of them. 1..8 gives 4.5.

    Leading axes are a batch; a flat list is one batch of one. Returns [...] or a 0-d float.
    """
    array = np.atleast_2d(np.asarray(scores, dtype=float))
    values = np.sort(array.reshape(*array.shape[:-2], -1), axis=-1)
    if values.size == 0:
        raise BadInput("IQM of no scores: want at least one")
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> NDArray:
    """Share of seed pairs with a above b, ties counting one half, averaged over suites.

    a: [..., seeds_a, suites], b: [..., seeds_b, suites]; leading axes are a batch. Returns fractions [...]; 0.5 means
    no difference.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.ndim < 2 or second.ndim < 2 or first.shape[-1] != second.shape[-1]:
        raise BadInput(f"probability of improvement: shapes {first.shape}, {second.shape}; want [seeds, suites] twice")
    difference = first[..., :, None, :] - second[..., None, :, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0), axis=(-1, -2, -3))


def seed_bootstrap(
    statistic: Callable[..., NDArray], *arms: ArrayLike, rng: np.random.Generator, replicates: int = 2_000
) -> tuple[float, float]:
    """Percentile interval of statistic(*arms), arms [seeds, suites], resampling seeds within each arm.

    statistic maps batches [replicates, seeds, suites] to [replicates]. The suites of one seed stay together, since one
    checkpoint produced them. With few seeds such an interval is too narrow (its variance is (S-1)/S of the right one at
    best): it describes, it does not decide.
    """
    tables = [np.asarray(arm, dtype=float) for arm in arms]
    drawn = [table[rng.integers(0, len(table), (replicates, len(table)))] for table in tables]
    return percentile_interval(statistic(*drawn))


def _seed_weights(seeds: int, replicates: int, rng: np.random.Generator, active: bool) -> NDArray:
    return _draws(seeds, replicates, rng, active and seeds > 1)


def _draws(size: int, replicates: int, rng: np.random.Generator, active: bool) -> NDArray:
    """How often each of `size` units is drawn, [replicates, size]; all ones when the level is fixed."""
    if not active:
        return np.ones((replicates, size))
    picks = rng.integers(0, size, size=(replicates, size)) + size * np.arange(replicates)[:, None]
    return np.bincount(picks.ravel(), minlength=size * replicates).reshape(replicates, size).astype(float)


def _resampled_mean(
    suite: Counts, seed_weights: NDArray, question_weights: NDArray, rng: np.random.Generator, samples: bool
) -> NDArray:
    """Mean rate of one suite per replicate, [replicates]."""
    right = np.zeros(len(seed_weights))
    for count in range(1, suite.k + 1):  # count 0 contributes nothing
        hit = (suite.correct == count).astype(float)  # [seeds, questions]
        multiplicity = np.sum((question_weights @ hit.T) * seed_weights, axis=1)
        if samples and count < suite.k:
            right += rng.binomial(np.rint(multiplicity).astype(np.int64) * suite.k, count / suite.k)
        else:
            right += multiplicity * count
    return right / (suite.k * suite.seeds * suite.questions)
