"""Token credit of L2T (arXiv 2505.10425, Algorithm 1), which GC2PO shares: episode rewards in, token advantages out.

Pure tensors. Does not: score episodes, clip, or add the KL term (the loss of GRPO does).
Computed in float64: r̃ is of the order of 1/T, and a spread of rounding errors is not far from the guard of its
standard deviation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcpo.advantages import group_advantages

TOKEN_WEIGHTS = ("surprise", "uniform", "whole")
TRIM_SIDES = ("both", "upper")


def token_rewards(
    rewards: Tensor, segments: Tensor, old_per_token_logps: Tensor, *, token_weights: str, weight_floor: float
) -> Tensor:
    """r_t = R_ik w_t / Σ_{t' in k} w_t' with the surprise w_t = −log π_old(y_t); 0 outside every episode.

    rewards: [B, K], R_ik. segments: [B, T] int64, the episode of each token, −1 outside. old_per_token_logps: [B, T].
    token_weights: "surprise" as above, "uniform" with w_t = 1, "whole" gives every token the whole R_ik.
    weight_floor: smallest sum of weights. Returns [B, T]; over an episode it sums to R_ik unless "whole" or the floor
    acts.
    """
    inside = segments >= 0
    episode = segments.clamp(min=0)
    own = rewards.gather(1, episode) * inside
    if token_weights == "whole":
        return own
    weights = -old_per_token_logps if token_weights == "surprise" else torch.ones_like(own)
    weights = torch.where(inside, weights.to(own.dtype), 0.0)
    sums = torch.zeros_like(rewards).scatter_add(1, episode, weights).gather(1, episode)
    sums = sums.clamp(min=weight_floor)
    return torch.where(sums > 0, own * weights / sums, 0.0)  # an episode of certain tokens, without a floor


def truncated_mean(values: Tensor, mask: Tensor, *, trim_share: float, trim_sides: str) -> Tensor:
    """Mean of the real values of each row without its extremes. values, mask: [B, T]. Returns [B], 0 for an empty row.

    "both": int(trim_share/2 · T) values are dropped at either end; "upper": int(trim_share · T) at the upper end.
    """
    lengths = mask.sum(dim=1)
    ordered = values.masked_fill(~mask, torch.inf).sort(dim=1).values
    upper = (lengths * (trim_share / 2 if trim_sides == "both" else trim_share)).long()
    lower = upper if trim_sides == "both" else torch.zeros_like(upper)
    place = torch.arange(values.size(1), device=values.device)
    kept = (place >= lower.unsqueeze(1)) & (place < (lengths - upper).unsqueeze(1))
    return torch.where(kept, ordered, 0.0).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def l2t_credit(
    rewards: Tensor,
    segments: Tensor,
    old_per_token_logps: Tensor,
    completion_mask: Tensor,
    num_generations: int,
    *,
    token_weights: str = "surprise",
    trim_share: float = 0.05,
    trim_sides: str = "both",
    length_neutral: bool = False,
    std_eps: float = 1e-8,
    weight_floor: float = 0.0,
    mean_floor: float = 0.0,
    ratio_cap: float | None = None,
    outside: str = "none",
) -> tuple[Tensor, dict[str, float]]:
    """Token advantages A_t = Â r_t / r̃ with Â = (r̃ − group mean)/group sd, r̃ the truncated mean of r_t over a row.

    rewards: [B, K], R_ik, whatever beyond a row's episodes. segments: [B, T], −1 outside and at padding.
    old_per_token_logps, completion_mask: [B, T]; a group's rows are consecutive. All guards are off by default.
    length_neutral: Â is that of r̃ · T_i; without it Σ_t r_t = Σ_k R_ik makes r̃ fall as 1/T_i, a reward for short rows.
    weight_floor: as in `token_rewards`. mean_floor: A_t = Â where |r̃| T_i is at most this; r̃ itself has no scale that
    holds for long rows. ratio_cap: r_t / r̃ is kept within [0, ratio_cap].
    outside: "sequence" gives real tokens in no episode Â, everything else 0.
    Returns (advantages [B, T] in the dtype of old_per_token_logps, 0 at padding; statistics). Raises ValueError on
    unequal shapes and ragged groups.
    """
    if not segments.shape == old_per_token_logps.shape == completion_mask.shape or len(rewards) != len(segments):
        shapes = [tuple(t.shape) for t in (rewards, segments, old_per_token_logps, completion_mask)]
        raise ValueError(f"want rewards [B, K] and segments, old_per_token_logps, completion_mask [B, T]: {shapes}")
    if token_weights not in TOKEN_WEIGHTS or trim_sides not in TRIM_SIDES:
        raise ValueError(
            f"token_weights is {token_weights!r} and trim_sides {trim_sides!r}; want one of {TOKEN_WEIGHTS} and one of "
            f"{TRIM_SIDES}"
        )
    inside = segments >= 0
    r = token_rewards(
        rewards.double(), segments, old_per_token_logps.double(), token_weights=token_weights, weight_floor=weight_floor
    )
    mean = truncated_mean(r, inside, trim_share=trim_share, trim_sides=trim_sides)
    total = mean * inside.sum(dim=1)
    advantages = group_advantages(total if length_neutral else mean, num_generations, eps=std_eps)
    unscaled = total.abs() <= mean_floor  # the ratio would be a quotient of two small numbers
    ratio = torch.where(unscaled, 1.0, mean).reciprocal().unsqueeze(1) * r
    clipped = torch.zeros_like(inside)
    if ratio_cap is not None:
        clipped = inside & ((ratio < 0) | (ratio > ratio_cap))
        ratio = ratio.clamp(min=0.0, max=ratio_cap)
    ratio = torch.where(unscaled.unsqueeze(1), 1.0, ratio) * inside
    if outside == "sequence":
        ratio = torch.where(inside, ratio, 1.0)
    out = (advantages.unsqueeze(1) * ratio * completion_mask.bool()).to(old_per_token_logps.dtype)
    tokens = inside.sum().clamp(min=1)
    statistics = {
        "share_unscaled": unscaled.double().mean().item(),
        "share_ratio_clipped": (clipped.sum() / tokens).item(),
        "length_correlation": _correlation(advantages, inside.sum(dim=1).double()),
    }
    return out, statistics


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's correlation of two vectors, NaN where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = a.norm() * b.norm()
    return ((a * b).sum() / scale).item() if scale > 0 else float("nan")
