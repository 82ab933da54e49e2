"""The local pool: order, failures, interruption, and nothing left running."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from repro.cells.pool import Task, run_pool
from repro.errors import BadInput


def task(tmp_path, name, body, needs=(), seconds=1.0):
    return Task(id=name, label=name, folder=tmp_path / name, body=body, seconds=seconds, needs=needs)


def is_running(pid):
    """A process that exists and is no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def write(path):
    return lambda report: path.write_text(str(time.monotonic()))


def test_a_task_runs_after_what_it_needs(tmp_path):
    child, parent = tmp_path / "child.txt", tmp_path / "parent.txt"
    tasks = [task(tmp_path, "child", write(child), needs=("parent",)), task(tmp_path, "parent", write(parent))]
    outcome = run_pool(tasks, jobs=2, stream=io.StringIO())
    assert sorted(outcome.done) == ["child", "parent"]
    assert float(child.read_text()) > float(parent.read_text())


def test_one_failure_stops_only_what_needs_it_and_leaves_one_line(tmp_path):
    def explode(report):
        raise FloatingPointError("loss is nan at step 3\nmore text")

    tasks = [
        task(tmp_path, "bad", explode),
        task(tmp_path, "after", write(tmp_path / "after.txt"), needs=("bad",)),
        task(tmp_path, "good", write(tmp_path / "good.txt")),
    ]
    outcome = run_pool(tasks, jobs=1, stream=io.StringIO())
    assert outcome.done == ["good"]
    assert "loss is nan at step 3" in outcome.failed["bad"] and "\n" not in outcome.failed["bad"]
    assert "bad failed" in outcome.skipped["after"]
    assert (
        json.loads((tmp_path / "bad" / "failed.json").read_text())["error"]
        == "FloatingPointError: loss is nan at step 3"
    )
    assert "Traceback" in (tmp_path / "bad" / "log.txt").read_text()


def test_bad_input_in_a_task_keeps_its_own_line(tmp_path):
    def refuse(report):
        raise BadInput("base folder x has no weights; want model.safetensors")

    outcome = run_pool([task(tmp_path, "t", refuse)], jobs=1, stream=io.StringIO())
    assert "base folder x has no weights" in outcome.failed["t"]


def test_a_killed_child_is_a_failed_task(tmp_path):
    outcome = run_pool(
        [task(tmp_path, "t", lambda report: os.kill(os.getpid(), signal.SIGKILL))], jobs=1, stream=io.StringIO()
    )
    assert "signal 9" in outcome.failed["t"]


def test_a_crash_of_native_code_is_tried_once_more_and_a_second_one_fails(tmp_path):
    def crash(report, times):
        tries = tmp_path / f"tries{times}"
        tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
        if len(tries.read_text()) <= times:
            os.kill(os.getpid(), signal.SIGSEGV)

    stream = io.StringIO()
    tasks = [task(tmp_path, f"t{times}", lambda report, times=times: crash(report, times)) for times in (1, 2)]
    outcome = run_pool(tasks, jobs=1, stream=stream)
    assert outcome.done == ["t1"] and "SIGSEGV" in outcome.failed["t2"] and "memory" not in outcome.failed["t2"]
    assert [(tmp_path / f"tries{times}").read_text() for times in (1, 2)] == ["xx", "xx"]
    assert stream.getvalue().count("running it once more") == 2
    assert "Current thread" in (tmp_path / "t2" / "log.txt").read_text()


def test_progress_shows_an_eta_and_reaches_the_end(tmp_path):
    stream = io.StringIO()
    run_pool([task(tmp_path, str(i), lambda report: report(1.0, "x")) for i in range(3)], jobs=2, stream=stream)
    lines = stream.getvalue().splitlines()
    assert lines[-1].startswith("[3/3]") and "left about 0:00" in lines[-1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_die_with_the_driver(tmp_path, number):
    script = textwrap.dedent(
        f"""
        import os, time
        from pathlib import Path
        from repro.cells.pool import Task, run_pool
        folder = Path({str(tmp_path)!r})
        def body(report):
            (folder / "pid").write_text(str(os.getpid()))
            time.sleep(60)
        run_pool([Task("t", "t", folder / "t", body, 1.0)], 1)
        """
    )
    driver = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    pid_file = tmp_path / "pid"
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline, "the child never started"
        time.sleep(0.05)
    child = int(pid_file.read_text())
    driver.send_signal(number)
    driver.wait(timeout=10)
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline, "the child outlived its driver"
        time.sleep(0.05)
