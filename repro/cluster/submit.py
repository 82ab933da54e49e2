"""Submits a launch to Slurm and knows what became of its jobs. Glue around sbatch and squeue."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from repro.cluster.record import FILE, Launch, read_launch, write_launch
from repro.cluster.sbatch import Script
from repro.errors import BadInput
from repro.paths import results_dir


def submit(scripts: Sequence[Script], launch: Launch, folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Write the scripts and submit them in order; returns Slurm's job id of each, which the launch's record also holds.

    Raises BadInput where sbatch is not there or refuses; what was submitted before is cancelled again.
    """
    jobs: dict[str, str] = {}
    for script in scripts:
        file = folder / f"{script.name}.sbatch"
        file.write_text(script.text, encoding="utf-8")
        kinds: dict[str, list[str]] = {}
        for kind, name in script.depends:
            kinds.setdefault(kind, []).append(jobs[name])
        after = ",".join(":".join([kind, *ids]) for kind, ids in kinds.items())
        options = ["--parsable", *([f"--dependency={after}"] if after else [])]
        try:
            jobs[script.name] = _slurm("sbatch", *options, str(file)).partition(";")[0]
        except BadInput:
            if jobs:
                _slurm("scancel", *jobs.values())
            raise
        say(f"{jobs[script.name]:>8}  {script.name}" + (f"  ({script.array} tasks)" if script.array else ""))
    write_launch(folder, launch.with_jobs(jobs))
    return jobs


def check_nothing_queued(profile: str) -> None:
    """Raise BadInput while jobs of an earlier launch of the profile are in the queue: two would share its cells."""
    for path in sorted((results_dir(profile) / "launches").glob(f"*/{FILE}")):
        jobs = read_launch(path).jobs
        if not jobs:
            continue
        listed = _slurm("squeue", "--noheader", "--format=%A %F", check=False)
        queued = {word for line in listed.splitlines() for word in line.split()}
        left = sorted(set(jobs.values()) & queued)
        if left:
            raise BadInput(
                f"launch {path.parent.name} of profile {profile} still has jobs in the queue ({', '.join(left)}); wait "
                f"for them, or scancel {' '.join(left)}"
            )


def _slurm(program: str, *arguments: str, check: bool = True) -> str:
    if shutil.which(program) is None:
        raise BadInput(f"{program} is not on this machine's PATH; launch from a login node, or with CLUSTER=local")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        line = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[0]
        raise BadInput(f"{program} refused: {line}")
    return done.stdout.strip()
