"""The causal weight of a candidate: Steps 1-5 and Eq. 11 of GCPO (arXiv 2508.05428), and the controls around it.

Does: tensors in, tensors out, one group per leading index. Does not: sample, run a model, know a tokenizer.
float16 and bfloat16 inputs are lifted to float32; float32 and float64 stay as they are. No function detaches.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIMILARITIES = ("cosine", "euclidean", "gaussian")
SIGN_RULES = ("paper", "sign_aware")


def _lift(*tensors: Tensor) -> list[Tensor]:
    """The same tensors in at least float32: bf16 keeps only 8 significant bits."""
    return [t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors]


def _want_features(**named: Tensor) -> None:
    shapes = {name: tuple(t.shape) for name, t in named.items()}
    if len(set(shapes.values())) != 1 or any(len(s) != 3 for s in shapes.values()):
        raise ValueError(f"want equal [groups, n, dim] tensors, got {shapes}")


def group_centroid(z: Tensor) -> Tensor:
    """z̄, the mean feature of each group (Step 1).

    z: [groups, n, dim]. Returns [groups, 1, dim].
    """
    return z.mean(dim=1, keepdim=True)


def projection_means(
    context_features: Tensor, *, step2_features: Tensor | None = None, phi_includes_l0: bool = True
) -> tuple[Tensor, Tensor]:
    """Z̄_i and Z̄'_i from the features of the outputs sampled in Steps 2 and 3.

    context_features: [groups, n, m, R, dim], Z_{i,l,r}, the outputs from x_{i,l}.
    step2_features: [groups, n, R, dim], outputs from x_i drawn for Step 2 alone; None reuses the l = 0 slice, which has
    the same context (x_{i,0} = x_i).
    phi_includes_l0: whether l = 0 enters Z̄'_i, as printed; without it m must be at least 2.
    Returns (Z̄, Z̄'), each [groups, n, dim]. Raises ValueError on any other shape.
    """
    if context_features.ndim != 5:
        raise ValueError(f"want context_features [groups, n, m, R, dim], got {tuple(context_features.shape)}")
    if not phi_includes_l0 and context_features.shape[2] < 2:
        raise ValueError("phi_includes_l0=False needs m >= 2: with m = 1 nothing is left to average")
    (context_features,) = _lift(context_features)
    per_context = context_features.mean(dim=3)  # [groups, n, m, dim]
    x_mean = per_context[:, :, 0] if step2_features is None else _lift(step2_features)[0].mean(dim=2)
    phi_mean = per_context[:, :, 0 if phi_includes_l0 else 1 :].mean(dim=2)
    return x_mean, phi_mean


def causal_similarity(
    z: Tensor, x_mean: Tensor, phi_mean: Tensor, *, similarity: str = "cosine", scale: float = 1.0
) -> Tensor:
    """How close each candidate lies to its causal target c_i = Z̄_i − Z̄'_i + z̄ (Step 4, Eq. 11 without α).

    z, x_mean, phi_mean: [groups, n, dim]. Returns [groups, n]: the cosine in [−1, 1] up to rounding (0 for a zero
    vector), or, with d_i = ‖z_i − c_i‖ / (scale · √dim), 1/(1 + d_i) ("euclidean") or exp(−d_i²/2) ("gaussian"), both
    in [0, 1]. √dim is the length of a vector after a plain RMS norm. The paper names the last two without defining
    them; these forms are ours, and their unit is the same for every group: a tight group has weights near 1.
    Raises ValueError on other or unequal shapes and on an unknown similarity.
    """
    _want_features(z=z, x_mean=x_mean, phi_mean=phi_mean)
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity is {similarity!r}; want one of {SIMILARITIES}")
    z, x_mean, phi_mean = _lift(z, x_mean, phi_mean)
    # dividing a common size out first keeps squares of large or tiny features finite
    size = torch.stack([t.detach().abs().amax(dim=(1, 2)) for t in (z, x_mean, phi_mean)]).amax(dim=0)
    size = size.clamp(min=torch.finfo(z.dtype).tiny)[:, None, None]
    z, x_mean, phi_mean = z / size, x_mean / size, phi_mean / size
    target = x_mean - phi_mean + group_centroid(z)
    if similarity == "cosine":
        return F.cosine_similarity(z, target, dim=-1)
    distance = (z - target).norm(dim=-1) * (size[:, :, 0] / (scale * z.size(-1) ** 0.5))  # [groups, n]
    return 1 / (1 + distance) if similarity == "euclidean" else torch.exp(-(distance**2) / 2)


def matching_factor(weights: Tensor, cosines: Tensor) -> Tensor:
    """The factor that gives weights the mean of cosines, so that two similarities differ in shape and not in scale.

    weights, cosines: any shapes. Returns a scalar, at least 0: a negative mean would turn every sign.
    """
    return (cosines.mean() / weights.mean().clamp(min=torch.finfo(weights.dtype).tiny)).clamp(min=0)


def upsilon(
    z: Tensor,
    x_mean: Tensor,
    phi_mean: Tensor,
    *,
    alpha: float,
    similarity: str = "cosine",
    scale: float = 1.0,
    upsilon_min: float | None = None,
) -> Tensor:
    """Causal weight of each candidate: Υ_i = α · cos(z_i, Z̄_i − Z̄'_i + z̄)  (Eq. 11).

    z, x_mean, phi_mean: [groups, n, dim], any float dtype: z_i (Step 1), Z̄_i (Step 2), Z̄'_i (Step 3).
    Returns [groups, n], at least float32, unitless, in [−|α|, |α|] up to rounding; 0 for a zero vector; < 0 flips A_i
    unless `upsilon_min` floors it. Raises ValueError on any other or unequal shapes. Does not detach.
    """
    weight = alpha * causal_similarity(z, x_mean, phi_mean, similarity=similarity, scale=scale)
    return weight if upsilon_min is None else weight.clamp(min=upsilon_min)


def centroid_upsilon(
    z: Tensor, *, alpha: float, similarity: str = "cosine", scale: float = 1.0, upsilon_min: float | None = None
) -> Tensor:
    """Υ with the projection off: α · cos(z_i, z̄), what Eq. 11 is when Ψ takes its expectation, 0.

    Given q and the candidates, the integrated outputs y_{n,l} are independent and identically distributed, so
    E[Z̄_i − Z̄'_i] = 0 in the printed form. z: [groups, n, dim]. Returns [groups, n].
    """
    nothing = torch.zeros_like(z)
    return upsilon(z, nothing, nothing, alpha=alpha, similarity=similarity, scale=scale, upsilon_min=upsilon_min)


def signed_weight(weight: Tensor, advantages: Tensor, *, sign_rule: str = "paper") -> Tensor:
    """The factor that multiplies A_i: Υ_i as printed, or the variant in which closer is better for both signs of A_i.

    weight, advantages: [groups, n]. "paper" returns `weight`. "sign_aware" gives B_i = A_i Ῡ + |A_i| (Υ_i − Ῡ) with
    Ῡ the group mean: Υ_i where A_i >= 0, and 2 Ῡ − Υ_i, floored at 0, where A_i < 0. As printed, a larger Υ_i makes a
    negative B_i more negative, against the paper's stated aim ("the closer the candidate ... the higher").
    """
    if sign_rule not in SIGN_RULES:
        raise ValueError(f"sign_rule is {sign_rule!r}; want one of {SIGN_RULES}")
    if sign_rule == "paper":
        return weight
    mirrored = (2 * weight.mean(dim=1, keepdim=True) - weight).clamp(min=0)
    return torch.where(advantages < 0, mirrored, weight)


def constant_control(weight: Tensor) -> Tensor:
    """Control: every Υ_i is its group's mean, so that only the scale is left.

    weight: [groups, n]. Returns [groups, n].
    """
    return weight.mean(dim=1, keepdim=True).expand_as(weight).clone()


def shuffled_control(weight: Tensor, *, generator: torch.Generator) -> Tensor:
    """Control: the Υ_i of a group in random order, so that scale and spread are left but not the pairing.

    weight: [groups, n]. generator: on the CPU; the permutations depend on it alone. Returns [groups, n].
    """
    order = torch.rand(weight.shape, generator=generator).argsort(dim=1).to(weight.device)
    return weight.gather(1, order)


def upsilon_statistics(z: Tensor, x_mean: Tensor, phi_mean: Tensor, weight: Tensor) -> dict[str, float]:
    """What a run logs about Υ: its mean, within-group spread and sign, and how much of it the projection makes.

    z, x_mean, phi_mean: [groups, n, dim]; weight: [groups, n], the Υ in use. Returns floats: `mean`, `within_group_std`
    (unbiased), `share_negative`, `cosine_without_psi` (mean cos(z_i, z̄)), `psi_norm_ratio` (mean ‖Ψ_i‖ / ‖z̄‖).
    """
    z, x_mean, phi_mean = _lift(z, x_mean, phi_mean)
    centroid = group_centroid(z)
    centroid_norm = centroid.norm(dim=-1).clamp(min=torch.finfo(z.dtype).tiny)
    return {
        "mean": weight.mean().item(),
        "within_group_std": weight.std(dim=1).mean().item(),
        "share_negative": (weight < 0).float().mean().item(),
        "cosine_without_psi": F.cosine_similarity(z, centroid.expand_as(z), dim=-1).mean().item(),
        "psi_norm_ratio": ((x_mean - phi_mean).norm(dim=-1) / centroid_norm).mean().item(),
    }


def retest_statistics(
    z: Tensor,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    *,
    similarity: str = "cosine",
    scale: float = 1.0,
) -> dict[str, float]:
    """How much of the projection comes back when it is drawn again for the same candidates (ours, not the paper's).

    z: [groups, n, dim]; first, second: (Z̄, Z̄') of two independent draws, each [groups, n, dim]. Returns floats:
    `psi_retest_cosine`, the mean cos(Ψ_i, Ψ_i) between the draws (0 for a zero vector), and `psi_retest_correlation`,
    Pearson's over all candidates between what the projection adds to the similarity, s(z_i, c_i) − s(z_i, z̄), in the
    one draw and in the other; NaN where it adds the same to all. Both are 1 for a property of the candidates. Noise has
    a cosine of 0; its correlation is 0 only while it is small beside z̄: large noise lowers every similarity, the
    higher ones by more. Raises ValueError as `causal_similarity`.
    """
    nothing = torch.zeros_like(z)
    without = causal_similarity(z, nothing, nothing, similarity=similarity, scale=scale)
    psi, added = [], []
    for x_mean, phi_mean in (first, second):
        with_psi = causal_similarity(z, x_mean, phi_mean, similarity=similarity, scale=scale)
        added.append((with_psi - without).flatten())
        x_mean, phi_mean = _lift(x_mean, phi_mean)
        psi.append(x_mean - phi_mean)
    return {
        "psi_retest_cosine": F.cosine_similarity(psi[0], psi[1], dim=-1).mean().item(),
        "psi_retest_correlation": torch.corrcoef(torch.stack(added))[0, 1].item(),
    }
