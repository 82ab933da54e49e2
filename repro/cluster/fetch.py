"""Models and data of a profile onto a disk that nodes without a network can read: at pinned revisions, checked.

Everything lies in the hub's own cache layout under HF_HOME, so that the code that loads it is the same everywhere: a
compute node runs with the same HF_HOME and HF_HUB_OFFLINE=1. What a folder of benchmark files holds is not fetched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.bases.files import fingerprint, resolve_model
from repro.config import Profile
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import benchmark_dir
from repro.tasks.benchmarks.loading import SUITES, Benchmark, hub_copy, load_benchmark
from repro.tasks.benchmarks.taskset import EVERY_BASE
from repro.tasks.benchmarks.training_sets import get_set, load_training_set

RECORD = "fetched.json"


@dataclass(frozen=True)
class Needed:
    """One repository of the hub. name: of the base, benchmark or training set. kind: model or dataset."""

    kind: str
    name: str
    repo: str
    revision: str


def needed(profile: Profile, bases: Sequence[str]) -> list[Needed]:
    """What the profile reads from the hub for some of its bases.

    Raises BadInput for a hub copy without a revision, saying where to look it up and where to put it.
    """
    found = [
        Needed("model", base, profile.bases[base].model, profile.bases[base].revision)
        for base in bases
        if profile.bases[base].kind == "hub"
    ]
    if profile.tasks.kind != "benchmark" or not profile.tasks.hub_data:
        return found
    folder = benchmark_dir()
    for name in dict.fromkeys(_training_set(profile, base) for base in bases):
        wanted = get_set(name)
        if wanted.file is None or folder is None:
            if wanted.hub is None:
                raise BadInput(f"{name}: no copy on the hub; set GCPO_DATA to a folder that holds {wanted.file}")
            found.append(Needed("dataset", name, wanted.hub.repo, wanted.hub.revision))
    if folder is None:
        found += [_needed_benchmark(each, profile) for each in _benchmarks(profile, screened=True)]
    return found


def _training_set(profile: Profile, base: str) -> str:
    sets = profile.tasks.train_sets
    if base not in sets and EVERY_BASE not in sets:
        raise BadInput(f"tasks.train_sets names no set for base {base!r}; add one, or one under {EVERY_BASE!r}")
    return sets.get(base, sets.get(EVERY_BASE))


def _benchmarks(profile: Profile, *, screened: bool) -> list[Benchmark]:
    """Benchmarks that are measured; with `screened` all that training rows are compared with."""
    names = SUITES if screened else profile.tasks.suites
    return list({SUITES[name].benchmark.name: SUITES[name].benchmark for name in names}.values())


def _needed_benchmark(benchmark: Benchmark, profile: Profile) -> Needed:
    copy, revision = hub_copy(benchmark, profile.tasks.hub_revisions.get(benchmark.name))
    return Needed("dataset", benchmark.name, copy.repo, revision)


def missing(wanted: Sequence[Needed]) -> list[Needed]:
    """Those that are not in the local cache of the hub at their revision. Asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    absent = []
    for each in wanted:
        try:
            snapshot_download(each.repo, repo_type=each.kind, revision=each.revision, local_files_only=True)
        except (LocalEntryNotFoundError, OSError):
            absent.append(each)
    return absent


def fetch(profile: Profile, bases: Sequence[str], record: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Download what is missing, check all of it, and write `record`: repository, revision and digest of each.

    Models must be whole; benchmarks and training sets must have the expected rows. Raises BadInput otherwise.
    """
    rows = []
    for each in needed(profile, bases):
        say(f"{each.kind} {each.repo} at {each.revision[:12]}")
        rows.append({**each.__dict__, **_fetched(profile, each)})
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, rows)
    return rows


def _fetched(profile: Profile, each: Needed) -> dict[str, Any]:
    """What says that the copy is the right one."""
    if each.kind == "model":
        return {"sha256": fingerprint(resolve_model(each.repo, each.revision))}
    if each.name in SUITES:
        loaded = load_benchmark(SUITES[each.name].benchmark, hub=True, revision=each.revision)
        return {"rows": len(loaded.problems), **loaded.source}
    tasks = profile.tasks
    loaded = load_training_set(each.name, hub=True, drop_overlaps=tasks.drop_overlaps, revisions=tasks.hub_revisions)
    return dict(loaded.source)
