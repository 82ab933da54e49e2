"""The causal reference π'_ref (Eq. 13), the divergence to it (Eqs. 7 and 12) and the clamps that make it usable.

Does: per-token tensors in, per-token or scalar tensors out. Does not: run a model or detach.
Eq. 13 subtracts probabilities, so it is no distribution: with the printed sum its mass over the vocabulary is 2 − n,
with a mean over l it is 1, and single tokens can still be negative or above 1. A logarithm needs the floor, and the
ratio needs the cap: both are part of the method here, and how often they act is returned.
"""

from __future__ import annotations

import torch
from torch import Tensor

EQ13_FORMS = ("mean", "sum", "p_q")


def k3(log_ratio: Tensor) -> Tensor:
    """The non-negative KL estimator exp(d) − d − 1 with d = log π_ref − log π_θ (Eq. 7).

    log_ratio: any shape. Returns the same shape, >= 0, and 0 only at d = 0.
    """
    return torch.expm1(log_ratio) - log_ratio  # expm1 keeps small d from cancelling


def psi_probability(p_x: Tensor, p_x_l: Tensor, *, eq13: str, group_size: int, num_integrated: int) -> Tensor:
    """Ψ of a token probability: π(y|x_i) − Σ_l π(y|x_i, y_{n,l}), or with the mean over l  (first two terms of Eq. 13).

    p_x: [...]; p_x_l: [..., m], probabilities under the old policy; group_size: n; num_integrated: the m that the run
    counts (the last axis may be shorter when l = 0 is left out).
    "sum" is the printed form; it is scaled by n/m, as only m of the n terms are drawn. Returns [...].
    """
    if p_x_l.shape[:-1] != p_x.shape or p_x_l.shape[-1] < 1:
        raise ValueError(f"want p_x [...] and p_x_l [..., m], got {tuple(p_x.shape)} and {tuple(p_x_l.shape)}")
    if eq13 == "mean":
        return p_x - p_x_l.mean(dim=-1)
    if eq13 == "sum":
        return p_x - p_x_l.sum(dim=-1) * (group_size / num_integrated)
    raise ValueError(f"eq13 is {eq13!r}; this term exists for 'mean' and 'sum' only")


def causal_ref_logps(p_q: Tensor, psi: Tensor | None, *, floor: float) -> tuple[Tensor, Tensor]:
    """log π'_ref = log clamp(Ψ π(y|x_i) + π(y|q), floor, 1) and the raw π'_ref  (Eq. 13).

    p_q: [...], probabilities under the old policy; psi: same shape, or None for its expectation, 0 (eq13 "p_q").
    Returns (log target in [log floor, 0], raw target), both [...]. Raises ValueError unless 0 < floor < 1.
    """
    if not 0 < floor < 1:
        raise ValueError(f"causal_ref_floor is {floor}; want 0 < floor < 1")
    raw = p_q if psi is None else psi + p_q
    return raw.clamp(min=floor, max=1.0).log(), raw


def target_mass(p_q: Tensor, psi: Tensor | None, *, floor: float) -> Tensor:
    """Mass over the vocabulary of Eq. 13's target once every token of it is clamped to [floor, 1].

    p_q, psi: [..., vocab], as in `causal_ref_logps`. Returns [...]; the target divided by it is a distribution.
    """
    target, _ = causal_ref_logps(p_q, psi, floor=floor)
    return target.exp().sum(dim=-1)


def causal_kl(causal_ref_logps: Tensor, context_logps: Tensor, *, log_ratio_cap: float) -> tuple[Tensor, Tensor]:
    """k3 of d = log π'_ref − log π_θ(y_it | x_i, y_i<t), with d capped  (the bracket of Eq. 12).

    causal_ref_logps, context_logps: [rows, T]; only the second should carry a gradient. Above the cap the gradient is
    0. Returns (k3 [rows, T], capped [rows, T] bool).
    """
    d = causal_ref_logps - context_logps
    return k3(d.clamp(max=log_ratio_cap)), d > log_ratio_cap


def row_token_mean(per_token: Tensor, mask: Tensor) -> Tensor:
    """The mean over the T_i real tokens of each row (the 1/T_i of Eq. 10).

    per_token, mask: [rows, T]; masked entries may hold anything. Returns [rows]; 0 for a row without tokens.
    """
    return per_token.masked_fill(mask == 0, 0).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


def causal_kl_loss(
    causal_ref_logps: Tensor,
    context_logps: Tensor,
    mask: Tensor,
    row_weights: Tensor,
    *,
    num_rows: int,
    log_ratio_cap: float,
) -> Tensor:
    """D' of Eq. 12 over a batch of `num_rows` rows of which only some were scored.

    causal_ref_logps, context_logps, mask: [scored, T]. row_weights: [scored], n / (scored rows of its group), so that
    the mean over all rows is the mean over groups of the mean over their scored rows; the rows left out add 0.
    Returns a scalar with the gradient of `context_logps`.
    """
    per_token, _ = causal_kl(causal_ref_logps, context_logps, log_ratio_cap=log_ratio_cap)
    return (row_token_mean(per_token, mask) * row_weights).sum() / num_rows


def divergence_statistics(
    raw_target: Tensor, causal_ref_logps: Tensor, context_logps: Tensor, mask: Tensor, *, log_ratio_cap: float
) -> dict[str, float]:
    """What a run logs about Eqs. 12-13, over the real tokens of the scored rows.

    All tensors [rows, T]. Returns floats: `target_share_nonpositive`, `target_share_above_one` (raw π'_ref),
    `share_capped`, `k3` (row mean of token means), `context_logp` (mean log π_θ(y_i | x_i)).
    """
    real = mask.bool()
    per_token, capped = causal_kl(causal_ref_logps, context_logps.detach(), log_ratio_cap=log_ratio_cap)
    share = [(t[real]).float().mean().item() for t in (raw_target <= 0, raw_target > 1, capped)]
    return {
        "target_share_nonpositive": share[0],
        "target_share_above_one": share[1],
        "share_capped": share[2],
        "k3": row_token_mean(per_token, mask).mean().item(),
        "context_logp": context_logps.detach()[real].mean().item(),
    }
