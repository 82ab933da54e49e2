import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_loops import (
    avg_by_enumeration,
    improvement_by_loops,
    maj_by_loops,
    pass_by_enumeration,
    sign_flip_by_enumeration,
    two_way_parts,
)

from repro import stats
from repro.stats.intervals import mean_parts


def test_pass_at_k_equals_the_share_of_subsets_for_every_small_case():
    for n in range(1, 9):
        for c in range(n + 1):
            for k in range(1, n + 1):
                assert stats.pass_at_k(n, c, k) == pytest.approx(float(pass_by_enumeration(n, c, k)), abs=1e-12)


def test_pass_at_k_of_many_questions_is_the_mean_of_single_ones():
    n, c = [5, 6, 6, 7, 5], [2, 0, 6, 3, 2]
    wanted = sum(pass_by_enumeration(x, y, 3) for x, y in zip(n, c, strict=True)) / 5
    assert stats.pass_at_k(n, c, 3) == pytest.approx(float(wanted))


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=7), min_size=1, max_size=6), st.integers(1, 4))
def test_avg_at_k_equals_the_loop(rows, k):
    assert stats.avg_at_k(rows, k) == pytest.approx(float(avg_by_enumeration(rows, k)))


@given(
    st.lists(st.sampled_from(["A", "B", "C", None]), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["share", "first"]),
)
def test_maj_at_k_equals_the_loop(answers, k, tie):
    if k > len(answers):
        return
    verdicts = [answer == "A" for answer in answers]
    assert stats.maj_at_k(answers, verdicts, k, tie=tie) == pytest.approx(float(maj_by_loops(answers, "A", k, tie)))


@settings(max_examples=30)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_sign_flip_p_value_equals_the_enumeration(units):
    wanted = float(sign_flip_by_enumeration(units))
    found = stats.sign_flip_test([unit / 8 for unit in units], rng=np.random.default_rng(0))
    assert found == pytest.approx(wanted)


def test_probability_of_improvement_equals_the_loop():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 4, size=(5, 3)) / 4, rng.integers(0, 4, size=(4, 3)) / 4
    assert stats.probability_of_improvement(a, b) == pytest.approx(improvement_by_loops(a.tolist(), b.tolist()))


def test_variance_parts_equal_the_two_way_analysis_of_variance():
    rng = np.random.default_rng(5)
    table = rng.normal(size=(4, 7)) + 3 * rng.normal(size=7)
    mean, seed_part, question_part, noise_part = two_way_parts(table.tolist())
    assert question_part > 0
    value, parts = mean_parts([table])
    assert float(value) == pytest.approx(mean)
    assert [float(part.variance) for part in parts] == pytest.approx([seed_part, 0.0, question_part])
    assert [part.df for part in parts] == [3, 6, 6]
    assert (float(parts[0].floor), parts[0].floor_df) == pytest.approx((noise_part, 18))


def test_hierarchical_bootstrap_has_the_distribution_of_the_nested_loop():
    rng = np.random.default_rng(11)
    correct, k = rng.integers(0, 5, size=(3, 6)), 4
    fast = stats.hierarchical_bootstrap([stats.Counts(correct, k)], rng=rng, replicates=20_000)
    slow = []
    for _ in range(4_000):
        seeds, questions = rng.integers(0, 3, 3), rng.integers(0, 6, 6)
        draws = [rng.binomial(k, correct[s, q] / k) / k for s in seeds for q in questions]
        slow.append(np.mean(draws))
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.006)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.05)
