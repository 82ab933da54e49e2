import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from repro import stats
from repro.errors import BadInput
from repro.stats.intervals import Part, half_width


def counts(rng, seeds=3, questions=40, k=8, shift=0.0):
    difficulty = np.random.default_rng(0).uniform(0.2, 0.8, questions)
    return stats.Counts(rng.binomial(k, np.clip(difficulty + shift, 0, 1), size=(seeds, questions)), k)


# --- scores ------------------------------------------------------------------


def test_pass_at_k_gives_the_hand_vectors():
    assert stats.pass_at_k(5, 2, 2) == pytest.approx(0.7)
    assert stats.pass_at_k(10, 3, 4) == pytest.approx(5 / 6)
    assert stats.pass_at_k(10, 8, 3) == 1.0
    assert stats.pass_at_k(200, 0, 100) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(5, 2, 6), (5, 2, 0), (5, 6, 2), (5, -1, 2)])
def test_pass_at_k_refuses_what_was_not_sampled(n, c, k):
    with pytest.raises(BadInput):
        stats.pass_at_k(n, c, k)


def test_avg_at_k_above_the_number_of_samples_raises():
    with pytest.raises(BadInput, match="question 1 has 2 samples"):
        stats.avg_at_k([[True, False, True], [True, False]], 3)


def test_avg_at_k_takes_the_first_k_samples_and_its_expectation_does_not_depend_on_k():
    assert stats.avg_at_k([[True, True, False, False]], 2) == 1.0
    rng = np.random.default_rng(0)
    rows = (rng.random((4000, 8)) < 0.3).tolist()
    assert stats.avg_at_k(rows, 1) == pytest.approx(stats.avg_at_k(rows, 8), abs=0.03)


def test_mean_accuracy_refuses_counts_above_k():
    assert stats.mean_accuracy([0, 4, 2], 4) == pytest.approx(0.5)
    with pytest.raises(BadInput):
        stats.mean_accuracy([0, 5], 4)


@pytest.mark.parametrize(
    ("answers", "share", "first"),
    [
        (["A", "A", "B", "B"], 0.5, 1.0),
        (["B", "A", "A", "B"], 0.5, 0.0),
        (["A", "B", "C", "D"], 0.25, 1.0),
        (["A", None, None, None], 1.0, 1.0),
        ([None] * 4, 0.0, 0.0),
    ],
)
def test_maj_at_4_gives_the_hand_vectors_under_both_tie_rules(answers, share, first):
    verdicts = [answer == "A" for answer in answers]
    assert stats.maj_at_k(answers, verdicts, 4) == share
    assert stats.maj_at_k(answers, verdicts, 4, tie="first") == first


def test_maj_at_k_averages_disjoint_tuples_and_drops_the_rest():
    answers = ["A", "A", "B", "B", "B", "A", "A"]  # tuples AAB -> right, BBA -> wrong, the last A is left over
    assert stats.maj_at_k(answers, [a == "A" for a in answers], 3) == 0.5


def test_maj_at_k_refuses_a_class_with_two_verdicts_and_a_k_above_n():
    with pytest.raises(BadInput, match="right and wrong"):
        stats.maj_at_k(["A", "A"], [True, False], 2)
    with pytest.raises(BadInput):
        stats.maj_at_k(["A"], [True], 2)


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


# --- power -------------------------------------------------------------------


def test_detectable_gap_reproduces_the_seed_table_of_the_specification():
    wanted = {0.25: (0.99, 0.65, 0.43), 0.5: (1.66, 1.09, 0.72), 1.0: (3.14, 2.07, 1.35)}
    for seed_sd, row in wanted.items():
        for seeds, gap in zip((3, 5, 10), row, strict=True):
            se = np.sqrt(2 * (seed_sd**2 + 1.63**2 / 64) / seeds)
            assert stats.minimum_detectable_gap(se, 2 * (seeds - 1)) == pytest.approx(gap, abs=0.007)


def test_detectable_gap_on_sampling_noise_alone_is_the_known_2_80():
    assert stats.minimum_detectable_gap(4.8 * np.sqrt(2 / 64), np.inf) == pytest.approx(2.38, abs=0.005)
    assert stats.minimum_detectable_gap(1.63 * np.sqrt(2 / 16), np.inf) == pytest.approx(1.61, abs=0.006)
    assert stats.power_of_gap(0.48, 1.63 * np.sqrt(2 / 64), np.inf) == pytest.approx(0.39, abs=0.01)


@pytest.mark.parametrize("df", [2, 4, 9, 30])
def test_power_equals_the_noncentral_t_where_scipy_has_it(df):
    limit = scipy_stats.t.ppf(0.975, df)
    wanted = scipy_stats.nct.sf(limit, df, 2.5) + scipy_stats.nct.cdf(-limit, df, 2.5)
    assert stats.power_of_gap(2.5, 1.0, df) == pytest.approx(wanted, abs=1e-5)


# --- resampling and tests ----------------------------------------------------


