"""The schemas of a profile and how a profile file is read. Unknown keys are errors; a profile changes sizes, never
classes.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from repro.errors import BadInput

PROFILE_DIR = Path(__file__).resolve().parent / "profiles"


class Strict(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BaseRef(Strict):
    """One base model of a table: where it comes from and whose role it plays."""

    role: str = Field("", description="the paper's base model in whose place it stands; empty: none")
    kind: Literal["trained", "programs", "finetuned", "folder", "hub"]
    spec: dict[str, Any] | None = None  # of those made here: the fields of that recipe's BaseSpec
    model: str | None = None  # `folder`: its path; `hub`: the hub id
    revision: str | None = None  # `hub`: the pinned revision
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] | None = None  # None: transformers' choice
    train: dict[str, Any] = {}  # what differs from the profile's `train` on this base

    @property
    def made(self) -> bool:
        """Whether its weights are made here."""
        return self.kind in ("trained", "programs", "finetuned")

    @model_validator(mode="after")
    def _one_source(self) -> "BaseRef":
        if self.made and (self.spec is None or self.model is not None or self.revision is not None):
            raise ValueError(f"a base of kind {self.kind!r} needs 'spec', and no 'model' or 'revision'")
        if not self.made and (self.model is None or self.spec is not None):
            raise ValueError(f"a base of kind {self.kind!r} needs 'model' and no 'spec'")
        if (self.kind == "hub") != (self.revision is not None) and not self.made:
            raise ValueError("a base of kind 'hub' needs a pinned 'revision'; a folder has none")
        return self


class TaskSpec(Strict):
    """What is trained on and what is measured."""

    kind: Literal["procedural", "words", "programs", "benchmark"]
    train_levels: list[str] = []  # procedural, programs: levels of their generators
    train_families: list[str] = []  # procedural, words: families of their generators
    train_sets: dict[str, str] = {}  # benchmark: training set per base; `default` for the others
    hub_data: bool = False  # benchmark: download what no folder of benchmark files holds
    drop_overlaps: bool = True  # benchmark: leave out training rows that repeat a test problem
    prompt: str = "chat"  # benchmark: a form of repro.tasks.benchmarks.prompts
    system: str = ""  # words: the chat's system line
    suites: dict[str, int]  # suite name -> number of questions (0 = all)


class EvaluateSpec(Strict):
    """How a policy is sampled when it is measured. Beside the samples, every question is answered once greedily."""

    samples: Annotated[int, Field(ge=1)] | dict[str, Annotated[int, Field(ge=1)]]  # per question; may differ by suite
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1, description="rows generated together")
    greedy: bool = True
    engine: Literal["transformers", "vllm"] = "transformers"
    seeds: Literal["sample", "batch"] = Field(
        "sample", description="who has a seed of its own: a sample, or a batch, which is faster on small models"
    )

    def samples_of(self, suite: str) -> int:
        """Samples per question of a suite. Raises BadInput where a mapping does not name it."""
        if isinstance(self.samples, int):
            return self.samples
        if suite not in self.samples:
            raise BadInput(f"evaluate.samples has no number for suite {suite!r}; it has {', '.join(self.samples)}")
        return self.samples[suite]


class SearchSpec(Strict):
    """How a policy searches at test time; sampling is that of `evaluate`."""

    simulations: int
    branch: int
    exploration: float
    first_visit_value: float
    step_tokens: int
    delimiter: str = Field(description="text that ends a step of a solution")
    value: Literal["votes", "confidence", "p_true", "value_model"]
    questions_at_once: int = Field(ge=1, description="trees grown side by side, and stored together")
    rows_at_once: int = Field(ge=1, description="plain samples drawn together")


class BenchSpec(Strict):
    """How the cost of a step is measured: forms of GCPO beside GRPO, on the same rollouts."""

    rounds: int = Field(ge=1, description="measured steps per form, after one that is dropped")
    prompts: int = Field(ge=1, description="groups per step")


class ResourceSpec(Strict):
    """What a run of the profile takes; estimates for `plan`, corrected by what was measured."""

    jobs: int = Field(ge=1, description="cells side by side")
    threads: int = Field(ge=1, description="threads of one cell")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: the GPU if there is one")
    base_seconds: dict[str, float]
    train_seconds: float = Field(description="one GRPO cell on a base of cost 1")
    evaluate_seconds: float
    bench_seconds: float = 0.0  # a measurement of a step's cost, on a base of cost 1
    search_seconds: float = 0.0  # a search and the votes beside it, on a base of cost 1
    base_cost: dict[str, float]
    arm_cost: dict[str, float]
    gpu_hours: bool = False  # seconds above are those of one GPU, not of one core

    @property
    def unit(self) -> str:
        """What an hour of work is an hour of."""
        return "GPU-hours" if self.gpu_hours else "core-hours"


class Profile(Strict):
    """A whole profile: bases, tasks, training arguments, arms' overrides, evaluation, resources."""

    name: str
    title: str
    stamp: str = ""
    seeds: int = Field(ge=1)
    bases: dict[str, BaseRef]
    tasks: TaskSpec
    train: dict[str, Any]  # arguments of the trainer's config, by TRL's names, shared by all arms
    arms: dict[str, dict[str, Any]]  # overrides per arm
    evaluate: EvaluateSpec
    search: SearchSpec | None = None
    bench: BenchSpec | None = None
    sweeps: dict[str, list[float]] = {}  # figure -> the values of its grid that are run; all where it is not named
    resources: ResourceSpec


