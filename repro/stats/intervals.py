"""Confidence intervals of scores and differences over training seeds, questions and samples.

Data: one `Counts` per suite, right answers [seeds, questions] out of k samples. A score is the plain mean over suites
of the mean over seeds and questions. Its error is a sum of independent parts, each with its own degrees of freedom:

* seeds:     s²(seed means) / S, S-1 degrees of freedom. Contains the sampling noise and the seed x question
             interaction, and is never taken to be below them: the noise is measured within the table on
             (S-1)(Q-1) degrees of freedom a suite, and t² x noise of those is the least that this part adds.
* base:      the draw of the samples of the one checkpoint that a gain is measured from.
* questions: (MS_questions - MS_residual) / (S·Q), the draw of the questions, noise removed, never below 0.

Half-width: sqrt(Σ t²(df_i) · v_i) (Howe's combination). It is at least as wide as the Student-t interval over seed
means, and equals it when arms differ by the same amount on every question. Why not the percentile bootstrap, and why
the floor has the noise's degrees of freedom: `repro.studies.calibrate` measures it on simulated null comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from repro.errors import BadInput

LEVEL = 0.95
ALL_LEVELS = "seeds, questions, samples"
ONE_SEED = "1 seed, sampling only"
_ROUNDING = 1e-12


class Part(NamedTuple):
    """One independent part of an error: its variance [...], degrees of freedom, and the least variance it can have.

    The floor comes with its own degrees of freedom: noise that is measured well needs no allowance for few seeds.
    """

    variance: NDArray
    df: float
    floor: NDArray | float = 0.0
    floor_df: float = float("inf")


@dataclass(frozen=True)
class Counts:
    """Right answers of one arm on one suite: correct[..., seeds, questions] in 0..k. Leading axes are a batch.

    sampled: False for greedy passes, k = 1: one checkpoint answers the same way every time.
    """

    correct: NDArray
    k: int
    sampled: bool = True

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


Arm = Sequence[Counts]  # one per suite


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; fractions, not points.

    se: standard error, its seed part not below the sampling noise. df: degrees of freedom of the Student t that
    combines the parts of `se`; the minimum detectable gap rests on both. p: two-sided, for the value 0. covers: what
    varies in the interval.
    """

    value: float
    low: float
    high: float
    se: float
    df: float
    p: float
    seeds: int
    covers: str


def arm_interval(suites: Arm) -> Interval:
    """avg@k of one arm, averaged over the suites, within [0, 1].

    A single pass of one seed (k = 1) on one suite gets a Wilson interval, and so does a score without any variance
    (all right or all wrong), with one trial per question: the normal theory has no width there.
    """
    result = contrast([(1.0, suites)])
    seeds, first = suites[0].seeds, suites[0]
    if (len(suites) == 1 and seeds == 1 and first.k == 1) or result.se == 0:
        questions = sum(suite.questions for suite in suites)
        low, high = wilson_interval(round(result.value * questions), questions)
        se = (high - low) / (2 * stats.norm.ppf(0.5 + LEVEL / 2))
        return Interval(result.value, low, high, se, np.inf, 0.0, seeds, covered(seeds))
    return Interval(**{**vars(result), "low": max(0.0, result.low), "high": min(1.0, result.high)})


def paired_difference(a: Arm, b: Arm) -> Interval:
    """Arm a minus arm b on the same questions and the same seeds, averaged over the suites (signed, in [-1, 1]).

    Row s of both must be seed s, column q question q; k may differ. Only the difference per seed and question enters,
    so any correlation between the arms is used and none is assumed. Raises BadInput when shapes differ.
    """
    return contrast([(1.0, a), (-1.0, b)])


def difference_from_checkpoint(a: Arm, base: Arm) -> Interval:
    """Arm a minus one fixed checkpoint (the untrained base) on the same questions, averaged over the suites.

    The rows of `base` are repeated evaluations of one model: they add sampling noise, no seed spread. The rows of `a`
    are training seeds. Numbers of rows and k may differ. Raises BadInput when the questions differ in number.
    """
    return contrast([(1.0, a)], base, -1.0)


def contrast(arms: Sequence[tuple[float, Arm]], base: Arm | None = None, base_weight: float = 0.0) -> Interval:
    """Interval of Σ weight x arm + base_weight x base, arms paired by seed and question, base one checkpoint.

    Raises BadInput when the arms differ in seeds or questions, or the base in questions.
    """
    value, parts = contrast_parts(arms, base, base_weight)
    half, center, seeds = float(half_width(parts)), float(value), arms[0][1][0].seeds
    if abs(center) < _ROUNDING:  # equal arms differ by nothing, whatever the weights' last digits
        center = 0.0
    se = float(np.sqrt(sum(np.maximum(part.variance, part.floor) for part in parts)))
    at_seeds = [Part(np.maximum(part.variance, part.floor), part.df) for part in parts]
    df = _equivalent_df(float(half_width(at_seeds)), se)
    p = two_sided_p(center, parts)
    return Interval(center, center - half, center + half, se, df, p, seeds, covered(seeds))


