"""The episodic reward: hand values of every term, its controls, and what it cannot see."""

import math

import pytest
import torch

from gcpo.gc2po.perturbation import perturbed_latent
from gcpo.gc2po.reward import (
    answer_distribution,
    group_reference,
    non_causal_effectiveness,
    non_causal_robustness,
    norm_ratio,
    over_all_episodes,
    permuted_over_batch,
    robustness,
    variability,
)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_answers_are_scored_per_token_and_other_holds_the_mass_they_leave() -> None:
    logps = torch.tensor([[0.5, 1.0], [0.5, 0.125]]).log()
    mask = torch.tensor([[True, False], [True, True]])
    plain = answer_distribution(logps, mask, other=False)
    torch.testing.assert_close(plain, numbers(0.5, 0.25) / 0.75)  # the second: sqrt(1/16)
    left = 1 - 0.5 - 1 / 16
    torch.testing.assert_close(answer_distribution(logps, mask, other=True), numbers(left, 0.5, 0.25) / (left + 0.75))


def test_for_answers_of_one_token_q_is_the_policy_itself() -> None:
    logps = torch.tensor([[0.25], [0.5]]).log()
    found = answer_distribution(logps, torch.ones(2, 1, dtype=torch.bool), other=True)
    torch.testing.assert_close(found, numbers(0.25, 0.25, 0.5), rtol=0, atol=1e-7)


def test_an_answer_of_another_group_has_no_mass_and_no_answer_at_all_is_finite() -> None:
    logps, mask = torch.zeros(3, 1) - 1, torch.tensor([[True], [False], [True]])
    assert answer_distribution(logps, mask, other=False).tolist() == [0.5, 0.0, 0.5]
    assert answer_distribution(logps, mask & False, other=False).tolist() == [0.0, 0.0, 0.0]
    assert answer_distribution(logps, mask & False, other=True).tolist() == [1.0, 0.0, 0.0, 0.0]
    # answers that begin each other count their mass twice: nothing is left, and it stays finite
    assert torch.isfinite(answer_distribution(torch.zeros(2, 1), mask[:2] | True, other=True)).all()


def test_robustness_is_one_for_equal_and_zero_for_disjoint_distributions() -> None:
    clean = numbers(1.0, 0.0)
    assert robustness(clean, numbers(1.0, 0.0).expand(4, -1)).item() == 1
    assert robustness(clean, numbers(0.0, 1.0).unsqueeze(0)).item() == pytest.approx(0.0, abs=1e-12)
    mixed = torch.stack([numbers(1.0, 0.0), numbers(0.5, 0.5)])
    middle = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert robustness(clean, mixed).item() == pytest.approx(1 - (-middle - math.log(2) / 2) / 2 / math.log(2))


def test_the_norm_ratio_is_that_of_the_mean_state_and_at_most_one() -> None:
    h = numbers(3.0, 4.0)
    assert norm_ratio(h, torch.stack([numbers(3.0, 0.0), numbers(0.0, 4.0)])).item() == pytest.approx(0.5)
    assert norm_ratio(h, 2 * h.unsqueeze(0)).item() == 1
    assert norm_ratio(0 * h, 0 * h.unsqueeze(0)).item() == 0


def test_variability_is_zero_at_the_group_mean_and_one_opposite_to_it() -> None:
    z = numbers(1.0, 2.0)
    assert [variability(z, f * z).item() for f in (1, -1, 0)] == [0, 1, 1]
    assert variability(0 * z, 0 * z).item() == 0


def test_the_non_causal_control_is_variance_and_entropy_without_a_perturbation() -> None:
    q, q_bar = numbers(0.5, 0.5, 0.0), numbers(0.25, 0.5, 0.25)
    assert non_causal_robustness(q, q_bar).item() == pytest.approx(1 - 0.125 / 2)
    assert non_causal_robustness(numbers(1.0, 0.0), numbers(0.0, 1.0)).item() == 0
    assert non_causal_effectiveness(q, torch.tensor(3)).item() == pytest.approx(math.log(2) / math.log(3))
    assert non_causal_effectiveness(numbers(1.0), torch.tensor(1)).item() == 0


def test_the_reference_takes_the_last_episode_of_a_completion_that_has_fewer() -> None:
    # two groups of two; rows have 3, 1, 2 and 2 episodes, of which the last row's only the second is scored
    values = torch.tensor([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0], [5.0, 6.0, 0.0], [20.0, 0.0, 0.0]]).unsqueeze(-1)
    found = group_reference(values, [[0, 1, 2], [0], [0, 1], [1]], 2)[..., 0]
    assert found[0].tolist() == [5.5, 6.0, 6.5]
    assert found[1, 0] == 5.5
    assert found[2, :2].tolist() == [12.5, 13.0]
    assert found[3, 0] == 13.0


def test_episodes_that_were_not_scored_get_the_mean_of_their_row() -> None:
    found = over_all_episodes(torch.tensor([[1.0, 3.0], [5.0, 9.0]]), [[0, 3], [0]], [4, 1])
    assert found.tolist() == [[1.0, 2.0, 2.0, 3.0], [5.0, 0.0, 0.0, 0.0]]


def test_permuting_moves_rewards_between_completions_and_keeps_their_values() -> None:
    rewards = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0], [5.0, 6.0, 0.0]])
    found = permuted_over_batch(rewards, [3, 1, 2], torch.Generator().manual_seed(0))
    assert found[1, 1:].tolist() == [0.0, 0.0] and found[2, 2] == 0
    assert sorted(found[found > 0].tolist()) == [1, 2, 3, 4, 5, 6]
    assert not torch.equal(found, rewards)


# ---- pathologies of the method, stated


def test_a_latent_that_the_answer_does_not_depend_on_scores_one_on_both_terms() -> None:
    q, h = numbers(0.2, 0.3, 0.5), numbers(1.0, -2.0)
    assert robustness(q, q.expand(4, -1)).item() == pytest.approx(1.0, abs=1e-12)
    assert norm_ratio(h, h.expand(4, -1)).item() == 1


def test_the_norm_of_the_perturbed_latent_itself_says_nothing() -> None:
    """‖z̃‖ / ‖z‖ is near √(1 + ρ²) whatever z is, so a group's mean would remove it."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(8, 1024, generator=generator) * torch.logspace(-3, 3, 8).unsqueeze(1)
    u = torch.nn.functional.normalize(torch.randn(8, 1024, generator=generator), dim=-1)
    ratio = perturbed_latent(z, u, 0.5).norm(dim=-1) / z.norm(dim=-1)
    torch.testing.assert_close(ratio, torch.full((8,), math.sqrt(1.25)), rtol=0, atol=0.05)
