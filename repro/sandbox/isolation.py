"""Find out, once, which isolation this machine allows, by trying it.

A backend counts only if a program started in it sees none of four things: a file of ours, a process of ours, a port
of ours, a writable interpreter. Without one, running is refused unless the caller says `unsafe`.
"""

import functools
import os
import socket
import tempfile

from .judge import Job, SandboxBroken
from .launch import Isolation, Limits
from .pool import SandboxPool

BACKENDS = ("bwrap", "unshare")  # in order of preference

_PROBE = """
import os, socket, sys
def probe(path, pid, port):
    seen = []
    if os.path.exists(path):
        seen.append("files")
    try:
        os.kill(pid, 0)
        seen.append("processes")
    except OSError:
        pass
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        seen.append("network")
    except OSError:
        pass
    try:
        open(os.path.join(sys.base_prefix, "gcpo-probe"), "w").close()
        seen.append("writable interpreter")
    except OSError:
        pass
    return seen
"""


class SandboxUnavailable(Exception):
    """No isolation works here; the message says what was tried and how each attempt failed."""


def find_isolation(*, unsafe: bool = False, backend: str | None = None) -> Isolation:
    """The isolation to use here: the first backend that passes the probe, cached for this process.

    `backend` names one instead of the first that works. `unsafe` permits `none`, a plain process under resource
    limits, when no backend works; it never weakens a machine where one does. Raises SandboxUnavailable otherwise,
    ValueError for an unknown backend.
    """
    if backend == "none" and unsafe:
        return Isolation("none", False)
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"sandbox backend is {backend!r}; want one of {', '.join(BACKENDS)} (none only with unsafe)")
    failures = []
    for name in BACKENDS if backend is None else (backend,):
        for as_root in (True, False) if os.geteuid() == 0 else (False,):
            failure = probe(Isolation(name, as_root))
            if failure is None:
                return Isolation(name, as_root)
            failures.append(f"{name}{' as root' if as_root else ''}: {failure}")
    if unsafe:
        return Isolation("none", False)
    raise SandboxUnavailable("; ".join(failures))


@functools.cache
def probe(isolation: Isolation) -> str | None:
    """None when a program in `isolation` is kept in; else one line saying what it could reach or what failed."""
    with tempfile.NamedTemporaryFile(prefix="gcpo-probe-") as marker, socket.create_server(("127.0.0.1", 0)) as server:
        call = f"candidate({marker.name!r}, {os.getpid()}, {server.getsockname()[1]})"
        job = Job([_PROBE], "probe", f"def check(candidate):\n    assert {call} == []\n")
        try:
            with SandboxPool(isolation, workers=1, limits=Limits(wall_seconds=10.0)) as pool:
                (outcome,) = pool.run([job])
        except SandboxBroken as error:
            return str(error)
    return None if outcome.passed else f"the probe program was not kept in ({outcome.reason}: {outcome.detail})"
