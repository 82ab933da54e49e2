"""Run by torchrun from `test_trainers_ddp.py`: trains on two CPU ranks and writes what each rank saw to a folder.

Arguments: the model's folder, the output folder.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer

from gcpo.trainers import METHODS

WORLD_SIZE = 2


def reward(completions: list[str], digit: list[str], **_: object) -> list[float]:
    return [c.count(d) + 0.1 * len(set(c)) for c, d in zip(completions, digit, strict=True)]


def watch(method: str, model_dir: str, output_dir: str) -> dict[str, Any]:
    """Train two steps and return what this rank saw."""
    config_class, trainer_class = METHODS[method]
    settings = {
        "output_dir": output_dir,
        "use_cpu": True,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 8,
        "max_steps": 2,
        "learning_rate": 1e-2,
        "disable_tqdm": True,
    }
    seen: dict[str, list[Any]] = {"generated": [], "trained": [], "advantages": []}

    class Watching(trainer_class):
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            seen["generated"].append([row["prompt"] for row in inputs])
            rollout = super()._generate_and_score_completions(inputs)
            seen["advantages"].append(rollout["advantages"].tolist())
            return rollout

        def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
            seen["trained"].append(self.processing_class.batch_decode(inputs["prompt_ids"], skip_special_tokens=True))
            return super()._compute_loss(model, inputs)

    config = config_class(**settings)
    if config.world_size != WORLD_SIZE:
        raise ValueError(f"{config.world_size} ranks run; want {WORLD_SIZE}")
    data = Dataset.from_list(
        [{"prompt": f"{a} + {b} =", "digit": str((a + b) % 10)} for a in range(6) for b in range(4)]
    )
    common = {"reward_funcs": reward, "train_dataset": data}
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    try:
        split = config_class(
            **(
                settings
                | {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}
                | ({"steps_per_generation": 2} if method == "gvpo" else {})
            )
        )
        trainer_class(model_dir, args=split, processing_class=tokenizer, **common)
        refusal = ""
    except ValueError as error:
        refusal = str(error)
    trainer = Watching(model_dir, args=config, processing_class=tokenizer, **common)
    trainer.train()
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    return {
        "world_size": trainer.accelerator.num_processes,
        "rank": trainer.accelerator.process_index,
        "refusal": refusal,
        "weights": weights.double().sum().item(),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        **seen,
    }


def main(model_dir: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    gc.freeze()  # every training collects garbage: not among the imported packages
    record = {method: watch(method, model_dir, output_dir) for method in ("grpo", "gvpo")}
    Path(output_dir, f"rank{record['grpo']['rank']}.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
