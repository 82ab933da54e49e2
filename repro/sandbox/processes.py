"""What descends from a process, from /proc: for the cap on a whole program's memory, and for the last broom."""

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children_by_parent() -> dict[int, list[int]]:
    """Ids of all visible processes, under their parents' ids."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            text = _read(f"/proc/{name}/stat")
            if text:
                found.setdefault(int(text.rpartition(b")")[2].split()[1]), []).append(int(name))
    return found


def descendants(pid: int) -> list[int]:
    """Ids of the processes below `pid`, parents before children; one snapshot, so a fork in between is missed."""
    children, found = children_by_parent(), [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of processes that are still there, shared pages counted once per process."""
    return sum(int(text.split()[1]) * _PAGE for pid in pids if (text := _read(f"/proc/{pid}/statm")))


def _read(path: str) -> bytes:
    """A small /proc file, or nothing when its process has ended."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return b""
