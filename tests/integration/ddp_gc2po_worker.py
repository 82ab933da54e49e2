"""Run by torchrun from `test_gc2po_ddp.py`: trains GC2PO on two CPU ranks, of which the second finds no answers.

Arguments: the model's folder, the output folder.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoTokenizer

from gcpo.trainers.gc2po import GC2POConfig, GC2POTrainer


class HalfBlind(GC2POTrainer):
    """The second rank sees no final answer, the first sees all."""

    def _answers(self, completions: list, metrics: dict) -> list:
        groups = super()._answers(completions, metrics)
        return [[] for _ in groups] if self.accelerator.process_index else groups


def main(model_dir: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    config = GC2POConfig(
        output_dir=output_dir,
        use_cpu=True,
        num_generations=4,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_completion_length=12,
        max_steps=2,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        warmup_steps=0,
        disable_tqdm=True,
        segmentation="delimiter",
        episode_delimiter="7",
        perturbation_size=1.0,
    )
    outcomes: list[list[float]] = []

    def reward(completions: list[str], **_: object) -> list[float]:
        # whoever takes another rank's slice of the gathered outcomes gets numbers that it never gave
        outcomes.append([len(c) + 100.0 * torch.distributed.get_rank() for c in completions])
        return outcomes[-1]

    data = Dataset.from_list([{"prompt": f"{a} + {b} ="} for a in range(6) for b in range(4)])
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    trainer = HalfBlind(model_dir, reward, config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    rank = trainer.accelerator.process_index
    record = {
        "world_size": trainer.accelerator.num_processes,
        "own_outcomes": trainer._outcomes.tolist() == outcomes[-1],
        "weights": [p.detach().double().sum().item() for p in trainer.model.parameters()],
        "logs": [entry for entry in trainer.state.log_history if "loss" in entry],
    }
    Path(output_dir, f"rank{rank}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
