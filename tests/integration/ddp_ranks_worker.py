"""One optimizer step of every form on the ranks that run it, with outputs that depend on their context alone.

Run by torchrun (or imported) from `test_gcpo_ddp.py`. Arguments: the model's folder, the output folder.
"""

import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from recorded_gradients import Gradients
from transformers import AutoTokenizer

from gcpo.trainers import METHODS

GROUPS, N = 4, 4
MC = {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0}
SHARED = {"context_encoding": "shared_kv", "candidate_view": "full", "top_k": 1}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "grpo": ("grpo", {}),
    "drgrpo": ("drgrpo", {}),
    "gvpo": ("gvpo", {"num_iterations": 2}),
    "gvpo, row by row": ("gvpo", {"num_iterations": 2, "gvpo_rows_per_pass": 1}),
    "expected": ("gcpo", {}),
    "expected, half the rows": ("gcpo", {"kappa_row_fraction": 0.5, "candidate_order": "shuffled"}),
    "every group": ("gcpo", {"skip_zero_std": False}),
    "mc": ("gcpo", MC),
    "mc, the policy has moved on": ("gcpo", {**MC, "num_iterations": 2}),
    "literal": ("gcpo", {"estimator": "literal", "eq13": "sum", "kappa_norm": "sum"}),
    "corrected": ("gcpo", {**MC, "phi_sampling": "drop"}),
    "teacher-forced": ("gcpo", {**MC, "estimator": "teacher_forced"}),
    "shuffled control": ("gcpo", {"upsilon_control": "shuffled", "kappa_row_fraction": 0.25}),
    "matched distances": ("gcpo", {"similarity": "euclidean", "match_cosine_mean": True}),
    "no weighting": ("gcpo", {"upsilon_control": "one", "eq13": "mean"}),
    "cached text": ("gcpo", {**MC, "context_encoding": "cached_text", "top_k": 1}),
    "shared keys": ("gcpo", {**MC, **SHARED}),
    "shared keys, expected": ("gcpo", {**SHARED, "kappa_row_fraction": 0.5}),
}
# prompts of the step whose rewards are all equal: on two ranks of two groups the second has none that differ, or one
FLAT = {"second half flat": (2, 3), "ragged": (1, 2, 3)}


def outputs_of(contexts: list[list[int]]) -> list[list[int]]:
    """One output per context: a function of the context and of how often it was asked for."""
    asked: Counter = Counter()
    found = []
    for context in map(tuple, contexts):
        draw = random.Random(repr((context, asked[context])))
        asked[context] += 1
        length = draw.randint(2, 7)
        body = [draw.randint(3, 18) for _ in range(length - 1)]
        found.append([*body, 17] if draw.random() < 0.2 else [*body[: length - 2], 17, draw.randint(3, 12), 1])
    return found


def gradients(form: str, flat: tuple[int, ...], model_dir: str, output_dir: str) -> list[torch.Tensor]:
    """The averaged gradient of every parameter at the last update of one rollout of four groups."""
    method, overrides = FORMS[form]
    config_class, trainer_class = METHODS[method]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    updates = overrides.get("num_iterations", 1)
    config = config_class(
        output_dir=output_dir, use_cpu=True, num_generations=N, per_device_train_batch_size=N,
        gradient_accumulation_steps=GROUPS // world, max_completion_length=8, max_steps=updates, learning_rate=1e-3,
        lr_scheduler_type="constant", warmup_steps=0, max_grad_norm=1e9, disable_tqdm=True, shuffle_dataset=False,
        **({"candidate_separator": ";", "kappa": 0.3} if method == "gcpo" else {}), **overrides,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": f"{a} + {a + 1} =", "number": a} for a in range(GROUPS)])

    def reward(completion_ids: list[list[int]], number: list[int], **_: Any) -> list[float]:
        return [0.5 if k in flat else sum(ids) % 5 / 2 for ids, k in zip(completion_ids, number, strict=True)]

    class Fixed(trainer_class):
        def _generate_single_turn(self, contexts: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
            return outputs_of(contexts), None

    recorded = Gradients()
    trainer = Fixed(
        model_dir, reward, config, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(model_dir),
        callbacks=[recorded],
    )  # fmt: skip
    trainer.train()
    assert trainer.accelerator.num_processes == world
    return recorded.steps[-1]


def main(model_dir: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    found = {(form, flat): gradients(form, FLAT[flat], model_dir, output_dir) for form in FORMS for flat in FLAT}
    torch.save(found, Path(output_dir, f"rank{os.environ['RANK']}.pt"))


if __name__ == "__main__":
    main(*sys.argv[1:])
