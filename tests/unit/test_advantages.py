"""Eq. 8 and Dr.GRPO's advantage: hand vectors, properties, and one-line faults that must be caught."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gcpo.advantages
from gcpo.advantages import group_advantages

REWARDS = torch.tensor([1.0, 0.0, 0.0, 2.0, 5.0, 3.5], dtype=torch.float64)  # two groups of 3
# group 1: mean 1/3, unbiased sd 1/sqrt(3); group 2: mean 3.5, unbiased sd 1.5
SCALED = [1.1545005730, -0.5772502865, -0.5772502865, -0.99993333778, 0.99993333778, 0.0]
CENTRED = [2 / 3, -1 / 3, -1 / 3, -1.5, 1.5, 0.0]


def holds_the_vectors(module: object) -> bool:
    scaled, centred = module.group_advantages(REWARDS, 3), module.group_advantages(REWARDS, 3, "none")
    equal = module.group_advantages(torch.full((7,), 0.1), 7)  # 0.1 is not exact in binary, nor is the mean of seven
    return (
        torch.allclose(scaled, torch.tensor(SCALED, dtype=torch.float64), atol=1e-9)
        and torch.allclose(centred, torch.tensor(CENTRED, dtype=torch.float64), atol=1e-9)
        and equal.tolist() == [0.0] * 7
    )


def mutated(old: str, new: str) -> SimpleNamespace:
    """`gcpo.advantages` with one line changed."""
    source = inspect.getsource(gcpo.advantages)
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    names: dict[str, object] = {}
    exec(compile(source.replace(old, new), "mutant", "exec"), names)
    return SimpleNamespace(**names)


def test_advantages_of_two_groups_equal_the_hand_vectors() -> None:
    assert holds_the_vectors(gcpo.advantages)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("grouped.std(dim=1, keepdim=True)", "grouped.std(dim=1, keepdim=True, correction=0)"),
        ("grouped.std(dim=1, keepdim=True)", "grouped.std()"),
        ("grouped.std(dim=1, keepdim=True)", "grouped.var(dim=1, keepdim=True)"),
        ("STD_EPS = 1e-4", "STD_EPS = 1e-6"),
        ("(grouped - grouped.mean(dim=1, keepdim=True))", "(grouped - grouped.mean())"),
        (
            "(grouped - grouped.mean(dim=1, keepdim=True))",
            "(grouped.mean(dim=1, keepdim=True) - grouped)",
        ),
        ("rows.view(-1, num_generations)", "rows.view(num_generations, -1).T"),
        (".masked_fill(equal, 0.0)", ""),
        ('if scale == "group":', "if True:"),
    ],
)
def test_a_one_line_fault_breaks_the_hand_vectors(old: str, new: str) -> None:
    assert not holds_the_vectors(mutated(old, new))


def test_a_group_of_equal_rewards_gets_exactly_zero_beside_a_group_that_does_not() -> None:
    advantages = group_advantages(torch.tensor([0.1] * 7 + [0.1] * 6 + [0.0]), 7)
    assert advantages[:7].tolist() == [0.0] * 7
    assert advantages[13] < -2


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4),
    st.permutations(range(4)),
)
@settings(max_examples=50, deadline=None)
def test_permuting_a_group_permutes_its_advantages_and_leaves_the_other_group_alone(
    first: list[float], second: list[float], order: list[int]
) -> None:
    plain = group_advantages(torch.tensor([*first, *second], dtype=torch.float64), 4)
    permuted = group_advantages(torch.tensor([*(first[i] for i in order), *second], dtype=torch.float64), 4)
    torch.testing.assert_close(permuted[:4], plain[:4][list(order)], rtol=1e-6, atol=1e-9)
    assert torch.equal(permuted[4:], plain[4:])
    assert plain.view(2, 4).sum(dim=1).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(5,), (0,), (3, 2)])
def test_rewards_that_are_no_row_of_whole_groups_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"rewards has shape .*; want \[groups \* n\]"):
        group_advantages(torch.zeros(shape), 3)


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="whole groups of n = 1 >= 2"):
        group_advantages(torch.zeros(3), 1)


def test_an_unknown_scale_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="scale is 'batch'; want 'group'"):
        group_advantages(REWARDS, 3, "batch")
