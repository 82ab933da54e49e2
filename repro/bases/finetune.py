"""Supervised fine-tuning of a pretrained chat model on word problems answered in two ways.

Demonstrations are a mixture of direct answers ("The answer is \\boxed{14}.") and worked solutions ("17-3=14. The
answer is \\boxed{14}."), both right; which of the two a question gets does not depend on the question. The model that
comes out answers directly more often and works more rightly, so that reinforcement learning has something to discover:
that working pays. Rows of sums come first, then worked solutions alone, and the mixture last, because a skill takes
many examples and a habit few.

Made for one core: examples of like length share a batch, the head is computed where there is a loss and nowhere else,
and the lowest layers and the embeddings can be left as they are, which spares their part of the backward pass.
Does not: evaluate, use more than one process, or change the source folder.
"""

import hashlib
import importlib.metadata
import json
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from repro.bases.keep import RECORD, made_once, new_folder, torch_threads, weights_hash
from repro.bases.packaged import ensure_packaged, find_gguf, packaged_path
from repro.closure import code_hash
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import cache_dir
from repro.tasks.words.drills import drill
from repro.tasks.words.problem import chat_messages
from repro.tasks.words.suites import training_problems

DRILL_REQUEST = "Calculate."
IGNORED = -100  # label of tokens without a loss
BUCKET_BATCHES = 16  # examples of this many batches are sorted by length together
Progress = Callable[[float, str], None]


class FinetuneSpec(BaseModel):
    """Everything that decides the weights besides the source folder and the code. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    families: dict[str, float] = Field(min_length=1, description="weight of each family of repro.tasks.words")
    system: str = Field(description="the chat's system line; an empty one is shorter than the template's own")
    drills: int = Field(ge=0, description="texts of sums without words, first")
    drill_equations: int = Field(ge=1, description="sums of one such text")
    worked_examples: int = Field(ge=0, description="worked solutions, next")
    mixed_examples: int = Field(ge=0, description="worked and direct solutions, then")
    direct_share: float = Field(ge=0, le=1, description="share of direct answers among the mixed examples")
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1, description="last learning rate as a share of the first; linear in between")
    weight_decay: float = Field(ge=0)
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    frozen_layers: int = Field(ge=0, description="lowest layers left as they are; with any, the embeddings too")
    seed: int = Field(ge=0)


@dataclass(frozen=True)
class Example:
    """Token ids of a question and its answer, and which of them have a loss."""

    ids: tuple[int, ...]
    with_loss: tuple[bool, ...]


@dataclass(frozen=True)
class Log:
    """Mean loss per token of the last tenth of the steps, steps, and tokens without padding."""

    loss: float
    steps: int
    tokens: int


def make_examples(spec: FinetuneSpec, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Example], ...]:
    """(drills, worked examples, mixed examples) in the chat template, ending in the end token."""
    count = spec.worked_examples + spec.mixed_examples
    rng = Random(f"finetune|{spec.seed}")
    names = list(spec.families)
    drawn = rng.choices(names, weights=[spec.families[name] for name in names], k=count)
    made = []
    for index, family in enumerate(drawn):
        problem = training_problems([family], _example_seed(spec.seed, index), 1)[0]
        direct = index >= spec.worked_examples and rng.random() < spec.direct_share
        made.append(_example(spec, tokenizer, problem.text, problem.direct if direct else problem.worked))
    rng = Random(f"drills|{spec.seed}")
    rows = [" ".join(f"{equation}." for equation in drill(rng, spec.drill_equations)) for _ in range(spec.drills)]
    drills = [_example(spec, tokenizer, DRILL_REQUEST, row, results_only=True) for row in rows]
    return drills, made[: spec.worked_examples], made[spec.worked_examples :]


def _example(
    spec: FinetuneSpec, tokenizer: PreTrainedTokenizerBase, text: str, answer: str, results_only: bool = False
) -> Example:
    """A chat of one question and its answer. With `results_only` what stands left of a sum's = has no loss."""
    prompt = tokenizer.apply_chat_template(chat_messages(spec.system, text), tokenize=False, add_generation_prompt=True)
    # apart, so that the answer's tokens are those a model writes after the prompt
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answered = tokenizer(answer + tokenizer.eos_token, add_special_tokens=False, return_offsets_mapping=True)
    asked = [span for match in re.finditer(r"[^ =]+=", answer) for span in range(*match.span())] if results_only else []
    with_loss = [start not in asked for start, _ in answered["offset_mapping"]]
    return Example((*ids, *answered["input_ids"]), (*[False] * len(ids), *with_loss))


def make_batches(examples: Sequence[Example], batch_size: int, rng: Random) -> list[list[Example]]:
    """All examples once, in batches of like length, the batches in random order."""
    order = list(examples)
    rng.shuffle(order)
    batches = []
    for first in range(0, len(order), batch_size * BUCKET_BATCHES):
        bucket = sorted(order[first : first + batch_size * BUCKET_BATCHES], key=lambda example: len(example.ids))
        batches += [bucket[place : place + batch_size] for place in range(0, len(bucket), batch_size)]
    rng.shuffle(batches)
    return batches


