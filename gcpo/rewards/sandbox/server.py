"""A worker: one small process that forks a judge per program and outlives whatever the program does.

Speaks JSON lines on standard input and output. Started by `pool.py`; ends when its input closes or its parent dies.
"""

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict

from . import native
from .judge import START_SECONDS, Job, Outcome, SandboxBroken, judge
from .launch import Isolation, Limits, runner_payload

GRACE_SECONDS = 5.0  # beyond the program's own limit: for the judge's side of a check
CLEANUP_SECONDS = 10.0


def main(arguments: list[str]) -> None:
    """Serve jobs until the input ends. `arguments`: one JSON object with `isolation`, `limits` and `slot`."""
    native.die_with_parent()
    native.adopt_orphans()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # an interrupted run is ended by its parent, in order
    settings = json.loads(arguments[0])
    isolation, limits = Isolation(**settings["isolation"]), Limits(**settings["limits"])
    runner_payload()
    for line in sys.stdin:
        outcome = run_isolated(Job(**json.loads(line)), isolation, settings["slot"], limits)
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


def run_isolated(job: Job, isolation: Isolation, slot: int, limits: Limits) -> dict[str, object]:
    """Judge one job in a forked process, under a hard deadline, and leave nothing of it running.

    Returns the outcome's fields, or {"broken": reason} when the harness itself failed.
    """
    folder = tempfile.mkdtemp(prefix="gcpo-sandbox-") if isolation.backend == "none" else None
    if folder is not None and isolation.as_root:
        os.chown(folder, isolation.program_uid(slot), isolation.program_uid(slot))
    result_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(result_fd)
        _judge_and_report(write_fd, job, isolation, slot, limits, folder)
    os.close(write_fd)
    try:
        return _collect(result_fd, START_SECONDS + limits.wall_seconds + GRACE_SECONDS)
    finally:
        os.close(result_fd)
        _kill_descendants(child)
        if folder is not None:
            shutil.rmtree(folder, onerror=_open_and_retry)


def _open_and_retry(function: object, path: str, _: object) -> None:
    """Delete what the program made undeletable for its owner."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _judge_and_report(write_fd: int, *arguments: object) -> None:
    """The judge's whole life: verdict to the pipe, then exit without running anything of the worker's."""
    try:
        native.die_with_parent()
        os.setpgid(0, 0)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)  # a check that prints must not speak on the worker's line
        try:
            record: dict[str, object] = asdict(judge(*arguments))
        except (SandboxBroken, OSError) as error:
            record = {"broken": f"{type(error).__name__}: {error}"}
        os.write(write_fd, json.dumps(record).encode())
    finally:
        os._exit(0)


def _collect(fd: int, seconds: float) -> dict[str, object]:
    """Read the judge's report to its end. A judge that dies without one was killed; one that is late is hung."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    deadline, data = time.monotonic() + seconds, b""
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poller.poll(remaining * 1000):
            return asdict(Outcome(False, "timeout", "the check did not finish with this answer", seconds))
        chunk = os.read(fd, 65536)
        if chunk:
            data += chunk
        elif data:
            return json.loads(data)
        else:
            return asdict(Outcome(False, "forbidden", "the judge was killed while the program ran", 0.0))


def _kill_descendants(child: int) -> None:
    """Kill the judge and everything that has fallen to this process, until nothing is left."""
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + CLEANUP_SECONDS
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > deadline:
                raise SandboxBroken(f"processes are left after {CLEANUP_SECONDS:g} s of killing: {_children()}")
            for descendant in _children():
                os.kill(descendant, signal.SIGKILL)
            time.sleep(0.001)


def _children() -> list[int]:
    """Ids of this process's direct children, from /proc."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            if parent == os.getpid():
                found.append(int(name))
    return found
