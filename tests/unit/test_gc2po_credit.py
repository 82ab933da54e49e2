"""L2T's token credit: the hand vector, what it reduces to, its guards, and what is wrong with it."""

import math

import pytest
import torch

from gcpo.advantages import group_advantages
from gcpo.gc2po.credit import l2t_credit, token_rewards, truncated_mean
from gcpo.gc2po.reward import episode_rewards

PAD = float("nan")  # nothing at padding may count
# the vector: three completions of 4, 4 and 2 tokens
SEGMENTS = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, -1, -1]])
LOGPS = torch.tensor([[-1, -3, -0.5, -0.5], [-0.2, -0.2, -0.6, -2], [-1, -1, PAD, PAD]], dtype=torch.float64)
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]])
R_OUT = torch.tensor([1, 0, 1], dtype=torch.float64)
R_CC = torch.tensor([[0.4, 0.1], [0.3, 0.2], [0.1, 0.3]], dtype=torch.float64)
REWARDS = torch.tensor([[0.9, 0.6], [0.3, 0.2], [0.6, 0.8]], dtype=torch.float64)
TOKEN_REWARDS = [[0.225, 0.675, 0.3, 0.3], [0.06, 0.06, 0.18, 0.2], [0.6, 0.8, 0, 0]]
MEANS = [0.375, 0.125, 0.7]
ADVANTAGES = [
    [-0.0520265964, -0.1560797891, -0.0693687952, -0.0693687952],
    [-0.457834048, -0.457834048, -1.3735021441, -1.5261134934],
    [0.8918845091, 1.1891793456, 0, 0],
]


def credit(rewards=REWARDS, segments=SEGMENTS, logps=LOGPS, mask=MASK, n=3, **settings):
    return l2t_credit(rewards, segments, logps, mask, n, **settings)[0]


def close(found, wanted, tolerance=1e-9):
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=torch.float64), rtol=0, atol=tolerance)


def test_the_vector_holds_to_nine_digits_at_every_stage() -> None:
    rewards = episode_rewards(R_OUT, R_CC, torch.tensor([2, 2, 2]))
    close(rewards, REWARDS)
    r = token_rewards(rewards, SEGMENTS, LOGPS, token_weights="surprise", weight_floor=0.0)
    close(r, TOKEN_REWARDS)
    close(truncated_mean(r, SEGMENTS >= 0, trim_share=0.05, trim_sides="both"), MEANS)
    close(
        group_advantages(torch.tensor(MEANS, dtype=torch.float64), 3, eps=1e-8),
        [-0.0867109939, -0.9538209334, 1.0405319273],
    )
    close(credit(rewards), ADVANTAGES)


def test_a_completion_of_one_episode_has_its_outcome_whole() -> None:
    rewards = episode_rewards(R_OUT, R_CC, torch.tensor([1, 2, 2]))
    close(rewards[0], [1.4, 0.0])


def test_the_truncated_mean_drops_a_fortieth_at_either_end_or_a_twentieth_at_the_top() -> None:
    values = torch.cat([torch.arange(79.0), torch.tensor([1e6])]).unsqueeze(0).flip(1)
    mask = torch.ones_like(values, dtype=torch.bool)
    assert truncated_mean(values, mask, trim_share=0.05, trim_sides="both").item() == pytest.approx(39.5)  # 2 to 77
    assert truncated_mean(values, mask, trim_share=0.05, trim_sides="upper").item() == pytest.approx(37.5)  # 0 to 75
    short = truncated_mean(values[:, :39], mask[:, :39], trim_share=0.05, trim_sides="both")
    assert short.item() > 1e4  # int(.025 · 39) = 0
    assert truncated_mean(values, ~mask, trim_share=0.05, trim_sides="both").item() == 0


def test_groups_do_not_mix_and_a_permuted_group_gives_permuted_advantages() -> None:
    other = credit(REWARDS.flip(1) * 2)
    doubled = [torch.cat([part, part]) for part in (SEGMENTS, LOGPS, MASK)]
    both = credit(torch.cat([REWARDS, REWARDS.flip(1) * 2]), *doubled)
    close(both, torch.cat([credit(), other]))
    order = torch.tensor([2, 0, 1])
    close(credit(REWARDS[order], SEGMENTS[order], LOGPS[order], MASK[order]), credit()[order])


def test_padding_changes_nothing_and_holds_zero() -> None:
    wide = [
        torch.nn.functional.pad(part, (0, 3), value=fill) for part, fill in ((SEGMENTS, -1), (LOGPS, PAD), (MASK, 0))
    ]
    found = credit(torch.nn.functional.pad(REWARDS, (0, 2), value=7.0), *wide)
    close(found[:, :4], ADVANTAGES)
    assert not found[:, 4:].any()


def test_tokens_in_no_episode_get_nothing_or_the_rows_own_advantage() -> None:
    segments = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [0, -1, -1, -1]])
    rewards = torch.tensor([[0.9, 0.6], [0.3, 0.2], [1.4, 0.0]], dtype=torch.float64)
    alone = group_advantages(torch.tensor([0.375, 0.125, 1.4], dtype=torch.float64), 3, eps=1e-8)
    close(credit(rewards, segments)[2], [alone[2], 0, 0, 0])
    close(credit(rewards, segments, outside="sequence")[2], [alone[2], alone[2], 0, 0])


# ---- what it reduces to


def test_without_reward_terms_and_surprise_it_is_grpo_with_r_over_k() -> None:
    counts = torch.tensor([2, 2, 1])
    rewards = episode_rewards(R_OUT, torch.zeros(3, 2), counts)
    found = credit(rewards, torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, -1, -1]]), token_weights="whole")
    grpo = group_advantages(R_OUT / counts, 3, eps=1e-8).unsqueeze(1) * MASK
    assert grpo.abs().max() > 0.5
    close(found, grpo)


