"""What a training gets and gives: the same for every method."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from repro.config import CurveSpec, EvaluateSpec
from repro.methods.registry import Method
from repro.tasks.protocol import TaskSet

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Curve:
    """That held-out accuracy is measured along the training: of which suites, how often, and how answers are drawn."""

    suites: tuple[str, ...]
    spec: CurveSpec
    evaluate: EvaluateSpec


@dataclass(frozen=True)
class Training:
    """One training of a base.

    values: arguments of the method's settings; model: the base's folder; folder: gets metrics.jsonl; checkpoints: kept
    there if the arguments ask for them, so that an interrupted training goes on; where: leads every error's line.
    """

    method: Method
    values: dict[str, Any]
    base: str
    model: Path
    seed: int
    folder: Path
    tasks: TaskSet
    report: Report
    device: torch.device
    where: str
    checkpoints: Path | None = None
    attn_implementation: str | None = None
    curve: Curve | None = None

    def settings(self, output_dir: str) -> Any:
        """The method's arguments. Raises BadInput for values that cannot be used."""
        return self.method.settings(
            self.values, seed=self.seed, output_dir=output_dir, where=self.where, cpu=self.device.type == "cpu"
        )


@dataclass(frozen=True)
class Trained:
    """The policy, and what the summary says of its training."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    record: dict[str, Any]
