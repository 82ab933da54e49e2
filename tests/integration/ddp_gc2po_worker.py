"""Run by torchrun from `test_gc2po_ddp.py`: trains GC2PO on two CPU ranks, of which the second finds no answers.

Arguments: the model's folder, the output folder.
"""

import gc
import json
import sys
from pathlib import Path

import torch
from ddp_training import SETTINGS, trained

from gcpo.trainers.gc2po import GC2POConfig, GC2POTrainer


class HalfBlind(GC2POTrainer):
    """The second rank sees no final answer, the first sees all."""

    def _answers(self, completions: list, metrics: dict) -> list:
        groups = super()._answers(completions, metrics)
        return [[] for _ in groups] if self.accelerator.process_index else groups


def main(model_dir: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    gc.freeze()  # every training collects garbage: not among the imported packages
    config = GC2POConfig(
        output_dir=output_dir, max_completion_length=12, max_steps=2, segmentation="delimiter", episode_delimiter="7",
        perturbation_size=1.0, **SETTINGS,
    )  # fmt: skip
    outcomes: list[list[float]] = []

    def reward(completions: list[str], **_: object) -> list[float]:
        # whoever takes another rank's slice of the gathered outcomes gets numbers that it never gave
        outcomes.append([len(c) + 100.0 * torch.distributed.get_rank() for c in completions])
        return outcomes[-1]

    trainer, record = trained(HalfBlind, config, reward, model_dir)
    record["own_outcomes"] = trainer._outcomes.tolist() == outcomes[-1]
    Path(output_dir, f"rank{record['rank']}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
