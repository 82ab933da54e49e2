"""Confidence intervals of scores and differences over training seeds, questions and samples.

Data: one `Counts` per suite, right answers [seeds, questions] out of k samples. A score is the plain mean over suites
of the mean over seeds and questions. Its error is a sum of independent parts, each with its own degrees of freedom:

* seeds:     s²(seed means) / S, S-1 degrees of freedom. Contains the sampling noise and the seed x question
interaction.
* questions: (MS_questions - MS_residual) / (S·Q), the draw of the questions, noise removed, never below 0.

Half-width: sqrt(Σ t²(df_i) · v_i) (Howe's combination). It is at least as wide as the Student-t interval over seed
means, and equals it when arms differ by the same amount on every question. Why not the percentile bootstrap: see
`repro.studies.calibrate`, which measures both on simulated null comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from repro.errors import BadInput

LEVEL = 0.95
ALL_LEVELS = "seeds, questions, samples"
ONE_SEED = "1 seed, sampling only"

Parts = list[tuple[NDArray, float]]  # (variance, degrees of freedom); variances share their leading batch shape


@dataclass(frozen=True)
class Counts:
    """Right answers of one arm on one suite: correct[..., seeds, questions] in 0..k. Leading axes are a batch."""

    correct: NDArray
    k: int

    def __post_init__(self) -> None:
        array = np.asarray(self.correct)
        object.__setattr__(self, "correct", array)
        if array.ndim < 2 or array.shape[-1] < 2 or array.shape[-2] < 1:
            raise BadInput(f"counts of shape {array.shape}: want [seeds >= 1, questions >= 2]")
        if self.k < 1 or array.min() < 0 or array.max() > self.k:
            raise BadInput(f"counts {array.min()}..{array.max()} with k={self.k}: want 0..k")

    @property
    def rates(self) -> NDArray:
        """Share of right samples, [..., seeds, questions]."""
        return self.correct / self.k

    @property
    def seeds(self) -> int:
        return self.correct.shape[-2]

    @property
    def questions(self) -> int:
        return self.correct.shape[-1]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; fractions, not points.

    se: standard error. se_floor: the same with the seed part not below the sampling noise it must contain; the minimum
    detectable gap rests on it, because with two seeds the seed part can be near 0 by luck. df: degrees of freedom of
    the Student t that gives the same half-width from se. p: two-sided, for the value 0. covers: what varies in the
    interval.
    """

    value: float
    low: float
    high: float
    se: float
    se_floor: float
    df: float
    p: float
    seeds: int
    covers: str


def arm_interval(suites: Sequence[Counts]) -> Interval:
    """avg@k of one arm, averaged over the suites, within [0, 1].

    A single pass of one seed (k = 1) on one suite gets a Wilson interval, and so does a score without any variance
    (all right or all wrong), with one trial per question: the normal theory has no width there.
    """
    _check(suites)
    value, parts, floor = mean_parts([suite.rates for suite in suites])
    seeds, first = suites[0].seeds, suites[0]
    if (len(suites) == 1 and seeds == 1 and first.k == 1) or sum(float(variance) for variance, _ in parts) == 0:
        questions = sum(suite.questions for suite in suites)
        low, high = wilson_interval(round(float(value) * questions), questions)
        se = (high - low) / (2 * stats.norm.ppf(0.5 + LEVEL / 2))
        return Interval(float(value), low, high, se, se, np.inf, 0.0, seeds, _covers(seeds))
    result = _interval(value, parts, floor, seeds)
    return Interval(**{**vars(result), "low": max(0.0, result.low), "high": min(1.0, result.high)})


def paired_difference(a: Sequence[Counts], b: Sequence[Counts]) -> Interval:
    """Arm a minus arm b on the same questions and the same seeds, averaged over the suites (signed, in [-1, 1]).

    Row s of both must be seed s, column q question q. Only the difference per seed and question enters, so any
    correlation between the arms is used and none is assumed. Raises BadInput when shapes or k differ.
    """
    _check(a)
    _check(b)
    if [(x.correct.shape, x.k) for x in a] != [(y.correct.shape, y.k) for y in b]:
        raise BadInput("paired difference: arms differ in seeds, questions or k; want the same for every suite")
    value, parts, floor = mean_parts([x.rates - y.rates for x, y in zip(a, b, strict=True)])
    return _interval(value, parts, floor, a[0].seeds)


