"""What produced a result: commit, lock file, versions, machine. What cannot be read is an error."""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.paths import REPO_ROOT

_VECTOR_EXTENSIONS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "asimd",
    "sve",
)
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy")


@cache
def lock_file() -> Path:
    """The lock file of the environment that runs: the one for CUDA where torch was built with it."""
    found = importlib.util.find_spec("torch")
    built = Path(found.origin).with_name("version.py").read_text(encoding="utf-8") if found else ""
    cuda = re.search(r"^cuda[^=]*= *['\"]", built, re.MULTILINE) is not None
    return REPO_ROOT / "repro" / "env" / ("gpu.lock" if cuda else "cpu.lock")


@cache
def lock_hash() -> str:
    """sha256 of the lock file."""
    return hashlib.sha256(lock_file().read_bytes()).hexdigest()


def locked_versions() -> dict[str, str]:
    """Package name -> version of the lock of the environment that runs."""
    lines = [line.strip() for line in lock_file().read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


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


def processor() -> tuple[str, list[str]]:
    """(model, vector extensions) of the CPU: other extensions give other weights of a model trained here."""
    model, flags = platform.processor() or platform.machine(), []
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                flags = sorted(set(value.split()) & set(_VECTOR_EXTENSIONS))
    return model, flags


@cache
def provenance() -> dict[str, Any]:
    """Commit, dirty flag, lock hash, versions and machine. Raises BadInput when something cannot be read; nothing is
    ever `unknown`.

    Dirty means that tracked or new files under gcpo/ or repro/ differ from the commit; results and notebooks do not
    count.
    """
    cpu, flags = processor()
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "gcpo", "repro", "pyproject.toml")),
        "lock": lock_hash(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "cpu": cpu,
        "instruction_set": flags,
        "cores": os.cpu_count(),
        "system": platform.system(),
    }
