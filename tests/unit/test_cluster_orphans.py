"""A killed launch leaves no rank behind: whoever started a process takes it along."""

import os
import signal
import subprocess
import sys
import time

from repro.paths import REPO_ROOT

CHAIN = """
import subprocess, sys, time
from repro.cells.pool import die_with_parent
depth = int(sys.argv[1])
if depth:  # as the agent of torchrun does, in a session of its own
    child = subprocess.Popen([sys.executable, sys.argv[2], str(depth - 1), sys.argv[2]],
                             start_new_session=True, preexec_fn=die_with_parent)
    print(child.pid, flush=True)
time.sleep(600)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as handle:
        return handle.read().rpartition(")")[2].split()[0] != "Z"


def test_ranks_die_with_the_agent_and_the_agent_with_its_task(tmp_path):
    script = tmp_path / "chain.py"
    script.write_text(CHAIN)
    environment = os.environ | {"PYTHONPATH": str(REPO_ROOT)}
    task = subprocess.Popen(
        [sys.executable, str(script), "2", str(script)], env=environment, stdout=subprocess.PIPE, text=True
    )
    pids = [int(task.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in pids)
    task.send_signal(signal.SIGKILL)
    task.wait()
    end = time.monotonic() + 60
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)
