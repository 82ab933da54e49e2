"""One-line faults in the statistics that hand vectors must catch."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as distributions

import repro.stats
from repro.stats import intervals

FOLDER = Path(repro.stats.__file__).parent


def mutated(file: str, old: str, new: str) -> SimpleNamespace:
    """The module with its first occurrence of `old` replaced."""
    source = (FOLDER / file).read_text(encoding="utf-8")
    assert old in source, f"{file} no longer holds {old!r}"
    names: dict = {"__name__": __name__}  # of a module that exists: dataclasses look theirs up
    exec(compile(source.replace(old, new, 1), "mutant", "exec"), names)
    return SimpleNamespace(**names)


def close(found, wanted) -> bool:
    return bool(np.allclose(found, wanted, rtol=1e-6, atol=1e-9))


def metrics_hold(module) -> bool:
    votes = (["A", "A", "B", "B", None, "B", "A", "A"], [True, True, False, False, False, False, True, True])
    return (
        close(module.pass_at_k([5, 5, 10, 4, 5], [2, 2, 3, 3, 3], 2), np.mean([0.7, 0.7, 24 / 45, 1.0, 0.9]))
        and close(module.pass_at_k(10, 3, 4), 5 / 6)
        and close(module.avg_at_k([[True, False, True], [False, False, True]], 2), 0.25)
        and close(module.mean_accuracy([1, 3], 4), 0.5)
        and close(module.maj_at_k(*votes, 4), 0.75)
        and close(module.maj_at_k(*votes, 4, tie="first"), 1.0)
        and close(module.maj_at_k(["B", "A", "A", None], [False, True, True, False], 4), 1.0)
        and close(module.maj_at_k([None, None], [False, False], 2), 0.0)
    )


TABLE = np.array([[4, 2, 7, 0, 5], [6, 1, 8, 2, 5], [5, 5, 6, 1, 3]])
OTHER = np.array([[2, 2, 3, 1, 4], [1, 0, 6, 0, 2], [3, 4, 4, 2, 0]])
EVEN = np.array([[4, 2, 7, 0, 5], [5, 1, 7, 1, 4], [3, 3, 7, 0, 5]])


def by_hand(table):
    """Seed part and question part of a [seeds, questions] table, as sums."""
    seeds, questions = table.shape
    rows, columns, mean = table.mean(1), table.mean(0), table.mean()
    seed = ((rows - mean) ** 2).sum() / (seeds - 1) / seeds
    rest = ((table - rows[:, None] - columns[None] + mean) ** 2).sum() / ((seeds - 1) * (questions - 1))
    square = seeds * ((columns - mean) ** 2).sum() / (questions - 1)
    return seed, max((square - rest) / (seeds * questions), 0.0), rest / (seeds * questions)


def intervals_hold(module) -> bool:
    a, b = module.Counts(TABLE, 8), module.Counts(OTHER, 8)
    seed, question, noise = by_hand((TABLE - OTHER) / 8)
    result = module.paired_difference([a, a], [b, b])  # two equal suites: the seed part stays, the question part halves
    half = np.sqrt(4.302652730**2 * seed + 2.306004135**2 * question / 2)
    assert 4.302652730**2 * seed > 2.119905299**2 * noise / 2  # the floor, on 16 degrees of freedom, does not bind
    single = module.arm_interval([a])
    seed_a, question_a, _ = by_hand(TABLE / 8)
    half_a = np.sqrt(4.302652730**2 * seed_a + 2.776445105**2 * question_a)
    level = module.Counts(EVEN, 8)  # equal seed means: only the noise keeps the seed part above 0
    seed_e, question_e, noise_e = by_hand(EVEN / 8)
    even = module.contrast([(1.0, [level])])
    half_e = np.sqrt(2.306004135**2 * noise_e + 2.776445105**2 * question_e)
    return (
        close(result.value, (TABLE - OTHER).mean() / 8)
        and close((result.low, result.high), (result.value - half, result.value + half))
        and close(result.se**2, max(seed, noise / 2) + question / 2)
        and close((single.low, single.high), (TABLE.mean() / 8 - half_a, TABLE.mean() / 8 + half_a))
        and seed_e < noise_e
        and close(even.se**2, noise_e + question_e)
        and close(even.high - even.value, half_e)
        and gain_holds(module, OTHER[0])
        and gain_holds(module, TABLE[0])  # nearly the arm itself: the question part is clipped at 0
    )


def gain_holds(module, row) -> bool:
    """Gain of TABLE over one checkpoint with counts `row`: seed part, drawing of the base, question part."""
    gain = module.difference_from_checkpoint([module.Counts(TABLE, 8)], [module.Counts(row[None], 8)])
    seed, _, noise = by_hand(TABLE / 8)
    spread = (TABLE.mean(0) / 8 - row / 8).var(ddof=1) / 5
    drawn = (row / 8 * (1 - row / 8)).sum() / 7 / 25
    seeds = max(4.302652730**2 * seed, 2.306004135**2 * noise)
    half = np.sqrt(seeds + 2.776445105**2 * (drawn + max(spread - drawn - noise, 0.0)))
    return close(gain.value, (TABLE.mean() - row.mean()) / 8) and close(gain.high - gain.value, half)


def hypotheses_hold(module) -> bool:
    rng = np.random.default_rng(0)
    return (
        close(module.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
        and close(module.holm([0.9, 0.8]), [1.0, 1.0])
        and close(module.sign_flip_test([1, 2, 3], rng=rng), 0.25)
        and close(module.sign_flip_test(np.ones(40), rng=rng, draws=99), 0.01)
        and close(module.mcnemar_exact([True] * 5 + [False], [False] * 5 + [True]), 14 / 64)
    )


def verdicts_hold(module) -> bool:
    directions = [
        ((0.1, 2, None), "supported"),
        ((0.0, 2, None), "undecided"),
        ((-2, -0.1, None), "reversed"),
        ((-2, 0.0, None), "undecided"),
        ((-1, 1, 0.04), "equivalent"),
        ((-1, 1, 0.05), "undecided"),
    ]
    sizes = [
        ((0.9, 1.1, (2.3, 2.2), 1.0, False), "contradicted"),
        ((1.05, 1.1, (2.3, 2.2), 1.0, True), "undecided"),
        ((0.9, 1.1, (2.3, 1.0), 1.0, False), "undecided"),
        ((1.1, 2.3, (2.3, 9.0), 1.0, False), "consistent"),
        ((1.0, 2.3, (2.3, 9.0), 1.0, False), "undecided"),
        ((None, None, (2.3,), 1.0, False), "undecided"),
    ]
    bases = [(["a", "a"], "a"), (["a", "b"], "undecided"), (["a", "x"], "x"), (["a", "not tested"], "not tested")]
    cells = [((1.0, 1.0, 2.0), "within CI"), ((2.0, 1.0, 2.0), "within CI"), ((2.1, 1.0, 2.0), "outside CI")]
    return (
        all(module.direction_verdict(*case) == word for case, word in directions)
        and all(module.size_verdict(*case) == word for case, word in sizes)
        and all(module.over_bases(case, everywhere=("a",), anywhere="x") == word for case, word in bases)
        and all(module.cell_verdict(*case) == word for case, word in cells)
    )


def ratios_hold(module) -> bool:
    """Fieller's ends by the quadratic formula, where arms differ by the same on every question and k is huge."""
    base = intervals.Counts(np.array([[300, 100, 700, 200]]) * 1000, 1_000_000)
    shifts = np.array([[210, 180, 240], [90, 120, 100]])[:, :, None] * 1000  # gains of a and b per seed, / 1e6
    a, b = (intervals.Counts(base.correct + shift, 1_000_000) for shift in shifts)
    x, y = shifts[..., 0] / 1_000_000
    covariance = np.cov(x, y) / 3
    t2 = 4.302652730**2
    quadratic = [y.mean() ** 2 - t2 * covariance[1, 1], -2 * (x.mean() * y.mean() - t2 * covariance[0, 1]),
                 x.mean() ** 2 - t2 * covariance[0, 0]]  # fmt: skip
    low, high = sorted(np.roots(quadratic))
    found = module.ratio_of_gains([a], [b], [base])
    wanted = {}
    for share in (0.5, 1.5):  # outside the margin, and inside it
        ends = [x - y + sign * share * y for sign in (-1, 1)]
        scores = [sign * z.mean() / (z.std(ddof=1) / np.sqrt(3)) for sign, z in zip((-1, 1), ends, strict=True)]
        wanted[share] = max(float(distributions.t.sf(score, 2)) for score in scores)
    return (
        close(found.value, x.mean() / y.mean())
        and np.allclose((found.low, found.high), (low, high), rtol=1e-3)
        and np.isclose(module.ratio_p([a], [b], [base], high), 0.05, atol=1e-3)
        and all(np.isclose(module.equivalence_p([a], [b], [b], [base], m), p, rtol=0.02) for m, p in wanted.items())
        and module.equivalence_p([a], None, [b], [base], 0.5) > 0.9
        and module.equivalence_p([a], None, [a], [base], 1.5) < 0.05
    )


