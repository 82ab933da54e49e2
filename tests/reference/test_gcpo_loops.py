"""The shipped, vectorised functions against loops written from the paper, over random groups."""

import random

import gcpo_loops as loops
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gcpo.divergence import causal_kl_loss, causal_ref_logps, psi_probability
from gcpo.upsilon import SIMILARITIES, causal_similarity, projection_means, signed_weight, upsilon

ALPHA, FLOOR, CAP = 2.0, 1e-6, 2.3
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


@st.composite
def sampled_groups(draw):
    """(z, outputs, own step-2 outputs), n = 2..16; now and then with a zero vector or a group of equal ones."""
    n, m, count = draw(st.integers(2, 16)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    groups, dim = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    z = torch.randn(groups, n, dim, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        z[0, 0] = 0
    if draw(st.booleans()):
        z[-1] = z[-1, :1]
    outputs = torch.randn(groups, n, m, count, dim, generator=generator, dtype=torch.float64)
    own = torch.randn(groups, n, count, dim, generator=generator, dtype=torch.float64) if draw(st.booleans()) else None
    return z, outputs, own


@settings(max_examples=60, deadline=None)
@given(sampled_groups(), st.sampled_from(SIMILARITIES), st.booleans(), st.sampled_from(list(TOLERANCE)))
def test_upsilon_equals_steps_1_to_5(groups, similarity, includes_l0, dtype):
    z, outputs, own = groups
    includes_l0 = includes_l0 or outputs.shape[2] == 1
    if (
        dtype == torch.float32
        and similarity == "cosine"
        and float(z.norm(dim=-1).min()) < 1e-3
        and outputs.shape[-1] == 1
    ):
        return  # a cosine in one dimension is a sign, which rounding of a sum near 0 decides
    inputs = [t if t is None else t.to(dtype) for t in (z, outputs, own)]
    x_mean, phi_mean = projection_means(inputs[1], step2_features=inputs[2], phi_includes_l0=includes_l0)
    result = upsilon(inputs[0], x_mean, phi_mean, alpha=ALPHA, similarity=similarity)
    for g in range(len(z)):
        listed = z[g].tolist(), outputs[g].tolist(), None if own is None else own[g].tolist()
        targets = loops.causal_targets(*listed, first_l=0 if includes_l0 else 1)
        if similarity == "cosine":
            want = loops.upsilon(listed[0], targets, ALPHA)
            if min(map(loops.norm, targets)) < 1e-2:
                continue  # the direction of a vanishing target is rounding
        else:
            want = loops.upsilon_by_distance(listed[0], targets, ALPHA, similarity)
        assert result[g].tolist() == pytest.approx(want, abs=TOLERANCE[dtype] * 10)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 3), st.sampled_from([0.0, 0.1, 1.0, 1.1])), min_size=2, max_size=16))
def test_b_i_equals_the_loop_for_both_sign_rules_also_where_rewards_are_equal(rows):
    weights, rewards = zip(*rows, strict=True)
    a = loops.advantages(rewards)
    weight, advantages = torch.tensor([weights], dtype=torch.float64), torch.tensor([a], dtype=torch.float64)
    paper = advantages * signed_weight(weight, advantages)
    assert paper[0].tolist() == pytest.approx([x * y for x, y in zip(a, weights, strict=True)])
    aware = advantages * signed_weight(weight, advantages, sign_rule="sign_aware")
    assert aware[0].tolist() == pytest.approx(loops.sign_aware(weights, a), abs=1e-12)


@st.composite
def scored_rows(draw):
    """(n, m, rows, side): ragged rows of token probabilities, one-token answers among them, to pad on either side."""
    n, m = draw(st.integers(2, 16)), draw(st.integers(1, 4))
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    rng = random.Random(draw(st.integers(0, 2**31)))
    rows = [
        {
            "p_x": [rng.uniform(1e-4, 1) for _ in range(length)],
            "p_x_l": [[rng.uniform(1e-4, 1) for _ in range(m)] for _ in range(length)],
            "p_q": [rng.uniform(1e-4, 1) for _ in range(length)],
            "context_logps": [rng.uniform(-6, -1e-3) for _ in range(length)],
        }
        for length in lengths
    ]
    return n, m, rows, draw(st.sampled_from(["left", "right"]))


