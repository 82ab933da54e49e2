"""A cell is one (base, arm, seed) run: its identity, its hash, and its state on disk.

A cell's specification holds everything that can move its numbers: profile values, arm, seed, the hash of the code
that computes them and
of the lock file. The hash is part of the folder's name, so a changed specification is another cell and a stale result
can never be read.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from repro.config import Profile
from repro.errors import BadInput
from repro.experiments import Arm, Experiment, get_arm
from repro.paths import REPO_ROOT, results_dir

# Files whose text can move a cell's numbers: those behind the bases and every evaluation, those behind every training,
# and each method's own, so that changing one method re-runs that method alone. Reporting, statistics, pictures and
# registries are left out on purpose: touching them trains nothing.
BASE_CODE = (
    "repro/tasks/*.py",
    "repro/bases.py",
    "repro/sft.py",
    "repro/muon.py",
    "repro/measure.py",
    "repro/measure_base.py",
    "repro/taskset.py",
    "repro/evaluate.py",
    "gcpo/scm.py",
)
_TRAINING_CODE = ("repro/train.py", "gcpo/trl_adapter.py", "gcpo/trainers/grpo.py", "gcpo/trainers/checks.py")
_SEARCH_CODE = ("gcpo/search/*.py",)
METHOD_CODE = {
    None: BASE_CODE,  # the untrained base
    "grpo": (*BASE_CODE, *_TRAINING_CODE),
    "drgrpo": (*BASE_CODE, *_TRAINING_CODE, "gcpo/trainers/drgrpo.py"),
    "gvpo": (*BASE_CODE, *_TRAINING_CODE, "gcpo/trainers/gvpo.py", "gcpo/advantages.py"),
    "gcpo": (
        *BASE_CODE,
        *_TRAINING_CODE,
        "gcpo/upsilon.py",
        "gcpo/divergence.py",
        "gcpo/estimators.py",
        "gcpo/packing.py",
        "gcpo/shared_*.py",
        "gcpo/trainers/gcpo*.py",
        "gcpo/trainers/pooled_policy.py",
    ),
    "rest_mcts": (*BASE_CODE, *_SEARCH_CODE, "gcpo/trainers/rest_mcts.py", "repro/rest_mcts.py"),
    "search": (*BASE_CODE, *_SEARCH_CODE, "repro/search.py", "repro/search_value.py"),
}
LOCK_FILE = REPO_ROOT / "repro" / "env" / "cpu.lock"
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy")


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_hash(patterns: tuple[str, ...]) -> str:
    """sha256 over the files of the checkout that match `patterns`, names included."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(REPO_ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(REPO_ROOT)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def lock_hash() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Cell:
    """One run. `spec` is plain JSON data; `id` names the folder."""

    profile: str
    base: str
    arm: str
    seed: int
    spec: dict[str, Any]

    @property
    def spec_hash(self) -> str:
        return sha256_text(canonical_json(self.spec))

    @property
    def id(self) -> str:
        return f"{self.base}__{self.arm}__s{self.seed}__{self.spec_hash[:10]}"

    @property
    def folder(self) -> Path:
        return results_dir(self.profile) / "runs" / self.id


