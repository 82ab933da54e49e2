"""Gains as multiples of another gain: the one comparison with the paper that does not need equal tasks.

Two arms gain over one base, on the same seeds and questions. `ratio_of_gains` is Fieller's set: every r for which
gain(a) - r x gain(b) is compatible with 0 under the intervals of `repro.stats.intervals`. `equivalence_p` asks whether
two arms differ by less than a share of a third arm's gain, whose own error counts. Does not choose the share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from repro.stats.intervals import Arm, Part, contrast_parts, covered, half_width, two_sided_p

_FARTHEST = 1e6  # a ratio beyond this is not an end of an interval


@dataclass(frozen=True)
class Ratio:
    """gain(a) / gain(b) with its 95 % interval. low and high are None when gain(b) may be 0: then no ratio is excluded.

    covers: what varies in the interval.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int
    covers: str

    @property
    def bounded(self) -> bool:
        return self.low is not None and self.high is not None


def ratio_of_gains(a: Arm, b: Arm, base: Arm) -> Ratio | None:
    """Ratio of the gains of two arms over one checkpoint, Fieller's interval. None when b gains exactly nothing."""
    gains = [float(contrast_parts([(1.0, arm)], base, -1.0)[0]) for arm in (a, b)]
    if gains[1] == 0:
        return None
    value, seeds = gains[0] / gains[1], a[0].seeds

    def outside(ratio: float) -> float:
        distance, parts = ratio_parts(a, b, base, ratio)
        return abs(float(distance)) - float(half_width(parts))

    below, parts = contrast_parts([(1.0, b)], base, -1.0)
    ends = (None, None)
    if abs(float(below)) > float(half_width(parts)):
        ends = tuple(_end(outside, value, sign) for sign in (-1.0, 1.0))
    if None in ends:
        ends = (None, None)
    return Ratio(value, *ends, seeds, covered(seeds))


def ratio_parts(a: Arm, b: Arm, base: Arm, ratio: float) -> tuple[np.ndarray, list[Part]]:
    """Value and parts of the error of gain(a) - ratio x gain(b), batched as the counts are."""
    return contrast_parts([(1.0, a), (-ratio, b)], base, ratio - 1.0)


def ratio_p(a: Arm, b: Arm, base: Arm, ratio: float) -> float:
    """Two-sided p-value of gain(a) = ratio x gain(b): below 5 % exactly when Fieller's interval excludes the ratio."""
    value, parts = ratio_parts(a, b, base, ratio)
    return two_sided_p(float(value), parts)


def equivalence_p(a: Arm, b: Arm | None, reference: Arm, base: Arm, share: float) -> float:
    """p-value of two one-sided tests: is |a - b| below share x gain(reference)? b None: the base.

    The larger of the two one-sided p-values; the arms are equivalent at 5 % when it is below 0.05. The margin is
    measured too, so its error is part of both tests.
    """
    return max(_one_sided(*margin_parts(a, b, reference, base, share, sign), sign) for sign in (-1.0, 1.0))


def margin_parts(
    a: Arm, b: Arm | None, reference: Arm, base: Arm, share: float, sign: float
) -> tuple[np.ndarray, list[Part]]:
    """Value and parts of the error of a - b + sign x share x gain(reference), batched as the counts are."""
    arms = [(1.0, a)] + ([] if b is None else [(-1.0, b)])
    return _contrast_margin_parts(arms, reference, base, share, sign, base_weight=-float(b is None))


def contrast_equivalence_p(
    arms: Sequence[tuple[float, Arm]], reference: Arm, base: Arm, share: float, base_weight: float = 0.0
) -> float:
    """p-value of |Σ weight x arm + base_weight x base| being below share x gain(reference), as `equivalence_p`.

    All weights sum to 0.
    """
    return max(
        _one_sided(*_contrast_margin_parts(arms, reference, base, share, sign, base_weight), sign)
        for sign in (-1.0, 1.0)
    )


def _contrast_margin_parts(
    arms: Sequence[tuple[float, Arm]], reference: Arm, base: Arm, share: float, sign: float, base_weight: float = 0.0
) -> tuple[np.ndarray, list[Part]]:
    return contrast_parts([*arms, (sign * share, reference)], base, base_weight - sign * share)


def _one_sided(value: np.ndarray, parts: Sequence[Part], sign: float) -> float:
    """p-value against the value having the wrong sign."""
    both = two_sided_p(float(value), parts)
    return both / 2 if float(value) * sign > 0 else 1 - both / 2


def _end(outside, inside: float, sign: float) -> float | None:
    """The end of the set {outside <= 0} on one side of a point in it; None when there is none."""
    step = 0.05 * max(1.0, abs(inside))
    near = inside
    while step < _FARTHEST:
        far = inside + sign * step
        if outside(far) > 0:
            return float(optimize.brentq(outside, near, far, xtol=1e-9))
        near, step = far, 2 * step
    return None
