"""Run a check against a program that lives in the sandbox, and say what came of it.

The check (a HumanEval `test`) runs here, in a throw-away process of our own, with `candidate` a proxy: its arguments
go to the sandbox, a plain value comes back. The expected values therefore never leave this process, and a verdict is
`passed` only if the check returned and each of its assertions was seen to hold at least once.

Arguments are copied on the way: a program that changes its arguments does not change the check's own objects.
"""

import ast
import builtins
import marshal
import os
import random
import select
import signal
import time
from dataclasses import dataclass

from . import wire
from .clock import Stopwatch
from .launch import Isolation, Limits, exit_code, runner_payload, start_program
from .processes import descendants, resident_bytes

BLOCKED_ERRNOS = {1, 13, 30, 38, 97, 101}  # EPERM EACCES EROFS ENOSYS EAFNOSUPPORT ENETUNREACH
REASONS = ("passed", "failed", "error", "timeout", "memory", "forbidden")
WATCH_SECONDS = 0.05
NAMESPACE_PROCESSES = 2  # bubblewrap itself and the first process of its namespace
CHECK_CPU_SECONDS = 5.0  # for the check's own work; then the kernel ends this process, whatever it is doing
START_SECONDS = 20.0  # for the interpreter alone; the program's own clock starts when it is up
_SEEN, _WRONG = "__assertion_held__", "__assertion_wrong__"


@dataclass(frozen=True)
class Job:
    """One program and the check it must pass.

    sources: the program's source texts, run in order in one module (a preamble and the answer).
    entry_point: the name the check calls. context: trusted source the check may use (a prompt's helpers).
    test: source that defines `check(candidate)`.
    """

    sources: list[str]
    entry_point: str
    test: str
    context: str = ""


@dataclass(frozen=True)
class Outcome:
    """A verdict: `reason` is one of REASONS, `detail` says more in one line, `seconds` is wall time.

    returned: what the check returned, where that is a list of texts: a check of many programs has a word for each.
    """

    passed: bool
    reason: str
    detail: str = ""
    seconds: float = 0.0
    returned: list[str] | None = None


class SandboxBroken(Exception):
    """The harness, not the program, is at fault: a verdict cannot be given."""


class Stop(BaseException):
    """Ends a check from inside `candidate`; a BaseException so that no `except Exception` of a check hides it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class _WatchAssertions(ast.NodeTransformer):
    """Turns `assert x` into an explicit test that reports its own number, whatever the interpreter's flags."""

    def __init__(self) -> None:
        self.sites = 0

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        site = ast.Constant(self.sites)
        self.sites += 1
        wrong = ast.Expr(ast.Call(ast.Name(_WRONG, ast.Load()), [site, ast.Constant(node.lineno)], []))
        held = ast.Expr(ast.Call(ast.Name(_SEEN, ast.Load()), [site], []))
        test = ast.If(ast.UnaryOp(ast.Not(), node.test), [wrong], [])
        return [ast.fix_missing_locations(ast.copy_location(part, node)) for part in (test, held)]