def test_with_one_episode_uniform_shares_and_no_length_reward_it_is_grpo() -> None:
    found = credit(
        R_OUT.unsqueeze(1),
        torch.where(MASK.bool(), 0, -1),
        token_weights="uniform",
        length_neutral=True,
        std_eps=1e-4,
    )
    close(found, group_advantages(R_OUT, 3).unsqueeze(1) * MASK)


def test_a_group_of_equal_rows_gets_exactly_nothing() -> None:
    same = [part[:1].expand(3, -1) for part in (REWARDS, SEGMENTS, LOGPS, MASK)]
    assert not credit(*same).any()


# ---- pathologies of the method, stated


def test_a_negative_episode_reward_flips_the_sign_of_its_own_tokens() -> None:
    """r̃ < 0 turns the ratio of a rewarded token negative, and Â < 0 turns it positive again: nothing is ordered."""
    rewards = torch.tensor([[0.5, -0.6], [0.2, 0.2], [0.3, 0.3]], dtype=torch.float64)
    found, _ = l2t_credit(rewards, SEGMENTS, LOGPS, MASK, 3)
    close(found[0], [4.57, 13.72, -10.98, -10.98], tolerance=0.01)
    guarded = credit(rewards, mean_floor=1e-4, ratio_cap=5.0)
    assert guarded[0, :2].tolist() == [0.0, 0.0]  # the guard keeps the ratio at 0, where the reward was positive
    assert (guarded[0, 2:] < -4).all()  # 5 · Â


def test_the_mean_of_shares_rewards_short_completions() -> None:
    """Σ_t r_t = Σ_k R_ik: a right answer of 4 tokens ends below one of 2 tokens, and loses only through its length."""
    close(torch.tensor(TOKEN_REWARDS, dtype=torch.float64).sum(dim=1), REWARDS.sum(dim=1))
    assert credit()[0].max() < 0 < credit()[2, :2].min()
    rewards = torch.tensor([[1.5, 0], [0.5, 0], [1.5, 0]], dtype=torch.float64)
    segments = torch.where(MASK.bool(), 0, -1)
    assert credit(rewards, segments)[0].max() < 0
    neutral, statistics = l2t_credit(rewards, segments, LOGPS, MASK, 3, length_neutral=True)
    assert neutral[0].min() > 0
    _, printed = l2t_credit(rewards, segments, LOGPS, MASK, 3)
    assert printed["length_correlation"] < statistics["length_correlation"] < 0


# ---- guards


def test_a_row_without_reward_gets_its_own_advantage_on_every_token() -> None:
    rewards = torch.tensor([[0.0, 0.0], [0.3, 0.2], [0.6, 0.8]], dtype=torch.float64)
    alone = group_advantages(torch.tensor([0.0, 0.125, 0.7], dtype=torch.float64), 3, eps=1e-8)
    found, statistics = l2t_credit(rewards, SEGMENTS, LOGPS, MASK, 3)
    close(found[0], alone[0].expand(4))
    assert statistics["share_unscaled"] == pytest.approx(1 / 3)


def test_the_guard_on_the_mean_does_not_grow_with_length() -> None:
    """r̃ of 20,000 tokens is below 1e-4 for every reward of the method: the guard is on r̃ T."""
    ones = torch.ones(2, 20_000)
    logps = -torch.rand(2, 20_000, generator=torch.Generator().manual_seed(0))
    rewards = torch.tensor([[1.7], [0.7]])
    found, statistics = l2t_credit(rewards, ones.long() * 0, logps, ones, 2, mean_floor=1e-4)
    assert statistics["share_unscaled"] == 0 and found[0].std() > 0


def test_certain_tokens_give_finite_advantages_with_and_without_a_floor() -> None:
    for floor in (0.0, 1e-6):
        found = credit(logps=torch.zeros_like(LOGPS), weight_floor=floor)
        assert torch.isfinite(found).all()


def test_a_ratio_is_kept_within_its_cap_and_counted() -> None:
    found, statistics = l2t_credit(REWARDS, SEGMENTS, LOGPS, MASK, 3, ratio_cap=1.2)
    close(found[0], [-0.0867109939 * ratio for ratio in (0.6, 1.2, 0.8, 0.8)])
    assert statistics["share_ratio_clipped"] == pytest.approx(3 / 10)


def test_float32_rows_of_equal_reward_are_not_told_apart_by_rounding() -> None:
    rows, counts = 8, torch.arange(7, 15)
    mask = torch.arange(14) < counts.unsqueeze(1)
    rewards = torch.full((rows, 1), 1 / 3)
    logps = -torch.rand(rows, 14, generator=torch.Generator().manual_seed(1))
    segments = torch.where(mask, 0, -1)
    found, _ = l2t_credit(rewards, segments, logps, mask.long(), rows, token_weights="whole")
    assert found.abs().max() < 1e-6
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segments": SEGMENTS[:, :3]}, r"want rewards \[B, K\] and segments"),
        ({"rewards": REWARDS[:2]}, r"want rewards \[B, K\] and segments"),
        ({"n": 2}, "whole groups of n = 2"),
        ({"token_weights": "entropy"}, "token_weights is 'entropy'"),
        ({"trim_sides": "lower"}, "trim_sides 'lower'"),
    ],
)
def test_what_has_no_meaning_is_refused_with_one_line(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        credit(**change)
    assert "\n" not in str(refusal.value)


def test_the_length_correlation_is_nan_for_equal_lengths() -> None:
    _, statistics = l2t_credit(REWARDS[:2], SEGMENTS[:2], LOGPS[:2], MASK[:2], 2)
    assert math.isnan(statistics["length_correlation"])
