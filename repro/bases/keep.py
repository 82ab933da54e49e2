"""Keeping a model that was made: its folder appears whole or not at all, once, and its record names its weights.

Does not: know how any model is made, or write a record.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from repro.errors import BadInput
from repro.files import read_json

WEIGHTS = "model.safetensors"
RECORD = "base.json"  # written last


def weights_hash(folder: Path) -> str:
    """SHA-256 of a folder's weights file."""
    with (folder / WEIGHTS).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def is_whole(folder: Path, record: str = RECORD) -> bool:
    """Whether a folder holds a finished model whose weights are those its record names."""
    if not (folder / record).is_file() or not (folder / WEIGHTS).is_file():
        return False
    try:
        return read_json(folder / record, "record")["weights_sha256"] == weights_hash(folder)
    except (BadInput, KeyError, TypeError):  # damaged: to be made again
        return False


def made_once(folder: Path, make: Callable[[], object], record: str = RECORD) -> Path:
    """`folder`, made by `make` if it is missing or damaged. Of two processes that ask, the second waits."""
    if is_whole(folder, record):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the holder dies
        if not is_whole(folder, record):
            make()
    return folder


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `target` when the block ends without an error, else nothing changes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp makes it private
        if target.exists():
            discarded = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            os.replace(target, discarded / "old")
            os.replace(temporary, target)
            shutil.rmtree(discarded)
        else:
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run with that many torch threads, then as before."""
    import torch  # the rest of this module is for those who only look what is there

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
