"""Run by torchrun from `test_gcpo_ddp.py`: trains GCPO on two CPU ranks; the second has no advantages at first.

Arguments: the model's folder, the output folder.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
from ddp_training import SETTINGS, trained

from gcpo import GCPOConfig, GCPOTrainer

FORMS = {
    "expected": {},
    "mc": {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0},
    "mc over shared keys": {
        "estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0, "context_encoding": "shared_kv",
    },
}  # fmt: skip


def watch(form: str, model_dir: str, output_dir: str) -> dict[str, Any]:
    """Train three steps and return what this rank ends with."""
    config = GCPOConfig(
        output_dir=output_dir, max_completion_length=8, max_steps=3, candidate_separator=";", **SETTINGS, **FORMS[form]
    )

    def reward(completions: list[str], trainer_state: Any, **_: object) -> list[float]:
        if torch.distributed.get_rank() == 1 and trainer_state.global_step < 2:
            return [0.5] * len(completions)
        return [c.count("1") + 0.1 * len(set(c)) for c in completions]

    return trained(GCPOTrainer, config, reward, model_dir)[1]


def main(model_dir: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    gc.freeze()  # every training collects garbage: not among the imported packages
    record = {form: watch(form, model_dir, output_dir) for form in FORMS}
    Path(output_dir, f"rank{record['mc']['rank']}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