class Program:
    """The sandboxed interpreter seen from outside: `load` once, then `call`."""

    def __init__(self, isolation: Isolation, worker: int, limits: Limits, folder: str | None) -> None:
        self._limits = limits
        self._uid = isolation.program_uid(worker) if isolation.backend == "bwrap" else None
        self.watch = Stopwatch(START_SECONDS)
        self._watched = time.monotonic()
        request_read, self._request_fd = os.pipe()
        self._reply_fd, reply_write = os.pipe()
        self._pid = start_program(isolation, worker, limits, (request_read, reply_write), folder)
        os.close(request_read)
        os.close(reply_write)
        os.set_blocking(self._request_fd, False)

    def start(self) -> None:
        """Send the runner and wait for its first word. Raises SandboxBroken when it does not come."""
        try:
            self._send_raw(runner_payload())
            self._expect("up")
        except Stop as stop:
            raise SandboxBroken(f"the sandboxed interpreter did not start: {stop.detail}") from stop
        self.watch = Stopwatch(self._limits.wall_seconds)

    def load(self, job: Job) -> None:
        """Send the program's sources; returns when the program's top level has run."""
        sources = [(f"<program {index}>", source) for index, source in enumerate(job.sources)]
        setup = (self._limits.as_rlimits(), self._uid, self._limits.answer_mib * 2**20, sources, job.entry_point)
        self._send(setup)
        self._answer("ready")

    def call(self, *args: object, **kwargs: object) -> object:
        """The program's answer to one call, as a plain value. Raises Stop when there is none."""
        self._send((args, kwargs))
        return self._answer("value")

    def _answer(self, kind: str) -> object:
        try:
            return wire.decode_value(self._expect(kind))
        except wire.Malformed as tampering:
            raise Stop("forbidden", f"tampered with the answer pipe: {tampering}"[:300]) from tampering
        except MemoryError as error:
            raise Stop("memory", "the answer does not fit into the judge's memory") from error

    def stop(self) -> None:
        """Kill the program and wait for its first process; with a PID namespace nothing of it is left afterwards."""
        if self._pid is not None:
            os.kill(self._pid, 9)
            os.waitpid(self._pid, 0)
            self._pid = None

    def _send(self, message: object) -> None:
        try:
            payload = marshal.dumps(message)
        except ValueError as error:
            raise SandboxBroken(f"the check passes something that is not plain data: {error}") from error
        self._send_raw(payload)

    def _send_raw(self, payload: bytes) -> None:
        payload = memoryview(len(payload).to_bytes(4, "big") + payload)
        while payload:
            self._wait(self._request_fd, select.POLLOUT)
            try:
                payload = payload[os.write(self._request_fd, payload) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._died()

    def _expect(self, wanted: str) -> object:
        size = int.from_bytes(self._read(4), "big")
        if size > wire.MAX_FRAME_BYTES:
            raise wire.Malformed(f"a reply of {size} bytes")
        kind, body = wire.decode_frame(self._read(size))
        if kind == wanted:
            return body
        if kind == "raised" and isinstance(body, list) and [type(part) for part in body] == [str, str, int]:
            raise Stop(_reason_of(body[0], body[2]), f"{body[0]}: {body[1]}".strip()[:300])
        if kind == "unplain" and isinstance(body, str):
            raise Stop("failed", f"returned a value that is not plain data ({body[:100]})")
        raise wire.Malformed(f"a reply of kind {kind[:20]!r}")

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait(self._reply_fd, select.POLLIN)
            chunk = os.read(self._reply_fd, size - len(data))
            if not chunk:
                self._died()
            data += chunk
        return bytes(data)

    def _wait(self, fd: int, event: int) -> None:
        """Wait until `fd` is ready, the program has died (a child of it may still hold the pipe) or time is up."""
        poller = select.poll()
        poller.register(fd, event)
        while True:
            self._keep_limits()
            remaining = self.watch.remaining()
            if remaining <= 0:
                raise Stop("timeout", f"over {self._limits.wall_seconds:g} s")
            if poller.poll(min(remaining, WATCH_SECONDS) * 1000):
                return
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                if poller.poll(0):
                    return
                self._died()

    def _keep_limits(self) -> None:
        """Hold the program and its children together to limits that the kernel keeps for each process or not at all."""
        now = time.monotonic()
        if now - self._watched < WATCH_SECONDS:
            return
        self._watched = now
        pids = descendants(os.getpid())
        if len(pids) > self._limits.processes + NAMESPACE_PROCESSES:
            raise Stop("forbidden", f"over {self._limits.processes} processes")
        if resident_bytes(pids) > self._limits.memory_mib * 2**20:
            raise Stop("memory", f"all its processes together use over {self._limits.memory_mib} MiB")

    def _died(self) -> None:
        deadline = time.monotonic() + 1.0
        while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                raise Stop("forbidden", "the program closed its answer pipe")
            time.sleep(0.001)
        _, status = os.waitpid(self._pid, 0)
        self._pid = None
        code = exit_code(status)
        if code == 128 + 9:
            raise Stop("memory", "killed: by the kernel for lack of memory, or by itself")
        if code in (128 + 24, 128 + 14):
            raise Stop("timeout", "over the CPU limit")
        raise Stop("error", f"the program ended by itself (exit code {code})")


def _reason_of(exception: str, errno: int) -> str:
    if exception == "MemoryError":
        return "memory"
    return "forbidden" if errno in BLOCKED_ERRNOS or exception == "gaierror" else "error"


def judge(job: Job, isolation: Isolation, worker: int, limits: Limits, folder: str | None) -> Outcome:
    """Run `job` and say what came of it. Call in a throw-away process; see the module's text for what counts."""
    watcher = _WatchAssertions()
    check_code = compile(ast.fix_missing_locations(watcher.visit(ast.parse(job.test))), "<check>", "exec")
    held: set[int] = set()
    program = Program(isolation, worker, limits, folder)
    returned = None
    try:
        program.start()
        signal.setitimer(signal.ITIMER_PROF, CHECK_CPU_SECONDS)
        program.load(job)
        returned = _run_check(job, check_code, program, held)
        missing = watcher.sites - len(held)
        if missing or not watcher.sites:
            raise Stop("failed", f"{missing} of {watcher.sites} assertions never ran")
        verdict = ("passed", "")
    except Stop as stop:
        verdict = (stop.reason, stop.detail)
    finally:
        seconds = program.watch.elapsed()
        program.stop()
    return Outcome(verdict[0] == "passed", verdict[0], verdict[1], seconds, returned)


def _run_check(job: Job, check_code: object, program: Program, held: set[int]) -> list[str] | None:
    def wrong(site: int, line: int) -> None:
        raise Stop("failed", f"assertion {site + 1} (line {line} of the test) does not hold")

    random.seed(0)  # the same verdict every time for tests that draw their cases
    space = {"__name__": "check", "__builtins__": builtins, _SEEN: held.add, _WRONG: wrong}
    try:
        exec(compile(job.context, "<context>", "exec"), space)
        exec(check_code, space)
    except Exception as error:
        raise SandboxBroken(f"the check does not load: {type(error).__name__}: {error}") from error
    space[job.entry_point] = program.call
    try:
        found = space["check"](program.call)
    except SandboxBroken:
        raise
    except Exception as error:  # the check's own arithmetic on a value of the wrong kind, e.g. abs(None - 1)
        raise Stop("failed", f"the check cannot use the answer: {type(error).__name__}: {error}"[:300]) from error
    return found if type(found) is list and all(type(each) is str for each in found) else None
