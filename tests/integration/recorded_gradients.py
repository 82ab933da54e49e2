"""A callback for tests that compare what two trainers hand to their optimizer."""

from typing import Any

import torch
from transformers import TrainerCallback


class Gradients(TrainerCallback):
    """The gradients that each optimizer step sees."""

    def __init__(self) -> None:
        self.steps: list[list[torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.steps.append([p.grad.clone() for p in model.parameters()])
