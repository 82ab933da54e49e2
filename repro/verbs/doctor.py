"""`doctor`: checks what a run needs and says in one line each what is wrong and how to mend it."""

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.config import Profile
from repro.data_folder import why_missing
from repro.paths import REPO_ROOT, benchmark_dir, cache_dir
from repro.provenance import locked_versions
from repro.verbs.common import BAD_INPUT, DONE, Parents, profile_of, show

_CHECKED = (
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "peft",
    "numpy",
    "scipy",
    "pandas",
    "pydantic",
    "math-verify",
)
_NEEDED_GIB = 2
_PYTHON = (3, 11)


@dataclass(frozen=True)
class Check:
    """One line of the report; `mend` says what to do when `ok` is false."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "doctor", parents=[parents.profile, parents.as_json], help="check versions, threads, memory, disk and GPU"
    )
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Print every check; exit code 2 if one fails."""
    checks = diagnose(profile_of(args))
    lines = (
        f"{'ok  ' if check.ok else 'WANT'} {check.name:<12} {check.found}" + ("" if check.ok else f"; {check.mend}")
        for check in checks
    )
    show(args, [check.__dict__ for check in checks], "\n".join(lines))
    return DONE if all(check.ok for check in checks) else BAD_INPUT


def diagnose(profile: Profile) -> list[Check]:
    """All checks for a profile, in reading order. Nothing is changed."""
    return [
        _python(),
        *_versions(),
        _git(),
        _threads(profile),
        _memory(profile),
        _disk(),
        _gpu(profile),
        _data(profile),
    ]


def _python() -> Check:
    found = platform.python_version()
    return Check(
        "python",
        sys.version_info[:2] >= _PYTHON,
        found,
        f"want Python {_PYTHON[0]}.{_PYTHON[1]} or newer; make PYTHON=python3.11 env",
    )


def _versions() -> list[Check]:
    locked = locked_versions()
    checks = []
    for name in _CHECKED:
        want = locked[name]
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", "run `make env`"))
            continue
        same = found.split("+")[0] == want  # a local tag such as +cpu names the build, not the version
        checks.append(Check(name, same, found, f"the lock says {want}; run `make env`"))
    return checks


def _git() -> Check:
    inside = shutil.which("git") is not None and (REPO_ROOT / ".git").exists()
    return Check(
        "git",
        inside,
        "checkout found" if inside else "no git checkout",
        "every result records its commit: install git and use `git clone`",
    )


def _threads(profile: Profile) -> Check:
    cores = os.cpu_count() or 1
    want = profile.resources.jobs * profile.resources.threads
    load = os.getloadavg()[0]
    found = f"{cores} cores, load {load:.1f}, {profile.resources.jobs} cells x {profile.resources.threads} threads"
    if want > cores:
        return Check(
            "threads",
            False,
            found,
            f"the profile wants {want} cores; run with --jobs {max(1, cores // profile.resources.threads)}",
        )
    busy = "; note: the machine is busy, times will be longer" if load >= cores else ""
    return Check("threads", True, found + busy)


def _memory(profile: Profile) -> Check:
    info = Path("/proc/meminfo")
    if not info.exists():
        return Check("memory", True, "not readable on this system")
    free = (
        next(int(line.split()[1]) for line in info.read_text().splitlines() if line.startswith("MemAvailable")) / 2**20
    )
    want = _NEEDED_GIB * profile.resources.jobs
    return Check(
        "memory",
        free >= want,
        f"{free:.1f} GiB available",
        f"want {want} GiB; run with --jobs 1 or close other programs",
    )


def _disk() -> Check:
    folder = cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    return Check(
        "disk",
        free >= _NEEDED_GIB,
        f"{free:.1f} GiB free for {cache_dir()}",
        f"want {_NEEDED_GIB} GiB; free some or set GCPO_CACHE",
    )


def _gpu(profile: Profile) -> Check:
    import torch

    from repro.cells.run import needs_gpu

    found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return Check("gpu", found != "none" or not profile.resources.gpu_hours, found, needs_gpu(profile))


def _data(profile: Profile) -> Check:
    if profile.tasks.kind != "benchmark":
        return Check("data", True, "made by the run itself")
    folder = benchmark_dir()
    found = why_missing() if folder is None else str(folder)
    return Check("data", folder is not None, found, "set GCPO_DATA to a folder of benchmark files")