def as_tensor(rows, name, side, fill, dtype):
    width = max(len(row["p_x"]) for row in rows)
    padded = []
    for row in rows:
        values = list(row[name])
        pad = [[fill] * len(values[0]) if isinstance(values[0], list) else fill] * (width - len(values))
        padded.append(pad + values if side == "left" else values + pad)
    return torch.tensor(padded, dtype=dtype)


@settings(max_examples=80, deadline=None)
@given(scored_rows(), st.sampled_from(["mean", "sum", "p_q"]), st.sampled_from(list(TOLERANCE)))
def test_the_causal_kl_equals_eqs_12_and_13(drawn, form, dtype):
    n, m, rows, side = drawn
    p_x, p_x_l, p_q, logps = (
        as_tensor(rows, name, side, 0.5, dtype) for name in ("p_x", "p_x_l", "p_q", "context_logps")
    )
    mask = as_tensor([row | {"mask": [1.0] * len(row["p_x"])} for row in rows], "mask", side, 0.0, dtype)
    psi = None if form == "p_q" else psi_probability(p_x, p_x_l, eq13=form, group_size=n, num_integrated=m)
    target, _ = causal_ref_logps(p_q, psi, floor=FLOOR)
    loss = causal_kl_loss(
        target, logps, mask, torch.ones(len(rows), dtype=dtype), num_rows=len(rows), log_ratio_cap=CAP
    )
    per_row = []
    for row in rows:
        tokens = zip(row["p_x"], row["p_x_l"], row["p_q"], strict=True)
        targets = [loops.causal_reference(a, b, c, form, n) for a, b, c in tokens]
        if any(abs(target - FLOOR) < 1e-4 for target in targets) and dtype == torch.float32:
            return  # rounding decides on which side of the floor's kink the target falls
        per_row.append(loops.causal_kl_row(targets, row["context_logps"], FLOOR, CAP))
    assert loss.item() == pytest.approx(loops.mean(per_row), abs=TOLERANCE[dtype] * 100, rel=TOLERANCE[dtype])


def test_the_gradient_of_the_causal_kl_equals_autograd_of_the_loop():
    rng = random.Random(3)
    logps = torch.tensor([[rng.uniform(-5, -0.1) for _ in range(6)] for _ in range(4)], dtype=torch.float64)
    targets = torch.tensor([[rng.uniform(-0.2, 1.1) for _ in range(6)] for _ in range(4)], dtype=torch.float64)
    ours, theirs = logps.clone().requires_grad_(), logps.clone().requires_grad_()
    target, _ = causal_ref_logps(targets, None, floor=FLOOR)
    causal_kl_loss(target, ours, torch.ones(4, 6), torch.ones(4), num_rows=4, log_ratio_cap=CAP).backward()
    rows = [loops.causal_kl_row(targets[i].tolist(), list(theirs[i]), FLOOR, CAP) for i in range(4)]
    loops.mean(rows).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    assert ours.grad.abs().max() > 0.01


def test_the_reference_has_the_hand_values_of_eq_11():
    z = [[1.0, 0.0], [0.0, 1.0]]
    # Z̄ = (1,0), (0,−1) by a step of its own; Z̄' = (½,½)
    targets = loops.causal_targets(z, [[[[0.5, 0.5]]], [[[0.5, 0.5]]]], own_outputs=[[[1.0, 0.0]], [[0.0, -1.0]]])
    assert loops.upsilon(z, targets, 2.0) == [2.0, -2.0]


def test_a_constant_projection_cancels_out_of_the_similarity():
    z = torch.randn(1, 4, 3, dtype=torch.float64)
    shift = torch.randn(1, 1, 3, dtype=torch.float64).expand_as(z)
    zero = torch.zeros_like(z)
    torch.testing.assert_close(causal_similarity(z, shift, shift), causal_similarity(z, zero, zero))