FAULTS = [
    (metrics_hold, "metrics.py", "1.0 - k / np.arange(n - c + 1, n + 1)", "1.0 - k / np.arange(n - c, n)"),
    (metrics_hold, "metrics.py", "if n - c < k:", "if n - c <= k:"),
    (metrics_hold, "metrics.py", "weights=multiplicity", "weights=None"),
    (metrics_hold, "metrics.py", "np.asarray(row[:k], dtype=bool)", "np.asarray(row, dtype=bool)"),
    (metrics_hold, "metrics.py", "counts.mean() / k", "counts.mean() / (k + 1)"),
    (metrics_hold, "metrics.py", "if answer is not None:\n            votes", "if True:\n            votes"),
    (metrics_hold, "metrics.py", "float(verdict[tied[0]])", "float(verdict[tied[-1]])"),
    (metrics_hold, "metrics.py", "number == top", "number >= 1"),
    (metrics_hold, "metrics.py", "answers[i * k : (i + 1) * k]", "answers[i : i + k]"),
    (intervals_hold, "intervals.py", "per_seed.var(axis=-1, ddof=1) / seeds", "per_seed.var(axis=-1) / seeds"),
    (intervals_hold, "intervals.py", "per_seed.var(axis=-1, ddof=1) / seeds", "per_seed.var(axis=-1, ddof=1)"),
    (intervals_hold, "intervals.py", "float(seeds - 1)", "float(seeds)"),
    (intervals_hold, "intervals.py", "float(seeds - 1), noise,", "float(seeds - 1), 0.0 * noise,"),
    (intervals_hold, "intervals.py", "(seeds - 1) * df_questions)", "df_questions)"),
    (intervals_hold, "intervals.py", "np.maximum(_t2(part.df, alpha) * part.variance,", "np.maximum(0.0,"),
    (intervals_hold, "intervals.py", "Part(drawn, df_questions),", "Part(0.0 * drawn, df_questions),"),
    (intervals_hold, "intervals.py", "seeds, share = tables[0].shape[-2], 1.0 / len(tables) ** 2",
     "seeds, share = tables[0].shape[-2], 1.0 / len(tables)"),
    (intervals_hold, "intervals.py", "return float(quantile) ** 2", "return float(quantile)"),
    (intervals_hold, "intervals.py", "else special.stdtrit(df, alpha / 2)", "else special.stdtrit(df, alpha)"),
    (intervals_hold, "intervals.py", "spread - drawn - noise", "spread - noise"),
    (intervals_hold, "intervals.py", "spread - drawn - noise", "spread - drawn"),
    (intervals_hold, "intervals.py", "(samples - 1) / suite.questions**2", "samples / suite.questions**2"),
    (intervals_hold, "intervals.py", "value = value + base_weight * np.mean", "value = value - base_weight * np.mean"),
    (hypotheses_hold, "hypotheses.py", "(values.size - rank)", "(values.size - rank - 1)"),
    (hypotheses_hold, "hypotheses.py", "running = max(running, min(1.0,", "running = max(0.0, min(1.0,"),
    (hypotheses_hold, "hypotheses.py", "(hits + 1) / (draws + 1)", "hits / draws"),
    (hypotheses_hold, "hypotheses.py", "np.abs((2 * patterns - 1) @ values)", "((2 * patterns - 1) @ values)"),
    (hypotheses_hold, "hypotheses.py", "first & ~second", "first & second"),
    (verdicts_hold, "verdicts.py", "if low > 0:", "if low >= 0:"),
    (verdicts_hold, "verdicts.py", "if high < 0:", "if high <= 0:"),
    (verdicts_hold, "verdicts.py", "p_equivalent < ALPHA", "p_equivalent <= ALPHA"),
    (verdicts_hold, "verdicts.py", "if any(low <= value <= high", "if all(low <= value <= high"),
    (verdicts_hold, "verdicts.py", "UNDECIDED if low <= nothing <= high", "UNDECIDED if low < nothing < high"),
    (verdicts_hold, "verdicts.py", "UNDECIDED if all_seeds_agree", "UNDECIDED if not all_seeds_agree"),
    (verdicts_hold, "verdicts.py", "if anywhere in tested", "if anywhere in tested[:1]"),
    (verdicts_hold, "verdicts.py", "if len(tested) == len(verdicts)", "if True"),
    (verdicts_hold, "verdicts.py", "low <= printed <= high", "low < printed <= high"),
    (ratios_hold, "ratios.py", "(-ratio, b)", "(ratio, b)"),
    (ratios_hold, "ratios.py", "base, ratio - 1.0)", "base, 1.0 - ratio)"),
    (ratios_hold, "ratios.py", "gains[0] / gains[1]", "gains[1] / gains[0]"),
    (ratios_hold, "ratios.py", "return max(_one_sided", "return min(_one_sided"),
    (ratios_hold, "ratios.py", "return both / 2 if", "return both if"),
    (ratios_hold, "ratios.py", "base_weight - sign * share)", "base_weight + sign * share)"),
    (ratios_hold, "ratios.py", "base_weight - sign * share)", "base_weight)"),
    (ratios_hold, "ratios.py", "base_weight=-float(b is None)", "base_weight=0.0"),
    (ratios_hold, "ratios.py", "base_weight=-float(b is None)", "base_weight=float(b is None)"),
    (ratios_hold, "ratios.py", "(sign * share, reference)", "(-sign * share, reference)"),
]  # fmt: skip


def test_shipped_statistics_hold_the_vectors():
    assert metrics_hold(repro.stats.metrics) and intervals_hold(intervals)
    assert hypotheses_hold(repro.stats.hypotheses) and verdicts_hold(repro.stats.verdicts)
    assert ratios_hold(repro.stats.ratios)


@pytest.mark.parametrize(("holds", "file", "old", "new"), FAULTS)
def test_a_one_line_fault_in_the_statistics_breaks_a_vector(holds, file, old, new):
    try:
        survived = holds(mutated(file, old, new))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        survived = False
    assert not survived
