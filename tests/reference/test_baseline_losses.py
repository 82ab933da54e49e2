"""The objectives as TRL computes them under our configurations: hand vectors, with log-probabilities put in by hand."""

from collections.abc import Callable

import pytest
import torch
from baseline_loops import advantages_loop, clipped_objective_loop

from gcpo.trainers import METHODS

OLD = [[-0.5, -0.4, -0.3, -0.2], [-1.0, -0.9], [-0.7, -0.6, -0.5]]
SHIFT = [[0.30, -0.1, 0.0, 0.05], [-0.3, 0.25], [0.1, -0.25, 0.02]]
REF = [[-0.6, -0.3, -0.35, -0.1], [-0.8, -1.1], [-0.5, -0.7, -0.45]]
REWARDS = [1.0, 0.0, 0.0]
EXPECTED = {  # from the written equations, at beta 0
    "grpo": (
        -0.0117215409569,
        [0, -0.0870529431, -0.0962083811, -0.1011410903, 0, 0.1235340066, 0.0708844699, 0, 0.0654346129],
    ),
    "drgrpo": (
        -0.0458724910282,
        [
            *(0, -0.0251343727232, -0.0277777777778, -0.0292019748993),
            *(0, 0.0178336863429, 0.0153495960841, 0, 0.0141694630559),
        ],
    ),
}


def padded(rows: list[list[float]]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0.0] * (width - len(row)) for row in rows], dtype=torch.float64)


def loss_and_gradient(
    trainer: object, new: list[list[float]], old: list[list[float]], advantages: list[float]
) -> tuple[float, list[float]]:
    """The trainer's own `_compute_loss` on given log-probabilities; the gradient of each real token, in order."""
    mask = torch.tensor([[1] * len(r) + [0] * (max(map(len, new)) - len(r)) for r in new])
    logps = padded(new).requires_grad_()
    trainer._get_per_token_logps_and_entropies = lambda *_a, **_k: (logps, torch.ones_like(logps), None)
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    rows = len(new)
    loss = trainer._compute_loss(
        trainer.model,
        {
            "prompt_ids": torch.zeros(rows, 1, dtype=torch.long),
            "prompt_mask": torch.ones(rows, 1, dtype=torch.long),
            "completion_ids": torch.zeros_like(mask),
            "completion_mask": mask,
            "advantages": torch.tensor(advantages, dtype=torch.float64),
            "old_per_token_logps": padded(old),
            "ref_per_token_logps": padded(REF),
            "num_items_in_batch": mask.sum(),
        },
    )
    loss.backward()
    assert logps.grad[mask == 0].abs().sum() == 0
    return loss.item(), logps.grad[mask == 1].tolist()


@pytest.mark.parametrize("method", ["grpo", "drgrpo"])
@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_loss_and_token_gradients_equal_the_hand_vector_and_the_loop(
    make_trainer: Callable, method: str, beta: float
) -> None:
    config_class, trainer_class = METHODS[method]
    trainer = make_trainer(
        trainer_class,
        config_class,
        num_generations=3,
        per_device_train_batch_size=3,
        beta=beta,
        max_completion_length=8,
    )
    advantages = advantages_loop(REWARDS, 3, method == "grpo", 1e-4)
    new = [[o + s for o, s in zip(*rows, strict=True)] for rows in zip(OLD, SHIFT, strict=True)]
    loss, gradient = loss_and_gradient(trainer, new, OLD, advantages)

    variables = [[torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in row] for row in new]
    by_loop = clipped_objective_loop(
        variables, OLD, REF, advantages, epsilon=0.2, beta=beta, constant_length=8 if method == "drgrpo" else None
    )
    by_loop.backward()
    assert loss == pytest.approx(by_loop.item(), abs=1e-10)
    loop_gradient = [0.0 if v.grad is None else v.grad.item() for row in variables for v in row]
    assert gradient == pytest.approx(loop_gradient, abs=1e-10)
    if beta == 0.0:
        assert loss == pytest.approx(EXPECTED[method][0], abs=1e-10)
        assert gradient == pytest.approx(EXPECTED[method][1], abs=1e-9)


def test_gvpo_token_gradients_equal_vector_e(make_trainer: Callable) -> None:
    config_class, trainer_class = METHODS["gvpo"]
    trainer = make_trainer(trainer_class, config_class, num_generations=2, per_device_train_batch_size=2)
    new, old = [[-0.5, -1.0, -0.25], [-2.0, -0.5]], [[-0.75, -0.5, -0.5], [-1.5, -1.0]]
    loss, gradient = loss_and_gradient(trainer, new, old, [0.5, -0.5])
    assert loss == pytest.approx(0.25, abs=1e-12)
    assert gradient == pytest.approx([-0.05, -0.05, -0.05, 0.05, 0.05], abs=1e-12)


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 0.5), ("sum", 1.0)])
def test_gvpo_reduces_two_groups_by_mean_or_by_the_official_sum(
    make_trainer: Callable, reduction: str, factor: float
) -> None:
    config_class, trainer_class = METHODS["gvpo"]
    trainer = make_trainer(
        trainer_class, config_class, num_generations=2, per_device_train_batch_size=4, gvpo_reduction=reduction
    )
    new, old = [[-0.5, -1.0, -0.25], [-2.0, -0.5], [-1.0], [-2.0]], [[-0.75, -0.5, -0.5], [-1.5, -1.0], [-1.0], [-1.0]]
    loss, _ = loss_and_gradient(trainer, new, old, [0.5, -0.5, 0.0, 0.0])
    # second group: w = -beta (log ratio - mean) = -0.1 (0.5, -0.5), L / (k - 1) = 0.0025
    assert loss == pytest.approx(factor * (0.25 + 0.0025), abs=1e-12)
