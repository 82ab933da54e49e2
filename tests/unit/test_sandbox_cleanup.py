"""Nothing a program started outlives it, however it hides and however the harness ends."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from sandbox_programs import PROMPT, RIGHT, TEST

from repro.sandbox import Isolation
from repro.sandbox.isolation import probe

DAEMON = """
import ctypes, os, signal, time
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
ready, ready_end = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        os.write(ready_end, b"x")
        os.execv("/bin/sleep", [{marker!r}, "600"])
    os._exit(0)
os.read(ready, 1)
"""
HARNESS = """
import json, sys
from repro.sandbox import Isolation, Job, Limits, SandboxPool
backend, as_root, job = json.loads(sys.argv[1])
with SandboxPool(Isolation(backend, as_root), workers=1, limits=Limits(wall_seconds=20.0)) as pool:
    print([outcome.reason for outcome in pool.run([Job(**job)])], flush=True)
"""
ROOT = Path(__file__).resolve().parents[2]
BACKENDS = [("bwrap", True), ("bwrap", False), ("unshare", True), ("unshare", False), ("none", False)]


def _alive(marker):
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                    found.append(int(folder.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _start(backend, as_root, source):
    if backend != "none" and (failure := probe(Isolation(backend, as_root))) is not None:
        pytest.skip(f"{backend} (as_root={as_root}) does not work here: {failure}")
    job = {"sources": [source], "entry_point": "total", "test": TEST, "context": PROMPT}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", HARNESS, json.dumps([backend, as_root, job])]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


@pytest.mark.parametrize(("backend", "as_root"), BACKENDS)
def test_a_daemon_that_detached_itself_dies_with_its_program(backend, as_root):
    marker = f"gcpo-daemon-{uuid.uuid4().hex}"
    harness = _start(backend, as_root, DAEMON.format(marker=marker) + "time.sleep(1)\n" + RIGHT)
    _until(lambda: _alive(marker))
    assert harness.communicate(timeout=60)[0] == "['passed']\n"
    assert _alive(marker) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(("backend", "as_root"), BACKENDS)
def test_a_harness_that_is_killed_leaves_nothing_running(backend, as_root, number):
    marker = f"gcpo-daemon-{uuid.uuid4().hex}"
    harness = _start(backend, as_root, DAEMON.format(marker=marker) + "while True: time.sleep(1)\n")
    _until(lambda: _alive(marker))
    harness.send_signal(number)
    harness.wait(30)
    _until(lambda: not _alive(marker))


@pytest.mark.parametrize(("backend", "as_root"), BACKENDS[:-1])
def test_a_worker_that_is_killed_takes_its_program_along_and_the_job_is_given_up(backend, as_root):
    marker = f"gcpo-daemon-{uuid.uuid4().hex}"
    harness = _start(backend, as_root, DAEMON.format(marker=marker) + "while True: time.sleep(1)\n")
    for _ in range(2):
        _until(lambda: len(_alive(marker)) == 1)
        children = Path(f"/proc/{harness.pid}/task/{harness.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        _until(lambda: not _alive(marker))
    assert harness.communicate(timeout=60)[0] == "['forbidden']\n"
