"""Starts a training in one process per GPU, and is what each of those processes runs (`python -m repro.cluster.ranks`).

Arguments of a rank: the launch's record, the number of the cell, the stop file, the file that says the run stopped.
"""

import logging
import os
import sys
from pathlib import Path

import torch

from repro.cells.bases import base_folder
from repro.cells.cell import Cell
from repro.cells.fill import train_policy
from repro.cells.pool import die_with_parent
from repro.cluster.node import check_ranks
from repro.cluster.record import cell_at, planned, read_launch
from repro.config import Layout, Profile
from repro.device import decide
from repro.errors import BadInput
from repro.files import write_json
from repro.methods.checkpoints import Stopped, is_main, ranks_here
from repro.tasks.build import make_taskset

MODULE = "repro.cluster.ranks"


def command(
    launch: Path,
    index: int,
    layout: Layout,
    *,
    ranks: int,
    stop: Path,
    stopped: Path,
    nodes: int = 1,
    node: int = 0,
    address: str = "127.0.0.1",
    port: int,
    python: str = sys.executable,
) -> list[str]:
    """The command that starts a node's share of the ranks, one process per GPU.

    DeepSpeed's stages go through accelerate, which fills in the batch sizes of the file; stage 0 is torch's own DDP.
    """
    if layout.zero:
        file = Path(__file__).with_name(f"zero{layout.zero}{'_offload' if layout.offload else ''}.json")
        head = [
            *(python, "-m", "accelerate.commands.launch", "--use_deepspeed", "--deepspeed_config_file", str(file)),
            *("--num_processes", str(ranks), "--num_machines", str(nodes), "--machine_rank", str(node)),
            *("--main_process_ip", address, "--main_process_port", str(port)),
            *("--mixed_precision", "no", "--dynamo_backend", "no"),  # the trainer's own arguments decide
            "--deepspeed_multinode_launcher=standard",  # every node is started by the scheduler
            "--module",
        ]
    else:
        head = [
            *(python, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks // nodes)),
            *("--nnodes", str(nodes), "--node-rank", str(node), "--master-addr", address, "--master-port", str(port)),
            "--module",
        ]
    return [*head, MODULE, str(launch), str(index), str(stop), str(stopped)]


def train_on_all_ranks(profile: Profile, cell: Cell, *, stop: Path, stopped: Path) -> None:
    """This process's part of a training. When it was asked to stop, the first rank says so in the file `stopped`."""
    check_ranks(ranks_here(), profile.cluster.ranks)
    device = decide(profile.resources.device)
    if device.type == "cuda":
        device = type(device)("cuda", int(os.environ["LOCAL_RANK"]))
    torch.set_num_threads(profile.resources.threads)
    base = base_folder(profile, cell.base)
    with make_taskset(profile.tasks) as tasks:
        try:
            train_policy(profile, cell, tasks, base, device, lambda done, text: None, stop=stop)
        except Stopped as found:
            if is_main():
                write_json(stopped, {"cell": cell.id, "why": str(found)})


def main(launch: str, index: str, stop: str, stopped: str) -> int:
    """Run one rank; 2 for bad input, whose line is the last one of the first rank's output."""
    die_with_parent()  # the agent starts each rank in a session of its own
    record = read_launch(Path(launch))
    try:
        profile, _, cells = planned(record)
        train_on_all_ranks(profile, cell_at(cells, record, int(index)), stop=Path(stop), stopped=Path(stopped))
    except BadInput as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main(*sys.argv[1:]))
