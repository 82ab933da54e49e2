"""The paper's pipeline on two CPU processes in minutes: every arm, evaluation, table; nothing that it says is a result.

What stays: arms, trainers, prompts, grader, launcher, ranks, checkpoints, merge, table. What is replaced: models by a
tiny one of the same architecture (Qwen2), problems by sums, 16,384 tokens by 64, vLLM by transformers, and DeepSpeed by
torch's DDP where it is not installed. An untrained model boxes nothing, so that no arm but GRPO's would have anything
to do: the tiny one is trained for some seconds to box a digit.
"""

import importlib.util
import os
import random
from pathlib import Path

from repro.bases.files import weight_files
from repro.bases.tiny import build_model, build_tokenizer, save, train
from repro.config import Profile
from repro.paths import cache_dir
from repro.tasks.benchmarks.prompts import prompt_of
from repro.tasks.benchmarks.rehearsal import LARGEST, sums

STAMP = "rehearsal, not a result"
TOKENS, CONTEXT = 64, 512
ROWS, ACCUMULATIONS, STEPS = 2, 8, 2
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TRAINING = 100  # steps of the tiny model, enough to box a digit


def tiny_model() -> Path:
    """The folder of the tiny model, made once per cache: 2 layers, hidden 64, about 900 words."""
    folder = cache_dir() / "rehearsal" / "qwen2-tiny"
    if folder.is_dir() and weight_files(folder):
        return folder
    rng = random.Random(0)
    rows = [
        (prompt_of(each, "chat"), f"The answer is $\\boxed{{{rng.randint(0, 2 * LARGEST)}}}$.")
        for each in sums("tiny", 0, 400)
    ]
    filler = " ".join(first + second for first in _LETTERS for second in _LETTERS)
    tokenizer = build_tokenizer([filler, *(turns[0]["content"] + answer for turns, answer in rows)])
    model = build_model(tokenizer)
    encoded = []
    for turns, answer in rows:
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        encoded.append((tokenizer(prompt)["input_ids"], [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]))
    longest = max(len(prompt) + len(answer) for prompt, answer in encoded)
    train(model, encoded, steps=_TRAINING, tokens_each=longest)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    save(model, tokenizer, beside)
    beside.rename(folder)
    return folder


def overrides(profile: Profile, *, ranks: int, deepspeed: bool) -> tuple[str, ...]:
    """What `--set` makes a rehearsal of a profile: sizes and places alone, never an arm's method.

    The model is given as a launch's base.
    """
    groups = profile.train["num_generations"]
    batch = ranks * ROWS * ACCUMULATIONS
    lines = [f"name={profile.name}-rehearsal", f'stamp="{STAMP}"', "tasks.kind=rehearsal"]
    lines += [f"train.{name}={value}" for name, value in _TRAIN.items()]
    for arm, values in profile.arms.items():
        if "max_context_length" in values:
            lines.append(f"arms.{arm}.max_context_length={CONTEXT}")
    # whole groups per micro-batch and two updates per rollout, as the arm itself has
    whole = {"per_device_train_batch_size": groups, "gradient_accumulation_steps": batch // (ranks * groups)}
    whole["steps_per_generation"] = 2 * whole["gradient_accumulation_steps"]
    lines += [f"arms.gvpo.{name}={value}" for name, value in whole.items()]
    lines += [f"arms.rest_mcts.{name}={value}" for name, value in _SEARCH.items()]
    lines += [f"tasks.suites.{suite}=4" for suite in profile.tasks.suites]
    lines += [f"evaluate.{name}={value}" for name, value in _EVALUATE.items()]
    lines += [f"cluster.ranks={ranks}", f"cluster.batch={batch}", "resources.threads=1", "resources.jobs=2"]
    # tiny rows fit at once, and ZeRO-3 does not know how to make them again row by row
    lines.append("arms.gvpo.gvpo_rows_per_pass=null" if deepspeed else "cluster.layouts.default.zero=0")
    return tuple(lines)


def has_deepspeed() -> bool:
    """Whether DeepSpeed is installed here."""
    return importlib.util.find_spec("deepspeed") is not None


_TRAIN = {
    "max_steps": STEPS,
    "save_steps": 1,
    "max_completion_length": TOKENS,
    "per_device_train_batch_size": ROWS,
    "gradient_accumulation_steps": ACCUMULATIONS,
    "steps_per_generation": ACCUMULATIONS,
    "use_vllm": "false",
    "vllm_enable_sleep_mode": "false",
}
_EVALUATE = {"samples": 2, "max_new_tokens": TOKENS, "batch_size": 64, "engine": "transformers"}
# enough to finish a tree or two and learn from them
_SEARCH = {
    "questions": 8,
    "generated_tokens": 2000,
    "rounds": 1,
    "iterations": 4,
    "trees_at_once": 8,
    "delimiter": '"."',  # a word of the tiny tokenizer
    "step_tokens": 32,
    "path_tokens": TOKENS,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 8,
}
