"""`python -m repro` without the seconds of its imports: one interpreter that has them forks a process per command.

A command has its own process id, words, environment, output, random state and exit code. What is lost is that each
command imports what it needs by itself: every module of tests runs some of its commands in interpreters of their own.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

REPO_ROOT = Path(__file__).parents[2]
IMPORTED = (
    "torch", "datasets", "trl.trainer.grpo_trainer", "matplotlib.pyplot", "gcpo.trainers.gvpo", "gcpo.trainers.gcpo",
    "repro.cells.fill", "repro.cells.training", "repro.cells.run",
)  # fmt: skip
POLL_SECONDS = 0.1


class Running:
    """A command that was started; `returncode` is None until it has ended."""

    def __init__(self, warm: "Warm", pid: int) -> None:
        self._warm, self._pid, self.returncode = warm, pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._warm.ask({"poll": self._pid})
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self, seconds: float = 1200.0) -> int:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"a command did not end within {seconds:g} s")
            time.sleep(POLL_SECONDS)
        return self.returncode


class Warm:
    """The interpreter that forks; a context manager. `folder` holds what the commands print."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, __file__], cwd=REPO_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(REPO_ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> "Warm":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def ask(self, request: dict) -> int | None:
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(self, words: list[str], environment: dict[str, str], output: Path, errors: Path) -> Running:
        request = {"words": words, "environment": environment, "output": str(output), "errors": str(errors)}
        return Running(self, self.ask(request))

    def run(self, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
        """What `subprocess.run` gives of `python -m repro WORDS`."""
        self._started += 1
        output, errors = (self._folder / f"{self._started}.{end}" for end in ("out", "err"))
        code = self.start(words, environment, output, errors).wait()
        return subprocess.CompletedProcess(words, code, output.read_text(), errors.read_text())


def serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # every training collects garbage: not among the imported packages
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork() or _become(**request)
        print(json.dumps(answer), flush=True)


def _become(words: list[str], environment: dict[str, str], output: str, errors: str) -> None:
    """Be `python -m repro WORDS`, and end."""
    code = 1
    try:
        for fd, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(environment)
        random.seed()  # a new interpreter's random numbers are nobody else's
        sys.modules["numpy"].random.seed()
        sys.argv = ["repro", *words]
        runpy.run_module("repro", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
