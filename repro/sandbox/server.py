"""A worker: one small process that forks a judge per program and outlives whatever the program does.

Speaks JSON lines on standard input and output. Started by `pool.py`; ends when its input closes or its parent dies.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict

from . import native
from .clock import Stopwatch
from .judge import CHECK_CPU_SECONDS, START_SECONDS, Job, Outcome, SandboxBroken, judge
from .launch import Isolation, Limits, runner_payload
from .processes import descendants

GRACE_SECONDS = 4 * CHECK_CPU_SECONDS  # on a busy machine a judge takes longer than its CPU time
POLL_MILLISECONDS = 200
CLEANUP_SECONDS = 10.0


def main(arguments: list[str]) -> None:
    """Serve jobs until the input ends. `arguments`: one JSON object with `isolation` and `limits`."""
    signal.signal(signal.SIGTERM, _leave)
    native.die_with_parent(signal.SIGTERM)
    native.adopt_orphans()
    settings = json.loads(arguments[0])
    isolation, limits = Isolation(**settings["isolation"]), Limits(**settings["limits"])
    runner_payload()
    for line in sys.stdin:
        outcome = run_isolated(Job(**json.loads(line)), isolation, limits)
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


def _leave(number: int, frame: object) -> None:
    """End this worker in order: what it started is killed on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def run_isolated(job: Job, isolation: Isolation, limits: Limits) -> dict[str, object]:
    """Judge one job in a forked process, under a hard deadline, and leave nothing of it running.

    Returns the outcome's fields, or {"broken": reason} when the harness itself failed.
    """
    folder = tempfile.mkdtemp(prefix="gcpo-sandbox-") if isolation.backend == "none" else None
    worker = os.getpid()
    result_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(result_fd)
        _judge_and_report(write_fd, limits, (job, isolation, worker, limits, folder))
    os.close(write_fd)
    try:
        return _collect(child, result_fd, START_SECONDS + limits.wall_seconds + GRACE_SECONDS)
    finally:
        os.close(result_fd)
        _kill_descendants(child)
        if folder is not None:
            shutil.rmtree(folder, onerror=_open_and_retry)


def _open_and_retry(function: object, path: str, _: object) -> None:
    """Delete what the program closed to its own user; never through a link, which may lead anywhere."""
    os.chmod(os.path.dirname(path), 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        os.chmod(path, 0o700)
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _judge_and_report(write_fd: int, limits: Limits, arguments: tuple) -> None:
    """The judge's whole life: verdict to the pipe, then exit without running anything of the worker's."""
    try:
        native.reset_signals()
        native.die_with_parent()
        memory = 2 * limits.memory_mib * 2**20  # so that no answer can make the judge exhaust the machine
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
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


def _collect(judge_pid: int, fd: int, seconds: float) -> dict[str, object]:
    """Read the judge's report to its end; without one, say what became of the judge."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    watch, data = Stopwatch(seconds), b""
    while watch.remaining() > 0:
        if not poller.poll(POLL_MILLISECONDS):
            continue
        chunk = os.read(fd, 65536)
        data += chunk
        if not chunk and data:
            return json.loads(data)
        if not chunk:
            status = os.waitid(os.P_PID, judge_pid, os.WEXITED | os.WNOWAIT)
            if status.si_status == signal.SIGPROF:
                break
            return asdict(Outcome(False, "forbidden", "the judge was killed while the program ran", 0.0))
    return asdict(Outcome(False, "timeout", "the check did not finish with this answer", watch.elapsed()))


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
                raise SandboxBroken(f"processes are left after {CLEANUP_SECONDS:g} s of killing")
            for descendant in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):  # it ended since the list was made
                    os.kill(descendant, signal.SIGKILL)
            time.sleep(0.001)