def profile_names() -> list[str]:
    """Names of the profiles that exist, sorted."""
    return sorted(path.stem for path in PROFILE_DIR.glob("*.yaml"))


def closest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?` if something similar is known, and the list of what is known."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(known)}"


def load_profile(
    name: str,
    overrides: Sequence[str] = (),
    *,
    base: str | None = None,
    target: str | None = None,
    all_targets: bool = False,
) -> Profile:
    """Profile `name`, with `overrides` such as `train.max_steps=30` applied before validation.

    base: a folder, or a hub id as org/model or org/model@REVISION, that takes the place of the profile's bases. target:
    a table or figure; where the profile's `targets` names another profile for it, that one's values hold, under this
    one's name: a figure about code needs other tasks and models than a table about arithmetic. all_targets: the
    overrides are for several targets, and one that only the profile's own values have a place for is left out here.
    Raises BadInput with one line for an unknown profile, key or value.
    """
    if name not in profile_names():
        raise BadInput(f"profile {name!r} does not exist; {closest(name, profile_names())}")
    path = PROFILE_DIR / f"{name}.yaml"
    tree = own = _read_tree(name)
    other = tree.pop("targets", {}).get(target)
    if other is not None:
        if other not in profile_names():
            raise BadInput(f"{path.name}: targets.{target}: profile {other!r} does not exist; known: {profile_names()}")
        path = PROFILE_DIR / f"{other}.yaml"
        tree = {**_read_tree(other), "name": name}
        tree.pop("targets", None)
    for text in overrides:
        try:
            _apply_override(tree, text)
        except BadInput:
            if not all_targets or tree is own:
                raise
            _apply_override(own, text)
    if base is not None:
        tree["bases"] = {model_name(base): _given_base(base)}
    try:
        return Profile.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path.name}: {where}: {first['msg']} (got {first['input']!r})") from None


def model_name(model: str) -> str:
    """A name for a folder or hub id that can stand in a file's name."""
    return re.sub(r"[^a-z0-9.-]+", "-", Path(model.partition("@")[0]).name.lower()).strip("-.") or "base"


def _given_base(model: str) -> dict[str, Any]:
    """The reference of a base that the command line names."""
    if Path(model).expanduser().is_dir():
        return {"kind": "folder", "model": model}
    name, _, revision = model.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise BadInput(f"--base {model!r} is neither a folder nor a hub id such as Qwen/Qwen2.5-0.5B-Instruct")
    from repro.bases.files import pinned_revision

    return {"kind": "hub", "model": name, "revision": revision or pinned_revision(name)}


def _read_tree(name: str) -> dict:
    """A profile file's values; those it does not give are those of the profile that it `extends`, if any."""
    tree = yaml.safe_load((PROFILE_DIR / f"{name}.yaml").read_text(encoding="utf-8"))
    parent = tree.pop("extends", None)
    return tree if parent is None else _merged(_read_tree(parent), tree)


def _merged(parent: dict, own: dict) -> dict:
    """`parent` with the keys of `own` put in, section by section; a key set to null is left out."""
    tree = parent | own
    for key, value in own.items():
        if value is None:
            del tree[key]
        elif isinstance(value, dict) and isinstance(parent.get(key), dict):
            tree[key] = _merged(parent[key], value)
    return tree


def _apply_override(tree: dict, text: str) -> None:
    """Set one dotted key in place. Only keys below `train` and `arms.<arm>` may be new; elsewhere it must exist."""
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {text!r}: want KEY=VALUE, for example --set train.max_steps=30")
    parts = key.split(".")
    if len(parts) == 3 and parts[0] == "arms":  # an arm without a line in the file; planning refuses unknown ones
        tree.setdefault("arms", {}).setdefault(parts[1], {})
    node, seen = tree, []
    for part in parts[:-1]:
        if not isinstance(node.get(part), dict):
            known = [name for name, value in node.items() if isinstance(value, dict)]
            raise BadInput(f"--set {text}: no section {'.'.join([*seen, part])!r}; {closest(part, known)}")
        seen.append(part)
        node = node[part]
    free = parts[0] in ("train", "arms")  # keys there are the trainer's arguments, checked against its config class
    if parts[-1] not in node and not free:
        raise BadInput(f"--set {text}: no key {key!r}; {closest(parts[-1], list(node))}")
    node[parts[-1]] = _value(raw)


def _value(text: str) -> Any:
    """A value as YAML reads it, and 4e-4 as the number it is: YAML 1.1 takes it for a text without a dot."""
    value = yaml.safe_load(text)
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value
