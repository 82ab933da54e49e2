"""Start a fresh interpreter for one program, in the isolation that this machine allows.

Backends: `bwrap` (bubblewrap), `unshare` (the same namespaces by system calls, as root or in a user namespace) and
`none` (a plain process under resource limits, for `--unsafe` only). `isolation.py` finds out which one works.
"""

import functools
import marshal
import os
import select
from dataclasses import dataclass
from pathlib import Path

from . import native, seccomp

SANDBOX_UID = 0x70000000  # plus the worker's process id: nobody's user, so that process counts are the program's own
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # a verdict must not depend on the order of a set of strings
    "MALLOC_ARENA_MAX": "2",  # threads would otherwise reserve address space that counts as memory
}
FLAGS = ("-P", "-s", "-S", "-B")
LOADER = """import marshal, posix
def read(size, data=b""):
    while len(data) < size:
        data += posix.read(0, size - len(data)) or posix._exit(0)
    return data
exec(marshal.loads(read(int.from_bytes(read(4), "big"))))"""


@dataclass(frozen=True)
class Limits:
    """What one program may use. Seconds are wall seconds; MiB are 2**20 bytes; memory is per process."""

    wall_seconds: float = 5.0
    memory_mib: int = 2048
    processes: int = 32
    open_files: int = 64
    file_mib: int = 16
    scratch_mib: int = 32
    answer_mib: int = 8

    def as_rlimits(self) -> list[tuple[str, int]]:
        """The limits that the kernel keeps per process or per user, by their `resource` names."""
        return [
            ("RLIMIT_AS", self.memory_mib * 2**20),
            ("RLIMIT_CPU", int(self.wall_seconds * 2) + 2),  # threads may keep two cores busy within the wall limit
            ("RLIMIT_NPROC", self.processes),
            ("RLIMIT_NOFILE", self.open_files),
            ("RLIMIT_FSIZE", self.file_mib * 2**20),
            ("RLIMIT_CORE", 0),
        ]


@dataclass(frozen=True)
class Isolation:
    """How programs are kept in: `backend` is bwrap, unshare or none; `as_root` says whether the harness is root."""

    backend: str
    as_root: bool

    @property
    def network(self) -> str:
        """`none`, or `unrestricted` where the backend cannot take the network away."""
        return "unrestricted" if self.backend == "none" else "none"

    @property
    def system_calls(self) -> str:
        """`filtered`, or `unfiltered` where `seccomp.py` knows no filter for the machine and kernel."""
        return "unfiltered" if seccomp.program_for_this_machine() is None else "filtered"

    def program_uid(self, worker: int) -> int | None:
        """The user that a root harness lets the program run as; None where the program keeps the caller's user."""
        return SANDBOX_UID + worker if self.as_root else None


_RUNNER = "repro.sandbox.runner"  # by its whole name, so that whoever hashes code finds it


@functools.cache
def runner_payload() -> bytes:
    """The compiled loop that the fresh interpreter runs; both must be the same version of Python."""
    path = Path(__file__).with_name(f"{_RUNNER.rpartition('.')[2]}.py")
    return marshal.dumps(compile(path.read_text(encoding="utf-8"), "<runner>", "exec"))


def start_program(isolation: Isolation, worker: int, limits: Limits, pipes: tuple[int, int], folder: str | None) -> int:
    """Fork a process that becomes the program's interpreter, or its namespace's first process; returns its id.

    `worker` is the worker's process id. `pipes` are the descriptors that become its standard input and output.
    `folder` is the working folder where no private one exists (backend none). The caller must be a throw-away
    process: backend unshare changes its namespaces.
    Raises OSError when the kernel refuses them.
    """
    if isolation.backend == "unshare":
        native.enter_outer(isolation.as_root)
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(pipes[0], 0)
        os.dup2(pipes[1], 1)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        os.closerange(3, 256)
        native.reset_signals()  # also: process 1 of a PID namespace is deaf to its own children without handlers
        native.die_with_parent()
        waiter = select.poll()
        waiter.register(0, 0)
        if not waiter.poll(0):  # a hang-up means that the parent died before the line above took effect
            _BECOME[isolation.backend](isolation, worker, limits, folder)
    finally:
        os._exit(125)


def _exec_interpreter(environment: dict[str, str]) -> None:
    native.gain_no_privileges()
    system_calls = seccomp.program_for_this_machine()
    if system_calls is not None:
        seccomp.install(system_calls)
    path = native.interpreter()
    os.execve(path, [path, *FLAGS, "-c", LOADER], environment)


def _become_unshare(isolation: Isolation, worker: int, limits: Limits, folder: str | None) -> None:
    native.become_init(native.visible_folders(), limits.scratch_mib)
    program = os.fork()
    if program == 0:
        uid = isolation.program_uid(worker)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        _exec_interpreter(ENVIRONMENT)
    os.close(0)
    os.close(1)  # only the program and its children hold the answer pipe: the judge sees the end when they are gone
    while True:
        pid, status = os.wait()
        if pid == program:
            os._exit(exit_code(status))


def exit_code(status: int) -> int:
    """A shell's view of a wait status: the exit code, or 128 plus the signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _become_bwrap(isolation: Isolation, worker: int, limits: Limits, folder: str | None) -> None:
    arguments = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += ["--die-with-parent", "--new-session", "--clearenv"]
    if isolation.as_root:  # stay out of a user namespace, so that the runner can take an account of its own
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        arguments += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    for shown in native.visible_folders():
        for parent in reversed(Path(shown).parents[:-1]):  # bubblewrap would make them for its own user alone
            arguments += ["--perms", "0755", "--dir", str(parent)]
        link = os.readlink(shown) if os.path.islink(shown) else None
        arguments += ["--symlink", link, shown] if link and link[0] != "/" else ["--ro-bind", shown, shown]
    for folder in ("/etc", "/dev"):
        arguments += ["--perms", "0755", "--dir", folder]
    arguments += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for device in native.DEVICES:
        arguments += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for scratch in ("/dev/shm", "/tmp"):
        arguments += ["--size", str(limits.scratch_mib * 2**20), "--perms", "1777", "--tmpfs", scratch]
    system_calls = seccomp.program_for_this_machine()
    if system_calls is not None:
        fd = os.memfd_create("seccomp", 0)  # inherited by bubblewrap
        os.write(fd, system_calls)
        os.lseek(fd, 0, os.SEEK_SET)
        arguments += ["--seccomp", str(fd)]
    path = native.interpreter()
    arguments += ["--remount-ro", "/", "--chdir", "/tmp", "--", path, *FLAGS, "-c", LOADER]
    os.execvpe("bwrap", arguments, {"PATH": os.environ.get("PATH", ENVIRONMENT["PATH"])})


def _become_plain(isolation: Isolation, worker: int, limits: Limits, folder: str | None) -> None:
    os.setsid()
    os.chdir(folder)
    _exec_interpreter({**ENVIRONMENT, "HOME": folder, "TMPDIR": folder})


_BECOME = {"unshare": _become_unshare, "bwrap": _become_bwrap, "none": _become_plain}
