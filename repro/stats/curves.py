"""Held-out accuracy over compute as a sigmoid: R - R_0 = (A - R_0) / (1 + (C_mid / C)^B) (2510.13786, Eq. 1).

A is the ceiling, C_mid the compute at which half of the way to it is gone, B how steep it is. A curve is the mean over
seeds; intervals are jackknives over seeds, which need no more than two and are the same on every run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from repro.errors import BadInput

STEEPEST, FLATTEST = 8.0, 0.5  # B outside is a step or a line, and A and C_mid mean nothing there
FARTHEST = 3.0  # C_mid, in multiples of the compute spent


@dataclass(frozen=True)
class Sigmoid:
    """The fitted curve of one arm. start, ceiling: accuracies, fractions; midpoint: in the unit of the compute."""

    start: float
    ceiling: float
    midpoint: float
    steepness: float

    def at(self, compute: np.ndarray) -> np.ndarray:
        """Accuracy after that much compute."""
        return sigmoid(compute, self.start, self.ceiling, self.midpoint, self.steepness)


@dataclass(frozen=True)
class Jackknifed:
    """A value with its 95 % interval over seeds; low and high are None with one seed."""

    value: float
    low: float | None
    high: float | None
    seeds: int


def sigmoid(compute: np.ndarray, start: float, ceiling: float, midpoint: float, steepness: float) -> np.ndarray:
    """The curve; at compute 0 it is `start`."""
    compute = np.asarray(compute, dtype=float)
    share = np.zeros_like(compute)
    after = compute > 0
    share[after] = 1 / (1 + (midpoint / compute[after]) ** steepness)
    return start + (ceiling - start) * share


def fit_sigmoid(compute: np.ndarray, accuracy: np.ndarray) -> Sigmoid:
    """Least squares over the points of a curve whose first one, at compute 0, is the start. Both are (points,).

    Bounds: ceiling 0 to 1, midpoint up to FARTHEST times the compute spent, steepness FLATTEST to STEEPEST.
    Raises BadInput for fewer than five points or a first one after the start.
    """
    compute, accuracy = np.asarray(compute, dtype=float), np.asarray(accuracy, dtype=float)
    if len(compute) < 5 or compute[0] != 0 or (np.diff(compute) <= 0).any():
        raise BadInput(f"a curve has {len(compute)} points at {compute.tolist()}; want five or more, from 0 on, rising")
    start, last = float(accuracy[0]), float(compute[-1])

    def distance(values: np.ndarray) -> np.ndarray:
        ceiling, midpoint, steepness = values
        return sigmoid(compute, start, ceiling, np.exp(midpoint), steepness)[1:] - accuracy[1:]

    low, high = [0.0, np.log(last / 100), FLATTEST], [1.0, np.log(FARTHEST * last), STEEPEST]
    guesses = [(float(accuracy.max()), np.log(share * last), 2.0) for share in (0.2, 0.5, 0.9)]
    found = min(
        (optimize.least_squares(distance, np.clip(guess, low, high), bounds=(low, high)) for guess in guesses),
        key=lambda result: result.cost,
    )
    ceiling, midpoint, steepness = found.x
    return Sigmoid(start, float(ceiling), float(np.exp(midpoint)), float(steepness))


def jackknife(statistic: Callable[[Sequence[int]], float], seeds: int) -> Jackknifed:
    """A statistic of a set of seeds (their places, 0 to seeds - 1) with Student's interval from leaving one out."""
    value = float(statistic(range(seeds)))
    if seeds < 2:
        return Jackknifed(value, None, None, seeds)
    without = np.array([statistic([each for each in range(seeds) if each != left]) for left in range(seeds)])
    pseudo = seeds * value - (seeds - 1) * without
    half = float(stats.t.ppf(0.975, seeds - 1) * pseudo.std(ddof=1) / np.sqrt(seeds))
    return Jackknifed(value, value - half, value + half, seeds)
