"""What a training gets and gives: the same for every method."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from repro.config import CurveSpec, EvaluateSpec
from repro.methods.checkpoints import is_main
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
    stop: a file that asks the training to save and end, which it does with `repro.methods.checkpoints.Stopped`.
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
    stop: Path | None = None

    def settings(self, output_dir: str) -> Any:
        """The method's arguments. Raises BadInput for values that cannot be used."""
        return self.method.settings(
            self.values, seed=self.seed, output_dir=output_dir, where=self.where, cpu=self.device.type == "cpu"
        )


@dataclass(frozen=True)
class Trained:
    """The policy, and what the summary says of its training. write: saves a model that several processes hold."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    record: dict[str, Any]
    write: Callable[[str], None] | None = None

    def save(self, folder: Path) -> None:
        """Write policy and tokenizer to a folder. Of several processes every one must call it."""
        if self.write is not None:
            self.write(str(folder))
        else:
            self.model.save_pretrained(folder)
        if is_main():
            self.tokenizer.save_pretrained(folder)