def contrast_parts(
    arms: Sequence[tuple[float, Arm]], base: Arm | None = None, base_weight: float = 0.0
) -> tuple[NDArray, list[Part]]:
    """Value and parts of the variance of `contrast`, batched as the counts are; checks shapes."""
    first = arms[0][1]
    for _, arm in arms:
        if not arm or len({suite.seeds for suite in arm}) != 1:
            raise BadInput(
                f"{len(arm)} suites with seeds {[s.seeds for s in arm]}: want suites with one number of seeds"
            )
        if [suite.correct.shape for suite in arm] != [suite.correct.shape for suite in first]:
            raise BadInput("paired difference: arms differ in seeds or questions; want the same for every suite")
    if base is not None and [suite.questions for suite in base] != [suite.questions for suite in first]:
        raise BadInput("difference from a checkpoint: want the same questions on both sides, in every suite")
    tables = [sum(weight * arm[i].rates for weight, arm in arms) for i in range(len(first))]
    return mean_parts(tables, base, base_weight)


def mean_parts(
    tables: Sequence[NDArray], base: Arm | None = None, base_weight: float = 0.0
) -> tuple[NDArray, list[Part]]:
    """Mean over suites of scores x[..., seeds, questions] + base_weight x a checkpoint's, and the parts of its error.

    tables: one array per suite with a common number of seeds; leading axes are a batch, so that a calibration of
    thousands of tables runs the code that makes the real one. One seed: a single part, the spread over questions,
    which contains the sampling noise. Returns value [...] and parts.
    """
    seeds, share = tables[0].shape[-2], 1.0 / len(tables) ** 2
    per_seed = np.mean([table.mean(axis=-1) for table in tables], axis=0)  # [..., seeds]
    value, by_question, drawn = per_seed.mean(axis=-1), [table.mean(axis=-2) for table in tables], np.zeros(())
    if base is not None:
        value = value + base_weight * np.mean([suite.rates.mean(axis=(-1, -2)) for suite in base], axis=0)
        by_question = [x + base_weight * y.rates.mean(axis=-2) for x, y in zip(by_question, base, strict=True)]
        drawn = base_weight**2 * share * sum(_sampling_variance(suite) for suite in base)
    spread = sum(rates.var(axis=-1, ddof=1) / rates.shape[-1] for rates in by_question) * share
    df_questions = float(sum(table.shape[-1] - 1 for table in tables))
    if seeds == 1:
        return value, [Part(np.asarray(spread), df_questions)]
    between_seeds = per_seed.var(axis=-1, ddof=1) / seeds
    noise = sum(_residual(table) / table.shape[-1] for table in tables) * share
    questions = np.maximum(spread - drawn - noise, 0.0)
    return value, [
        Part(between_seeds, float(seeds - 1), noise, (seeds - 1) * df_questions),
        Part(drawn, df_questions),
        Part(questions, df_questions),
    ]


def half_width(parts: Sequence[Part], alpha: float = 1 - LEVEL) -> NDArray:
    """Half-width of the two-sided interval at level 1 - alpha: sqrt(Σ max(t²(df_i) v_i, t²(floor_df_i) floor_i))."""
    return np.sqrt(
        sum(np.maximum(_t2(part.df, alpha) * part.variance, _t2(part.floor_df, alpha) * part.floor) for part in parts)
    )


def two_sided_p(value: float, parts: Sequence[Part]) -> float:
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


def exact_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a proportion: the one that belongs to an exact binomial test."""
    if trials < 1 or not 0 <= successes <= trials:
        raise BadInput(f"exact interval of {successes} in {trials}: want 0 <= successes <= trials, trials >= 1")
    result = stats.binomtest(int(successes), int(trials)).proportion_ci(level, method="exact")
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
    if not suite.sampled:
        return np.zeros(suite.correct.shape[:-2])
    samples = suite.k * suite.seeds
    if samples < 2:
        raise BadInput("sampling variance of a checkpoint: one sample per question; want at least two")
    rates = suite.correct.sum(axis=-2) / samples
    return (rates * (1 - rates)).sum(axis=-1) / (samples - 1) / suite.questions**2


def _equivalent_df(half: float, se: float) -> float:
    limit = stats.norm.ppf(0.5 + LEVEL / 2)
    if se == 0 or half / se <= limit * (1 + 1e-9):
        return float("inf")
    ratio = half / se
    return float(
        np.exp(optimize.brentq(lambda log_df: special.stdtrit(np.exp(log_df), 0.5 + LEVEL / 2) - ratio, -0.5, 25))
    )


def _t2(df: float, alpha: float) -> float:
    quantile = special.ndtri(alpha / 2) if np.isinf(df) else special.stdtrit(df, alpha / 2)
    return float(quantile) ** 2


def covered(seeds: int) -> str:
    """What varies in an interval over so many seeds."""
    return ALL_LEVELS if seeds > 1 else ONE_SEED
