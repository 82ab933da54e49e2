"""Files on disk: canonical JSON, digests, atomic writes, and locks that end with their process."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.errors import BadInput


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
