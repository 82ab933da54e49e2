"""Theorem 1 and Corollary 2 on examples that fit on paper, on random models, and where they fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.paper.theory import estimation_table, example_table
from repro.paper.theory.claims import example
from repro.paper.theory.gaps import (
    break_even_draws,
    break_even_share,
    corollary2_closed,
    gaps,
    literal_delta,
    marginal_draws,
    printed_corollary2,
    step3_projection,
    theorem1_closed,
)
from repro.paper.theory.gaussian import LinearSCM, conditional, inner, norm2, random_scm, random_weights, sample

# predictor, baseline: Theorem 1 gap, Corollary 2 gap, worked out by hand
BY_HAND = [
    ("f*, b", 0.0, 0.5),
    ("f* + 0.3, b", 0.09, 0.5),
    ("f*, b_hat = 0.4", -0.16, 0.5),
    ("y_2 - y_1, b", 0.0, 0.0),
    ("2(y_2 - y_1), b", 0.0, -4.0),
    ("-(y_2 - y_1)/2, b", 0.0, -1.5),
    ("f*, b, Phi by the printed Step 3", -0.75, -0.25),
]


@pytest.fixture(scope="module")
def table():
    return example_table().set_index("predictor")


@pytest.mark.parametrize(("predictor", "theorem1", "corollary2"), BY_HAND)
def test_the_example_has_the_gaps_worked_out_by_hand(table, predictor, theorem1, corollary2):
    assert table.loc[predictor, "theorem1"] == pytest.approx(theorem1, abs=1e-12)
    assert table.loc[predictor, "corollary2"] == pytest.approx(corollary2, abs=1e-12)


def test_monte_carlo_agrees_with_every_closed_form_within_four_standard_errors(table):
    assert (table[["theorem1_z", "corollary2_z"]].abs() < 4).all().all()
    assert (table["corollary2_z"].abs() > 0).all()


def test_the_example_itself_is_as_stated():
    scm = example()
    assert norm2(scm.baseline) == 0
    assert norm2(scm.y(0) - scm.baseline) == pytest.approx(1.0)
    assert norm2(scm.y(0) - scm.bayes) == pytest.approx(0.5)
    assert norm2(scm.bayes - 0.5 * (scm.integrated - scm.y(1))) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "own", "corollary2"),
    [
        ("given y_0", False, -0.28125),
        ("given y_0", True, -0.21875),
        ("marginal", False, 0.4375),
        ("marginal", True, 0.4375),
    ],
)
def test_eight_draws_give_the_gaps_worked_out_by_hand(kind, own, corollary2):
    scm = example(8)
    phi = scm.phi_estimate(scm.bayes_weights(), np.zeros(1), kind=kind, include_own=own)
    assert gaps(scm.y(0), scm.bayes, phi, scm.baseline).corollary2 == pytest.approx(corollary2, abs=1e-12)


def test_the_printed_step_3_leaves_noise_that_knows_nothing_of_the_target():
    scm = example()
    plus = scm.bayes - step3_projection(scm, scm.bayes)
    assert norm2(plus) == pytest.approx(0.25)  # e/2
    assert inner(plus, scm.y(0)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 7.0, -7.0])
def test_equation_3_as_printed_is_the_shift_of_the_second_predictor(shift):
    scm = example()
    assert literal_delta(scm.y(0), scm.baseline, scm.bayes.shifted(shift)) == pytest.approx(shift)


def test_the_printed_chain_has_the_opposite_sign():
    scm = example()
    assert printed_corollary2(scm, scm.bayes) == pytest.approx(-0.5)
    assert corollary2_closed(scm, scm.bayes) == pytest.approx(+0.5)


MODELS = dict(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 4), n=st.integers(2, 5))


def model(seed: int, dim: int, n: int, draws: int = 0) -> tuple[np.random.Generator, LinearSCM]:
    rng = np.random.default_rng(seed)
    return rng, random_scm(rng, dim=dim, n=n, draws=draws)


def close(got: float, expected: float, scale: float = 1.0) -> bool:
    return abs(got - expected) <= 1e-7 * max(1.0, abs(expected), scale)


@settings(max_examples=40, deadline=None)
@given(**MODELS)
def test_both_identities_hold_for_any_affine_predictor_and_baseline(seed, dim, n):
    rng, scm = model(seed, dim, n)
    f = scm.predictor(*random_weights(rng, scm))
    b_hat = scm.baseline + rng.normal(size=(dim, dim)) @ scm.y(n - 1).shifted(rng.normal(size=dim))
    got = gaps(scm.y(0), f, scm.phi(f), b_hat)
    assert close(got.theorem1, theorem1_closed(scm, f, b_hat), norm2(f))
    assert close(got.corollary2, corollary2_closed(scm, f), norm2(f))


@settings(max_examples=40, deadline=None)
@given(**MODELS)
def test_bayes_predictor_gains_nothing_from_theorem_1_and_its_variance_from_corollary_2(seed, dim, n):
    _, scm = model(seed, dim, n)
    got = gaps(scm.y(0), scm.bayes, scm.phi(scm.bayes), scm.baseline)
    assert close(got.theorem1, 0.0, norm2(scm.y(0)))
    assert close(got.corollary2, norm2(scm.psi(scm.bayes)), norm2(scm.y(0)))
    assert got.corollary2 > 0


@settings(max_examples=25, deadline=None)
@given(**MODELS, draws=st.integers(1, 5))
def test_the_printed_step_3_never_beats_the_baseline(seed, dim, n, draws):
    rng, scm = model(seed, dim, n, draws)
    weights, const = random_weights(rng, scm)
    f = scm.predictor(weights, const)
    got = gaps(scm.y(0), f, scm.phi_estimate(weights, const, kind="given y_0"), scm.baseline).corollary2
    assert got < 0
    assert close(got, -(1 + 1 / draws) * norm2(f - step3_projection(scm, f)), norm2(f))


@settings(max_examples=25, deadline=None)
@given(**MODELS, draws=st.integers(1, 5))
def test_fresh_marginal_draws_keep_one_minus_one_over_m_of_the_gain(seed, dim, n, draws):
    _, scm = model(seed, dim, n, draws)
    phi = scm.phi_estimate(scm.bayes_weights(), np.zeros(dim), kind="marginal")
    got = gaps(scm.y(0), scm.bayes, phi, scm.baseline).corollary2
    psi2 = norm2(scm.psi(scm.bayes))
    assert close(got, (1 - 1 / draws) * psi2, norm2(scm.y(0)))
    assert close(got, marginal_draws(psi2, psi2, draws), norm2(scm.y(0)))


@settings(max_examples=25, deadline=None)
@given(**MODELS)
def test_projecting_the_improved_target_on_the_query_returns_the_baseline(seed, dim, n):
    rng, scm = model(seed, dim, n)
    f = scm.predictor(*random_weights(rng, scm))
    improved = f - scm.phi(f) + scm.baseline
    assert close(norm2(conditional(improved, scm.q) - scm.baseline), 0.0, norm2(f))


def test_mutants_of_the_closed_forms_are_wrong_somewhere():
    rng, scm = model(7, 2, 3)
    f = scm.predictor(*random_weights(rng, scm))
    b_hat = scm.baseline.shifted(0.5)
    got = gaps(scm.y(0), f, scm.phi(f), b_hat)
    cross, psi2 = inner(scm.y(0) - scm.baseline, scm.psi(f)), norm2(scm.psi(f))
    phi2, error2 = norm2(scm.phi(f) - scm.baseline), norm2(b_hat - scm.baseline)
    for mutant in (phi2, phi2 + error2, error2 - phi2, 0.0):
        assert not close(got.theorem1, mutant)
    for mutant in (psi2, -psi2, 2 * cross, 2 * cross + psi2, cross - psi2):
        assert not close(got.corollary2, mutant)


def test_y_n_makes_independent_candidates_dependent():
    scm = example()
    y0, y1, y2 = scm.y(0), scm.y(1), scm.integrated
    assert inner(y0, y1) == 0
    a, b = y0 - conditional(y0, y2), y1 - conditional(y1, y2)
    assert inner(a, b) == pytest.approx(-1 / 3)


def test_break_even_formulas_by_hand():
    assert break_even_draws(0.5, 0.09) == pytest.approx(0.5 / 0.09)
    assert break_even_draws(0.5, 0.16, 0.09) == pytest.approx(0.5 / 0.07)
    assert break_even_draws(0.5, 0.09, 0.16) == float("inf")
    assert break_even_share(2, 1) == pytest.approx(3 / 4)
    assert break_even_share(8, 8) == pytest.approx(9 / 65)
    assert break_even_share(1, 8) == 1.0


def test_break_even_share_agrees_with_a_simulation_of_sampled_outputs():
    """R outputs from p(y_0|x) per context: the gap over b is 0 at rho*, and has the sign of rho - rho* beside it."""
    rng, m, outputs, count = np.random.default_rng(3), 4, 2, 400_000
    star = break_even_share(m, outputs)
    for rho in (star - 0.1, star, star + 0.1):
        psi = rng.normal(size=(count, m + 1)) * np.sqrt(rho)  # column 0: the x at hand; the rest: contexts for Phi
        y = psi[:, 0] + rng.normal(size=count) * np.sqrt(1 - rho)
        noise = rng.normal(size=(count, m + 1)) * np.sqrt((1 - rho) / outputs)
        scored = psi + noise
        plus = scored[:, 0] - scored[:, 1:].mean(axis=1)
        draws = y**2 - (y - plus) ** 2
        mean, error = draws.mean(), draws.std() / np.sqrt(count)
        expected = (1 - 1 / m) * rho - (1 + 1 / m) * (1 - rho) / outputs
        assert abs(mean - expected) < 4 * error
        assert np.sign(round(expected, 9)) == np.sign(round(rho - star, 9))


def test_estimation_table_crosses_from_nothing_at_one_draw():
    table = estimation_table().set_index("draws")
    assert table.loc[1, "y_0 drawn anew"] == 0
    assert table["y_0 drawn anew"].is_monotonic_increasing
    assert (table["printed Step 3"] < 0).all()


def test_a_redundant_condition_changes_nothing():
    _, scm = model(1, 2, 3)
    once = conditional(scm.y(0), scm.q, scm.integrated)
    twice = conditional(scm.y(0), scm.q, scm.integrated, scm.q, 2.0 * scm.integrated)
    assert norm2(once - twice) == pytest.approx(0.0, abs=1e-18)


def test_sampling_has_the_moments_of_the_closed_form():
    _, scm = model(5, 2, 3)
    y, x = sample([scm.y(0).shifted(1.0), scm.integrated], np.random.default_rng(0), 200_000)
    assert y.mean(axis=0) == pytest.approx(np.ones(2), abs=0.05)
    got, expected = (y * x).sum(axis=1).mean(), inner(scm.y(0), scm.integrated)
    assert abs(got - expected) < 4 * (y * x).sum(axis=1).std() / np.sqrt(200_000)


def test_bad_models_and_draws_are_refused():
    one = np.eye(1)
    with pytest.raises(BadInput, match="at least 2"):
        LinearSCM(one, one, one, one, (one,), one)
    with pytest.raises(BadInput, match="draws=0"):
        example().phi_estimate(example().bayes_weights(), np.zeros(1), kind="marginal")
    with pytest.raises(BadInput, match="kind"):
        example(1).integrated_draw(0, "posterior")
