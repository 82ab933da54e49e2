"""Intervals of scores, differences and ratios of gains; the floor under the seed part; greedy passes; equivalence."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from repro import stats
from repro.errors import BadInput
from repro.stats.intervals import Part, half_width


def counts(rng, seeds=3, questions=40, k=8, shift=0.0):
    difficulty = np.random.default_rng(0).uniform(0.2, 0.8, questions)
    return stats.Counts(rng.binomial(k, np.clip(difficulty + shift, 0, 1), size=(seeds, questions)), k)


# --- intervals ---------------------------------------------------------------


def test_arms_that_differ_by_a_constant_get_the_student_t_interval_of_their_seeds():
    base = np.tile(np.arange(10), (3, 1))
    a = stats.Counts(base + np.array([[3], [1], [2]]), 16)
    result = stats.paired_difference([a], [stats.Counts(base, 16)])
    low, high = stats.student_t_interval(np.array([3, 1, 2]) / 16)
    assert (result.value, result.low, result.high) == pytest.approx((2 / 16, low, high))
    assert result.df == pytest.approx(2) and result.seeds == 3 and result.covers == "seeds, questions, samples"
    assert result.p == pytest.approx(scipy_stats.ttest_1samp([3, 1, 2], 0).pvalue)


def test_interval_is_never_narrower_than_student_t_over_seed_means():
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = counts(rng), counts(rng)
        result = stats.paired_difference([a], [b])
        low, high = stats.student_t_interval((a.rates - b.rates).mean(axis=1))
        assert result.high - result.low >= high - low - 1e-12


def test_paired_difference_changes_sign_with_the_order_of_arms():
    rng = np.random.default_rng(4)
    a, b = counts(rng, shift=0.1), counts(rng)
    forward, backward = stats.paired_difference([a], [b]), stats.paired_difference([b], [a])
    assert forward.value == pytest.approx(-backward.value) and forward.value != 0
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low))


def test_paired_difference_refuses_other_questions_or_seeds():
    rng = np.random.default_rng(0)
    for other in (counts(rng, seeds=2), counts(rng, questions=39)):
        with pytest.raises(BadInput, match="want the same"):
            stats.paired_difference([counts(rng)], [other])


def test_one_seed_is_labelled_sampling_only():
    rng = np.random.default_rng(0)
    result = stats.paired_difference([counts(rng, seeds=1)], [counts(rng, seeds=1)])
    assert result.covers == "1 seed, sampling only"
    assert stats.arm_interval([counts(rng, seeds=1)]).covers == "1 seed, sampling only"


def test_single_pass_of_one_seed_gets_the_wilson_interval():
    single = stats.Counts(np.array([[1, 0, 0, 1, 1, 0, 1, 1, 1, 0]]), 1)
    result = stats.arm_interval([single])
    assert (result.low, result.high) == pytest.approx(stats.wilson_interval(6, 10))
    assert stats.wilson_interval(6, 10) == pytest.approx((0.3127, 0.8318), abs=1e-4)


def test_score_without_variance_keeps_an_interval_of_positive_width():
    result = stats.arm_interval([stats.Counts(np.full((3, 20), 8), 8)])
    assert result.value == 1.0 and result.high == 1.0 and 0.8 < result.low < 0.9


def test_difference_of_identical_arms_is_zero_with_p_one():
    arm = counts(np.random.default_rng(1))
    result = stats.paired_difference([arm], [arm])
    assert (result.value, result.low, result.high, result.p) == (0, 0, 0, 1)


def test_p_value_is_below_5_percent_exactly_when_the_interval_excludes_zero():
    rng = np.random.default_rng(8)
    seen = set()
    for shift in np.linspace(-0.2, 0.2, 41):
        result = stats.paired_difference([counts(rng, seeds=4, shift=shift)], [counts(rng, seeds=4)])
        excluded = result.low > 0 or result.high < 0
        assert excluded == (result.p < 0.05)
        seen.add(excluded)
    assert seen == {True, False}


def test_gain_over_a_checkpoint_treats_its_rows_as_repeated_samples():
    rng = np.random.default_rng(9)
    arm, base = counts(rng, shift=0.1), counts(rng, seeds=1)
    pooled = stats.Counts(np.repeat(base.correct, 4, axis=0), 8)
    one, four = stats.difference_from_checkpoint([arm], [base]), stats.difference_from_checkpoint([arm], [pooled])
    assert one.value == pytest.approx(four.value) == pytest.approx(arm.rates.mean() - base.rates.mean())
    assert one.se > 0 and one.seeds == 3
    with pytest.raises(BadInput, match="same questions"):
        stats.difference_from_checkpoint([arm], [counts(rng, questions=39)])


def test_gain_over_a_checkpoint_covers_the_truth_about_95_percent_of_the_time():
    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(400):
        difficulty = rng.uniform(0.2, 0.8, 60)
        base = stats.Counts(rng.binomial(8, difficulty)[None], 8)
        chance = difficulty + 0.1 + rng.normal(0, 0.02, size=(4, 1))
        result = stats.difference_from_checkpoint([stats.Counts(rng.binomial(8, np.clip(chance, 0, 1)), 8)], [base])
        hits += result.low <= 0.1 <= result.high
    assert 0.92 <= hits / 400 <= 0.99


def test_average_over_suites_weighs_suites_equally_whatever_their_size():
    small, large = stats.Counts(np.full((2, 5), 4), 4), stats.Counts(np.zeros((2, 50), dtype=int), 4)
    assert stats.arm_interval([small, large]).value == pytest.approx(0.5)


def test_question_spread_widens_the_interval_although_seeds_agree():
    unequal = np.array([[8, 0] * 20] * 3)
    result = stats.paired_difference([stats.Counts(unequal, 8)], [stats.Counts(np.full((3, 40), 4), 8)])
    assert result.value == 0 and result.high - result.low > 0.2


def agreeing_by_luck(seeds=5, questions=50):
    """Differences with equal seed means and different answers: the seed part alone would be 0."""
    row = np.random.default_rng(3).integers(0, 9, size=questions)
    rolled = np.stack([np.roll(row, seed) for seed in range(seeds)])
    return stats.Counts(rolled, 8), stats.Counts(np.full((seeds, questions), 4), 8)


@pytest.mark.parametrize("seeds", [2, 5])
def test_seeds_that_agree_by_luck_do_not_shrink_the_interval_below_the_sampling_noise(seeds):
    a, b = agreeing_by_luck(seeds)
    result = stats.paired_difference([a], [b])
    table = a.rates - b.rates
    rest = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    noise = (rest**2).sum() / ((seeds - 1) * 49) / (50 * seeds)
    questions = max(table.mean(axis=0).var(ddof=1) / 50 - noise, 0)
    t_noise, t_questions = scipy_stats.t.ppf(0.975, [(seeds - 1) * 49, 49])
    assert table.mean(axis=1).std() < 1e-12
    assert result.se == pytest.approx(np.sqrt(noise + questions))
    assert result.high - result.value == pytest.approx(np.sqrt(t_noise**2 * noise + t_questions**2 * questions))


def test_floor_does_not_bind_where_seeds_differ_more_than_noise_does():
    rng = np.random.default_rng(1)
    a = stats.Counts(rng.binomial(8, np.clip(0.5 + np.linspace(-0.2, 0.2, 5)[:, None], 0, 1), size=(5, 100)), 8)
    b = stats.Counts(np.full((5, 100), 4), 8)
    result = stats.paired_difference([a], [b])
    low, high = stats.student_t_interval((a.rates - b.rates).mean(axis=1))
    assert result.high - result.low == pytest.approx(high - low, rel=0.02)


def test_detectable_gap_of_seeds_that_agree_by_luck_keeps_the_degrees_of_freedom_of_the_seeds():
    result = stats.paired_difference(*([x] for x in agreeing_by_luck(2)))
    assert result.df < 3


def test_half_width_adds_parts_with_their_own_degrees_of_freedom():
    parts = [Part(np.array(4.0), 1.0), Part(np.array(9.0), 99.0)]
    wanted = np.sqrt(12.7062**2 * 4 + 1.98422**2 * 9)
    assert float(half_width(parts)) == pytest.approx(wanted, rel=1e-4)


def test_half_width_takes_the_wider_of_a_part_and_its_floor():
    at_floor = [Part(np.array(1.0), 4.0, 2.5, 99.0)]  # 2.776² x 1 < 1.984² x 2.5
    above = [Part(np.array(1.0), 4.0, 1.5, 99.0)]
    assert float(half_width(at_floor)) == pytest.approx(1.98422 * np.sqrt(2.5), rel=1e-4)
    assert float(half_width(above)) == pytest.approx(2.77645, rel=1e-4)


# --- greedy passes -----------------------------------------------------------


def test_greedy_base_adds_no_sampling_noise_to_a_gain():
    rng = np.random.default_rng(2)
    arm = stats.Counts(rng.integers(0, 2, size=(4, 60)), 1, sampled=False)
    base = stats.Counts(rng.integers(0, 2, size=(1, 60)), 1, sampled=False)
    gain = stats.difference_from_checkpoint([arm], [base])
    assert gain.value == pytest.approx(arm.rates.mean() - base.rates.mean()) and gain.high > gain.low
    with pytest.raises(BadInput, match="at least two"):
        stats.difference_from_checkpoint([arm], [stats.Counts(base.correct, 1)])


# --- ratios of gains ---------------------------------------------------------


def two_gains(rng, gain_a=0.2, gain_b=0.1, seeds=5, questions=60):
    difficulty = np.random.default_rng(0).uniform(0.2, 0.6, questions)
    arms = [
        stats.Counts(rng.binomial(8, np.clip(difficulty + gain + rng.normal(0, 0.01, (seeds, 1)), 0, 1)), 8)
        for gain in (gain_a, gain_b)
    ]
    return (*arms, stats.Counts(rng.binomial(40, difficulty)[None], 40))


def test_ratio_of_gains_is_their_quotient_and_its_ends_are_what_the_test_just_rejects():
    a, b, base = two_gains(np.random.default_rng(1))
    ratio = stats.ratio_of_gains([a], [b], [base])
    zero = base.rates.mean()
    assert ratio.value == pytest.approx((a.rates.mean() - zero) / (b.rates.mean() - zero))
    assert ratio.low < ratio.value < ratio.high and ratio.covers == "seeds, questions, samples"
    for end in (ratio.low, ratio.high):
        assert stats.ratio_p([a], [b], [base], end) == pytest.approx(0.05, abs=1e-4)
    assert stats.ratio_p([a], [b], [base], ratio.value) == pytest.approx(1.0)


def test_ratio_to_a_gain_that_may_be_nothing_has_no_ends():
    a, b, base = two_gains(np.random.default_rng(1), gain_b=0.0)
    ratio = stats.ratio_of_gains([a], [b], [base])
    assert not ratio.bounded and ratio.low is None and ratio.high is None


def test_ratio_of_an_arm_to_itself_is_one_without_width():
    a, _, base = two_gains(np.random.default_rng(1))
    ratio = stats.ratio_of_gains([a], [a], [base])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1, 1, 1), abs=1e-6)


def test_arms_are_equivalent_within_a_wide_margin_and_not_within_a_narrow_one():
    rng = np.random.default_rng(4)
    a, b, base = two_gains(rng, gain_a=0.2, gain_b=0.2)
    assert stats.equivalence_p([a], [b], [b], [base], 0.5) < 0.05 < stats.equivalence_p([a], [b], [b], [base], 0.01)
    assert stats.equivalence_p([a], None, [b], [base], 0.5) > 0.95  # a gain of 0.2 is no equivalence with the base


def test_margin_of_a_reference_that_gains_nothing_finds_no_equivalence():
    a, b, base = two_gains(np.random.default_rng(5), gain_a=0.0, gain_b=0.0)
    assert stats.equivalence_p([a], [a], [b], [base], 0.1) > 0.05


def test_equivalence_is_claimed_in_at_most_5_percent_of_tables_at_the_margin():
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(300):
        a, b, base = two_gains(rng, gain_a=0.24, gain_b=0.2, questions=200)
        found += stats.equivalence_p([a], [b], [b], [base], 0.2) < 0.05
    assert found / 300 < 0.08


def test_counts_outside_0_to_k_are_refused():
    for bad in (np.array([[0, 9]]), np.array([[-1, 3]]), np.array([3, 4]), np.array([[3]])):
        with pytest.raises(BadInput):
            stats.Counts(bad, 8)


def test_variance_components_recover_the_planted_sources():
    rng = np.random.default_rng(6)
    difficulty = rng.uniform(0.2, 0.8, 400)
    seed = rng.normal(0, 0.05, size=(40, 1))
    table = stats.Counts(rng.binomial(8, np.clip(difficulty + seed, 0, 1)), 8)
    parts = stats.variance_components(table)
    assert parts["one_seed"] == pytest.approx(0.05, rel=0.35)
    assert parts["question"] == pytest.approx(np.sqrt(0.03 / 400), rel=0.15)
    assert parts["sample"] == pytest.approx(np.sqrt(np.mean(difficulty * (1 - difficulty)) / 8 / 16000), rel=0.1)
    assert parts["seed_x_question"] < parts["sample"]
