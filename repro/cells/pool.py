"""A small pool that runs tasks in forked children of one process that has already imported torch and TRL.

A fork after the import costs milliseconds where a new interpreter costs ten seconds, and every task still starts from
the same state.
The driver itself never computes, so it has no threads when it forks. A killed driver takes its children with it.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro.errors import BadInput
from repro.files import write_json

Report = Callable[[float, str], None]
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.2
_PLAIN_LINE_SECONDS = 30.0


@dataclass
class Task:
    """One unit of work. `folder` gets log.txt, progress.json and, after a failure, failed.json."""

    id: str
    label: str
    folder: Path
    body: Callable[[Report], None]
    seconds: float  # estimate, for the order and the ETA
    needs: tuple[str, ...] = ()
    detail: str = field(default="", compare=False)


@dataclass(frozen=True)
class Outcome:
    """What became of a pool's tasks, by id; `failed` and `skipped` carry one line each."""

    done: list[str]
    failed: dict[str, str]
    skipped: dict[str, str]


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends: an orphan would go on writing the same cell."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run_pool(
    tasks: Sequence[Task], jobs: int, stream=None, finished: Callable[[Task], None] = lambda task: None
) -> Outcome:
    """Run all tasks, at most `jobs` at a time, each after the tasks it needs. One failing task stops nothing but what
    needs it. `finished` is called here, in the driver, after each task that ends well.

    Raises KeyboardInterrupt (also on SIGTERM and SIGHUP) after its children have ended; what was finished stays
    finished.
    """
    display = _Display(tasks, jobs, stream or sys.stderr)
    waiting, running = list(tasks), {}
    done, failed, skipped = [], {}, {}
    again: set[str] = set()  # tasks whose one second attempt is spent
    known = {task.id for task in tasks}

    def interrupt(*_):
        raise KeyboardInterrupt

    # SIGINT too: a shell that starts a job in the background has it ignored, and Python then installs no handler
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, interrupt) for number in caught}
    try:
        while waiting or running:
            for task in [t for t in waiting if any(need in failed or need in skipped for need in t.needs)]:
                waiting.remove(task)
                skipped[task.id] = f"{task.label}: not run, because {', '.join(task.needs)} failed"
            ready = [t for t in waiting if all(need in done or need not in known for need in t.needs)]
            while ready and len(running) < jobs:
                task = ready.pop(0)
                waiting.remove(task)
                running[_fork(task)] = (task, time.monotonic())
            if not running:
                continue
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                task, started = running.pop(pid)
                if status == 0:
                    done.append(task.id)
                    finished(task)
                    display.finished(task, time.monotonic() - started)
                elif _crashed(status) and task.id not in again:
                    again.add(task.id)
                    waiting.insert(0, task)
                    display.line(f"CRASHED {task.label}: {_failure(task, status)}; running it once more")
                else:
                    failed[task.id] = f"{task.label}: {_failure(task, status)} (log: {task.folder / 'log.txt'})"
                    display.line(f"FAILED {failed[task.id]}")
            else:
                display.update(running)
                time.sleep(_POLL_SECONDS)
    finally:
        for pid in running:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
        display.close()
    return Outcome(done, failed, skipped)


def _crashed(status: int) -> bool:
    """Whether a library's native code crashed. Measured: a race over the environment's variables ends one cell in about
    a hundred so, before its first step; a task starts from nothing, so a second attempt gives the same numbers.
    """
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS)


def _failure(task: Task, status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = "; out of memory is the usual reason" if number == signal.SIGKILL else ""
        return f"killed by signal {number} ({signal.Signals(number).name}){hint}"
    path = task.folder / "failed.json"
    return (
        json.loads(path.read_text())["error"]
        if path.exists()
        else f"ended with status {os.waitstatus_to_exitcode(status)}"
    )


def _fork(task: Task) -> int:
    """Start the task in a child and return its process id, which is also its process group."""
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / "progress.json").unlink(missing_ok=True)  # of an attempt that was interrupted
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # both sides set it: whichever comes first
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)  # the driver died between fork and prctl
        code = _run_child(task)
    finally:
        os._exit(code)


def _run_child(task: Task) -> int:
    """The child's whole life: log to a file, run the body, leave a one-line reason when it fails."""
    log = os.open(task.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = os.fdopen(log, "w", buffering=1, encoding="utf-8")
    faulthandler.enable(sys.stderr)  # a crash of native code leaves the stacks of all threads in the log
    (task.folder / "failed.json").unlink(missing_ok=True)
    last = 0.0

    def report(fraction: float, detail: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.5 or fraction >= 1:
            last = now
            write_json(task.folder / "progress.json", {"fraction": fraction, "detail": detail, "pid": os.getpid()})

    try:
        task.body(report)
    except BadInput as error:
        reason, code = str(error), 2
    except Exception as error:  # the boundary of the process: whatever it was is logged in full and listed in one line
        traceback.print_exc()
        reason, code = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}", 1
    else:
        return 0
    sys.stderr.write(reason + "\n")
    write_json(task.folder / "failed.json", {"error": reason})
    return code


class _Display:
    """Progress with ETA: one line that is redrawn on a terminal, plain lines in a log."""

    def __init__(self, tasks: Sequence[Task], jobs: int, stream) -> None:
        self.total, self.jobs, self.stream = len(tasks), jobs, stream
        self.open = {task.id: task.seconds for task in tasks}
        self.started = self.last_line = time.monotonic()
        self.spent = self.estimated = 0.0
        self.terminal = stream.isatty()

    def finished(self, task: Task, seconds: float) -> None:
        self.spent += seconds
        self.estimated += self.open.pop(task.id)
        count = self.total - len(self.open)
        self.line(f"[{count}/{self.total}] {task.label} done in {seconds:.0f} s; {self._eta({})}")

    def line(self, text: str) -> None:
        self.stream.write(("\r\x1b[K" if self.terminal else "") + text + "\n")
        self.stream.flush()
        self.last_line = time.monotonic()

    def update(self, running: dict) -> None:
        if not self.terminal and time.monotonic() - self.last_line < _PLAIN_LINE_SECONDS:
            return
        fractions, parts = {}, []
        for task, _ in running.values():
            path = task.folder / "progress.json"
            state = json.loads(path.read_text()) if path.exists() else {"fraction": 0.0, "detail": "starting"}
            fractions[task.id] = state["fraction"]
            parts.append(f"{task.label} {state['fraction']:.0%} {state['detail']}")
        text = f"[{self.total - len(self.open)}/{self.total}] {self._eta(fractions)} | " + " | ".join(parts)
        if self.terminal:
            width = os.get_terminal_size(self.stream.fileno()).columns
            self.stream.write("\r\x1b[K" + text[: width - 1])
            self.stream.flush()
        else:
            self.line(text)

    def _eta(self, fractions: dict[str, float]) -> str:
        ratio = self.spent / self.estimated if self.estimated else 1.0
        left = sum(seconds * (1 - fractions.get(task, 0.0)) for task, seconds in self.open.items()) * ratio / self.jobs
        return f"elapsed {_clock(time.monotonic() - self.started)}, left about {_clock(left)}"

    def close(self) -> None:
        if self.terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
