"""Trains one cell's policy with stock TRL and the arm's trainer from `gcpo`. Glue: data in, metrics.jsonl and weights
out.
"""

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from gcpo.trainers import METHODS
from gcpo.trainers.gcpo import GCPOConfig, form_name
from repro.bases.tokenizer import load_tokenizer
from repro.config import Profile, closest
from repro.errors import BadInput
from repro.tasks.protocol import TaskSet

# Arguments that belong to the run and not to the method; a profile may not set them.
_RESERVED = ("output_dir", "seed", "data_seed", "report_to", "run_name", "logging_steps", "disable_tqdm")


def check_arguments(method: str, values: dict[str, Any], where: str) -> None:
    """Raise BadInput for an argument that the method's config class does not have, naming the nearest one."""
    config_class, _ = METHODS[method]
    known = [field.name for field in dataclasses.fields(config_class) if field.init]
    for name in values:
        if name in _RESERVED:
            raise BadInput(f"{where}: {name!r} is set by the run itself; remove it")
        if name not in known:
            raise BadInput(f"{where}: {config_class.__name__} has no argument {name!r}; {closest(name, known)[:200]}")


def build_config(method: str, values: dict[str, Any], *, seed: int, output_dir: str, where: str) -> Any:
    """The method's trainer arguments. Raises BadInput where the config class refuses a value."""
    check_arguments(method, values, where)
    config_class, _ = METHODS[method]
    try:
        return config_class(
            output_dir=output_dir,
            seed=seed,
            data_seed=seed,
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
            **values,
        )
    except (ValueError, TypeError) as error:
        raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None


def make_reward(tasks: TaskSet, tokenizer: PreTrainedTokenizerBase) -> Callable[..., list[float]]:
    """TRL reward function: 1.0 for a right answer, 0.0 otherwise. Reads token ids, because TRL's texts hide the end
    token.
    """

    def accuracy_reward(completion_ids: list[list[int]], answer: list[str], **_: Any) -> list[float]:
        ended = [tokenizer.eos_token_id in ids for ids in completion_ids]
        texts = [
            tokenizer.decode(ids[: ids.index(tokenizer.eos_token_id)] if done else ids)
            for ids, done in zip(completion_ids, ended, strict=True)
        ]
        return [1.0 if correct else 0.0 for correct, _ in tasks.grade(texts, answer, ended)]

    return accuracy_reward


class MetricsWriter(TrainerCallback):
    """Writes one line of metrics.jsonl per step and reports progress. The file is the only record that tables and
    figures read.
    """

    def __init__(self, path: Path, report: Callable[[float, str], None]) -> None:
        self.path, self.report, self.rows = path, report, []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = []
        if state.global_step and self.path.exists():  # resumed from a checkpoint: rows after it are trained again
            kept = [
                row for row in map(json.loads, self.path.read_text().splitlines()) if row["step"] <= state.global_step
            ]
        self.rows = kept
        self.path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:  # the closing summary of transformers has no loss of a step
            return
        row = {"step": state.global_step, **logs}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row, sort_keys=True) + "\n")
        rewards = self.rewards()
        reward = f" reward {rewards[-1]:.3f}" if rewards else ""
        self.report(state.global_step / max(1, state.max_steps), f"step {state.global_step}/{state.max_steps}{reward}")

    def rewards(self) -> list[float]:
        """Mean reward of every rollout so far; a step that reuses a rollout has none."""
        return [row["reward"] for row in self.rows if "reward" in row]


def rows_needed(config: Any) -> int:
    """Distinct prompts that a run reads: one per group, for every generation round."""
    rounds = math.ceil(
        config.max_steps * config.gradient_accumulation_steps / (config.steps_per_generation * config.num_iterations)
    )
    return rounds * config.per_device_train_batch_size * config.steps_per_generation // config.num_generations


def train_policy(
    profile: Profile,
    method: str,
    values: dict[str, Any],
    *,
    base: str,
    model_path: str,
    seed: int,
    run_dir: Path,
    tasks: TaskSet,
    report: Callable[[float, str], None],
    checkpoint_dir: Path | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """Train `method` from the base in `model_path` (a folder or a hub id); returns (policy, tokenizer, record for
    summary.json).

    With `save_strategy="steps"` among the arguments and a `checkpoint_dir`, an interrupted run goes on from its last
    checkpoint.
    Raises BadInput for arguments that cannot be used and FloatingPointError when loss or gradient stop being finite.
    """
    tokenizer = load_tokenizer(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype="float32" if not values.get("bf16") else "bfloat16")
    with tempfile.TemporaryDirectory() as scratch:
        output = str(checkpoint_dir or scratch)
        config = build_config(
            method, values, seed=seed, output_dir=output, where=f"profile {profile.name}, method {method}"
        )
        rows = tasks.training_rows(base, seed, rows_needed(config))
        trainer = METHODS[method][1](
            model=model,
            args=config,
            reward_funcs=make_reward(tasks, tokenizer),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[MetricsWriter(run_dir / "metrics.jsonl", report)],
        )
        writer = next(c for c in trainer.callback_handler.callbacks if isinstance(c, MetricsWriter))
        resumable = checkpoint_dir is not None and any(Path(output).glob("checkpoint-*"))
        started = time.perf_counter()
        trainer.train(resume_from_checkpoint=resumable or None)
        seconds = time.perf_counter() - started
    record = {
        "form": form_name(config) if isinstance(config, GCPOConfig) else None,
        "steps": len(writer.rows),
        "reward_first": writer.rewards()[0],
        "reward_last": writer.rewards()[-1],
        "tokens": writer.rows[-1].get("num_tokens"),
        "seconds": seconds,
    }
    return trainer.model, tokenizer, record
