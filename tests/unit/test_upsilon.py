"""Eq. 11: hand values, properties, and one-line faults that the checks must catch."""

import math
import statistics as stats

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gcpo import upsilon as module
from gcpo.upsilon import (
    centroid_upsilon,
    constant_control,
    matching_factor,
    projection_means,
    retest_statistics,
    shuffled_control,
    signed_weight,
    upsilon,
    upsilon_statistics,
)

Z = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
X_MEAN = torch.tensor([[[1.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)
PHI_MEAN = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]], dtype=torch.float64)


def hand_values(function) -> bool:
    """z = (1,0), (0,1); Z̄ = (1,0), (0,−1); Z̄' = (½,½) twice; α = 2: targets (1,0) and (0,−1), Υ = (2, −2)."""
    result = function(Z, X_MEAN, PHI_MEAN, alpha=2.0)
    return torch.allclose(result, torch.tensor([[2.0, -2.0]], dtype=torch.float64), atol=1e-12)


def uneven_values(function) -> bool:
    """Three candidates, so that another axis or a sum shows: z̄ = (1, 4/3), targets (2, 7/3), (1, 1/3), (0, 4/3)."""
    z = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]]], dtype=torch.float64)
    x_mean = torch.tensor([[[1.0, 1.0], [0.0, -1.0], [0.0, 0.0]]], dtype=torch.float64)
    phi_mean = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    want = [
        3 * 2 / math.hypot(2, 7 / 3),
        3 * (1 / 3) / math.hypot(1, 1 / 3),
        3 * (3 * 4 / 3) / (math.hypot(2, 3) * (4 / 3)),
    ]
    result = function(z, x_mean, phi_mean, alpha=3.0)
    return torch.allclose(result, torch.tensor([want], dtype=torch.float64), atol=1e-12)


CHECKS = (hand_values, uneven_values)


def test_upsilon_gives_the_hand_values():
    assert all(check(upsilon) for check in CHECKS)


def _cos(z, target):
    return F.cosine_similarity(z, target, dim=-1)


