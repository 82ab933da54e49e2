"""Eqs. 7, 12 and 13: hand values, masses, clamps, and one-line faults that the checks must catch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gcpo.divergence import (
    causal_kl,
    causal_kl_loss,
    causal_ref_logps,
    divergence_statistics,
    k3,
    psi_probability,
    row_token_mean,
    target_mass,
)

F64 = torch.float64


def test_k3_has_the_hand_values_and_is_zero_at_equality_only():
    d = torch.tensor([0.0, math.log(2), -math.log(2)], dtype=F64)
    assert k3(d).tolist() == pytest.approx([0.0, 1 - math.log(2), math.log(2) - 0.5])
    assert (k3(torch.tensor([1e-4, -1e-4])) > 0).all()


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def hand_target(function) -> bool:
    """p_x .6, p_{x,l} .6 and .1 of n = 4, p_q .3: mean .6 − .35 + .3 = .55; sum, scaled by 4/2, .6 − 1.4 + .3 = −.5."""
    terms = (tensor(0.6), tensor(0.6, 0.1).unsqueeze(0))
    by_mean = function(*terms, eq13="mean", group_size=4, num_integrated=2) + 0.3
    by_sum = function(*terms, eq13="sum", group_size=4, num_integrated=2) + 0.3
    return torch.allclose(torch.cat([by_mean, by_sum]), tensor(0.55, -0.5), atol=1e-12)


def test_eq_13_has_the_hand_values():
    assert hand_target(psi_probability)


PSI_MUTANTS = {
    "plus for minus": lambda p, pl, eq13, group_size, num_integrated: (
        p + (pl.mean(-1) if eq13 == "mean" else pl.sum(-1) * group_size / num_integrated)
    ),
    "mean for the sum": lambda p, pl, eq13, group_size, num_integrated: p - pl.mean(-1),
    "sum for the mean": lambda p, pl, eq13, group_size, num_integrated: p - pl.sum(-1) * group_size / num_integrated,
    "sum not scaled to n": lambda p, pl, eq13, group_size, num_integrated: (
        p - (pl.mean(-1) if eq13 == "mean" else pl.sum(-1))
    ),
    "first term dropped": lambda p, pl, eq13, group_size, num_integrated: (
        -(pl.mean(-1) if eq13 == "mean" else pl.sum(-1) * group_size / num_integrated)
    ),
    "absolute value": lambda p, pl, **kw: psi_probability(p, pl, **kw).abs(),
}


@pytest.mark.parametrize("name", PSI_MUTANTS)
def test_a_fault_in_eq_13_is_caught(name):
    assert not hand_target(PSI_MUTANTS[name])


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_vocabulary_mass_of_eq_13_is_two_minus_n_for_the_sum_and_one_for_the_mean(n):
    draws = torch.rand(n + 1, 50, generator=torch.Generator().manual_seed(n), dtype=F64)
    p_x_l, p_q = (draws / draws.sum(-1, keepdim=True))[:n].T, (draws / draws.sum(-1, keepdim=True))[n]
    p_x = p_x_l[:, 0]
    masses = {
        form: (psi_probability(p_x, p_x_l, eq13=form, group_size=n, num_integrated=n) + p_q).sum().item()
        for form in ("sum", "mean")
    }
    assert masses == pytest.approx({"sum": 2 - n, "mean": 1.0})


def test_the_target_is_floored_and_ceiled_and_the_raw_value_is_returned():
    logps, raw = causal_ref_logps(tensor(0.9, 0.5, 0.4), tensor(0.4, -0.8, 0.1), floor=1e-2)
    assert logps.exp().tolist() == pytest.approx([1.0, 1e-2, 0.5])
    assert raw.tolist() == pytest.approx([1.3, -0.3, 0.5])


def test_without_psi_the_target_is_the_old_policy_after_the_query():
    logps, raw = causal_ref_logps(tensor(0.9, 0.5), None, floor=1e-6)
    assert logps.exp().tolist() == pytest.approx([0.9, 0.5]) == raw.tolist()


@pytest.mark.parametrize("floor", [0.0, 1.0, -1.0])
def test_a_floor_outside_the_open_unit_interval_is_refused(floor):
    with pytest.raises(ValueError, match="causal_ref_floor"):
        causal_ref_logps(tensor(0.5), None, floor=floor)


def test_eq_13_terms_of_other_shapes_or_forms_are_refused():
    with pytest.raises(ValueError, match="p_x"):
        psi_probability(tensor(0.1, 0.2), tensor(0.1).unsqueeze(0), eq13="mean", group_size=2, num_integrated=1)
    with pytest.raises(ValueError, match="eq13"):
        psi_probability(tensor(0.1), tensor(0.1).unsqueeze(0), eq13="p_q", group_size=2, num_integrated=1)


def test_the_gradient_is_one_minus_the_ratio_below_the_cap_and_zero_above_it():
    logps = torch.tensor([[-1.0, -4.0, -9.0]], dtype=F64, requires_grad=True)
    target = tensor(-2.0, -3.0, -3.0).unsqueeze(0)
    per_token, capped = causal_kl(target, logps, log_ratio_cap=2.3)
    per_token.sum().backward()
    assert logps.grad[0].tolist() == pytest.approx([1 - math.exp(-1), 1 - math.exp(1), 0.0])
    assert capped[0].tolist() == [False, False, True]
    assert per_token[0, 2].item() == pytest.approx(math.exp(2.3) - 3.3)


def test_a_floored_target_pushes_the_token_down_with_slope_one():
    logps = torch.tensor([[-0.1]], dtype=F64, requires_grad=True)
    target, _ = causal_ref_logps(tensor(0.5).unsqueeze(0), tensor(-9.0).unsqueeze(0), floor=1e-6)
    causal_kl(target, logps, log_ratio_cap=2.3)[0].sum().backward()
    assert logps.grad.item() == pytest.approx(1.0, abs=2e-6)


TARGET = torch.tensor([[-0.5, -1.0, -2.0], [-1.0, -0.2, -7.0]], dtype=F64)
LOGPS = torch.tensor([[-1.0, -0.7, -2.0], [-1.5, -1.0, 99.0]], dtype=F64)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def hand_loss(function) -> bool:
    """Rows of T = 3 and 2 tokens and weight 4 each, out of 16 rows: (4/16) of the sum of the two token means."""
    rows = [[0.5, -0.3, 0.0], [0.5, 0.8]]
    means = [sum(math.exp(d) - d - 1 for d in row) / len(row) for row in rows]
    weights = torch.tensor([4.0, 4.0], dtype=F64)
    loss = function(TARGET, LOGPS, MASK, weights, num_rows=16, log_ratio_cap=2.3)
    return math.isclose(float(loss), sum(means) * 4 / 16, rel_tol=1e-12)


def test_the_loss_is_the_weighted_mean_over_all_rows_of_token_means():
    assert hand_loss(causal_kl_loss)


def _loss(reduce, sign=1.0):
    def loss(target, logps, mask, weights, *, num_rows, log_ratio_cap):
        return reduce(k3((sign * (target - logps)).clamp(max=log_ratio_cap)), mask, weights, num_rows)

    return loss


LOSS_MUTANTS = {
    "no mask": _loss(lambda k, mask, w, n: (k.mean(-1) * w).sum() / n),
    "sum over tokens": _loss(lambda k, mask, w, n: ((k * mask).sum(-1) * w).sum() / n),
    "mean over the padded length": _loss(lambda k, mask, w, n: ((k * mask).mean(-1) * w).sum() / n),
    "token mean over the batch": _loss(lambda k, mask, w, n: (k * mask).sum() / mask.sum() * w.sum() / n),
    "weights dropped": _loss(lambda k, mask, w, n: ((k * mask).sum(-1) / mask.sum(-1)).sum() / n),
    "mean over scored rows": _loss(lambda k, mask, w, n: ((k * mask).sum(-1) / mask.sum(-1) * w).mean()),
    "ratio turned around": _loss(lambda k, mask, w, n: ((k * mask).sum(-1) / mask.sum(-1) * w).sum() / n, sign=-1.0),
}


@pytest.mark.parametrize("name", LOSS_MUTANTS)
def test_a_fault_in_the_reduction_is_caught(name):
    assert not hand_loss(LOSS_MUTANTS[name])


def test_padding_may_hold_anything_even_nan():
    logps = LOGPS.clone()
    logps[1, 2] = math.nan
    assert torch.equal(row_token_mean(logps, MASK), row_token_mean(LOGPS, MASK))


def test_a_row_without_tokens_adds_nothing():
    assert row_token_mean(torch.ones(1, 3), torch.zeros(1, 3)).item() == 0.0


probability = st.floats(0, 1, width=32)
logp = st.floats(-1e4, 0, width=32)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(probability, probability, probability, probability, logp), min_size=1, max_size=6))
def test_probabilities_and_logps_give_a_finite_non_negative_loss_and_a_finite_gradient(tokens):
    p_x, first, second, p_q, logps = torch.tensor(tokens, dtype=torch.float32).T.unsqueeze(1)
    psi = psi_probability(p_x, torch.stack([first, second], -1), eq13="sum", group_size=8, num_integrated=2)
    target, _ = causal_ref_logps(p_q, psi, floor=1e-6)
    logps = logps.clone().requires_grad_()
    loss = causal_kl_loss(target, logps, torch.ones_like(target), torch.ones(1), num_rows=1, log_ratio_cap=2.3)
    loss.backward()
    assert torch.isfinite(loss) and loss >= 0
    assert torch.isfinite(logps.grad).all()
    # above the cap 0, below it 1 − exp(d), so never less than 1 − exp(cap) nor more than 1, per token
    assert logps.grad.max() <= 1.0 and logps.grad.min() >= 1 - math.exp(2.3) - 1e-4


def test_statistics_count_real_tokens_only():
    raw = torch.tensor([[-0.1, 0.5, 1.2], [0.3, 0.4, -5.0]], dtype=F64)
    target = raw.clamp(1e-6, 1).log()
    statistics = divergence_statistics(raw, target, LOGPS, MASK, log_ratio_cap=0.5)
    assert statistics["target_share_nonpositive"] == pytest.approx(1 / 5)
    assert statistics["target_share_above_one"] == pytest.approx(1 / 5)
    assert statistics["share_capped"] == pytest.approx(1 / 5)  # only log 1 − (−2.0) is above 0.5
    assert statistics["context_logp"] == pytest.approx((-1 - 0.7 - 2 - 1.5 - 1) / 5)


def test_the_mass_of_a_target_is_one_for_a_mean_and_makes_a_distribution_of_a_clamped_sum():
    generator = torch.Generator().manual_seed(0)
    p_q, p_x, *p_x_l = torch.randn(5, 3, 7, generator=generator, dtype=torch.float64).softmax(-1)
    p_x_l = torch.stack(p_x_l, dim=-1)
    for eq13 in ("mean", "sum"):
        psi = psi_probability(p_x, p_x_l, eq13=eq13, group_size=3, num_integrated=3)
        raw = psi + p_q
        assert torch.allclose(raw.sum(-1), torch.full((3,), 1.0 if eq13 == "mean" else 2.0 - 3).double(), atol=1e-12)
        mass = target_mass(p_q, psi, floor=1e-3)
        want = [sum(min(max(v, 1e-3), 1.0) for v in row) for row in raw.tolist()]
        assert mass.tolist() == pytest.approx(want, abs=1e-12)
    assert target_mass(p_q, None, floor=1e-9).tolist() == pytest.approx([1.0] * 3, abs=1e-6)
