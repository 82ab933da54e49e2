"""A process that decides answers, one JSON line in, one out. Started by `pool`; killable at any moment.

Dies with its parent (PR_SET_PDEATHSIG, or the end of its input), holds at most `MEMORY_BYTES` of address space, prints
nothing but its protocol and takes no interrupt from the terminal.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

MEMORY_BYTES = 2 << 30
RECURSION_LIMIT = 6000  # a sum of 500 terms is a tree 500 deep
_PR_SET_PDEATHSIG = 1


def bind_to_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; leave at once if it is already gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    bind_to_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    from repro.grading.decide import decide

    sys.setrecursionlimit(RECURSION_LIMIT)
    decide(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}")  # no answer pays for loading the engine's tables
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        gold, answer = json.loads(line)
        start = time.perf_counter()
        reason, detail = decide(gold, answer)
        replies.write(json.dumps([reason, detail, time.perf_counter() - start]) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
