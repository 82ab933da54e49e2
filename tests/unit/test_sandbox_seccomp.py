"""The system-call filter decides as its table says, on both machines it knows."""

import errno
import struct

import pytest

from repro.sandbox.seccomp import filter_program

ALLOW, KILL = 0x7FFF0000, 0x80000000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CALLS = {  # name: (number on x86-64, on ARM), from the kernel's tables
    "read": (0, 63), "getpid": (39, 172), "execve": (59, 221), "kill": (62, 129), "mount": (165, 40),
    "unshare": (272, 97), "setns": (308, 268), "ptrace": (101, 117), "keyctl": (250, 219), "bpf": (321, 280),
    "socket": (41, 198), "clone": (56, 220), "clone3": (435, 435), "io_uring_setup": (425, 425),
}  # fmt: skip


def decide(machine, call, argument=0, architecture=None):
    """Run the filter: a machine with one register, four operations and forward jumps."""
    number = CALLS[call][list(MACHINES).index(machine)] if isinstance(call, str) else call
    data = struct.pack("<IIQQ", number, architecture or MACHINES[machine], 0, argument)
    program = [
        struct.unpack("<HBBI", step) for step in struct.iter_unpack("8s", filter_program(machine)) for step in step
    ]
    position = register = 0
    while True:
        operation, if_true, if_false, constant = program[position]
        position += 1
        if operation == 0x20:
            (register,) = struct.unpack_from("<I", data, constant)
        elif operation == 0x06:
            return constant
        else:
            holds = {0x15: register == constant, 0x35: register >= constant, 0x45: bool(register & constant)}[operation]
            position += if_true if holds else if_false


def error(number):
    return 0x00050000 | number


@pytest.mark.parametrize("machine", MACHINES)
def test_ordinary_calls_are_allowed_and_dangerous_ones_refused(machine):
    allowed = {call: decide(machine, call) for call in ("read", "getpid", "execve", "kill", "clone")}
    refused = {call: decide(machine, call) for call in ("mount", "unshare", "setns", "ptrace", "keyctl", "bpf")}
    assert set(allowed.values()) == {ALLOW}
    assert set(refused.values()) == {error(errno.EPERM)}
    assert decide(machine, "io_uring_setup") == error(errno.EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_and_threads_may_be_made_but_not_namespaces(machine):
    assert decide(machine, "clone", 0x3D0F00) == ALLOW  # what a thread library asks for
    assert decide(machine, "clone", 17) == ALLOW  # what fork asks for
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(machine, "clone", flag | 17) == error(errno.EPERM)
    assert decide(machine, "clone3") == error(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_only_sockets_that_a_network_namespace_confines_are_allowed(machine):
    for family in range(64):
        expected = ALLOW if family in (1, 2, 10) else error(errno.EAFNOSUPPORT)
        assert decide(machine, "socket", family) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_another_call_table_does_not_evade_the_filter(machine):
    assert decide(machine, "read", architecture=0x40000003) == KILL  # 32-bit x86
    if machine == "x86_64":
        assert decide(machine, 0x40000000 | 165) == error(errno.ENOSYS)  # x32


def test_an_unknown_machine_has_no_filter():
    assert filter_program("riscv64") is None
