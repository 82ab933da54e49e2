"""What every trainer checks: groups stay whole before training, loss and gradient stay finite during it."""

import math
from typing import Any

import torch
from trl import GRPOConfig


def check_whole_groups(args: GRPOConfig, *, per_micro_batch: bool = False) -> None:
    """Raise ValueError unless each rank generates whole groups, and with `per_micro_batch` trains on whole groups.

    TRL checks only the sum over ranks, where a group may be split between two of them: anything computed per group on
    a rank would then mix prompts without an error.
    """
    n, per_device = args.num_generations, args.per_device_train_batch_size
    rows = per_device * args.steps_per_generation
    if rows % n:
        raise ValueError(
            f"per_device_train_batch_size {per_device} x steps_per_generation {args.steps_per_generation} = {rows} "
            f"completions per rank would split a group over ranks; want a multiple of num_generations {n}"
        )
    if rows * args.world_size != args.generation_batch_size:
        raise ValueError(
            f"generation_batch_size {args.generation_batch_size} is not {rows} completions on each of "
            f"{args.world_size} ranks; build the configuration after the process group has started"
        )
    if per_micro_batch and per_device % n:
        raise ValueError(
            f"per_device_train_batch_size {per_device} would split a group over micro-batches; "
            f"want a multiple of num_generations {n}"
        )


class FiniteTrainingMixin:
    """Stops at the first loss or gradient norm that is not finite; goes in front of `GRPOTrainer` in the bases.

    The loss is checked before the optimizer can use it; the gradient norm where it is logged, before a checkpoint of
    that step. Raises FloatingPointError naming step and quantity.
    """

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss.item()} at step {self.state.global_step + 1}; want a finite number: "
                "lower the learning rate, or check rewards and precision"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        grad_norm = logs.get("grad_norm", 0.0)
        if not math.isfinite(grad_norm):
            raise FloatingPointError(
                f"grad_norm is {grad_norm} at step {self.state.global_step}; want a finite number: "
                "lower the learning rate, or check rewards and precision"
            )
        super().log(logs, start_time)
