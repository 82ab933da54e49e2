"""How often each method is right in one simulated world: intervals of differences, of ratios, equivalence, power."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import stats
from repro.cells.records import EQUIVALENCE_MARGIN
from repro.stats.intervals import LEVEL, Part, contrast_parts, half_width
from repro.stats.ratios import margin_parts, ratio_parts
from repro.studies.worlds import World, one_table, simulate

ALPHA = 1 - LEVEL
LOW = 0.65**2  # of the noise variance: where an unfloored seed part is small by luck
REPLICATES = 500  # per simulated table; its own error is far below that of the number of tables


def compare_methods(world: World, tables: int, slow_tables: int, seed: int) -> list[dict[str, Any]]:
    """Rejection of "no difference" and coverage of the true gap in one world, one row per method.

    slow_tables: how many of the tables the resampling methods analyse; 0 leaves them out.
    """
    rng = np.random.default_rng(seed)
    a, b, _ = simulate(world, tables, rng)
    value, parts = contrast_parts([(1.0, a), (-1.0, b)])
    seeds = parts[0]
    low = seeds.variance < LOW * seeds.floor
    halves = {
        "seeds with floor + questions (shipped)": half_width(parts),
        "without the floor": half_width([Part(part.variance, part.df) for part in parts]),
        "floor on the seeds' t": half_width([Part(np.maximum(part.variance, part.floor), part.df) for part in parts]),
        "Student t over seed means": half_width([Part(seeds.variance, seeds.df)]),
    }
    rows = [_row(world, name, value, half, low) for name, half in halves.items()]
    if slow_tables:
        boot = np.array([_bootstrap(one_table(a, i), one_table(b, i), rng) for i in range(slow_tables)])
        center, half = boot.mean(axis=1), (boot[:, 1] - boot[:, 0]) / 2
        rows.append(_row(world, "hierarchical bootstrap", center, half, low[:slow_tables]))
    if slow_tables and _null(world):
        flips = [
            stats.sign_flip_test(np.concatenate(_differences(a, b, i)), rng=rng, draws=499) for i in range(slow_tables)
        ]
        rows.append(_record(world, "sign flips over questions", float(np.mean(np.array(flips) <= ALPHA))))
    return rows


def ratio_methods(world: World, tables: int, slow_tables: int, seed: int) -> list[dict[str, Any]]:
    """Coverage of the true ratio of gains: Fieller's set (shipped), the delta method, the bootstrap."""
    rng = np.random.default_rng(seed)
    a, b, base = simulate(world, tables, rng)
    gain_a, gain_b = world.true_gains
    truth = gain_a / gain_b
    distance, parts = ratio_parts(a, b, base, truth)
    below, below_parts = contrast_parts([(1.0, b)], base, -1.0)
    bounded = np.abs(below) > half_width(below_parts)
    covered = np.where(bounded, np.abs(distance) <= half_width(parts), True)
    found = [stats.ratio_of_gains(*(one_table(x, i) for x in (a, b, base))) for i in range(min(tables, 100))]
    widths = [ratio.high - ratio.low for ratio in found if ratio and ratio.bounded]
    rows = [_ratio_row(world, "Fieller (shipped)", covered, bounded, widths)]
    above, _ = contrast_parts([(1.0, a)], base, -1.0)
    guess = above / _nonzero(below)
    # the delta method: the error of gain(a) - R x gain(b) at the estimated R, over gain(b)
    half = np.array(
        [
            half_width(ratio_parts(*(one_table(x, i) for x in (a, b, base)), guess[i])[1]) / abs(_nonzero(below)[i])
            for i in range(slow_tables)
        ]
    )
    near = np.abs(guess[:slow_tables] - truth) <= half
    rows.append(_ratio_row(world, "delta method", near, np.ones(slow_tables), 2 * half))
    ends = np.array([_ratio_bootstrap(*(one_table(x, i) for x in (a, b, base)), rng) for i in range(slow_tables)])
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    rows.append(_ratio_row(world, "bootstrap", inside, np.ones(slow_tables), ends[:, 1] - ends[:, 0]))
    return rows


