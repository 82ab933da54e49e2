"""Real A/A comparisons: finished cells dealt into two sides that do not differ, at least five seeds a side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import stats

SIDE = 5  # seeds a side, at least: with fewer the intervals are so wide that an alarm says little


def split_samples(cells: Sequence[dict], repeats: int, seed: int) -> dict[str, Any]:
    """Every trained arm with five seeds: each checkpoint's k samples cut at random in halves, as two methods.

    The checkpoints are the same on both sides, so this tries the intervals where the seed spread is 0.
    """
    rng = np.random.default_rng(seed)
    alarms, splits, used = 0, 0, []
    for (base, arm), group in _groups(cells).items():
        counted = _counts(group)
        if len(group) < SIDE or arm == "base" or any(suite.k % 2 for suite in counted):
            continue
        used.append(f"{base} {arm}")
        for _ in range(repeats):
            halves = [_halves(suite, rng) for suite in counted]
            alarms += _alarm([first for first, _ in halves], [second for _, second in halves])
            splits += 1
    return _record(alarms, splits, [f"{len(used)} arms"], SIDE)


def split_seeds(cells: Sequence[dict], arm: str, splits: int, seed: int) -> dict[str, Any]:
    """One configuration's seeds dealt at random into two arms of equal size, at least five seeds each."""
    rng = np.random.default_rng(seed)
    alarms, done, used, sides = 0, 0, [], []
    for (base, name), group in _groups(cells).items():
        half = len(group) // 2
        if name != arm or half < SIDE:
            continue
        used.append(f"{base} ({len(group)} seeds)")
        sides.append(half)
        for _ in range(splits):
            order = rng.permutation(len(group))  # the pairing of seeds is arbitrary too
            sets = [_counts([group[i] for i in order[start : start + half]]) for start in (0, half)]
            alarms += _alarm(*sets)
            done += 1
    return _record(alarms, done, used, min(sides, default=0))


def _record(alarms: int, splits: int, used: list[str], side: int) -> dict[str, Any]:
    rate = alarms / splits if splits else None
    return {"used": used, "seeds_a_side": side, "splits": splits, "rejection": rate}


def _groups(cells: Sequence[dict]) -> dict[tuple[str, str], list[dict]]:
    groups: dict[tuple[str, str], list[dict]] = {}
    for cell in sorted((c for c in cells if "search" not in c), key=lambda c: (c["base"], c["arm"], c["seed"])):
        groups.setdefault((cell["base"], cell["arm"]), []).append(cell)
    return groups


def _counts(group: Sequence[dict]) -> list[stats.Counts]:
    return [
        stats.Counts(np.array([cell["suites"][name]["correct"] for cell in group]), group[0]["suites"][name]["k"])
        for name in group[0]["suites"]
    ]


def _halves(suite: stats.Counts, rng: np.random.Generator) -> tuple[stats.Counts, stats.Counts]:
    half = suite.k // 2
    first: NDArray = rng.hypergeometric(suite.correct, suite.k - suite.correct, half)
    return stats.Counts(first, half), stats.Counts(suite.correct - first, half)


def _alarm(a: Sequence[stats.Counts], b: Sequence[stats.Counts]) -> bool:
    result = stats.paired_difference(a, b)
    return result.low > 0 or result.high < 0
