"""Is a curve over a setting told from a flat one? Permutations within seeds, and the contrasts that its words need.

Does: tests and weights for values of one setting, every seed trained at every value. Does not: know what the setting
is. The contrasts' intervals are those of `repro.stats.intervals`.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repro.errors import BadInput

_ENUMERATED = 20_000  # orderings of all seeds but the first, up to which every one is looked at


def flat_p(scores: ArrayLike, *, rng: np.random.Generator, draws: int = 20_000) -> float | None:
    """p-value of "no value of the setting differs", by permuting the values within every seed.

    scores: [seeds, values], one trained policy each. If nothing differs, the values of a seed are exchangeable,
    whatever the seeds differ in. Statistic: the spread of the values' means, which orders permutations as the F of
    repeated measures does. Few orderings are enumerated, more are drawn, the observed one counted. None for one seed,
    whose orderings all have the same spread.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise BadInput(f"flatness: scores of shape {table.shape}; want finite [seeds, values >= 2]")
    seeds, values = table.shape
    if seeds < 2:
        return None
    observed = _spread(table) * (1 - 1e-12)  # equal spreads must count as equal in spite of rounding
    if math.factorial(values) ** (seeds - 1) <= _ENUMERATED:
        orders = [np.array(each) for each in itertools.permutations(range(values))]
        spreads = [
            np.var((table[0] + sum(row[order] for row, order in zip(table[1:], chosen, strict=True))) / seeds)
            for chosen in itertools.product(orders, repeat=seeds - 1)  # the first seed's order changes nothing
        ]
        return float(np.mean(np.array(spreads) >= observed))
    hits, size = 0, 1_000
    for start in range(0, draws, size):
        count = min(size, draws - start)
        shuffled = rng.permuted(np.broadcast_to(table, (count, *table.shape)), axis=2)
        hits += int(np.sum(_spread(shuffled) >= observed))
    return (hits + 1) / (draws + 1)


def _spread(tables: NDArray) -> NDArray:
    """Variance of the values' means, tables [..., seeds, values] -> [...]."""
    return tables.mean(axis=-2).var(axis=-1)


def trend_weights(values: Sequence[float]) -> NDArray:
    """Weights whose sum over scores is the rise of the least-squares line from the lowest value to the highest."""
    x = np.asarray(values, dtype=float)
    if x.size < 2 or np.ptp(x) == 0:
        raise BadInput(f"trend over {list(values)}: want at least two different values")
    centred = x - x.mean()
    return centred * np.ptp(x) / np.sum(centred**2)