MUTANTS = {
    "plus instead of minus Φ": lambda z, x, p, alpha: alpha * _cos(z, x + p + z.mean(1, keepdim=True)),
    "Φ dropped": lambda z, x, p, alpha: alpha * _cos(z, x + z.mean(1, keepdim=True)),
    "z̄ dropped": lambda z, x, p, alpha: alpha * _cos(z, x - p),
    "sum for the mean in z̄": lambda z, x, p, alpha: alpha * _cos(z, x - p + z.sum(1, keepdim=True)),
    "z̄ over features": lambda z, x, p, alpha: alpha * _cos(z, x - p + z.mean(2, keepdim=True)),
    "z̄ over groups": lambda z, x, p, alpha: alpha * _cos(z, x - p + z.mean(0, keepdim=True)),
    "absolute value": lambda z, x, p, alpha: alpha * _cos(z, x - p + z.mean(1, keepdim=True)).abs(),
    "α squared": lambda z, x, p, alpha: alpha**2 * _cos(z, x - p + z.mean(1, keepdim=True)),
    "α dropped": lambda z, x, p, alpha: _cos(z, x - p + z.mean(1, keepdim=True)),
    "x and Φ swapped": lambda z, x, p, alpha: alpha * _cos(z, p - x + z.mean(1, keepdim=True)),
    "inner product for the cosine": lambda z, x, p, alpha: alpha * (z * (x - p + z.mean(1, keepdim=True))).sum(-1),
    "Z̄ for z on the left": lambda z, x, p, alpha: alpha * _cos(x, x - p + z.mean(1, keepdim=True)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_in_eq_11_is_caught(name):
    assert not all(check(MUTANTS[name]) for check in CHECKS)


def group_tensors(dim: int = 3):
    shapes = st.tuples(st.integers(1, 3), st.integers(2, 16))
    seeds = st.integers(0, 2**31)
    return st.tuples(shapes, seeds).map(
        lambda drawn: torch.randn(
            3, *drawn[0], dim, generator=torch.Generator().manual_seed(drawn[1]), dtype=torch.float64
        )
    )


@settings(max_examples=40, deadline=None)
@given(group_tensors(), st.sampled_from(module.SIMILARITIES), st.randoms(use_true_random=False))
def test_permuting_a_group_permutes_upsilon(features, similarity, random):
    z, x_mean, phi_mean = features
    order = list(range(z.shape[1]))
    random.shuffle(order)
    whole = upsilon(z, x_mean, phi_mean, alpha=2.0, similarity=similarity)
    permuted = upsilon(z[:, order], x_mean[:, order], phi_mean[:, order], alpha=2.0, similarity=similarity)
    torch.testing.assert_close(permuted, whole[:, order])


@settings(max_examples=40, deadline=None)
@given(group_tensors(), st.sampled_from(module.SIMILARITIES))
def test_groups_do_not_mix(features, similarity):
    z, x_mean, phi_mean = features
    whole = upsilon(z, x_mean, phi_mean, alpha=2.0, similarity=similarity)
    alone = upsilon(z[:1], x_mean[:1], phi_mean[:1], alpha=2.0, similarity=similarity)
    torch.testing.assert_close(whole[:1], alone)


@settings(max_examples=40, deadline=None)
@given(group_tensors())
def test_the_centroid_is_the_projection_with_psi_zero(features):
    z, x_mean, _ = features
    torch.testing.assert_close(upsilon(z, x_mean, x_mean, alpha=2.0), centroid_upsilon(z, alpha=2.0))


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(finite, min_size=6, max_size=6), min_size=2, max_size=5), st.sampled_from(module.SIMILARITIES))
def test_finite_features_give_a_finite_bounded_upsilon(rows, similarity):
    z, x_mean, phi_mean = torch.tensor(rows, dtype=torch.float32).view(1, len(rows), 3, 2).unbind(dim=2)
    result = upsilon(z, x_mean, phi_mean, alpha=2.0, similarity=similarity)
    assert torch.isfinite(result).all()
    assert result.abs().max() <= 2 + 1e-5


def test_a_common_scale_does_not_change_upsilon_down_to_tiny_features():
    small = upsilon(Z * 1e-30, X_MEAN * 1e-30, PHI_MEAN * 1e-30, alpha=2.0)
    torch.testing.assert_close(small, torch.tensor([[2.0, -2.0]], dtype=torch.float64))


def test_a_zero_feature_has_weight_zero():
    z = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    assert centroid_upsilon(z, alpha=2.0)[0].tolist() == pytest.approx([0.0, 2.0])


def test_euclidean_and_gaussian_fall_with_distance_and_have_the_hand_values():
    z = torch.tensor([[[3.0], [0.0]]])  # z̄ = 1.5: both distances 1.5, and one dimension
    assert centroid_upsilon(z, alpha=2.0, similarity="euclidean")[0].tolist() == pytest.approx([0.8, 0.8])
    assert centroid_upsilon(z, alpha=2.0, similarity="gaussian")[0].tolist() == pytest.approx(
        [2 * math.exp(-1.125)] * 2
    )
    halved = centroid_upsilon(z, alpha=2.0, similarity="euclidean", scale=0.5)  # d = 3
    assert halved[0].tolist() == pytest.approx([0.5, 0.5])
    z = torch.tensor([[[0.0], [0.0], [3.0]]])  # z̄ = 1: distances 1, 1, 2
    assert centroid_upsilon(z, alpha=1.0, similarity="euclidean")[0].tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 3])
    z = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0] * 4]])  # z̄ = (1, 0, 0, 0): distance 1, half of √4
    assert centroid_upsilon(z, alpha=1.0, similarity="gaussian")[0].tolist() == pytest.approx([math.exp(-1 / 8)] * 2)


