"""What the jobs of a launch do: make bases, train a cell, measure a part of it, build the table. One call per job."""

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from repro.bases.load import load_tokenizer
from repro.cells.bases import base_folder, base_marker, lineage, make_profile_base
from repro.cells.cell import Cell
from repro.cells.fill import record_environment, train_policy, trained_record
from repro.cells.pool import die_with_parent
from repro.cluster.finish import FAILED, PartOfSuite, finish_cell, note_attempt, part_failure, part_file, policy_source
from repro.cluster.node import check_node
from repro.cluster.preflight import distributed
from repro.cluster.ranks import command
from repro.cluster.record import Part, cell_at, planned, read_launch
from repro.config import Profile
from repro.device import decide
from repro.errors import BadInput
from repro.evaluation.policy import evaluate_policy
from repro.files import exclusive_lock, write_json
from repro.methods.checkpoints import Stopped
from repro.tasks.build import make_taskset

_TAIL = 400  # last lines of a training that are looked through for why it failed: every rank has a traceback


def make_bases(launch: Path) -> None:
    """Make every base of the launch's cells that is made here and not there yet, parents first."""
    profile, _, cells = planned(read_launch(launch))
    for name in dict.fromkeys(each for cell in cells for each in lineage(profile, cell.base)):
        if profile.bases[name].made and not (marker := base_marker(profile, name)).exists():
            marker.parent.mkdir(parents=True, exist_ok=True)
            make_profile_base(profile, name, marker, _say)


def train(launch: Path, index: int, *, stop: Path, stopped: Path) -> None:
    """Train the policy of one cell, on all ranks where its method can; nothing to do for an untrained one.

    Writes `stopped` where the training was asked to stop by the file `stop`. Raises BadInput with the reason of a
    training that failed; the reason is also the cell's failed.json.
    """
    record = read_launch(launch)
    profile, _, cells = planned(record)
    cell = cell_at(cells, record, index)
    several = distributed(cell) and profile.cluster is not None and profile.cluster.ranks > 1
    node = int(os.environ.get("SLURM_NODEID", "0"))
    if node:  # the first node holds the lock and writes the record
        _train_on_ranks(profile, cell, launch, index, stop, stopped)
        return
    with exclusive_lock(cell.folder / "lock", f"cell {cell.id}"), _failure_recorded(cell.folder / FAILED):
        device = decide(profile.resources.device)
        layout = profile.cluster.layout(cell.base, cell.arm) if several else None
        check_node(
            deepspeed=layout is not None and layout.zero > 0,
            vllm=device.type == "cuda" and bool(cell.trained and cell.spec["train"].get("use_vllm")),
            attention=cell.spec["attn_implementation"],
        )
        record_environment(cell, device)
        if not cell.trained or trained_record(cell) is not None:
            return
        started = time.perf_counter()
        try:
            if several:
                _train_on_ranks(profile, cell, launch, index, stop, stopped)
            else:
                _train_here(profile, cell, stop, stopped)
        finally:
            note_attempt(cell, time.perf_counter() - started, profile.cluster.ranks if several else 1)


def _train_here(profile: Profile, cell: Cell, stop: Path, stopped: Path) -> None:
    torch.set_num_threads(profile.resources.threads)
    base = base_folder(profile, cell.base)
    with make_taskset(profile.tasks) as tasks:
        try:
            train_policy(profile, cell, tasks, base, decide(profile.resources.device), _say, stop=stop)
        except Stopped as found:
            write_json(stopped, {"cell": cell.id, "why": str(found)})


