"""The schemas of a profile and how a profile file is read. Unknown keys are errors; a profile changes sizes, never
classes.
"""

import difflib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from repro.errors import BadInput

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?e[-+]?\d+|inf|infinity|nan)", re.IGNORECASE)
PROFILE_DIR = Path(__file__).resolve().parent / "profiles"
MANY = 10_000  # of anything that is counted before a run: more is a slip of the pen, and would take hours to plan
Samples = Annotated[int, Field(ge=1, le=MANY)]
Seconds = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


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

    kind: Literal["procedural", "words", "programs", "benchmark", "rehearsal"]
    train_levels: list[str] = []  # procedural, programs: levels of their generators
    train_families: list[str] = []  # procedural, words: families of their generators
    train_sets: dict[str, str] = {}  # benchmark: training set per base; `default` for the others
    hub_data: bool = False  # benchmark: download what no folder of benchmark files holds
    hub_revisions: dict[str, str] = {}  # benchmark: revisions of hub copies that none is pinned for, by benchmark
    drop_overlaps: bool = True  # benchmark: leave out training rows that repeat a test problem
    prompt: str = "chat"  # benchmark: a form of repro.tasks.benchmarks.prompts
    system: str = ""  # words: the chat's system line
    suites: dict[str, Annotated[int, Field(ge=0, le=MANY)]] = Field(
        min_length=1, description="suite name -> number of questions (0 = all)"
    )
    skip: int = Field(0, ge=0, le=MANY, description="procedural: questions of every suite passed over first")


class EvaluateSpec(Strict):
    """How a policy is sampled when it is measured. Beside the samples, every question is answered once greedily."""

    samples: Samples | dict[str, Samples]  # per question; may differ by suite
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1, description="rows generated together")
    greedy: bool = True
    engine: Literal["transformers", "vllm"] = "transformers"
    direct_start: str | None = Field(
        None, description="the token that begins an answer without steps; the row `base_worked` forbids it"
    )
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


class CurveSpec(Strict):
    """Held-out accuracy along a training (`repro.methods.curve`)."""

    every: int = Field(ge=1, description="rollouts from one measurement to the next")
    questions: int = Field(ge=1, description="of every suite, its first ones")
    samples: int = Field(ge=1, description="per question, beside a greedy pass")


class SearchSpec(Strict):
    """How a policy searches at test time; sampling is that of `evaluate`."""

    simulations: int = Field(ge=1)
    branch: int = Field(ge=1)
    exploration: float = Field(ge=0)
    first_visit_value: float
    step_tokens: int = Field(ge=1)
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

    jobs: int = Field(ge=1, le=MANY, description="cells side by side")
    threads: int = Field(ge=1, le=1024, description="threads of one cell")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: the GPU if there is one")
    base_seconds: dict[str, Seconds]
    train_seconds: Seconds = Field(description="one GRPO cell on a base of cost 1")
    evaluate_seconds: Seconds
    bench_seconds: Seconds = 0.0  # a measurement of a step's cost, on a base of cost 1
    search_seconds: Seconds = 0.0  # a search and the votes beside it, on a base of cost 1
    base_cost: dict[str, Seconds]  # factors
    arm_cost: dict[str, Seconds]  # factors
    gpu_hours: bool = False  # seconds above are those of one GPU, not of one core

    @property
    def unit(self) -> str:
        """What an hour of work is an hour of."""
        return "GPU-hours" if self.gpu_hours else "core-hours"


class Layout(Strict):
    """How one base is spread over the GPUs of a run. zero: DeepSpeed's stage, 0 for torch's DDP; offload: the optimizer
    to host memory.
    """

    zero: Literal[0, 2, 3]
    offload: bool = False

    @model_validator(mode="after")
    def _offload_needs_deepspeed(self) -> "Layout":
        if self.offload and not self.zero:
            raise ValueError("offload is DeepSpeed's; with it zero must be 2 or 3")
        return self


class ClusterSpec(Strict):
    """A profile that one GPU cannot run: the GPUs of one training, and how each base is spread over them."""

    ranks: int = Field(ge=1, description="GPUs of one training; the process count is asserted inside each of them")
    card: Literal["a100-40", "a100-80", "h100-80"] = "a100-40"
    batch: int = Field(ge=1, description="completions or prompts behind one update, asserted against the settings")
    batch_of: Literal["completions", "prompts"] = Field(
        "completions", description="what the paper's batch of 256 counts; prompts: num_generations times the work"
    )
    layouts: dict[str, Layout]  # by base, or by arm@base; `default` for those without a line of their own

    def layout(self, base: str, arm: str) -> Layout:
        """The layout of an arm on a base. Raises BadInput where there is none."""
        found = self.layouts.get(f"{arm}@{base}", self.layouts.get(base, self.layouts.get("default")))
        if found is None:
            raise BadInput(f"cluster.layouts names no layout for base {base!r}; add one, or one under 'default'")
        return found