@pytest.mark.parametrize("similarity", ["euclidean", "gaussian"])
def test_a_wide_group_weighs_less_than_a_tight_one(similarity):
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(1, 8, 16, generator=generator, dtype=torch.float64)
    wide, tight = (centroid_upsilon(1 + size * spread, alpha=1.0, similarity=similarity) for size in (1.0, 1e-5))
    assert wide.max() < 0.9 and tight.min() > 0.9999
    pair = centroid_upsilon(1 + spread[:, :2], alpha=1.0, similarity=similarity)
    other = centroid_upsilon(1 + 2 * spread[:, :2], alpha=1.0, similarity=similarity)
    assert (pair - other).abs().min() > 0.01  # at n = 2 the group's own mean distance made every weight equal


def test_the_matching_factor_gives_one_mean_to_both_and_turns_no_sign():
    weights, cosines = torch.tensor([[0.2, 0.4]]), torch.tensor([[0.9, 0.6]])
    assert matching_factor(weights, cosines).item() == pytest.approx(2.5)
    assert (weights * matching_factor(weights, cosines)).mean() == pytest.approx(cosines.mean())
    assert matching_factor(weights, -cosines) == 0 and matching_factor(weights * 0, cosines).isfinite()


def test_the_result_is_float32_for_bf16_features_and_float64_for_float64():
    assert upsilon(Z.bfloat16(), X_MEAN.bfloat16(), PHI_MEAN.bfloat16(), alpha=2.0).dtype == torch.float32
    assert upsilon(Z, X_MEAN, PHI_MEAN, alpha=2.0).dtype == torch.float64


def test_unequal_shapes_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="equal"):
        upsilon(Z, X_MEAN[:, :1], PHI_MEAN, alpha=2.0)
    with pytest.raises(ValueError, match="similarity"):
        upsilon(Z, X_MEAN, PHI_MEAN, alpha=2.0, similarity="manhattan")
    with pytest.raises(ValueError, match="sign_rule"):
        signed_weight(torch.ones(1, 2), torch.ones(1, 2), sign_rule="both")


def test_upsilon_min_is_a_floor():
    assert upsilon(Z, X_MEAN, PHI_MEAN, alpha=2.0, upsilon_min=0.0)[0].tolist() == [2.0, 0.0]


def test_projection_means_average_outputs_within_and_then_over_contexts():
    # one candidate, m = 2 contexts, R = 2 outputs of dimension 1
    features = torch.tensor([[[[[1.0], [3.0]], [[5.0], [9.0]]]]])
    x_mean, phi_mean = projection_means(features)
    assert (x_mean.item(), phi_mean.item()) == (2.0, 4.5)
    x_mean, phi_mean = projection_means(features, phi_includes_l0=False)
    assert (x_mean.item(), phi_mean.item()) == (2.0, 7.0)
    x_mean, phi_mean = projection_means(features, step2_features=torch.tensor([[[[8.0], [10.0]]]]))
    assert (x_mean.item(), phi_mean.item()) == (9.0, 4.5)


def test_one_context_makes_the_projection_vanish_and_cannot_be_left_out():
    features = torch.randn(2, 3, 1, 2, 4)
    x_mean, phi_mean = projection_means(features)
    assert torch.equal(x_mean, phi_mean)
    with pytest.raises(ValueError, match="m >= 2"):
        projection_means(features, phi_includes_l0=False)


def test_psi_shrinks_by_m_minus_one_over_m_when_step_2_is_the_first_slice():
    features = torch.randn(1, 3, 4, 2, 5, dtype=torch.float64)
    x_mean, phi_mean = projection_means(features)
    _, others = projection_means(features, phi_includes_l0=False)
    torch.testing.assert_close(x_mean - phi_mean, (1 - 1 / 4) * (x_mean - others))


def test_constant_and_shuffled_controls_keep_the_mean_and_the_shuffled_one_the_values():
    weight = torch.arange(12.0).view(3, 4)
    constant = constant_control(weight)
    assert torch.equal(constant, weight.mean(1, keepdim=True).expand(3, 4))
    shuffled = shuffled_control(weight, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shuffled.sort(dim=1).values, weight)
    assert not torch.equal(shuffled, weight)
    again = shuffled_control(weight, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shuffled, again)


