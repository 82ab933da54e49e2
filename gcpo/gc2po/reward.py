"""The episodic reward of GC2PO (arXiv 2602.06475): robustness and effectiveness of an episode's latent, and controls.

Does: tensors in, tensors out. Does not: run a model. v1 defines neither q(answer | latent) nor the two terms beyond
"the answer distribution ... remain stable" and "sufficient variability"; every form here is ASSUMED, and no
identification follows from it: a latent that the answer does not depend on scores 1 on both.
Distributions are of one group's answers; entries beyond a group's own are 0 and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EFFECTIVENESS_FORMS = ("norm_ratio", "variability")
EPISODIC_REWARDS = ("causal", "non_causal", "permuted", "none")


def answer_distribution(token_logps: Tensor, token_mask: Tensor, *, other: bool) -> Tensor:
    """q(a | z): softmax over the group's answers of their length-normalised log-probs, float64.

    token_logps: [..., A, L], log π of each answer's tokens; token_mask: [..., A, L], an answer without tokens gets 0.
    other: one more option, in front, with the log of the mass that the answers leave, floored at float64's smallest
    step: for answers of one token q is then π itself. Returns [..., A] or [..., 1 + A]; all 0 without any option.
    """
    real = token_mask.any(dim=-1)
    totals = token_logps.double().masked_fill(~token_mask, 0.0).sum(dim=-1).masked_fill(~real, -torch.inf)
    scores = totals / token_mask.sum(dim=-1).clamp(min=1)
    if other:
        left = (1 - totals.exp().sum(dim=-1, keepdim=True)).clamp(min=torch.finfo(torch.float64).eps)
        scores = torch.cat([left.log(), scores], dim=-1)
    return scores.softmax(dim=-1).nan_to_num(nan=0.0) if scores.size(-1) else scores


def robustness(clean: Tensor, perturbed: Tensor) -> Tensor:
    """rob = 1 − mean_m JS(q(.|z), q(.|z̃^m)) / ln 2, in [0, 1].

    clean: [..., A]; perturbed: [..., M, A], distributions. Returns [...].
    """
    clean = clean.unsqueeze(-2)
    halves = (_entropy(clean) + _entropy(perturbed)) / 2
    divergence = _entropy((clean + perturbed) / 2) - halves
    return (1 - divergence.mean(dim=-1) / math.log(2)).clamp(min=0.0, max=1.0)


def norm_ratio(clean: Tensor, perturbed: Tensor) -> Tensor:
    """eff = min(1, ‖mean_m h̃^m‖ / ‖h‖), h the state at the answer position.

    clean: [..., dim]; perturbed: [..., M, dim]. Returns [...], 0 for a zero state. The ratio is of states downstream of
    the perturbation: that of z̃ to z itself is near √(1 + ρ²) for every episode, and the group mean removes it.
    """
    clean, perturbed = clean.double(), perturbed.double()
    smallest = torch.finfo(torch.float64).tiny
    return (perturbed.mean(dim=-2).norm(dim=-1) / clean.norm(dim=-1).clamp(min=smallest)).clamp(max=1.0)


def variability(latents: Tensor, reference: Tensor) -> Tensor:
    """The other reading of effectiveness: ‖z − z̄_k‖ / (‖z‖ + ‖z̄_k‖), in [0, 1].

    latents, reference: [..., dim], z and its group's mean at the same episode. Returns [...], 0 for zero vectors.
    """
    latents, reference = latents.double(), reference.double()
    scale = latents.norm(dim=-1) + reference.norm(dim=-1)
    return (latents - reference).norm(dim=-1) / scale.clamp(min=torch.finfo(torch.float64).tiny)


def non_causal_robustness(answers: Tensor, reference: Tensor) -> Tensor:
    """Control for robustness without a perturbation, the variance of the answer distribution: 1 − ½‖q − q̄_k‖².

    answers, reference: [..., A], q and its group's mean at the same episode. Returns [...], in [0, 1].
    """
    return 1 - (answers - reference).square().sum(dim=-1) / 2


def non_causal_effectiveness(answers: Tensor, options: Tensor) -> Tensor:
    """Control for effectiveness without a perturbation, the entropy of the answer distribution: H(q) / ln |A|.

    answers: [..., A]; options: [...], how many answers there are. Returns [...], in [0, 1]; 0 for a single option.
    """
    return torch.where(options > 1, _entropy(answers) / options.double().clamp(min=2).log(), 0.0)


def group_reference(values: Tensor, scored: Sequence[Sequence[int]], num_generations: int) -> Tensor:
    """Mean over the group at the same episode k, or at a row's last scored one before k (its first if none is).

    values: [B, C, ...], the scored episodes of each row, a group's rows consecutive; scored: their numbers, in order.
    Returns the shape of values; entries beyond a row's own scored episodes hold some mean of the group.
    """
    rows, columns = values.shape[:2]
    pick = torch.zeros(rows, columns, num_generations, dtype=torch.long)
    for i, own in enumerate(scored):
        first = i - i % num_generations
        for c, k in enumerate(own):
            for j in range(num_generations):
                before = sum(number <= k for number in scored[first + j])
                pick[i, c, j] = max(before - 1, 0)
    group = (torch.arange(rows) // num_generations * num_generations)[:, None, None]
    return values[(group + torch.arange(num_generations)).to(values.device), pick.to(values.device)].mean(dim=2)


def over_all_episodes(scored_rewards: Tensor, scored: Sequence[Sequence[int]], counts: Sequence[int]) -> Tensor:
    """Rewards of all episodes from those of the scored ones: the others get the mean of their row's scored ones.

    scored_rewards: [B, C]. Returns [B, max count], 0 beyond a row's episodes: the expectation of every row's sum is
    that of scoring everything.
    """
    out = scored_rewards.new_zeros(len(counts), max(counts))
    for row, (own, count) in enumerate(zip(scored, counts, strict=True)):
        out[row, :count] = scored_rewards[row, : len(own)].mean()
        out[row, list(own)] = scored_rewards[row, : len(own)]
    return out


def permuted_over_batch(rewards: Tensor, counts: Sequence[int], generator: torch.Generator) -> Tensor:
    """Control: the rewards of all real episodes of the batch in random order; scale and spread stay.

    rewards: [B, K]. generator: on the CPU. Returns [B, K].
    """
    real = torch.arange(rewards.size(1)) < torch.tensor(counts).unsqueeze(1)
    values = rewards[real.to(rewards.device)]
    out = torch.zeros_like(rewards)
    out[real.to(rewards.device)] = values[torch.randperm(len(values), generator=generator).to(values.device)]
    return out


def episode_rewards(outcomes: Tensor, episodic: Tensor, counts: Tensor) -> Tensor:
    """R_ik = r_out / K_i + r_cc, 0 beyond a row's K_i episodes.

    outcomes: [B], r_out; episodic: [B, K], r_cc; counts: [B] int64, K_i >= 1. Returns [B, K].
    """
    real = torch.arange(episodic.size(1), device=counts.device) < counts.unsqueeze(1)
    return ((outcomes / counts).unsqueeze(1) + episodic) * real


def _entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p.double()).sum(dim=-1)
