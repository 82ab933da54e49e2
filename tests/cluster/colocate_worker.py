"""Trains on rollouts sampled by a colocated vLLM, and compares each with the weights it should have been sampled from.

Arguments: the method (grpo or gcpo), the model's folder, the file to write to. Before the last rollout TRL only says
that it hands the updated weights to vLLM. Written per rollout: the largest difference between the log-probability that
vLLM reports of a sampled token and the one that transformers computes of it, under the weights of that moment and under
those of the rollout before.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# one process holds the trainer and the engine, as TRL's weight loading needs it
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")

import torch
import vllm._custom_ops
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from gcpo import GCPOConfig, GCPOTrainer
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer

FORMS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "grpo": (PaperGRPOTrainer, PaperGRPOConfig, {}),
    "gcpo": (GCPOTrainer, GCPOConfig, {"kappa_row_fraction": 1.0, "candidate_separator": ";"}),
}
# On a CPU vLLM copies every matrix into oneDNN's layout once it is loaded and drops the original, which TRL then cannot
# load into. Without oneDNN it multiplies by the matrices it was given, as it does on a GPU.
vllm._custom_ops._supports_onednn = False
STEPS, GENERATIONS, ROWS, LONGEST, RATE = 4, 4, 8, 12, 1e-2


def logps_of(model: torch.nn.Module, context: list[int], completion: list[int]) -> torch.Tensor:
    """log-probabilities [T] of the completion's tokens, of one unpadded row."""
    with torch.no_grad():
        logits = model(torch.tensor([context + completion])).logits[0, len(context) - 1 : -1]
    return logits.float().log_softmax(-1)[range(len(completion)), completion]


def train(form: str, model_dir: str, output_dir: str) -> list[dict[str, float]]:
    """Train `STEPS` updates of the form; one entry per rollout."""
    trainer_class, config_class, extra = FORMS[form]
    now, before = (AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval() for _ in range(2))
    rollouts: list[dict[str, float]] = []

    class Checked(trainer_class):
        def _generate_single_turn(self, contexts: list[list[int]], *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step == STEPS - 1:
                self.vllm_generation.sync_weights = lambda: None
            completions, sampled, *others = super()._generate_single_turn(contexts, *args, **kwargs)
            before.load_state_dict(now.state_dict())
            now.load_state_dict(self.accelerator.unwrap_model(self.model).state_dict())
            gaps: dict[str, float] = {"now": 0.0, "before": 0.0}
            for context, completion, row in zip(contexts, completions, sampled, strict=True):
                told = torch.tensor([value[0] if isinstance(value, list) else value for value in row])
                for name, model in (("now", now), ("before", before)):
                    gap = (told - logps_of(model, context, completion)).abs().max().item()
                    gaps[name] = max(gaps[name], gap)
            rollouts.append({"step": self.state.global_step, "rows": len(contexts), **gaps})
            return completions, sampled, *others

    config = config_class(
        output_dir=output_dir,
        use_cpu=True,
        use_vllm=True,
        vllm_mode="colocate",
        vllm_max_model_length=128,
        vllm_gpu_memory_utilization=0.05,
        num_generations=GENERATIONS,
        per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=2,
        max_completion_length=LONGEST,
        max_steps=STEPS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        warmup_steps=0,
        temperature=1.0,
        disable_tqdm=True,
        save_strategy="no",
        **extra,
    )
    data = Dataset.from_list([{"prompt": f"{a} + {b} ="} for a in range(8) for b in range(8)])

    def reward(completions: list[str], **_: object) -> list[float]:
        return [c.count("1") + 0.1 * len(set(c)) for c in completions]

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    trainer = Checked(model_dir, reward, config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return rollouts


def main(form: str, model_dir: str, target: str) -> None:
    torch.set_num_threads(1)
    rollouts = train(form, model_dir, str(Path(target).with_suffix("")))
    Path(target).write_text(json.dumps(rollouts))


if __name__ == "__main__":
    main(*sys.argv[1:])
