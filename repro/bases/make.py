"""Base models trained from scratch: what one is (`BaseSpec`), making it, keeping it in the cache, checking it is whole.

A base is trained once and kept under a name that hashes its spec and the code that decides its weights, so a change of
either makes a new base and never reuses an old one. Folders appear complete or not at all.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import transformers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2ForCausalLM

from repro.bases import sft
from repro.bases.keep import RECORD, is_whole, made_once, new_folder, torch_threads, weights_hash
from repro.closure import code_hash
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import REPO_ROOT, cache_dir
from repro.provenance import processor
from repro.tasks.procedural.families import FAMILIES, LEVELS, REWORDED
from repro.tasks.procedural.integration import CANDIDATE_ORDERS
from repro.tasks.procedural.tokenizer import VOCABULARY, build_tokenizer

Family = Literal[FAMILIES]
Level = Literal[LEVELS]


class ModelSpec(BaseModel):
    """Name, shape, budget and optimiser of a model made here; a subclass says what it is trained on.

    Unknown keys are errors. recipe: the module whose code decides the weights beside the spec. vocabulary: the words of
    the tokenizer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    recipe: ClassVar[str]
    vocabulary: ClassVar[Sequence[str]]

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    parent: "ModelSpec | None" = None  # trained further from these weights; profile files write `continue_from: NAME`
    # shape; a continued base has its parent's
    hidden: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    # budget and optimiser
    tokens: int = Field(gt=0, description="prompt and completion tokens of the whole training")
    batch_tokens: int = Field(gt=0, description="tokens of one step, padding included")
    muon_lr: float = Field(gt=0)
    muon_steps: int = Field(ge=1)
    adamw_lr: float = Field(gt=0)
    warmup_steps: int = Field(ge=1)
    flat_share: float = Field(ge=0, lt=1, description="share of the budget at full learning rate")
    final_rate: float = Field(ge=0, le=1, description="last learning rate as a share of the first")
    bf16: bool = False
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _possible(self) -> "ModelSpec":
        if self.hidden % self.heads or self.heads % self.kv_heads or (self.hidden // self.heads) % 2:
            sizes = f"hidden {self.hidden}, heads {self.heads}, kv_heads {self.kv_heads}"
            raise ValueError(f"{sizes}: want hidden a multiple of heads, heads of kv_heads, and an even head size")
        if self.parent is not None and self.parent.shape != self.shape:
            raise ValueError(f"{self.name} continues {self.parent.name} but has another shape")
        return self

    @property
    def shape(self) -> sft.Shape:
        """The model's sizes."""
        return sft.Shape(self.hidden, self.layers, self.heads, self.kv_heads, self.intermediate)

    @property
    def settings(self) -> sft.Settings:
        """Its budget and optimiser."""
        names = sft.Settings.__dataclass_fields__
        return sft.Settings(**{name: getattr(self, name) for name in names})

    @property
    def mixture(self) -> sft.Source:
        """What its examples are drawn from."""
        raise NotImplementedError

    @staticmethod
    def tokenizer() -> PreTrainedTokenizerFast:
        """The tokenizer of its texts."""
        raise NotImplementedError


class BaseSpec(ModelSpec):
    """A base of arithmetic: everything that decides its weights."""

    recipe: ClassVar[str] = "repro.bases.sft"
    vocabulary: ClassVar[Sequence[str]] = VOCABULARY

    parent: "BaseSpec | None" = None
    # what it is trained on
    families: tuple[Family, ...] = Field(min_length=1)
    levels: dict[Level, float] = Field(min_length=1, description="weight of each level")
    slip: float = Field(ge=0, le=1, description="probability that a demonstrated step is replaced by a uniform digit")
    integration_share: float = Field(ge=0, le=1, description="share of examples that show candidates' answers")
    agreement: float = Field(gt=0, description="share of equal votes from which the answer follows the candidates")
    answer_weight: float = Field(gt=0, description="loss weight of the answer token in integration items")
    candidate_order: Literal[CANDIDATE_ORDERS] = Field("sampled", description="as GCPOConfig.candidate_order")
    follow_from: float | None = Field(
        None,
        gt=0,
        le=1,
        description="instead of `agreement`: share of votes from which a sole leader is followed; only then has the "
        "answer `answer_weight`",
    )
    scatter: float = Field(0.0, ge=0, le=1, description="share of integration items whose candidates answer at random")
    fewest_candidates: int = Field(1, ge=1, le=9, description="integration items show this many to 9 candidates")
    reworded_share: float = Field(0.0, ge=0, le=1, description="share of examples that ask in other words")
    direct_share: float = Field(0.0, ge=0, le=1, description="share of examples that show the answer without steps")

    @model_validator(mode="after")
    def _levels_weigh(self) -> "BaseSpec":
        if sum(self.levels.values()) <= 0 or min(self.levels.values()) < 0:
            raise ValueError(f"levels {self.levels}: want weights >= 0, not all 0")
        if self.reworded_share and set(self.families) - set(REWORDED):
            raise ValueError(f"families {self.families}: with a reworded_share want some of {', '.join(REWORDED)}")
        return self

    @property
    def mixture(self) -> sft.Mixture:
        """What its examples are drawn from."""
        return sft.Mixture(
            families=self.families,
            level_weights=dict(self.levels),
            slip=self.slip,
            integration_share=self.integration_share,
            agreement=self.agreement,
            answer_weight=self.answer_weight,
            seed=self.seed,
            candidate_order=self.candidate_order,
            follow_from=self.follow_from,
            scatter=self.scatter,
            fewest_candidates=self.fewest_candidates,
            reworded_share=self.reworded_share,
            direct_share=self.direct_share,
        )

    @staticmethod
    def tokenizer() -> PreTrainedTokenizerFast:
        """See `ModelSpec`."""
        return build_tokenizer()


def resolve_bases(
    tree: Mapping[str, Mapping[str, Any]], spec_class: type[ModelSpec] = BaseSpec
) -> dict[str, ModelSpec]:
    """Specs by name from a profile's mapping name -> fields; `continue_from: NAME` becomes the parent's whole spec.

    A continued base inherits every field of its parent that it does not set. Raises BadInput with one line on an
    unknown or circular parent and on any unknown, missing or impossible field.
    """
    done: dict[str, ModelSpec] = {}

    def resolve(name: str, waiting: tuple[str, ...]) -> ModelSpec:
        if name in waiting:
            raise BadInput(f"base {name}: continues itself ({' -> '.join([*waiting, name])})")
        if name not in tree:
            raise BadInput(f"base {waiting[-1]}: continue_from names {name!r}; want one of {', '.join(sorted(tree))}")
        if name not in done:
            fields = dict(tree[name])
            parent_name = fields.pop("continue_from", None)
            if parent_name is not None:
                parent = resolve(parent_name, (*waiting, name))
                inherited = {
                    key: getattr(parent, key) for key in spec_class.model_fields if key not in ("name", "parent")
                }
                fields = {**inherited, **fields, "parent": parent}
            done[name] = parse_spec({"name": name, **fields}, spec_class)
        return done[name]

    for name in tree:
        resolve(name, ())
    return {name: done[name] for name in tree}


def parse_spec(fields: Mapping[str, Any], spec_class: type[ModelSpec] = BaseSpec) -> ModelSpec:
    """A spec from plain fields. Raises BadInput with one line instead of pydantic's many."""
    try:
        return spec_class.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "spec"
        raise BadInput(f"base {fields.get('name', '?')}: {where}: {first['msg']}") from None


def recipe_hash(spec: ModelSpec) -> str:
    """Hash of the code that decides a base's weights besides its spec."""
    return code_hash((spec.recipe,))


def base_path(spec: ModelSpec) -> Path:
    """Where the base lives in the cache: its name and a hash of spec and recipe. The folder need not exist."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True) + recipe_hash(spec)
    return cache_dir() / "bases" / f"{spec.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def load_base(folder: Path) -> Qwen2ForCausalLM:
    """The model of a base folder, in float32. Raises BadInput with one line where the folder holds no whole base."""
    if not is_whole(folder):
        raise BadInput(
            f"base {folder}: weights are missing or not those of its {RECORD}; delete the folder to train it again"
        )
    try:
        return Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"base {folder}: cannot be loaded ({str(error).splitlines()[0]}); delete the folder") from None


def ensure_base(spec: ModelSpec, *, threads: int = 1, progress: Callable[[float, str], None] | None = None) -> Path:
    """The cached folder of a base, trained first if it is missing or damaged; its parents likewise.

    Where BASES=train is not set, weights of the same recipe that come with the project take the place of a training:
    another machine's would differ. Two processes that ask for one base make it once: the second waits.
    """
    folder = base_path(spec)

    def make() -> None:
        shipped = None if os.environ.get("BASES") == "train" else shipped_base(folder.name)
        if shipped is None:
            make_base(spec, folder, threads=threads, progress=progress)
            return
        with new_folder(folder) as temporary:
            shutil.copytree(shipped, temporary, dirs_exist_ok=True)

    return made_once(folder, make)


def shipped_base(name: str) -> Path | None:
    """The folder of a base that comes with the project, by the name of its cache folder; None if there is none.

    Raises BadInput where its weights are not those of its record.
    """
    for folder in sorted((REPO_ROOT / "results" / "published").glob(f"*/bases/{name}")):
        if not is_whole(folder):
            raise BadInput(f"base {folder}: weights are not those of its {RECORD}; restore it, or set BASES=train")
        return folder
    return None


def make_base(
    spec: ModelSpec, out_dir: Path, *, threads: int = 1, progress: Callable[[float, str], None] | None = None
) -> dict[str, Any]:
    """Train a base and write it to `out_dir`, replacing what is there; returns its record (base.json).

    The folder is a standard one: config, weights, tokenizer, generation settings. `progress(share done, text)` is
    called as it trains. Equal specs give equal weights on one thread of one machine.
    """
    parent_folder = None if spec.parent is None else ensure_base(spec.parent, threads=threads, progress=progress)
    started, cpu_started = time.perf_counter(), time.process_time()
    with torch_threads(threads), torch.random.fork_rng(devices=[]):
        if parent_folder is None:
            model = sft.build_model(spec.shape, spec.seed, spec.vocabulary)
        else:
            model = load_base(parent_folder)
        log = sft.train(model, spec.mixture, spec.settings, progress)
    tokenizer = spec.tokenizer()
    with new_folder(Path(out_dir)) as temporary:
        model.generation_config = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        record = {
            "spec": spec.model_dump(mode="json"),
            "recipe_hash": recipe_hash(spec),
            "weights_sha256": weights_hash(temporary),
            "parent_weights_sha256": None if parent_folder is None else weights_hash(parent_folder),
            "parameters": model.num_parameters(),
            "loss": log.loss,
            "tokens": log.tokens,
            "steps": log.steps,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
            "threads": threads,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "machine": platform.machine(),
            "cpu": processor()[0],
        }
        write_json(temporary / RECORD, record)
    return record
