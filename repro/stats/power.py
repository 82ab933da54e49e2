"""What a table can see: the minimum detectable gap at 5 % two-sided and 80 % power, from its own standard error."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from repro.errors import BadInput

ALPHA = 0.05
POWER = 0.80
_NODES = 400  # quadrature over the SE's own distribution: five digits for one degree of freedom


def power_of_gap(gap: float, se: float, df: float, *, alpha: float = ALPHA) -> float:
    """Chance that a two-sided t test at `alpha` finds a true difference of `gap` with standard error `se`.

    The noncentral t as a mean over the estimated SE, s = sqrt(chi2_df / df): E[Φ(gap/se - t s) + Φ(-gap/se - t s)];
    scipy's closed form returns NaN for one degree of freedom and a large gap. df may be infinite.
    """
    if se <= 0 or df <= 0:
        raise BadInput(f"power: se={se}, df={df}; want both above 0")
    if np.isinf(df):
        limit, scale, weight = special.ndtri(1 - alpha / 2), np.ones(1), np.ones(1)
    else:
        limit = special.stdtrit(df, 1 - alpha / 2)
        scale, weight = _standard_errors(df)
    found = special.ndtr(gap / se - limit * scale) + special.ndtr(-gap / se - limit * scale)
    return float(np.sum(weight * found))


@lru_cache(maxsize=4096)
def detectable_ratio(df: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Gap over standard error that is found with `power`: 2.80 for many degrees of freedom, 16.3 for one."""
    return float(optimize.brentq(lambda ratio: power_of_gap(ratio, 1.0, df, alpha=alpha) - power, 0.1, 60.0, xtol=1e-7))


def minimum_detectable_gap(se: float, df: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """MDG: the true difference found with 80 % power at 5 % two-sided, in the unit of `se`."""
    if se < 0:
        raise BadInput(f"minimum detectable gap: se={se}; want 0 or more")
    return detectable_ratio(df, alpha=alpha, power=power) * se


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray, NDArray]:
    nodes, weight = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weight / 2


@lru_cache(maxsize=64)
def _standard_errors(df: float) -> tuple[NDArray, NDArray]:
    """Quantiles of estimated over true SE at the quadrature's nodes, and their weights."""
    level, weight = _quadrature()
    return np.sqrt(special.chdtri(df, 1 - level) / df), weight