def batch_loss(model: PreTrainedModel, batch: Sequence[Example], pad_id: int) -> Tensor:
    """Mean cross-entropy per completion token of right-padded rows: a scalar in float32, with gradients."""
    width = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), width), pad_id)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(batch):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        mask[row, :length] = 1
        labels[row, :length] = torch.where(torch.tensor(example.with_loss), ids[row, :length], IGNORED)
    targets = labels[:, 1:]
    with_loss = targets != IGNORED
    hidden = model.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    logits = model.get_output_embeddings()(hidden[with_loss])  # [completion tokens, vocabulary]
    return F.cross_entropy(logits.float(), targets[with_loss])


def train(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, spec: FinetuneSpec, progress: Progress | None = None
) -> Log:
    """Train `model` in place, one pass over the examples. Raises FloatingPointError where the loss is not finite."""
    rng = Random(f"batches|{spec.seed}")
    batches = [batch for part in make_examples(spec, tokenizer) for batch in make_batches(part, spec.batch_size, rng)]
    if not batches:
        raise ValueError("worked_examples and mixed_examples are both 0; nothing to train on")
    _freeze(model, spec.frozen_layers)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=spec.learning_rate, betas=(0.9, spec.adam_beta2), weight_decay=spec.weight_decay
    )
    losses = []
    model.train()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * rate_at(step, len(batches), spec)
        loss = batch_loss(model, batch, tokenizer.pad_token_id)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss is {loss.item()} at step {step}")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, spec.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if progress is not None:
            progress((step + 1) / len(batches), f"step {step + 1}/{len(batches)} loss {losses[-1]:.3f}")
    model.eval()
    model.requires_grad_(True)
    tail = losses[-max(1, len(losses) // 10) :]
    return Log(sum(tail) / len(tail), len(batches), sum(len(example.ids) for batch in batches for example in batch))


def rate_at(step: int, steps: int, spec: FinetuneSpec) -> float:
    """The learning rate of a step as a share of the largest: linear warm-up, then linear decay."""
    warmup = min(1.0, (step + 1) / (spec.warmup_steps + 1))
    return warmup * (1 - (1 - spec.final_rate) * step / max(1, steps - 1))


class BaseSpec(FinetuneSpec):
    """A fine-tuned base of a profile: its name and the packaged model it starts from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    source: str = Field(description="a model of repro.bases.packaged")


def resolve_bases(tree: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseSpec]:
    """Specs by name from a profile's mapping name -> fields. Raises BadInput with one line on an impossible field."""
    specs = {}
    for name, fields in tree.items():
        try:
            specs[name] = BaseSpec.model_validate({"name": name, **fields})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "spec"
            raise BadInput(f"base {name}: {where}: {first['msg']}") from None
        find_gguf(specs[name].source)
    return specs


def base_path(spec: BaseSpec) -> Path:
    """Where the base lives in the cache: its name and a hash of spec, source and code. It need not exist."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True) + packaged_path(spec.source).name + recipe_hash()
    return cache_dir() / "bases" / f"{spec.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def recipe_hash() -> str:
    """Hash of what decides the weights besides spec and source: the code, and reasoning-gym."""
    text = code_hash(("repro.bases.finetune",)) + importlib.metadata.version("reasoning-gym")
    return hashlib.sha256(text.encode()).hexdigest()


def ensure_base(spec: BaseSpec, *, threads: int = 1, progress: Progress | None = None) -> Path:
    """The cached folder of a base, made first if it is missing or damaged. Two processes make it once."""
    folder = base_path(spec)
    return made_once(
        folder,
        lambda: make_finetuned(spec, ensure_packaged(spec.source), folder, threads=threads, progress=progress),
    )


def make_finetuned(
    spec: FinetuneSpec, source: Path, out_dir: Path, *, threads: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Fine-tune the model of folder `source` and write it to `out_dir`, replacing what is there; returns its record.

    The folder is a standard one and appears complete or not at all. `progress(share done, text)` is called at every
    step. Equal arguments give equal weights on one thread of one machine.
    """
    recipe = recipe_hash()  # before the files can change
    started, cpu_started = time.perf_counter(), time.process_time()
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)  # for models with dropout
        log = train(model, tokenizer, spec, progress)
    with new_folder(out_dir) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        record = {
            "spec": spec.model_dump(mode="json"),
            "recipe_hash": recipe,
            "source_weights_sha256": weights_hash(source),
            "weights_sha256": weights_hash(temporary),
            "parameters": model.num_parameters(),
            "loss": log.loss,
            "steps": log.steps,
            "tokens": log.tokens,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "threads": threads,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "machine": platform.machine(),
        }
        write_json(temporary / RECORD, record)
    return record


def _freeze(model: PreTrainedModel, layers: int) -> None:
    """Leave the embeddings and the lowest layers as they are. Raises ValueError where that would be all of them."""
    if layers == 0:
        return
    stack = model.get_decoder().layers
    if layers >= len(stack):
        raise ValueError(f"frozen_layers is {layers}; the model has {len(stack)} layers")
    model.get_input_embeddings().requires_grad_(False)
    for layer in stack[:layers]:
        layer.requires_grad_(False)


def _example_seed(seed: int, index: int) -> int:
    """A seed per example, far from those of training runs."""
    return 10**9 * (seed + 1) + index
