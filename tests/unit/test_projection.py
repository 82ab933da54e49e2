"""The projected prediction against a loop over single tokens, and what it is when the projection vanishes."""

import math

import pytest
import torch

from gcpo.projection import projected_logits, projected_probabilities


def distributions(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(*shape, generator=generator, dtype=torch.float64)).softmax(dim=-1)


def test_probabilities_against_a_loop():
    q, x, others = distributions(4, 7), distributions(4, 7, seed=1), distributions(4, 3, 7, seed=2)
    found = projected_probabilities(q, x, others.transpose(1, 2))
    clamped = 0
    for row in range(4):
        kept = []
        for token in range(7):
            mean = sum(others[row, number, token].item() for number in range(3)) / 3
            raw = x[row, token].item() - mean + q[row, token].item()
            clamped += raw < 0
            kept.append(min(max(raw, 0.0), 1.0))
        assert found[row].tolist() == pytest.approx([value / math.fsum(kept) for value in kept], abs=1e-12)
    assert clamped  # the clamp is seen to act


def test_logits_against_a_loop_over_a_linear_head():
    generator = torch.Generator().manual_seed(3)
    head = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    q, x = (torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    others = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    found = projected_logits(q @ head.T, x @ head.T, (others @ head.T).transpose(1, 2))
    for row in range(4):
        state = [x[row, i].item() - sum(others[row, :, i].tolist()) / 3 + q[row, i].item() for i in range(5)]
        wanted = [sum(weight * part for weight, part in zip(line.tolist(), state, strict=True)) for line in head]
        assert found[row].tolist() == pytest.approx(wanted, abs=1e-10)


def test_where_all_integrated_outputs_agree_both_are_the_plain_prediction():
    q, x = distributions(2, 5), distributions(2, 5, seed=1)
    same = x[:, :, None].expand(-1, -1, 4)
    assert torch.allclose(projected_probabilities(q, x, same), q, atol=1e-12)
    assert torch.allclose(projected_logits(q.log(), x.log(), same.log()), q.log(), atol=1e-12)
