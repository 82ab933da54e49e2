"""What produced a result: commit, lock file, versions, machine. What cannot be read is an error."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.paths import REPO_ROOT

LOCK_FILE = REPO_ROOT / "repro" / "env" / "cpu.lock"
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy")


@cache
def lock_hash() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


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