def make_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell of one base, arm and seed, with its resolved specification."""
    ref = profile.bases[base]
    lineage = {}
    name: str | None = base
    while name is not None:  # a further fine-tuned base depends on the one it continues
        lineage[name] = profile.bases[name].model_dump()
        name = (profile.bases[name].spec or {}).get("continue_from")
    training = None
    if arm.method == "rest_mcts":  # another family of arguments than the other trainers'
        training = {**arm.overrides, **profile.arms.get(arm.id, {})}
    elif arm.method not in (None, "search"):
        # What is said of a base wins over what is said of all; an arm's own definition wins over that; the profile's
        # words for this arm win over all.
        training = {**profile.train, **ref.train, **arm.overrides, **profile.arms.get(arm.id, {})}
    spec = {
        "profile": profile.name,
        "base": lineage,
        "role": ref.role,
        "arm": arm.id,
        "method": arm.method,
        "train": training,
        "tasks": profile.tasks.model_dump(),
        "evaluate": profile.evaluate.model_dump(),
        "seed": seed,
        "threads": profile.resources.threads,
        "code": code_hash(METHOD_CODE[arm.method]),
        "lock": lock_hash(),
    }
    if arm.search is not None:
        if profile.search is None:
            raise BadInput(f"profile {profile.name} has no section 'search'; arm {arm.id} needs one")
        spec |= {"search": profile.search.model_dump(), "policy": searched_cell(profile, base, arm, seed).id}
    return Cell(profile.name, base, arm.id, seed, spec)


def searched_cell(profile: Profile, base: str, arm: Arm, seed: int) -> Cell:
    """The cell whose policy a search arm searches with."""
    return make_cell(profile, base, get_arm(arm.search), seed)


def plan_cells(
    profile: Profile,
    experiment: Experiment,
    seeds: int | None = None,
    arms: list[str] | None = None,
    bases: list[str] | None = None,
) -> list[Cell]:
    """All cells of an experiment in running order: seeds outermost, so that an interrupted run has whole comparisons.

    Raises BadInput for an arm that is unknown or not part of the experiment, an unknown base, and seeds < 1.
    """
    count = profile.seeds if seeds is None else seeds
    if count < 1:
        raise BadInput(f"seeds is {count}; want at least 1")
    for name in arms or []:
        get_arm(name)
        if name not in experiment.arms:
            raise BadInput(f"arm {name!r} is not part of {experiment.id}; its arms: {', '.join(experiment.arms)}")
    for name in bases or []:
        if name not in profile.bases:
            raise BadInput(f"base {name!r} is not in profile {profile.name!r}; its bases: {', '.join(profile.bases)}")
    for name in profile.arms:
        get_arm(name)
    chosen = [get_arm(name) for name in experiment.arms if _planned(get_arm(name)) and (not arms or name in arms)]
    return [
        make_cell(profile, base, arm, seed)
        for seed in range(count)
        for base in experiment.bases(profile)
        if not bases or base in bases
        for arm in chosen
    ]


def _planned(arm: Arm) -> bool:
    return arm.built and arm.beside is None


# --- state on disk


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(value, handle, indent=1, sort_keys=True, ensure_ascii=False)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def read_json(path: Path, what: str) -> Any:
    """Parsed JSON of `path`. Raises BadInput with the place of the damage."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{what} {path} is damaged (not JSON at line {error.lineno}, column {error.colno}); "
            f"delete the folder {path.parent} and run again to rebuild it"
        ) from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{what} {path} is damaged (not UTF-8 at byte {error.start}); delete {path.parent} and run again"
        ) from None


def read_metrics(folder: Path) -> list[dict]:
    """The rows of a finished cell's metrics.jsonl, one per step. Raises BadInput naming the first damaged line."""
    path = folder / "metrics.jsonl"
    rows = []
    if path.exists():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                raise BadInput(
                    f"metrics {path} is damaged at line {number} (not JSON); delete {folder} and run again"
                ) from None
    return rows


def never_rewarded(folder: Path) -> bool:
    """Whether a cell logged rewards and every one was 0: then most likely the verifier could read no answer."""
    rewards = [row["reward"] for row in read_metrics(folder) if "reward" in row]
    return bool(rewards) and not any(rewards)


def load_summary(cell: Cell) -> dict | None:
    """The summary of a finished cell, or None while it is not finished.

    Raises BadInput if the file is damaged or belongs to another specification.
    """
    path = cell.folder / "summary.json"
    if not path.exists():
        return None
    summary = read_json(path, "summary")
    if summary.get("spec_hash") != cell.spec_hash:
        raise BadInput(
            f"summary {path} carries hash {str(summary.get('spec_hash'))[:10]}, "
            f"want {cell.spec_hash[:10]}; delete {cell.folder}"
        )
    read_metrics(cell.folder)
    return summary


@contextmanager
def exclusive_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a kernel lock on `path`; it ends with the process, so a killed run leaves nothing behind.

    Raises BadInput if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        for attempt in range(5):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # `list` in another shell may be probing the lock for a moment
                if attempt == 4:
                    handle.seek(0)
                    owner = handle.read().strip() or "?"
                    raise BadInput(
                        f"{what} is in use by process {owner}; wait for it or stop it, then run again"
                    ) from None
                time.sleep(0.1)
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def is_locked(path: Path) -> bool:
    """True while some process holds `exclusive_lock(path)`."""
    if not path.exists():
        return False
    with path.open("r") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def state(cell: Cell) -> str:
    """`done`, `running`, `failed` or `waiting`."""
    if (cell.folder / "summary.json").exists():
        return "done"
    if is_locked(cell.folder / "lock"):
        return "running"
    return "failed" if (cell.folder / "failed.json").exists() else "waiting"


# --- provenance


def _git(*args: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(REPO_ROOT), *args], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise BadInput("git is not installed; every result records its commit, so install git") from None
    except subprocess.CalledProcessError as error:
        raise BadInput(
            f"git {args[0]} failed in {REPO_ROOT}: {error.stderr.strip()}; results need a git checkout"
        ) from None
    return done.stdout.strip()


@cache
def provenance() -> dict[str, Any]:
    """Commit, dirty flag, lock hash, versions and machine. Raises BadInput when something cannot be read; nothing is
    ever `unknown`.

    Dirty means that tracked or new files under gcpo/ or repro/ differ from the commit; results and notebooks do not
    count.
    """
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "gcpo", "repro", "pyproject.toml")),
        "lock": lock_hash(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.system(),
    }
