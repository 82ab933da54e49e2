"""Every statement about the theory is decided, and decided as the text of the results says."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from repro.paper.findings import FAILS, HOLDS, UNDECIDED
from repro.paper.theory import run, symbolic, unexpected, weight_table
from repro.paper.theory.claims import all_claims
from repro.paper.theory.discrete import random_discrete, random_predictor

DECIDED = {
    HOLDS: "thG1 thG2 thA3 thA7 thB1 thB4 thB5 thC1 thC2 thC3 thC4 thD2 thD5 thD6 thD7",
    FAILS: "thA1 thA2 thA4 thA5 thA6 thB2 thB3 thD1 thD3",
    UNDECIDED: "thD4",
}


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in all_claims()}


@pytest.mark.parametrize(("verdict", "id"), [(v, i) for v, ids in DECIDED.items() for i in ids.split()])
def test_each_statement_has_its_verdict(claims, verdict, id):
    assert claims[id].verdict == verdict, claims[id]


def test_no_statement_is_missing_from_the_list(claims):
    assert set(claims) == {i for ids in DECIDED.values() for i in ids.split()}


def test_identities_follow_from_orthogonality_alone():
    assert sp.simplify(symbolic.theorem1_gap() - (symbolic.PP - symbolic.DD)) == 0
    assert sp.simplify(symbolic.corollary2_gap() - (2 * symbolic.RS - symbolic.SS)) == 0
    assert symbolic.bayes_cross_term() == symbolic.SS


def test_equation_28_gives_minus_the_norm_with_the_claimed_cross_term_and_plus_with_the_true_one():
    steps = symbolic.equation_28_30()
    assert steps["claimed cross term"] == -symbolic.SS
    assert steps["true cross term"] == steps["printed"] == symbolic.SS


def test_equation_20_has_a_minus_sign():
    assert symbolic.equation_20_cross_term_sign() == -2


def test_estimated_phi_keeps_one_minus_one_over_m_with_and_without_the_own_draw():
    expected = symbolic.SS * (1 - 1 / symbolic.M)
    assert sp.simplify(symbolic.estimated_phi_gap() - expected) == 0
    assert sp.simplify(symbolic.shared_draw_gap() - expected) == 0


def test_break_even_share_is_nine_sixty_fifths_at_eight_by_eight():
    share = symbolic.break_even_share()
    assert share.subs({symbolic.M: 8, symbolic.R: 8}) == sp.Rational(9, 65)
    assert sp.limit(share, symbolic.R, sp.oo) == 0


def test_gain_over_the_weight_of_a_candidate_in_the_integrated_output():
    table = weight_table(np.array([0.5, 1.0, 2.0]))
    assert list(table["exact Phi"]) == pytest.approx([0.2, 0.5, 0.8])
    assert list(table["printed Step 3"]) == pytest.approx([-0.16, -0.25, -0.16])


@pytest.mark.parametrize("n", [2, 3, 4])
def test_identities_hold_for_arbitrary_functions_of_a_finite_model(n):
    rng = np.random.default_rng(n)
    scm = random_discrete(rng, n=n)
    assert scm.p.sum() == pytest.approx(1.0)
    f, b = random_predictor(rng, scm), scm.baseline
    psi = f - scm.phi(f)
    risk = {g: scm.expect((scm.target - value) ** 2) for g, value in {"f": f, "b": b, "plus": psi + b}.items()}
    assert risk["f"] - risk["plus"] == pytest.approx(scm.expect((scm.phi(f) - b) ** 2))
    assert risk["b"] - risk["plus"] == pytest.approx(2 * scm.expect((scm.target - b) * psi) - scm.expect(psi**2))
    assert abs(risk["f"] - risk["plus"]) > 1e-3
    step3 = f - scm.step3_projection(f) + b
    assert risk["b"] < scm.expect((scm.target - step3) ** 2)


def test_candidates_of_a_finite_model_are_alike_and_independent_given_the_query():
    scm = random_discrete(np.random.default_rng(0), n=2)
    pair = scm.p.sum(axis=3)  # q, y_0, y_1
    given_q = pair / pair.sum(axis=(1, 2), keepdims=True)
    assert given_q.sum(axis=2) == pytest.approx(given_q.sum(axis=1))
    assert given_q == pytest.approx(given_q.sum(axis=2)[:, :, None] * given_q.sum(axis=1)[:, None, :])


def test_a_statement_of_ours_that_fails_is_reported(claims):
    assert unexpected(list(claims.values())) == []
    broken = replace(claims["thA7"], verdict=FAILS)
    assert len(unexpected([broken, claims["thA1"]])) == 1


def test_run_writes_the_tables_it_names_and_twice_the_same(tmp_path):
    first = run(tmp_path / "a")
    second = run(tmp_path / "b")
    assert first == second
    for name in ("theory.csv", "theory.md", "theory_example.csv", "theory_estimation.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with open(tmp_path / "a" / "theory.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["id"] for row in rows] == [claim.id for claim in first]
    assert {row["verdict"] for row in rows} == {HOLDS, FAILS, UNDECIDED}