def equivalence_rates(design: World, margins: float, tables: int, seed: int) -> dict[str, Any]:
    """How often two one-sided tests call two arms equivalent whose true difference is `margins` margins.

    The margin is a share of arm b's gain, as in a claim against GRPO.
    """
    world = replace(design, gap=margins * EQUIVALENCE_MARGIN * design.gain)
    a, b, base = simulate(world, tables, np.random.default_rng(seed))
    found = np.ones(tables, dtype=bool)
    for sign in (-1.0, 1.0):
        value, parts = margin_parts(a, b, b, base, EQUIVALENCE_MARGIN, sign)
        found &= sign * value > half_width(parts, 2 * ALPHA)
    return {"world": world.name, "margins": margins, "found": float(found.mean()), "tables": tables}


def planted_effect(world: World, tables: int, seed: int) -> dict[str, Any]:
    """Plant the gap that the table states as detectable with 80 % power, and count how often it is found."""
    rng = np.random.default_rng(seed)
    a, b, _ = simulate(world, tables, rng)
    value, _ = contrast_parts([(1.0, a), (-1.0, b)])
    true_se = float(value.std(ddof=1))
    gap = stats.minimum_detectable_gap(true_se, world.seeds - 1)
    a, b, _ = simulate(replace(world, gap=gap), tables, rng)
    value, parts = contrast_parts([(1.0, a), (-1.0, b)])
    half = half_width(parts)
    return {
        "world": world.name,
        "seeds": world.seeds,
        "gap": 100 * gap,
        "stated_power": stats.power_of_gap(gap, true_se, world.seeds - 1),
        "found": float(np.mean(value - half > 0)),
        "coverage": float(np.mean(np.abs(value - gap) <= half)),
        "tables": tables,
    }


def _differences(a: Sequence[stats.Counts], b: Sequence[stats.Counts], index: int) -> list[NDArray]:
    return [(x.rates[index] - y.rates[index]).mean(axis=0) for x, y in zip(a, b, strict=True)]


def _bootstrap(a: list[stats.Counts], b: list[stats.Counts], rng: np.random.Generator) -> tuple[float, float]:
    return stats.percentile_interval(stats.hierarchical_bootstrap(a, b, rng=rng, replicates=REPLICATES))


def _ratio_bootstrap(
    a: list[stats.Counts], b: list[stats.Counts], base: list[stats.Counts], rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval of the ratio of gains, seeds and questions drawn anew, shared by both arms."""
    seeds = rng.multinomial(a[0].seeds, np.full(a[0].seeds, 1 / a[0].seeds), size=REPLICATES)
    gains = np.zeros((2, REPLICATES))
    for x, y, zero in zip(a, b, base, strict=True):
        drawn = rng.multinomial(x.questions, np.full(x.questions, 1 / x.questions), size=REPLICATES)
        floor = drawn @ zero.rates.mean(axis=0) / x.questions
        for place, arm in enumerate((x, y)):
            right = ((drawn @ arm.rates.T) * seeds).sum(axis=1) / (arm.questions * arm.seeds)
            gains[place] += (right - floor) / len(a)
    return stats.percentile_interval(gains[0] / _nonzero(gains[1]))


def _row(world: World, method: str, value: NDArray, half: NDArray, low: NDArray) -> dict[str, Any]:
    inside = np.abs(value - world.true_gap) <= half
    rejection = float(np.mean(np.abs(value) > half)) if _null(world) else None
    where_low = float(inside[low].mean()) if low.sum() >= 30 else None
    return _record(world, method, rejection, float(inside.mean()), where_low, 100 * float(np.median(half)))


def _record(
    world: World,
    method: str,
    rejection: float | None,
    coverage: float | None = None,
    coverage_low: float | None = None,
    half: float | None = None,
) -> dict[str, Any]:
    return {
        "world": world.name,
        "wanted": world.wanted,
        "seeds": world.seeds,
        "null": _null(world),
        "method": method,
        "rejection": rejection,
        "coverage": coverage,
        "coverage_low": coverage_low,
        "half_width": half,
    }


def _ratio_row(
    world: World, method: str, covered: NDArray, bounded: NDArray, widths: Sequence[float] | NDArray
) -> dict[str, Any]:
    return {
        "world": world.name,
        "wanted": world.wanted,
        "method": method,
        "coverage": float(np.mean(covered)) if len(covered) else None,
        "bounded": float(np.mean(bounded)) if len(bounded) else None,
        "width": float(np.median(widths)) if len(widths) else None,
    }


def _nonzero(values: NDArray) -> NDArray:
    return np.where(values == 0, 1e-9, values)


def _null(world: World) -> bool:
    return abs(world.true_gap) < 1e-12
