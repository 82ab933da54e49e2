"""Namespaces made with system calls: a private read-only root, no network, own processes, no privileges.

Needs a Linux kernel that lets this user make namespaces; needs no tool installed. The caller is a throw-away process
that forks once: `enter_outer` in the caller, then `become_init` in the child, which is process 1 of the new PID
namespace and builds the root. When process 1 dies the kernel kills everything else in its namespace.

Does not mount /proc or /sys: the program sees no process but its own and no kernel setting.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38

DEVICES = ("null", "zero", "full", "random", "urandom")
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_MOUNT_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: object) -> None:
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{args}: {os.strerror(number)}")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies. The caller checks that it still lives."""
    _call("prctl", PR_SET_PDEATHSIG, number, 0, 0, 0)


def reset_signals() -> None:
    """Default dispositions for all signals: an ignored one would stay so in the program."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)


def adopt_orphans() -> None:
    """Become the process that descendants fall to when their parent dies."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def gain_no_privileges() -> None:
    """Make set-user-id programs powerless for this process and all it starts."""
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [part.encode() if part is not None else None for part in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), data.encode() if data is not None else None)


def interpreter() -> str:
    """The real interpreter behind a possible virtual environment, as an absolute path without links."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def visible_folders() -> list[str]:
    """Folders the program needs to see: the system's libraries and the interpreter's own tree."""
    folders = [folder for folder in SYSTEM_FOLDERS if os.path.exists(folder)]
    for folder in (sys.base_prefix, os.path.realpath(sys.base_prefix), os.path.dirname(interpreter())):
        if not any(folder == seen or folder.startswith(seen + "/") for seen in folders):
            folders.append(folder)
    return folders


def enter_outer(as_root: bool) -> None:
    """Give this process's future children their own PID, network, IPC and host-name namespaces.

    Without root this also enters a user namespace in which the caller's user appears as 65534.
    """
    flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    if as_root:
        _call("unshare", flags)
        return
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", flags | CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"65534 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"65534 {gid} 1")


def become_init(folders: list[str], scratch_mib: int) -> None:
    """Build the private root in process 1 of the new PID namespace and move into it.

    Afterwards / is a read-only tmpfs holding `folders` read-only, five devices, and writable /tmp and /dev/shm of
    `scratch_mib` MiB each. This process must be a child of one that called `enter_outer`.
    """
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)  # it shares a user with the program when not root: no ptrace
    os.setsid()
    _call("unshare", CLONE_NEWNS)
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.mkdir("/tmp/old")
    _call("pivot_root", b"/tmp", b"/tmp/old")
    os.chdir("/")
    for folder in folders:
        _show("/old", folder)
    if os.path.exists("/old/etc/ld.so.cache"):
        os.mkdir("/etc")
        _bind("/old/etc/ld.so.cache", "/etc/ld.so.cache")
    os.mkdir("/dev")
    for device in DEVICES:
        _bind(f"/old/dev/{device}", f"/dev/{device}")
    _lock_mounts(Path("/old/proc/self/mountinfo").read_text(encoding="utf-8"))
    _call("umount2", b"/old", MNT_DETACH)
    os.rmdir("/old")
    scratch = f"size={scratch_mib}m,nr_inodes=1024,mode=1777"
    for target in ("/tmp", "/dev/shm"):
        os.makedirs(target)
        _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, scratch)
    _mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir("/tmp")


def _show(old: str, folder: str) -> None:
    """Bind `folder` from the old root read-only, or repeat the link if it is one (/lib on merged systems)."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    if os.path.islink(old + folder) and not os.readlink(old + folder).startswith("/"):
        os.symlink(os.readlink(old + folder), folder)
        return
    os.makedirs(folder)
    _mount(old + folder, folder, None, MS_BIND | MS_REC)


def _bind(source: str, target: str) -> None:
    with open(target, "w", encoding="utf-8"):
        pass
    _mount(source, target, None, MS_BIND)


def _lock_mounts(mountinfo: str) -> None:
    """Make every bound folder and file read-only, devices apart, whatever is mounted beneath it.

    `mountinfo` is the text of /proc/self/mountinfo. The flags a mount already has are kept, because a user
    namespace may not drop them.
    """
    for line in mountinfo.splitlines():
        fields = line.split()
        target, options = fields[4].encode().decode("unicode_escape"), fields[5].split(",")
        if target == "/" or target.startswith(("/old", "/dev/")):
            continue
        kept = sum(_MOUNT_FLAGS.get(option, 0) for option in set(options) - {"ro"})
        _mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | kept)