def difference_from_checkpoint(a: Sequence[Counts], base: Sequence[Counts]) -> Interval:
    """Arm a minus one fixed checkpoint (the untrained base) on the same questions, averaged over the suites.

    The rows of `base` are repeated evaluations of one model: they add sampling noise, no seed spread. The rows of `a`
    are training seeds. Numbers of rows and k may differ. Raises BadInput when the questions differ in number.
    """
    _check(a)
    _check(base)
    if [x.questions for x in a] != [y.questions for y in base]:
        raise BadInput("difference from a checkpoint: want the same questions on both sides, in every suite")
    share = 1.0 / len(a) ** 2
    value, parts, floor = mean_parts([x.rates for x in a])
    value = value - np.mean([y.rates.mean(axis=(-1, -2)) for y in base], axis=0)
    base_noise = sum(_sampling_variance(y) for y in base) * share
    arm_noise = sum(_residual(x.rates) / x.questions for x in a) * share if a[0].seeds > 1 else 0.0
    spread = sum(
        (x.rates.mean(axis=-2) - y.rates.mean(axis=-2)).var(axis=-1, ddof=1) / x.questions
        for x, y in zip(a, base, strict=True)
    )
    df_questions = float(sum(x.questions - 1 for x in a))
    if a[0].seeds == 1:
        return _interval(value, [(spread * share, df_questions)], spread * share, 1)
    questions = np.maximum(spread * share - base_noise - arm_noise, 0.0)
    parts = [parts[0], (base_noise, df_questions), (questions, df_questions)]
    floor = np.maximum(parts[0][0], arm_noise) + base_noise + questions
    return _interval(value, parts, floor, a[0].seeds)


def mean_parts(tables: Sequence[NDArray]) -> tuple[NDArray, Parts, NDArray]:
    """Mean over suites of scores x[..., seeds, questions], the parts of its variance, and the floored variance.

    tables: one array per suite with a common number of seeds; leading axes are a batch, so that a calibration of
    thousands of tables runs the code that makes the real one. One seed: a single part, the spread over questions,
    which contains the sampling noise. Returns value [...], parts, variance with the seed part not below the residual
    [...].
    """
    seeds, share = tables[0].shape[-2], 1.0 / len(tables) ** 2
    per_seed = np.mean([table.mean(axis=-1) for table in tables], axis=0)  # [..., seeds]
    value = per_seed.mean(axis=-1)
    spread = sum(table.mean(axis=-2).var(axis=-1, ddof=1) / table.shape[-1] for table in tables) * share
    df_questions = float(sum(table.shape[-1] - 1 for table in tables))
    if seeds == 1:
        return value, [(np.asarray(spread), df_questions)], np.asarray(spread)
    between_seeds = per_seed.var(axis=-1, ddof=1) / seeds
    noise = sum(_residual(table) / table.shape[-1] for table in tables) * share
    questions = np.maximum(spread - noise, 0.0)
    parts: Parts = [(between_seeds, float(seeds - 1)), (questions, df_questions)]
    return value, parts, np.maximum(between_seeds, noise) + questions


def half_width(parts: Parts, alpha: float = 1 - LEVEL) -> NDArray:
    """Half-width of the two-sided interval at level 1 - alpha: sqrt(Σ t²(df_i) · v_i), [...] as the variances."""
    return np.sqrt(sum(special.stdtrit(df, alpha / 2) ** 2 * variance for variance, df in parts))


def two_sided_p(value: float, parts: Parts) -> float:
    """p-value of the value 0: the alpha at which the interval's end touches 0. 1 at value 0, at least 1e-12."""
    if value == 0:
        return 1.0
    if float(half_width(parts, 1e-12)) <= abs(value):
        return 1e-12
    return float(np.exp(optimize.brentq(lambda log_p: half_width(parts, np.exp(log_p)) - abs(value), np.log(1e-12), 0)))


