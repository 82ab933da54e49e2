"""The batch scripts of a launch, as text. Pure: what is submitted is what `--dry-run` prints."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.cluster.record import FILE, Launch, Part
from repro.cluster.site import Site
from repro.paths import REPO_ROOT

# bash reads this: the training is told to stop by a file, and what it answers is a file too, because torchrun turns
# every exit code into 1. After the requeue the script must not end with 0, or the evaluation would start.
_TRAIN = """\
STOP={folder}/stop-$SLURM_ARRAY_TASK_ID
STOPPED={folder}/stopped-$SLURM_ARRAY_TASK_ID
rm -f "$STOP" "$STOPPED"
trap 'touch "$STOP"' USR1 TERM
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
srun --kill-on-bad-exit=1 --wait=60 {command} "$SLURM_ARRAY_TASK_ID" --stop "$STOP" --stopped "$STOPPED" &
task=$!
wait "$task"; code=$?
while kill -0 "$task" 2>/dev/null; do wait "$task"; code=$?; done
if [ -e "$STOPPED" ]; then
  scontrol requeue "$SLURM_JOB_ID" && sleep 300
  exit 1
fi
exit "$code"
"""


@dataclass(frozen=True)
class Script:
    """One job. depends: (kind, name of another script); array: its number of tasks, 0 for none."""

    name: str
    text: str
    depends: tuple[tuple[str, str], ...] = ()
    array: int = 0


def scripts(site: Site, launch: Launch, folder: Path, *, bases: bool, grace_seconds: int) -> list[Script]:
    """All jobs of a launch, in the order of submission.

    bases: whether bases are to be made first. grace_seconds: between the signal and the time limit; the longest rollout
    and a checkpoint must fit in it. Evaluation task i waits for training task i; the table waits for all, whatever
    became of them.
    """
    count = len(launch.cells)
    made = []
    if bases:
        made.append(Script("bases", _script(site, folder, "bases", _one_gpu(site), _command(site, folder, "bases"))))
    first = (("afterok", "bases"),) if bases else ()
    train = [
        *_whole_node(site),
        "--requeue",
        "--open-mode=append",
        f"--signal=B:USR1@{max(site.grace_seconds, grace_seconds)}",
        f"--time={site.train_time}",
    ]
    body = _TRAIN.format(folder=shlex.quote(str(folder)), command=_command(site, folder, "train"))
    made.append(Script("train", _script(site, folder, "train", train, body, tasks=count), first, count))
    for part in launch.parts:
        name = f"evaluate-{part.name}"
        command = f'{_command(site, folder, "evaluate")} "$SLURM_ARRAY_TASK_ID" {_of(part)}'
        options = [*_one_gpu(site), f"--time={site.evaluate_time}", "--kill-on-invalid-dep=yes"]
        text = _script(site, folder, name, options, command, tasks=count)
        made.append(Script(name, text, (("aftercorr", "train"),), count))
    last = tuple(("afterany", each.name) for each in made)
    made.append(Script("table", _script(site, folder, "table", _no_gpu(), _command(site, folder, "table")), last))
    return made


def _of(part: Part) -> str:
    return f"--suite {shlex.quote(part.suite)} --part {part.part} --of {part.of}"


def _command(site: Site, folder: Path, task: str) -> str:
    prefix = f"{site.container} " if site.container else ""
    return f"{prefix}{site.python} -m repro task {task} {shlex.quote(str(folder / FILE))}"


def _whole_node(site: Site) -> list[str]:
    gres = [f"--gres={site.gres}"] if site.gres else []
    memory = [f"--mem={site.memory}"] if site.memory else []
    return [f"--nodes={site.nodes}", "--ntasks-per-node=1", f"--cpus-per-task={site.cpus_per_node}", *gres, *memory]


def _one_gpu(site: Site) -> list[str]:
    share = max(1, site.cpus_per_node // max(1, site.gpus_per_node))
    gres = [f"--gres={site.gres.rpartition(':')[0]}:1"] if site.gres else []
    return ["--nodes=1", "--ntasks=1", f"--cpus-per-task={share}", *gres]


def _no_gpu() -> list[str]:
    return ["--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--time=01:00:00"]


def _script(site: Site, folder: Path, name: str, options: Sequence[str], body: str, *, tasks: int = 0) -> str:
    who = [f"--account={site.account}"] if site.account else []
    array = [f"--array=0-{tasks - 1}%{site.at_once}"] if tasks else []
    log = f"{folder}/{name}-%A_%a.log" if tasks else f"{folder}/{name}-%j.log"
    every = [f"--job-name=gcpo-{name}", f"--partition={site.partition}", *who, *array, *options, f"--output={log}"]
    variables = [f"export {key}={shlex.quote(value)}" for key, value in site.variables().items()]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in every),
        *site.extra,
        "set -u",
        f"cd {shlex.quote(str(REPO_ROOT))}",
        *site.setup,
        *variables,
    ]
    return "\n".join([*lines, body.rstrip("\n"), ""])
