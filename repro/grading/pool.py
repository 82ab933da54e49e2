"""Killable worker processes that decide answers, in order, whatever an answer does to one of them."""

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from repro.grading.quick import Task, finish, quick_verdict
from repro.grading.verdict import TIMEOUT, UNPARSEABLE_PREDICTION, Verdict

OUTER_SECONDS = 12.0  # of wall time per answer; the worker's own limits end it long before, unless it is stuck in C
_STARVED_SECONDS = 3.0  # a worker that got less than this of a processor by then was waiting for one, not working
_MAX_EXTENSIONS = 4
_START_SECONDS = 120.0
_COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "repro.grading.worker")
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


def _processor_seconds(pid: int) -> float:
    """Processor time a process has used; infinite where the system does not say (no /proc), as if it had worked."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Worker:
    """One process; `task` is what it works on, with the time it was given and the number of tries."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (_PACKAGE_ROOT, environment.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.task: Task | None = None
        self.ready = False
        self.extensions = 0
        self.used_seconds = 0.0
        self.deadline = time.monotonic() + _START_SECONDS

    def send(self, task: Task, outer_seconds: float) -> bool:
        """Give the worker a task; False if it is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps([task.gold, task.answer]).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        self.task = task
        self.extensions = 0
        self.used_seconds = _processor_seconds(self.process.pid)
        self.deadline = time.monotonic() + outer_seconds
        return True

    def extend(self, outer_seconds: float) -> bool:
        """Wait longer for a worker that was kept from working; False if it had its time."""
        starved = _processor_seconds(self.process.pid) - self.used_seconds < min(_STARVED_SECONDS, outer_seconds / 2)
        if not starved or self.extensions == _MAX_EXTENSIONS:
            return False
        self.extensions += 1
        self.deadline = time.monotonic() + outer_seconds
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # an unsent line to a process that is gone
                    continue


class GraderPool:
    """Grades on `workers` processes. Verdicts do not depend on their number. Use as a context manager, or `close` it.

    An answer that outlasts `outer_seconds` costs its worker: it is killed and replaced, the verdict is `timeout`; only
    a worker that a busy machine kept waiting gets that time again. An answer whose worker dies is tried once more in a
    fresh one, then it is `unparseable_prediction`, detail `crash`.
    `command` starts a worker; its last argument will be this process's id.
    """

    def __init__(self, workers: int = 2, *, outer_seconds: float = OUTER_SECONDS, command: Sequence[str] = _COMMAND):
        if workers < 1:
            raise ValueError(f"workers is {workers}; want at least 1")
        self.workers = workers
        self.outer_seconds = outer_seconds
        self._command = command
        self._forget()

    def _forget(self) -> None:
        self._pool: list[_Worker] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def __enter__(self) -> "GraderPool":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the workers. The pool starts new ones if it is used again. In a fork, the parent keeps its workers."""
        if self._owner != os.getpid():
            self._forget()
        while self._pool:
            self._pool.pop().kill()

    def grade_many(
        self, pairs: Iterable[tuple[str, str]], progress: Callable[[int], None] | None = None
    ) -> list[Verdict]:
        """One verdict per (gold, prediction), in order. `progress` is called with the number graded so far."""
        if self._owner != os.getpid():
            self._forget()
        with self._lock:
            verdicts: list[Verdict | None] = []
            waiting: deque[Task] = deque()
            for index, (gold, prediction) in enumerate(pairs):
                outcome = quick_verdict(index, gold, prediction)
                verdicts.append(outcome if isinstance(outcome, Verdict) else None)
                if isinstance(outcome, Task):
                    waiting.append(outcome)
            done = len(verdicts) - len(waiting)
            if progress:
                progress(done)
            for task, verdict in self._run(waiting):
                verdicts[task.index] = verdict
                done += 1
                if progress:
                    progress(done)
            return [verdict for verdict in verdicts if verdict is not None]

    def _run(self, waiting: deque[Task]) -> Iterable[tuple[Task, Verdict]]:
        with selectors.DefaultSelector() as selector:
            for worker in self._pool:
                selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            try:
                while waiting or any(worker.task for worker in self._pool):
                    self._assign(waiting, selector)
                    limit = min(worker.deadline for worker in self._pool if worker.task or not worker.ready)
                    events = selector.select(max(0.0, limit - time.monotonic()))
                    for key, _ in events:
                        yield from self._reply(key.data, waiting, selector)
                    yield from self._overdue(selector)
            finally:
                for worker in [worker for worker in self._pool if worker.task]:  # the caller gave up: nothing lingers
                    self._drop(worker, selector)

    def _assign(self, waiting: deque[Task], selector: selectors.BaseSelector) -> None:
        wanted = min(self.workers, len(waiting) + sum(worker.task is not None for worker in self._pool))
        while len(self._pool) < wanted:
            worker = _Worker(self._command)
            self._pool.append(worker)
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        for worker in list(self._pool):
            if waiting and worker.ready and worker.task is None:
                task = waiting.popleft()
                if not worker.send(task, self.outer_seconds):  # it died while idle: not the task's doing
                    waiting.appendleft(task)
                    self._drop(worker, selector)
                    return self._assign(waiting, selector)
        return None

    def _reply(
        self, worker: _Worker, waiting: deque[Task], selector: selectors.BaseSelector
    ) -> Iterable[tuple[Task, Verdict]]:
        if worker not in self._pool:
            return
        line = worker.process.stdout.readline()
        if not line:
            task, ready = worker.task, worker.ready
            self._drop(worker, selector)
            if not ready:
                raise RuntimeError(f"a grader worker ended with status {worker.process.returncode} before it was ready")
            if task is not None and task.tries == 0:
                waiting.appendleft(task._replace(tries=1))
            elif task is not None:
                yield task, finish(task, UNPARSEABLE_PREDICTION, "crash")
        elif not worker.ready:
            worker.ready = True
        else:
            reason, detail, seconds = json.loads(line)
            task, worker.task = worker.task, None
            yield task, finish(task, reason, detail, seconds)

    def _overdue(self, selector: selectors.BaseSelector) -> Iterable[tuple[Task, Verdict]]:
        now = time.monotonic()
        for worker in [worker for worker in self._pool if now >= worker.deadline]:
            task = worker.task
            if (task is None and worker.ready) or (task is not None and worker.extend(self.outer_seconds)):
                continue
            self._drop(worker, selector)
            if task is None:
                raise RuntimeError(f"a grader worker was not ready after {_START_SECONDS:.0f} s")
            yield task, finish(task, TIMEOUT, "outer_limit", self.outer_seconds)

    def _drop(self, worker: _Worker, selector: selectors.BaseSelector) -> None:
        self._pool.remove(worker)
        selector.unregister(worker.process.stdout)
        worker.kill()


_default = GraderPool(2)  # starts a process only for an answer that needs one
atexit.register(_default.close)


def default_pool() -> GraderPool:
    """The pool behind `grade` and the reward functions; after a fork the child gets workers of its own."""
    return _default