def test_the_sign_aware_factor_mirrors_negative_advantages_and_is_floored():
    weight = torch.tensor([[0.5, 1.0, 1.5, 5.0]])  # mean 2
    advantages = torch.tensor([[1.0, -1.0, -1.0, -1.0]])
    assert signed_weight(weight, advantages)[0].tolist() == weight[0].tolist()
    assert signed_weight(weight, advantages, sign_rule="sign_aware")[0].tolist() == [0.5, 3.0, 2.5, 0.0]


def test_with_the_sign_aware_rule_closer_is_never_worse():
    weight = torch.tensor([[0.2, 0.4, 0.6]])
    for sign in (1.0, -1.0):
        advantages = torch.full((1, 3), sign)
        b = advantages * signed_weight(weight, advantages, sign_rule="sign_aware")
        assert (b.diff() > 0).all()


def test_statistics_report_the_spread_the_signs_and_the_size_of_the_projection():
    statistics = upsilon_statistics(Z, X_MEAN, PHI_MEAN, torch.tensor([[2.0, -2.0]]))
    assert statistics["mean"] == 0.0
    assert statistics["share_negative"] == 0.5
    assert statistics["within_group_std"] == pytest.approx(math.sqrt(8))
    assert statistics["cosine_without_psi"] == pytest.approx(math.sqrt(0.5))
    # ‖Ψ‖ = √½ and √2.5 over ‖z̄‖ = √½
    assert statistics["psi_norm_ratio"] == pytest.approx((1 + math.sqrt(5)) / 2)


def test_retest_of_one_draw_with_itself_is_one_and_with_its_opposite_minus_one():
    draw, opposite = (X_MEAN, PHI_MEAN), (PHI_MEAN, X_MEAN)
    again = retest_statistics(Z, draw, draw)
    assert again["psi_retest_cosine"] == pytest.approx(1.0)
    assert again["psi_retest_correlation"] == pytest.approx(1.0)
    assert retest_statistics(Z, draw, opposite)["psi_retest_cosine"] == pytest.approx(-1.0)


def test_retest_equals_a_loop_over_candidates():
    generator = torch.Generator().manual_seed(3)
    z, *means = (torch.randn(3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(5))
    cosines, added = [], ([], [])
    for g in range(3):
        centroid = sum(z[g]) / 4
        for i in range(4):
            psi = [means[0][g, i] - means[1][g, i], means[2][g, i] - means[3][g, i]]
            cosines.append(float(psi[0] @ psi[1] / (psi[0].norm() * psi[1].norm())))
            for column, p in zip(added, psi, strict=True):
                full, off = (float(z[g, i] @ c / (z[g, i].norm() * c.norm())) for c in (p + centroid, centroid))
                column.append(full - off)
    found = retest_statistics(z, (means[0], means[1]), (means[2], means[3]))
    assert found["psi_retest_cosine"] == pytest.approx(stats.fmean(cosines), abs=1e-12)
    assert found["psi_retest_correlation"] == pytest.approx(stats.correlation(*added), abs=1e-12)


def test_retest_of_independent_noise_is_near_zero_and_of_nothing_has_no_correlation():
    generator = torch.Generator().manual_seed(4)
    z, *means = (torch.randn(200, 8, 64, generator=generator) for _ in range(5))
    means = [0.02 * mean for mean in means]
    noise = retest_statistics(z, (means[0], means[1]), (means[2], means[3]))
    assert abs(noise["psi_retest_cosine"]) < 0.02
    assert abs(noise["psi_retest_correlation"]) < 0.1
    nothing = retest_statistics(z, (means[0], means[0]), (means[0], means[0]))
    assert nothing["psi_retest_cosine"] == 0.0
    assert math.isnan(nothing["psi_retest_correlation"])
