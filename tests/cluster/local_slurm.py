"""A Slurm of two nodes with eight fake GPUs each, on one machine: from Debian's packages, as root, without a service.

All state is under one folder; programs find it through SLURM_CONF. The fake GPUs are character devices like /dev/null.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

_CONF = """\
ClusterName=here
SlurmctldHost={host}
SlurmctldPort={ctl}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
MinJobAge=3600
DefMemPerCPU=100
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1,requeue_delay=1
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
GresTypes=gpu
NodeName=n1 NodeHostname={host} Port={one} CPUs={cpus} RealMemory={memory} Gres=gpu:a100:8
NodeName=n2 NodeHostname={host} Port={two} CPUs={cpus} RealMemory={memory} Gres=gpu:a100:8
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """What a local Slurm needs and this machine lacks."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


def _ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


@contextmanager
def slurm(folder: Path, *, cpus: int = 4, memory_mib: int = 4000) -> Iterator[dict[str, str]]:
    """Start the cluster in `folder`; yields the environment in which its programs find it; stops it afterwards."""
    for name in ("state", "spool-n1", "spool-n2", "dev"):
        (folder / name).mkdir(parents=True)
    os.chmod(folder, 0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    for number in range(8):
        os.mknod(folder / "dev" / f"gpu{number}", 0o666 | 0o020000, os.makedev(1, 3))
    ctl, one, two = _ports(3)
    host = socket.gethostname()
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=host, folder=folder, ctl=ctl, one=one, two=two, cpus=cpus, memory=memory_mib))
    (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu Type=a100 File={folder}/dev/gpu[0-7]\n")
    environment = os.environ | {"SLURM_CONF": str(conf)}
    started: list[subprocess.Popen] = []

    def start(*command: str) -> None:
        log = (folder / f"{Path(command[0]).name}-{len(started)}.out").open("w")
        started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    try:
        start(
            *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"),
            *(
                f"--pid-file={folder}/munged.pid",
                f"--log-file={folder}/munged.log",
                f"--seed-file={folder}/munged.seed",
            ),
        )
        _wait(lambda: (folder / "munge.socket").exists(), "munged", folder)
        start("slurmctld", "-D", "-f", str(conf))
        for node in ("n1", "n2"):
            start("slurmd", "-D", "-f", str(conf), "-N", node)
        _wait(lambda: _idle(environment) == 2, "two idle nodes", folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root", "--full"], env=environment, capture_output=True, check=False)
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _idle(environment: dict[str, str]) -> int:
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%N %T"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return sum(line.split()[1] == "idle" for line in done.stdout.splitlines())


def _wait(ready, what: str, folder: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text()[-800:] for path in sorted(folder.glob("*.log")))
            raise TimeoutError(f"no {what} after {seconds:.0f} s\n{logs}")
        time.sleep(0.3)
