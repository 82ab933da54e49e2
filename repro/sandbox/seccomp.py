"""A filter of system calls for the program: no new namespaces, mounts, keys, tracing or exotic sockets.

The second wall behind the namespaces, for what they do not cover: calls that widen the kernel's attack surface, the
session's key ring, and socket families that ignore network namespaces (vsock reaches a virtual machine's host).
Refused calls return an error and do not kill the program. Known for x86-64 and 64-bit ARM; elsewhere there is none.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
_NAMESPACE_FLAGS = 0x7E020000  # the CLONE_NEW* bits of clone's first argument
_SOCKET_FAMILIES = (1, 2, 10)  # unix, IPv4 and IPv6: the three that a network namespace confines
_X32_BIT = 0x40000000  # x86-64's second call table, which would evade the numbers below

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_DENIED = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "acct": (163, 89),
}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF, 32-bit words
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; little-endian low word of argument 0
_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def program_for_this_machine() -> bytes | None:
    """The filter to install here; None where the machine is not known or the kernel has no such filters."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0)  # fails in any case: EFAULT says that filters exist
    return filter_program(os.uname().machine) if ctypes.get_errno() == errno.EFAULT else None


def filter_program(machine: str) -> bytes | None:
    """The filter as an array of `struct sock_filter` for `machine` (`os.uname().machine`); None if it is not known."""
    if machine not in _ARCHITECTURES:
        return None
    return b"".join(struct.pack("<HBBI", *step) for step in _steps(machine))


def install(program: bytes) -> None:
    """Filter this process and all it starts, for good. Needs no_new_privs. Raises OSError if the kernel refuses."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count of 8-byte steps, padding, a pointer
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _steps(machine: str) -> Iterator[tuple[int, int, int, int]]:
    """(operation, steps to skip if true, steps to skip if false, constant), each test followed by what it decides."""
    column = _COLUMN[machine]

    def refuse(number: int) -> tuple[int, int, int, int]:
        return _RETURN, 0, 0, 0x00050000 | number

    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, _ARCHITECTURES[machine]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    if machine == "x86_64":
        yield _AT_LEAST, 0, 1, _X32_BIT
        yield refuse(errno.ENOSYS)
    for numbers in _DENIED.values():
        yield _EQUAL, 0, 1, numbers[column]
        yield refuse(errno.EPERM)
    yield _EQUAL, 0, 1, _CLONE3[column]
    yield refuse(errno.ENOSYS)  # its flags lie in memory, out of a filter's sight; libraries fall back to clone
    yield _EQUAL, 0, 4, _CLONE[column]
    yield _LOAD, 0, 0, _ARGUMENT
    yield _ANY_BIT, 0, 1, _NAMESPACE_FLAGS
    yield refuse(errno.EPERM)
    yield _RETURN, 0, 0, _ALLOW
    yield _EQUAL, 0, len(_SOCKET_FAMILIES) + 2, _SOCKET[column]
    yield _LOAD, 0, 0, _ARGUMENT
    for index, family in enumerate(_SOCKET_FAMILIES):
        yield _EQUAL, len(_SOCKET_FAMILIES) - index, 0, family
    yield refuse(errno.EAFNOSUPPORT)
    yield _RETURN, 0, 0, _ALLOW
