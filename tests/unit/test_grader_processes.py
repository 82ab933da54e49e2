"""Workers are killable, replaced, capped, die with their parent, and can be used from any thread and after a fork."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from repro.grading import GraderPool, grade

MISBEHAVING = (sys.executable, str(Path(__file__).with_name("grader_misbehaving_worker.py")))
PARENT = """
import sys, time
from repro.grading import GraderPool
pool = GraderPool(2)
pool.grade_many([("x+1", r"\\boxed{1+x}")] * 8)
print(*[worker.process.pid for worker in pool._pool], flush=True)
time.sleep(600)
"""


def box(text: str) -> str:
    return f"\\boxed{{{text}}}"


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


def wait_until_gone(pids: list[int], seconds: float = 10.0) -> list[int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


@pytest.mark.parametrize("hang", ["spin", "sleep"])
def test_a_worker_that_hangs_is_killed_and_the_others_go_on(hang):
    with GraderPool(2, outer_seconds=1.0, command=MISBEHAVING) as pool:
        verdicts = pool.grade_many([("a", box("a b")), ("a", box(hang)), *[("a", box("a b"))] * 20])
    assert [v.reason for v in verdicts] == ["correct", "timeout", *["correct"] * 20]
    assert verdicts[1].detail == "outer_limit"


def test_a_worker_that_got_no_processor_is_waited_for():
    with GraderPool(1, outer_seconds=1.0, command=MISBEHAVING) as pool:
        assert pool.grade_many([("a", box("pause 2.5 a"))])[0].reason == "correct"


def test_a_crash_is_tried_once_more_in_a_fresh_worker(tmp_path):
    with GraderPool(1, command=MISBEHAVING) as pool:
        verdicts = pool.grade_many([("tmp", box(f"die once {tmp_path}/tmp")), ("a", box("die")), ("a", box("a b"))])
    assert [(v.reason, v.detail) for v in verdicts] == [
        ("correct", "fake"),
        ("unparseable_prediction", "crash"),
        ("correct", "fake"),
    ]


def test_a_worker_killed_while_idle_costs_no_verdict():
    with GraderPool(1) as pool:
        assert pool.grade_many([("x+1", box("1+x"))])[0].correct
        pool._pool[0].process.kill()
        pool._pool[0].process.wait()
        assert pool.grade_many([("x+1", box("1+x"))])[0].correct


def test_a_worker_that_cannot_start_is_an_error_and_not_a_verdict():
    with GraderPool(1, command=(sys.executable, "-c", "raise SystemExit(3)")) as pool, pytest.raises(RuntimeError):
        pool.grade_many([("x+1", box("1+x"))])


def test_close_leaves_no_process():
    pool = GraderPool(2)
    pool.grade_many([("x+1", box("1+x"))] * 8)
    pids = [worker.process.pid for worker in pool._pool]
    assert pids and all(map(alive, pids))
    pool.close()
    assert wait_until_gone(pids) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_survives_the_death_of_its_parent(how):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids and all(map(alive, pids))
        parent.send_signal(how)
    assert wait_until_gone(pids) == []


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs Linux's /proc")
def test_a_worker_has_a_memory_cap():
    with GraderPool(1) as pool:
        pool.grade_many([("x+1", box("1+x"))])
        limits = Path(f"/proc/{pool._pool[0].process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert int(line.split()[3]) == 2 << 30


def test_grade_works_from_a_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(grade(gold="x+1", prediction=box("1+x"))))
    thread.start()
    thread.join()
    assert verdicts[0].correct
    assert grade(gold="x+1", prediction=box("1+x")).correct  # the thread's end may have taken the worker with it


def test_a_fork_gets_workers_of_its_own():
    assert grade(gold="x+1", prediction=box("1+x")).correct
    child = os.fork()
    if child == 0:
        os._exit(0 if grade(gold="x+2", prediction=box("2+x")).correct else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert grade(gold="x+1", prediction=box("1+x")).correct


def test_progress_counts_up_to_the_number_of_answers():
    seen = []
    with GraderPool(1) as pool:
        pool.grade_many([("5", box("5")), ("x+1", box("1+x")), ("5", "none")], seen.append)
    assert seen == [2, 3]


def test_a_pool_without_workers_is_refused():
    with pytest.raises(ValueError, match="workers is 0"):
        GraderPool(0)
