"""Runs a worker on several ranks from one interpreter: it imports the worker once and forks a rank each.

What a rank finds in its environment is what torchrun would set; other tests start theirs with torchrun itself.
Arguments: the worker's module, the number of ranks, what the worker's `main` takes.
"""

import gc
import importlib
import os
import signal
import sys
import traceback

from torch.distributed import TCPStore


def start(worker: str, rank: int, ranks: int, port: int, arguments: list[str]) -> int:
    """Fork one rank; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        settings = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
        settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        settings |= {"TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": 0}  # the parent's store
        os.environ.update({name: str(value) for name, value in settings.items()})
        sys.modules[worker].main(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(worker: str, count: str, *arguments: str) -> int:
    ranks = int(count)
    importlib.import_module(worker)
    gc.freeze()  # every training collects garbage, and a million objects of imported packages are none
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    running = {start(worker, rank, ranks, store.port, list(arguments)) for rank in range(ranks)}
    while running:
        pid, status = os.wait()
        running.discard(pid)
        if status:  # the others would wait for it
            for other in running:
                os.kill(other, signal.SIGKILL)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