def student_t_interval(per_seed: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Student-t interval of the mean of S >= 2 seed means: it covers new seeds on these very questions."""
    scores = np.asarray(per_seed, dtype=float)
    if scores.ndim != 1 or scores.size < 2:
        raise BadInput(f"Student-t interval over seeds: {scores.size} values; want at least 2")
    half = stats.t.ppf(0.5 + level / 2, scores.size - 1) * scores.std(ddof=1) / np.sqrt(scores.size)
    return float(scores.mean() - half), float(scores.mean() + half)


def wilson_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion, for single passes (Bowyer et al., arXiv 2503.01747, warn of the CLT)."""
    if trials < 1 or not 0 <= successes <= trials:
        raise BadInput(f"Wilson interval of {successes} in {trials}: want 0 <= successes <= trials, trials >= 1")
    result = stats.binomtest(int(successes), int(trials)).proportion_ci(level, method="wilson")
    return float(result.low), float(result.high)


def variance_components(suite: Counts) -> dict[str, float]:
    """Where the variance of one suite's avg@k comes from: SDs (fractions) of its mean over seeds, questions and
    samples.

    Keys `seed`, `question`, `seed_x_question`, `sample`: each is the square root of that source's share of the
    variance of the mean over S seeds and Q questions, clipped at 0; `one_seed` is the SD between trained models with
    the sampling noise removed. Needs two seeds and k >= 2, BadInput otherwise.
    """
    if suite.seeds < 2 or suite.k < 2 or suite.correct.ndim != 2:
        raise BadInput(f"variance components: {suite.seeds} seeds, k={suite.k}; want at least two of each")
    rates, seeds, questions = suite.rates, suite.seeds, suite.questions
    sample = float(
        (rates * (1 - rates)).mean() / (suite.k - 1)
    )  # variance of one cell's rate around its own probability
    residual = float(_residual(rates)) * seeds  # interaction + sample, per cell
    seed = max(float(rates.mean(axis=1).var(ddof=1)) - residual / questions, 0.0)
    question = max(float(rates.mean(axis=0).var(ddof=1)) - residual / seeds, 0.0)
    cells = seeds * questions
    return {
        "seed": float(np.sqrt(seed / seeds)),
        "question": float(np.sqrt(question / questions)),
        "seed_x_question": float(np.sqrt(max(residual - sample, 0.0) / cells)),
        "sample": float(np.sqrt(sample / cells)),
        "one_seed": float(np.sqrt(seed)),
    }


def _residual(table: NDArray) -> NDArray:
    """MS_residual / S: the variance that seeds x questions noise adds to a question's mean over seeds, [...]."""
    seeds, questions = table.shape[-2:]
    rest = table - table.mean(axis=-2, keepdims=True) - table.mean(axis=-1, keepdims=True)
    rest = rest + table.mean(axis=(-1, -2), keepdims=True)
    return (rest**2).sum(axis=(-1, -2)) / ((seeds - 1) * (questions - 1)) / seeds


def _sampling_variance(suite: Counts) -> NDArray:
    """Variance of one checkpoint's mean rate over fixed questions from k samples per row, rows pooled, [...]."""
    samples = suite.k * suite.seeds
    if samples < 2:
        raise BadInput("sampling variance of a checkpoint: one sample per question; want at least two")
    rates = suite.correct.sum(axis=-2) / samples
    return (rates * (1 - rates)).sum(axis=-1) / (samples - 1) / suite.questions**2


def _interval(value: NDArray, parts: Parts, floor: NDArray, seeds: int) -> Interval:
    half, se = float(half_width(parts)), float(np.sqrt(sum(variance for variance, _ in parts)))
    center = float(value)
    p = two_sided_p(center, parts)
    return Interval(
        center,
        center - half,
        center + half,
        se,
        float(np.sqrt(floor)),
        _equivalent_df(half, se),
        p,
        seeds,
        _covers(seeds),
    )


def _equivalent_df(half: float, se: float) -> float:
    limit = stats.norm.ppf(0.5 + LEVEL / 2)
    if se == 0 or half / se <= limit * (1 + 1e-9):
        return float("inf")
    ratio = half / se
    return float(
        np.exp(optimize.brentq(lambda log_df: special.stdtrit(np.exp(log_df), 0.5 + LEVEL / 2) - ratio, -0.5, 25))
    )


def _covers(seeds: int) -> str:
    return ALL_LEVELS if seeds > 1 else ONE_SEED


def _check(suites: Sequence[Counts]) -> None:
    if not suites or len({suite.seeds for suite in suites}) != 1:
        raise BadInput(
            f"{len(suites)} suites with seeds {[s.seeds for s in suites]}: want suites with one number of seeds"
        )
