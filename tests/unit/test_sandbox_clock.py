"""A program is not charged for time in which its judge did not run."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from repro.sandbox import clock, find_isolation
from repro.sandbox.processes import descendants

HARNESS = """
import json, sys
from repro.sandbox import Isolation, Job, Limits, SandboxPool
source = "import time\\ndef f():\\n    time.sleep(1)\\n    return 1\\n"
job = Job([source], "f", "def check(candidate):\\n    assert candidate() == 1\\n")
with SandboxPool(Isolation(**json.loads(sys.argv[1])), workers=1, limits=Limits(wall_seconds=5.0)) as pool:
    print("started", flush=True)
    (outcome,) = pool.run([job])
print(outcome.reason, outcome.seconds)
"""


@pytest.fixture
def now(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: times[0])
    return times


def test_without_stalls_a_stopwatch_counts_wall_time(now):
    watch = clock.Stopwatch(5.0)
    for _ in range(12):
        now[0] += 0.5
        watch.remaining()
    assert watch.elapsed() == 6.0
    assert watch.remaining() == -1.0


def test_a_gap_between_two_questions_is_not_counted(now):
    watch = clock.Stopwatch(5.0)
    now[0] += 0.75
    assert watch.elapsed() == 0.75
    now[0] += 3600
    assert watch.elapsed() == 0.75
    now[0] += 0.25
    assert (watch.elapsed(), watch.remaining()) == (1.0, 4.0)


def test_a_right_program_passes_although_everything_was_suspended_for_longer_than_its_limit():
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", HARNESS, json.dumps(asdict(find_isolation(unsafe=True)))]
    harness = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert harness.stdout.readline() == "started\n"
    time.sleep(0.6)
    suspended = descendants(harness.pid)
    assert suspended
    for pid in suspended:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6.0)
    for pid in reversed(suspended):
        os.kill(pid, signal.SIGCONT)
    reason, seconds = harness.communicate(timeout=120)[0].split()
    assert reason == "passed"
    assert float(seconds) < 5.0
