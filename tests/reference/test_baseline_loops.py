"""The shipped formulas against loops written from the equations."""

import pytest
import torch
from baseline_loops import advantages_loop, gvpo_loss_by_moments, gvpo_loss_loop, gvpo_weights_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from gcpo.advantages import group_advantages, gvpo_loss, gvpo_weights

ROUNDED = st.integers(-20, 20).map(lambda i: i / 8)  # exact in binary: groups of equal rewards do occur


@st.composite
def groups(draw: st.DrawFn, columns: int) -> tuple[int, list[list[float]]]:
    n, count = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    size = n * count
    return n, [draw(st.lists(ROUNDED, min_size=size, max_size=size)) for _ in range(columns)]


@given(groups(1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_group_advantages_equal_the_loop(data: tuple, scale: bool) -> None:
    n, (rewards,) = data
    ours = group_advantages(torch.tensor(rewards, dtype=torch.float64), n, "group" if scale else "none")
    torch.testing.assert_close(ours, torch.tensor(advantages_loop(rewards, n, scale, 1e-4), dtype=torch.float64))


@given(groups(3), st.sampled_from([0.05, 0.1, 1.0]))
@settings(max_examples=60, deadline=None)
def test_gvpo_weights_loss_and_gradient_equal_the_loops(data: tuple, beta: float) -> None:
    n, (new, old, rewards) = data
    logps = torch.tensor(new, dtype=torch.float64, requires_grad=True)
    tensors = logps, torch.tensor(old, dtype=torch.float64), torch.tensor(rewards, dtype=torch.float64)
    weights, losses = gvpo_weights(*tensors, n, beta), gvpo_loss(*tensors, n, beta)
    losses.sum().backward()
    for g in range(len(losses)):
        rows = slice(g * n, (g + 1) * n)
        expected_weights = gvpo_weights_loop(new[rows], old[rows], rewards[rows], beta)
        torch.testing.assert_close(weights[rows].tolist(), expected_weights, rtol=1e-9, atol=1e-9)
        by_moments = gvpo_loss_by_moments(new[rows], old[rows], rewards[rows], beta)
        assert losses[g].item() * (n - 1) == pytest.approx(by_moments, abs=1e-9)
        expected_gradient = [-beta * w / (n - 1) for w in expected_weights]
        torch.testing.assert_close(logps.grad[rows].tolist(), expected_gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("detach_mean", [True, False])
def test_detaching_the_group_mean_leaves_the_gradient_of_a_whole_group_unchanged(detach_mean: bool) -> None:
    old, rewards = [-13.0, -29.0, -21.5, -40.0], [1.0, 0.0, 1.0, 0.0]
    new = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (-12.5, -30.25, -20.0, -41.75)]
    gvpo_loss_loop(new, old, rewards, 0.1, detach_mean=detach_mean).backward()
    torch.testing.assert_close([v.grad.item() for v in new], [-0.0425, 0.04, -0.0325, 0.035], rtol=1e-9, atol=1e-9)