def test_ten_thousand_replicates_of_a_contrast_take_less_than_a_second():
    rng = np.random.default_rng(0)
    a, b = [counts(rng, 5, 100) for _ in range(5)], [counts(rng, 5, 100) for _ in range(5)]
    started = time.process_time()
    draws = stats.hierarchical_bootstrap(a, b, rng=rng)
    assert draws.shape == (10_000,) and time.process_time() - started < 1.0


def test_bootstrap_is_a_function_of_its_generator():
    arm = [counts(np.random.default_rng(0))]
    first = stats.hierarchical_bootstrap(arm, rng=np.random.default_rng(5), replicates=50)
    second = stats.hierarchical_bootstrap(arm, rng=np.random.default_rng(5), replicates=50)
    third = stats.hierarchical_bootstrap(arm, rng=np.random.default_rng(6), replicates=50)
    assert np.array_equal(first, second) and not np.array_equal(first, third)


def test_arms_share_the_resampled_questions_and_seeds():
    arm = [counts(np.random.default_rng(0), seeds=4)]
    levels = frozenset({"seeds", "questions"})
    draws = stats.hierarchical_bootstrap(arm, arm, rng=np.random.default_rng(1), replicates=200, resample=levels)
    assert np.allclose(draws, 0)
    apart = stats.hierarchical_bootstrap(
        arm, arm, rng=np.random.default_rng(1), replicates=200, resample=levels, pair_seeds=False
    )
    assert apart.std() > 0


def test_fixing_every_level_returns_the_score_itself():
    arm = [counts(np.random.default_rng(0)), counts(np.random.default_rng(1), questions=7)]
    draws = stats.hierarchical_bootstrap(arm, rng=np.random.default_rng(1), replicates=3, resample=frozenset())
    assert np.allclose(draws, np.mean([x.rates.mean() for x in arm]))


def test_iqm_of_one_to_eight_is_four_and_a_half():
    assert stats.iqm(np.arange(1, 9)) == 4.5
    assert stats.iqm([[1, 100], [2, 3]]) == 2.5


def test_probability_of_improvement_counts_ties_one_half():
    assert stats.probability_of_improvement([[1.0], [2.0]], [[1.0], [0.0]]) == pytest.approx((0.5 + 1 + 1 + 1) / 4)


def test_seed_bootstrap_resamples_seeds_and_keeps_suites_together():
    arm = np.array([[0.0, 0.0], [1.0, 1.0]])
    seen = []
    low, high = stats.seed_bootstrap(
        lambda tables: (seen.append(tables), tables.mean(axis=(1, 2)))[1], arm, rng=np.random.default_rng(0)
    )
    assert seen[0].shape == (2000, 2, 2) and np.array_equal(seen[0][..., 0], seen[0][..., 1])
    assert (low, high) == (0.0, 1.0)


def test_sign_flips_of_many_questions_are_calibrated_and_find_a_shift():
    rng = np.random.default_rng(0)
    null = [stats.sign_flip_test(rng.normal(size=40), rng=rng, draws=300) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(null) <= 0.05) <= 0.09
    assert stats.sign_flip_test(rng.normal(0.8, 1, size=40), rng=rng, draws=999) < 0.01


def test_mcnemar_uses_discordant_pairs_only():
    a = [True] * 8 + [False] * 2 + [True] * 50
    b = [False] * 8 + [True] * 2 + [True] * 50
    assert stats.mcnemar_exact(a, b) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert stats.mcnemar_exact(a, a) == 1.0


def test_holm_gives_the_hand_vector_and_keeps_order():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    with pytest.raises(BadInput):
        stats.holm([0.5, float("nan")])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values):
    for p, adjusted in zip(p_values, stats.holm(p_values), strict=True):
        assert p - 1e-12 <= adjusted <= min(1.0, len(p_values) * p) + 1e-12


# --- verdicts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "mdg", "gap", "wanted"),
    [
        (0.1, 2.0, 3.0, 1.4, "supported"),
        (-0.5, 0.9, 1.0, 1.4, "contradicted"),  # excludes the claimed 1.4 and could have seen it
        (-0.5, 0.9, 1.5, 1.4, "undecided (MDG 1.5)"),  # excludes it, but a gap of 1.4 would have been missed
        (-0.5, 1.6, 1.0, 1.4, "undecided (MDG 1.0)"),  # does not exclude it
        (-2.0, -0.1, 0.9, 1.4, "contradicted"),
        (-2.0, -0.1, 0.9, None, "contradicted"),  # no size claimed: the sign is
        (-2.0, 0.1, 0.9, None, "undecided (MDG 0.9)"),
        (None, None, None, 1.4, "not tested"),
    ],
)
def test_claim_verdicts_follow_the_closed_list(low, high, mdg, gap, wanted):
    assert stats.claim_verdict(low, high, mdg, gap) == wanted


def test_cell_verdicts_follow_the_closed_list():
    assert stats.cell_verdict(1.0, 0.5, 1.5) == "within CI"
    assert stats.cell_verdict(1.6, 0.5, 1.5) == "outside CI"
    assert stats.cell_verdict(1.6, None, None) == "not run"
    assert stats.cannot_be_run("no data") == "cannot be run (no data)"
    with pytest.raises(BadInput):
        stats.cannot_be_run(" ")
