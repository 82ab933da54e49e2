import numpy as np
import pytest
from counting import lines_run
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from repro import stats
from repro.errors import BadInput
from repro.stats.verdicts import DIRECTIONS, SIZES


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


def test_replicates_are_drawn_together_and_not_one_by_one():
    rng = np.random.default_rng(0)
    a, b = [counts(rng, 5, 100) for _ in range(5)], [counts(rng, 5, 100) for _ in range(5)]
    few, many = (lines_run(lambda n=n: stats.hierarchical_bootstrap(a, b, rng=rng, replicates=n)) for n in (10, 10_000))
    assert many < 2 * few
    assert stats.hierarchical_bootstrap(a, b, rng=rng).shape == (10_000,)


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
    ("low", "high", "p_equivalent", "wanted"),
    [
        (0.1, 2.0, None, "supported"),
        (0.1, 0.3, 0.001, "supported"),  # the interval decides first
        (-2.0, -0.1, 0.5, "reversed"),
        (-0.5, 0.9, 0.049, "equivalent"),
        (-0.5, 0.9, 0.05, "undecided"),
        (-0.5, 0.9, None, "undecided"),
        (0.0, 0.9, None, "undecided"),
        (-0.9, 0.0, None, "undecided"),
        (None, None, 0.01, "not tested"),
    ],
)
def test_directions_follow_the_closed_list(low, high, p_equivalent, wanted):
    assert stats.direction_verdict(low, high, p_equivalent) == wanted and wanted in DIRECTIONS


@pytest.mark.parametrize(
    ("low", "high", "printed", "agree", "wanted"),
    [
        (0.9, 1.1, (2.3, 2.2), False, "contradicted"),
        (1.01, 1.1, (2.3, 2.2), True, "undecided"),  # every seed goes the paper's way, though not as far
        (0.9, 1.1, (2.3, 1.05), False, "undecided"),  # one reading of the paper is held, and so is no difference
        (1.1, 2.25, (2.3, 2.2), True, "consistent"),
        (0.9, 2.5, (2.3, 2.2), False, "undecided"),
        (2.4, 3.0, (2.3, 2.2), True, "undecided"),
        (2.4, 3.0, (2.3, 2.2), False, "contradicted"),
        (None, None, (2.3, 2.2), False, "undecided"),
        (0.9, 1.1, (), False, None),
    ],
)
def test_sizes_follow_the_closed_list(low, high, printed, agree, wanted):
    assert stats.size_verdict(low, high, printed, 1.0, agree) == wanted and wanted in (*SIZES, None)


def test_nothing_of_a_lost_share_is_zero():
    assert stats.size_verdict(-0.1, 0.7, (0.6,), 0.0, False) == "undecided"
    assert stats.size_verdict(0.1, 0.7, (0.6,), 0.0, False) == "consistent"


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (["supported"] * 3, "supported"),
        (["equivalent"] * 3, "equivalent"),
        (["supported", "undecided", "reversed"], "reversed"),
        (["supported", "equivalent"], "undecided"),
        (["supported", "not tested"], "not tested"),
        (["not tested"] * 2, "not tested"),
        (["undecided", "not tested"], "undecided"),
    ],
)
def test_one_verdict_over_all_bases(verdicts, wanted):
    assert stats.over_bases(verdicts, everywhere=("supported", "equivalent"), anywhere="reversed") == wanted


def test_cell_verdicts_follow_the_closed_list():
    assert stats.cell_verdict(1.0, 0.5, 1.5) == "within CI"
    assert stats.cell_verdict(1.6, 0.5, 1.5) == "outside CI"
    assert stats.cell_verdict(1.6, None, None) == "not run"
    assert stats.cannot_be_run("no data") == "cannot be run (no data)"
    with pytest.raises(BadInput):
        stats.cannot_be_run(" ")
