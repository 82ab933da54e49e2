"""Several workers side by side; results in the order of the jobs."""

import json
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from .judge import Job, Outcome, SandboxBroken
from .launch import Isolation, Limits

# The folder goes last on the path and holds only this project's modules; without `site` no other package is in reach.
_SERVER = "repro.sandbox.server"
_START = (
    f"import sys; sys.path.append(sys.argv[1]); from {_SERVER.removeprefix('repro.')} import main; main(sys.argv[2:])"
)
CLOSE_SECONDS = 15.0
ATTEMPTS = 2  # after a failure of the harness itself: a new worker, and the job once more


class _Worker:
    def __init__(self, isolation: Isolation, limits: Limits, slot: int) -> None:
        settings = json.dumps({"isolation": asdict(isolation), "limits": asdict(limits)})
        folder = str(Path(__file__).resolve().parent.parent)
        self.slot = slot
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _START, folder, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # the terminal's Ctrl-C is for the parent, which then ends its workers
        )
        self.position: int | None = None

    def give(self, position: int, job: Job) -> None:
        self.position = position
        try:
            self.process.stdin.write(json.dumps(asdict(job)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the worker is dead: reading its result says so

    def take(self) -> dict[str, object] | None:
        """The result of the job in hand; None when the worker died."""
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class SandboxPool:
    """Runs jobs on `workers` processes. A context manager: leaving it ends every process it started.

    Use from the thread that made it: the kernel ties the workers' lives to that thread.
    """

    def __init__(self, isolation: Isolation, *, workers: int = 2, limits: Limits | None = None) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; want at least 1")
        self.isolation = isolation
        self.limits = limits or Limits()
        self._count = workers
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def run(self, jobs: Iterable[Job], on_done: Callable[[int], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per job, in order. `on_done(n)` is called with the number finished, in any order.

        Raises SandboxBroken when the harness itself fails; no verdict is made up for it.
        """
        pending = deque(enumerate(jobs))
        jobs_by_position = dict(pending)
        attempts: dict[int, int] = {}
        done: dict[int, Outcome] = {}
        finished = next_out = 0
        with selectors.DefaultSelector() as selector:
            for slot in range(min(self._count, len(pending))):
                self._assign(selector, slot, pending)
            while next_out < len(jobs_by_position):
                for key, _ in selector.select():
                    worker: _Worker = key.data
                    selector.unregister(worker.process.stdout)
                    record = worker.take()
                    position = worker.position
                    if record is None or "broken" in record:
                        self._workers.pop(worker.slot).close()
                        attempts[position] = attempts.get(position, 0) + 1
                        if attempts[position] < ATTEMPTS:
                            pending.appendleft((position, jobs_by_position[position]))
                            self._assign(selector, worker.slot, pending)
                            continue
                        if record is not None:
                            raise SandboxBroken(f"{self.isolation.backend}: {record['broken']}")
                        record = asdict(Outcome(False, "forbidden", "the worker was killed while the program ran"))
                    done[position] = Outcome(**record)
                    finished += 1
                    if on_done is not None:
                        on_done(finished)
                    if pending:
                        self._assign(selector, worker.slot, pending)
                while next_out in done:
                    yield done.pop(next_out)
                    next_out += 1

    def _assign(self, selector: selectors.BaseSelector, slot: int, pending: deque) -> None:
        if slot not in self._workers:
            self._workers[slot] = _Worker(self.isolation, self.limits, slot)
        worker = self._workers[slot]
        worker.give(*pending.popleft())
        selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
