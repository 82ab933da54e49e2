"""What a cell's training metrics leave for readers: small enough to be published with its summary."""

from pathlib import Path
from typing import Any

from repro.cells.state import read_metrics
from repro.files import read_json


def with_training(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The summary of a finished cell with the record of its training, where `folder` has metrics of it."""
    record = training_record(folder)
    return summary if record is None else {**summary, "training": record}


def training_record(folder: Path) -> dict[str, Any] | None:
    """Of a finished cell, from its metrics.jsonl; None without metrics.

    reward: mean reward of every step that logged one. generated_tokens: completion tokens over the training of a method
    whose every step is one generation of the whole batch, as GRPO's is: mean completion length x completions, summed
    over steps; None where no lengths are logged. psi_retest: [cosine, correlation] of two draws of Psi for the same
    candidates, for every step that drew twice.
    """
    rows = read_metrics(folder)
    if not rows:
        return None
    steps = [row for row in rows if "reward" in row]
    lengths = [row["completions/mean_length"] for row in steps if "completions/mean_length" in row]
    pairs = [[row.get(f"upsilon/psi_retest_{name}") for name in ("cosine", "correlation")] for row in rows]
    return {
        "reward": [row["reward"] for row in steps],
        "generated_tokens": sum(lengths) * _batch(folder) if lengths else None,
        "psi_retest": [pair for pair in pairs if None not in pair],
    }


def _batch(folder: Path) -> int:
    """Completions of one optimizer step."""
    train = read_json(folder / "config.json", "configuration")["train"]
    return train["per_device_train_batch_size"] * train["gradient_accumulation_steps"]
