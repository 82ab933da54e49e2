"""A grader worker that hangs, dies or dies once, as the answer says. Started by `test_grader_processes`."""

import json
import os
import signal
import sys
import time

print("ready", flush=True)
for line in sys.stdin:
    gold, answer = json.loads(line)
    if answer in ("spin", "sleep"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # as if stuck in C
    while answer == "spin":
        pass
    if answer == "sleep":
        time.sleep(600)
    if answer.startswith("pause "):
        time.sleep(float(answer.split()[1]))
    if answer == "die" or (answer.startswith("die once ") and not os.path.exists(answer[9:])):
        if answer != "die":
            open(answer[9:], "w").close()
        os.kill(os.getpid(), signal.SIGSEGV)
    print(json.dumps(["correct" if gold in answer else "wrong", "fake", 0.0]), flush=True)
