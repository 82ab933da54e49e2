"""GRPO, Dr.GRPO and GVPO as loops written from the equations: no broadcasting, nothing imported from the package.

Rows are lists of 0-d tensors, so that autograd gives each token's gradient.
"""

import torch


def advantages_loop(rewards: list[float], n: int, scale: bool, eps: float) -> list[float]:
    out = []
    for start in range(0, len(rewards), n):
        group = rewards[start : start + n]
        mean = sum(group) / n
        variance = sum((r - mean) ** 2 for r in group) / (n - 1)
        for r in group:
            out.append((r - mean) / (variance**0.5 + eps) if scale else r - mean)
    return out


def clipped_objective_loop(
    new: list[list[torch.Tensor]],
    old: list[list[float]],
    ref: list[list[float]],
    advantages: list[float],
    *,
    epsilon: float,
    beta: float,
    constant_length: int | None,
) -> torch.Tensor:
    """Minus Eq. 6; `constant_length` is Dr.GRPO's divisor in place of T_i."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(new)):
        row = torch.zeros((), dtype=torch.float64)
        for t in range(len(new[i])):
            ratio = torch.exp(new[i][t] - old[i][t])
            clipped = min(max(ratio.item(), 1 - epsilon), 1 + epsilon)
            if ratio.item() * advantages[i] <= clipped * advantages[i]:
                term = ratio * advantages[i]
            else:
                term = torch.tensor(clipped * advantages[i], dtype=torch.float64)
            d = ref[i][t] - new[i][t]
            row = row + term - beta * (torch.exp(d) - d - 1)
        total = total + row / (constant_length or len(new[i]))
    return -total / len(new)


def gvpo_weights_loop(new: list[float], old: list[float], rewards: list[float], beta: float) -> list[float]:
    """w_i of one group."""
    k = len(new)
    mean_reward = sum(rewards) / k
    mean_ratio = sum(new[i] - old[i] for i in range(k)) / k
    return [(rewards[i] - mean_reward) - beta * ((new[i] - old[i]) - mean_ratio) for i in range(k)]


def gvpo_loss_loop(
    new: list[torch.Tensor], old: list[float], rewards: list[float], beta: float, *, detach_mean: bool
) -> torch.Tensor:
    """L of one group, before the official division by k - 1."""
    k = len(new)
    mean_reward = sum(rewards) / k
    mean_ratio = sum(new[i] - old[i] for i in range(k)) / k
    if detach_mean:
        mean_ratio = mean_ratio.item()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(k):
        total = total + (beta * ((new[i] - old[i]) - mean_ratio) - (rewards[i] - mean_reward)) ** 2
    return total / 2


def gvpo_loss_by_moments(new: list[float], old: list[float], rewards: list[float], beta: float) -> float:
    """(k-1)/2 [β² Var(l-l') - 2β Cov(l-l', R) + Var R], unbiased moments."""
    k = len(new)
    ratio = [new[i] - old[i] for i in range(k)]
    mean_ratio, mean_reward = sum(ratio) / k, sum(rewards) / k
    var_ratio = sum((d - mean_ratio) ** 2 for d in ratio) / (k - 1)
    cov = sum((ratio[i] - mean_ratio) * (rewards[i] - mean_reward) for i in range(k)) / (k - 1)
    var_reward = sum((r - mean_reward) ** 2 for r in rewards) / (k - 1)
    return (k - 1) / 2 * (beta**2 * var_ratio - 2 * beta * cov + var_reward)
