"""How steady a positive series is over training steps, as numbers with intervals over seeds.

Does: statistics of one run that do not depend on the series' scale, their geometric mean over seeds, and the ratio of
two arms' with its tests. Does not: know that the series is a gradient's norm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from repro.errors import BadInput
from repro.stats.intervals import LEVEL

Runs = Sequence[ArrayLike]  # one series of steps per seed
Statistic = Callable[[NDArray], float]
OVER_SEEDS, ONE_RUN = "seeds", "1 seed, steps only"
_DRAWS = 2_000


@dataclass(frozen=True)
class Steadiness:
    """A statistic, or a ratio of two, with its 95 % interval (None: no interval).

    p: of a ratio of 1; p_equivalent: of one outside the margin, by two one-sided tests; both None for a single arm.
    covers: what varies in the interval.
    """

    value: float
    low: float | None
    high: float | None
    covers: str
    p: float | None = None
    p_equivalent: float | None = None


def relative_spread(series: NDArray) -> float:
    """Standard deviation over steps (unbiased) as a share of the mean."""
    return float(series.std(ddof=1) / series.mean())


def oscillation(series: NDArray) -> float:
    """The same from successive differences, sqrt(mean(d²) / 2) over the mean (von Neumann): a slow drift adds nothing,
    and independent steps give the relative spread.
    """
    return float(np.sqrt(np.mean(np.diff(series) ** 2) / 2) / series.mean())


def relative_drift(series: NDArray) -> float:
    """Change of the least-squares line from the first step to the last, as a share of the mean."""
    slope = np.polyfit(np.arange(series.size), series, 1)[0]
    return float(slope * (series.size - 1) / series.mean())


def mean_level(series: NDArray) -> float:
    """The mean over steps."""
    return float(series.mean())


def geometric_mean(values: ArrayLike) -> Steadiness:
    """Geometric mean of positive values, one per seed, with Student's t interval over their logarithms.

    One value has no interval. Raises BadInput for values that are not above 0.
    """
    logs = _logarithms(np.asarray(values, dtype=float))
    if len(logs) < 2:
        return Steadiness(float(np.exp(logs.mean())), None, None, ONE_RUN)
    half = stats.t.ppf(0.5 + LEVEL / 2, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    value, low, high = (float(np.exp(end)) for end in (logs.mean(), logs.mean() - half, logs.mean() + half))
    return Steadiness(value, low, high, OVER_SEEDS)


def over_seeds(runs: Runs, statistic: Statistic, *, rng: np.random.Generator) -> Steadiness:
    """Geometric mean over seeds of a positive statistic. Interval: Student's t over the seeds' logarithms.

    One seed: moving blocks of its steps, resampled. Raises BadInput for series that are too short, not finite, or give
    a statistic that is not above 0.
    """
    values = _values(runs, statistic)
    if len(values) > 1:
        return geometric_mean(values)
    drawn = _resampled(np.asarray(runs[0], dtype=float), statistic, rng)
    low, high = np.exp(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return Steadiness(float(values[0]), float(low), float(high), ONE_RUN)


def ratio_over_seeds(a: Runs, b: Runs, statistic: Statistic, *, margin: float, rng: np.random.Generator) -> Steadiness:
    """Ratio of two arms' statistics, paired by seed (run i of both is the same seed); arms may differ in steps.

    margin: the ratio is equivalent to 1 between 1 / (1 + margin) and 1 + margin. One seed: each arm's steps resampled
    on their own. Raises BadInput as `over_seeds`, and for different numbers of seeds.
    """
    if len(a) != len(b):
        raise BadInput(f"ratio of steadiness: {len(a)} and {len(b)} seeds; want the same seeds of both")
    logs, edge = np.log(_values(a, statistic)) - np.log(_values(b, statistic)), np.log1p(margin)
    center = float(logs.mean())
    if len(logs) > 1:
        df, se = len(logs) - 1, logs.std(ddof=1) / np.sqrt(len(logs))
        half = stats.t.ppf(0.5 + LEVEL / 2, df) * se
        below = _tail(center, se, df)
        p, outside = 2 * min(below, 1 - below), max(1 - _tail(center + edge, se, df), _tail(center - edge, se, df))
        value, low, high = (float(np.exp(end)) for end in (center, center - half, center + half))
        return Steadiness(value, low, high, OVER_SEEDS, p, outside)
    one, other = (_resampled(np.asarray(runs[0], dtype=float), statistic, rng) for runs in (a, b))
    drawn = one - other
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    least = 1 / _DRAWS
    p = min(1.0, 2 * max(min(np.mean(drawn <= 0), np.mean(drawn >= 0)), least))
    outside = max(np.mean(drawn <= -edge), np.mean(drawn >= edge), least)
    return Steadiness(float(np.exp(center)), *(float(np.exp(e)) for e in ends), ONE_RUN, float(p), float(outside))


def _tail(value: float, se: float, df: int) -> float:
    """Chance of a Student t below value / se; equal seeds, se 0, decide by the sign alone."""
    if se == 0:
        return 0.5 + 0.5 * float(np.sign(value))
    return float(stats.t.cdf(value / se, df))


def _values(runs: Runs, statistic: Statistic) -> NDArray:
    """The statistic of every run, all above 0."""
    values = []
    for run in runs:
        series = np.asarray(run, dtype=float)
        if series.ndim != 1 or series.size < 3 or not np.isfinite(series).all():
            raise BadInput(f"steadiness: a series of shape {series.shape}; want at least 3 finite steps")
        values.append(statistic(series))
    return np.exp(_logarithms(np.array(values)))


def _logarithms(values: NDArray) -> NDArray:
    if values.size == 0 or not np.isfinite(values).all() or values.min() <= 0:
        raise BadInput(f"steadiness: values {values.tolist()}; want numbers above 0, of series that are not constant")
    return np.log(values)


def _resampled(series: NDArray, statistic: Statistic, rng: np.random.Generator) -> NDArray:
    """Logarithms of the statistic over moving blocks of the steps, as long as the cube root of their number."""
    length = max(1, round(series.size ** (1 / 3)))
    starts = rng.integers(0, series.size - length + 1, size=(_DRAWS, -(-series.size // length)))
    drawn = series[(starts[:, :, None] + np.arange(length)).reshape(_DRAWS, -1)[:, : series.size]]
    values = np.array([statistic(row) for row in drawn])
    return np.log(np.maximum(values, np.finfo(float).tiny))