_DEVELOPMENT_QUESTIONS = 40  # of every suite: a rate that differs by points shows, one that differs by tenths need not


class Profile(Strict):
    """A whole profile: bases, tasks, training arguments, arms' overrides, evaluation, resources."""

    name: str
    title: str
    stamp: str = ""
    seeds: int = Field(ge=1, le=MANY)
    bases: dict[str, BaseRef] = Field(min_length=1)
    tasks: TaskSpec
    train: dict[str, Any]  # arguments of the trainer's config, by TRL's names, shared by all arms
    arms: dict[str, dict[str, Any]]  # overrides per arm
    evaluate: EvaluateSpec
    search: SearchSpec | None = None
    curve: CurveSpec | None = None
    bench: BenchSpec | None = None
    sweeps: dict[str, list[float]] = {}  # figure -> the values of its grid that are run; all where it is not named
    cluster: ClusterSpec | None = None
    resources: ResourceSpec
    _sets: tuple[str, ...] = PrivateAttr(())
    _given_base: str | None = PrivateAttr(None)

    @property
    def sets(self) -> tuple[str, ...]:
        """What `--set` changed in the file's values, as KEY=VALUE."""
        return self._sets

    @property
    def given_base(self) -> str | None:
        """The model that `--base` put in the place of the profile's bases."""
        return self._given_base

    def for_development(self) -> "Profile":
        """The same with a few questions of every suite that stand behind those of the tables."""
        suites = self.tasks.suites
        fewer = {name: min(count, _DEVELOPMENT_QUESTIONS) for name, count in suites.items()}
        tasks = self.tasks.model_copy(update={"suites": fewer, "skip": max(suites.values())})
        return self.model_copy(update={"tasks": tasks})

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, tree: Any) -> Any:
        """Recipes and trainers' arguments are open mappings here, so numbers are looked at wherever they stand."""
        check_finite(tree)
        return tree


def check_finite(tree: Any, where: str = "") -> None:
    """Raise ValueError naming the first number in nested mappings and sequences that is not finite."""
    if isinstance(tree, float) and not math.isfinite(tree):
        raise ValueError(f"{where} is {tree}; want a finite number")
    sequence = enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in tree.items() if isinstance(tree, dict) else sequence:
        check_finite(value, f"{where}.{key}" if where else str(key))


def profile_names() -> list[str]:
    """Names of the profiles that exist, sorted."""
    return sorted(path.stem for path in PROFILE_DIR.glob("*.yaml"))


def closest(name: str, known: list[str]) -> str:
    """`did you mean 'x'?` if something similar is known, all that `name` begins if several; then what is known."""
    family = [each for each in known if each.startswith(f"{name}_")]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    if name and len(family) > 1:
        hint = f"did you mean one of {', '.join(family)}? "
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
        profile = Profile.model_validate(tree)
    except ValidationError as error:
        raise BadInput(f"{path.name}: {_first_fault(error)}") from None
    profile._sets, profile._given_base = tuple(overrides), base
    return profile


def _first_fault(error: ValidationError) -> str:
    """The first fault of a validation in one line: where, what would be right, what was there."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # of a validator of ours, whose message says all
        return ": ".join([*[".".join(map(str, first["loc"]))][: len(first["loc"])], str(first["ctx"]["error"])])
    found = repr(first["input"])
    return (
        f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {found if len(found) <= 80 else found[:77] + '...'})"
    )


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
    """Set one dotted key in place. Only keys below `train`, `arms.<arm>` and `tasks.hub_revisions` may be
    new; elsewhere it must exist.
    """
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {text!r}: want KEY=VALUE, for example --set train.max_steps=30")
    parts = key.split(".")
    if len(parts) == 3 and parts[0] == "arms":  # an arm without a line in the file; planning refuses unknown ones
        tree.setdefault("arms", {}).setdefault(parts[1], {})
    if parts[:2] == ["tasks", "hub_revisions"]:
        tree["tasks"].setdefault("hub_revisions", {})
    node, seen = tree, []
    for part in parts[:-1]:
        if not isinstance(node.get(part), dict):
            known = [name for name, value in node.items() if isinstance(value, dict)]
            raise BadInput(f"--set {text}: no section {'.'.join([*seen, part])!r}; {closest(part, known)}")
        seen.append(part)
        node = node[part]
    # keys there are the trainer's arguments, checked against its config class, and benchmarks
    free = parts[0] in ("train", "arms") or parts[:2] == ["tasks", "hub_revisions"]
    if parts[-1] not in node and not free:
        raise BadInput(f"--set {text}: no key {key!r}; {closest(parts[-1], list(node))}")
    node[parts[-1]] = _value(key, raw)


def _value(key: str, text: str) -> Any:
    """A value as YAML reads it, and 4e-4 and nan as the numbers they are: YAML 1.1 takes them for texts."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {key}={text!r}: not a YAML value ({' '.join(str(error).split())[:120]})") from None
    return _with_numbers(value)


def _with_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
