"""Group advantages (Eq. 8) and the GVPO loss (arXiv 2504.19599).

Pure tensors in, tensors out. Does not compute the clipped objective of Eq. 6 or the Dr.GRPO divisor: TRL's own loss
does (`loss_type` "grpo" and "dr_grpo"), and Dr.GRPO's advantage (arXiv 2503.20783) is `scale="none"` below, r - mean r.
"""

from torch import Tensor

STD_EPS = 1e-4  # TRL's guard; Eq. 8 has none, and a group of equal rewards would divide by zero


def as_groups(rows: Tensor, num_generations: int, name: str) -> Tensor:
    """View of a row vector [groups * n] as [groups, n]; a group's rows are consecutive. Raises ValueError if ragged."""
    if rows.ndim != 1 or num_generations < 2 or rows.numel() == 0 or rows.numel() % num_generations:
        raise ValueError(
            f"{name} has shape {tuple(rows.shape)}; want [groups * n] with whole groups of n = {num_generations} >= 2"
        )
    return rows.view(-1, num_generations)


def group_advantages(rewards: Tensor, num_generations: int, scale: str = "group", eps: float = STD_EPS) -> Tensor:
    """Relative advantage of each candidate: A_i = (r_i - mean r) / (std r + eps)  (Eq. 8).

    rewards: [groups * n], floating, a group's rows consecutive; `num_generations` is n >= 2.
    scale: "group" divides by the unbiased standard deviation (ddof 1) plus eps; "none" leaves r_i - mean r (Dr.GRPO).
    Returns [groups * n], the dtype of rewards; a group of equal rewards gives exactly 0.
    Raises ValueError on a ragged shape or another `scale`.
    """
    if scale not in ("group", "none"):
        raise ValueError(f"scale is {scale!r}; want 'group' (Eq. 8) or 'none' (Dr.GRPO)")
    grouped = as_groups(rewards, num_generations, "rewards")
    # the mean of equal rewards can be off by rounding (0.1 seven times in float32), and dividing by eps magnifies it
    equal = (grouped == grouped[:, :1]).all(dim=1, keepdim=True)
    centred = (grouped - grouped.mean(dim=1, keepdim=True)).masked_fill(equal, 0.0)
    if scale == "group":
        centred = centred / (grouped.std(dim=1, keepdim=True) + eps)
    return centred.reshape(-1)


def gvpo_weights(
    sequence_logps: Tensor, old_sequence_logps: Tensor, rewards: Tensor, num_generations: int, beta: float
) -> Tensor:
    """Weight of each candidate's score function in GVPO: w_i = (R_i - mean R) - β [(l_i - l'_i) - mean (l - l')].

    sequence_logps, old_sequence_logps, rewards: [groups * n], floating; l and l' are **sums over tokens** of log π_θ
    and log π_θ'. Returns [groups * n]; each group sums to 0. grad L = -β Σ_i w_i grad l_i, exact only over
    whole groups. The group mean of l - l' is detached, as in the official code: since Σ w_i = 0, its gradient vanishes.
    Raises ValueError on unequal or ragged shapes.
    """
    if not sequence_logps.shape == old_sequence_logps.shape == rewards.shape:
        shapes = [tuple(t.shape) for t in (sequence_logps, old_sequence_logps, rewards)]
        raise ValueError(f"want equal shapes of sequence_logps, old_sequence_logps, rewards: {shapes}")
    log_ratio = as_groups(sequence_logps - old_sequence_logps, num_generations, "sequence_logps")
    grouped_rewards = as_groups(rewards, num_generations, "rewards")
    centred_rewards = grouped_rewards - grouped_rewards.mean(dim=1, keepdim=True)
    return (centred_rewards - beta * (log_ratio - log_ratio.mean(dim=1, keepdim=True).detach())).reshape(-1)


def gvpo_loss(
    sequence_logps: Tensor, old_sequence_logps: Tensor, rewards: Tensor, num_generations: int, beta: float
) -> Tensor:
    """GVPO loss of each group, in the official scale: L/(n-1) with L = ½ Σ_i w_i² (w_i as in `gvpo_weights`).

    Arguments as there. Returns [groups]. Gradients flow to `sequence_logps` through w_i itself: a surrogate
    -β Σ w_i l_i with w not detached has the same value and another gradient.
    """
    weights = gvpo_weights(sequence_logps, old_sequence_logps, rewards, num_generations, beta)
    return weights.view(-1, num_generations).square().sum(dim=1) / (2 * (num_generations - 1))
