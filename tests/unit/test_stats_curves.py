"""The sigmoid over compute and its jackknife against known truths and an independent loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.stats.curves import fit_sigmoid, jackknife, sigmoid

COMPUTE = np.array([0.0, 4, 8, 12, 16, 20, 24])


def test_the_curve_is_the_equation_written_out():
    for c in (0.5, 3.0, 24.0):
        expected = 0.2 + (0.6 - 0.2) / (1 + (10.0 / c) ** 2.5)
        assert sigmoid(np.array([c]), 0.2, 0.6, 10.0, 2.5)[0] == pytest.approx(expected, abs=1e-12)
    assert sigmoid(np.array([0.0]), 0.2, 0.6, 10.0, 2.5)[0] == 0.2
    assert sigmoid(np.array([10.0]), 0.2, 0.6, 10.0, 2.5)[0] == pytest.approx(0.4)  # half of the way at the midpoint


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 0.4), st.floats(0.5, 0.9), st.floats(4, 16), st.floats(1.2, 4))
def test_a_curve_without_noise_gives_its_parameters_back(start, ceiling, midpoint, steepness):
    fitted = fit_sigmoid(COMPUTE, sigmoid(COMPUTE, start, ceiling, midpoint, steepness))
    assert fitted.ceiling == pytest.approx(ceiling, abs=2e-3)
    assert fitted.midpoint == pytest.approx(midpoint, rel=1e-2)
    assert fitted.steepness == pytest.approx(steepness, rel=2e-2)


def test_another_unit_of_compute_moves_the_midpoint_alone():
    accuracy = sigmoid(COMPUTE, 0.2, 0.6, 9.0, 2.0) + np.random.default_rng(0).normal(0, 0.01, len(COMPUTE))
    accuracy[0] = 0.2
    one, other = fit_sigmoid(COMPUTE, accuracy), fit_sigmoid(1000 * COMPUTE, accuracy)
    assert other.midpoint == pytest.approx(1000 * one.midpoint, rel=1e-3)
    assert other.ceiling == pytest.approx(one.ceiling, abs=1e-4)


def test_a_curve_that_falls_has_a_ceiling_below_its_start():
    assert fit_sigmoid(COMPUTE, sigmoid(COMPUTE, 0.5, 0.2, 8.0, 3.0)).ceiling == pytest.approx(0.2, abs=2e-3)


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.array([0.31, 0.36, 0.33, 0.41, 0.35])
    found = jackknife(lambda places: float(np.mean(values[list(places)])), len(values))
    half = 2.7764451051977987 * math.sqrt(sum((v - values.mean()) ** 2 for v in values) / 4) / math.sqrt(5)
    assert (found.value, found.low, found.high) == pytest.approx(
        (values.mean(), values.mean() - half, values.mean() + half)
    )


def test_one_seed_has_no_interval():
    found = jackknife(lambda places: 1.0, 1)
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_the_interval_of_a_fitted_ceiling_covers_the_truth_as_often_as_it_says():
    rng, truth, covered = np.random.default_rng(1), 0.6, 0
    for _ in range(120):
        own = truth + rng.normal(0, 0.02, 5)  # every seed has a ceiling of its own
        curves = np.array([sigmoid(COMPUTE, 0.2, each, 8.0, 2.5) for each in own])
        curves[:, 1:] += rng.normal(0, 0.01, curves[:, 1:].shape)
        found = jackknife(
            lambda places, curves=curves: fit_sigmoid(COMPUTE, curves[list(places)].mean(axis=0)).ceiling, 5
        )
        covered += found.low <= truth <= found.high
    assert covered / 120 > 0.88


@pytest.mark.parametrize("compute", [[0, 1, 2, 3], [1, 2, 3, 4, 5], [0, 1, 1, 2, 3]])
def test_too_few_points_or_no_start_is_refused(compute):
    with pytest.raises(BadInput, match="want five or more"):
        fit_sigmoid(np.array(compute, dtype=float), np.linspace(0.2, 0.4, len(compute)))