def _train_on_ranks(profile: Profile, cell: Cell, launch: Path, index: int, stop: Path, stopped: Path) -> None:
    """Start this node's ranks and wait for them. What they print goes to the job's log."""
    nodes, node = int(os.environ.get("SLURM_NNODES", "1")), int(os.environ.get("SLURM_NODEID", "0"))
    asked = command(
        launch,
        index,
        profile.cluster.layout(cell.base, cell.arm),
        ranks=profile.cluster.ranks,
        stop=stop,
        stopped=stopped,
        nodes=nodes,
        node=node,
        address=os.environ.get("MASTER_ADDR", "127.0.0.1"),
        port=int(os.environ.get("MASTER_PORT", str(20_000 + os.getpid() % 20_000))),
    )
    environment = os.environ | {"OMP_NUM_THREADS": str(profile.resources.threads)}
    last: list[str] = []
    with subprocess.Popen(
        asked,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=die_with_parent,
    ) as running:
        for line in running.stdout:
            sys.stderr.write(line)
            last = [*last, line.rstrip()][-_TAIL:]
    if node == 0 and not stopped.exists() and trained_record(cell) is None:
        raise BadInput(f"{cell.id}: training ended with {running.returncode}: {_reason(last)}")


def _reason(lines: list[str]) -> str:
    """The line of a failed training's output that says why: ours, else an exception's, else the last one."""
    ours = [line.partition("error: ")[2] for line in lines if line.startswith("error: ")]
    raised = [line.partition("]:")[2].strip() or line for line in lines if "Error" in line and "elastic" not in line]
    return (ours or raised or lines or ["it printed nothing"])[0][:300]


def evaluate(launch: Path, index: int, part: Part) -> None:
    """Answer one part of one suite with one cell's policy; what is stored is not drawn again."""
    record = read_launch(launch)
    profile, _, cells = planned(record)
    evaluate_part(profile, cell_at(cells, record, index), part)


def evaluate_part(profile: Profile, cell: Cell, part: Part) -> None:
    """The body of `evaluate`. Raises BadInput while the policy is not there, and where another task has the part."""
    torch.set_num_threads(profile.resources.threads)
    path = part_file(cell, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        exclusive_lock(path.with_suffix(".lock"), f"{part.name} of cell {cell.id}"),
        _failure_recorded(part_failure(cell, part)),
    ):
        source = policy_source(profile, cell)
        load_tokenizer(source)  # a folder that cannot be read is named before an engine starts
        with make_taskset(profile.tasks) as tasks:
            evaluate_policy(
                source,
                PartOfSuite(tasks, part),
                [part.suite],
                profile.evaluate,
                seed=cell.seed,
                path=path,
                forbidden_first=cell.spec.get("forbidden_first"),
                device=decide(profile.resources.device),
                report=_say,
            )


def table(launch: Path) -> tuple[str, list[str]]:
    """Finish what can be finished, build the table: (its text, one line per cell that failed or was not launched)."""
    from repro.reporting.build import build_report

    record = read_launch(launch)
    profile, experiment, cells = planned(record)
    lines = [f"{cell}: not launched: {reason}" for cell, reason in record.not_launched.items()]
    with make_taskset(profile.tasks) as tasks:
        for cell in cells:
            if cell.id in record.cells and (reason := finish_cell(profile, cell, tasks, record.parts)):
                lines.append(f"{cell.id}: {reason}")
    return build_report(profile, experiment, cells).text, lines


@contextmanager
def _failure_recorded(path: Path) -> Iterator[None]:
    """Leave one line in the file if the body raises, no file if it does not; what was raised goes on."""
    path.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        if not isinstance(error, BadInput):
            traceback.print_exc()
        line = str(error).splitlines()[0] if str(error) else "no message"
        reason = line if isinstance(error, BadInput) else f"{type(error).__name__}: {line}"
        write_json(path, {"error": reason})
        raise


_last_said = 0.0


def _say(fraction: float, text: str) -> None:
    """Progress as one line of the job's log, at most every half minute."""
    global _last_said
    now = time.monotonic()
    if now - _last_said > 30 or fraction >= 1:
        _last_said = now
        sys.stderr.write(json.dumps({"done": round(fraction, 3), "what": text}) + "\n")
