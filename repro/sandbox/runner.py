"""The loop that runs inside the sandbox, beside the program: take a call, make it, send the result back.

This file is compiled by the trusted side and sent down a pipe into a fresh interpreter, so it must stand alone and
import only what starts fast. It knows no expected value. Everything in this process belongs to the program: it may
patch, read or replace all of it, and all it can change is what it answers.
"""

import builtins
import marshal
import posix
import sys
from _json import encode_basestring_ascii

MAX_DEPTH = 200


class Unplain(Exception):
    """A value with no plain form; the message names its type."""


def encode(value, depth=0):
    """Tagged JSON of a plain value, read through the base type's own methods so that no subclass has a say."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if depth > MAX_DEPTH:
        raise Unplain("nesting")
    kind = type(value).__mro__
    if str in kind:
        return encode_basestring_ascii(str.__str__(value))
    if int in kind:
        return '["i","' + int.__format__(value, "x") + '"]'
    if float in kind:
        return '["f","' + float.hex(value) + '"]'
    if list in kind:
        return _items("l", list.__iter__(value), depth)
    if tuple in kind:
        return _items("t", tuple.__iter__(value), depth)
    if dict in kind:
        return _items("d", [part for pair in dict.items(value) for part in pair], depth)
    if set in kind:
        return _items("s", set.__iter__(value), depth)
    if frozenset in kind:
        return _items("z", frozenset.__iter__(value), depth)
    if complex in kind:
        return '["c","' + float.hex(value.real) + '","' + float.hex(value.imag) + '"]'
    if bytes in kind:
        return '["b","' + bytes.hex(value) + '"]'
    name = kind[0].__module__ + "." + kind[0].__name__
    if name in ("decimal.Decimal", "fractions.Fraction"):
        return '["' + kind[0].__name__[0] + '",' + encode_basestring_ascii(str(value)) + "]"
    raise Unplain(name)


def _items(tag, items, depth):
    return "[" + ",".join(['"' + tag + '"', *[encode(item, depth + 1) for item in items]]) + "]"


def _read_exactly(fd, size):
    chunks = b""
    while len(chunks) < size:
        chunk = posix.read(fd, size - len(chunks))
        if not chunk:
            posix._exit(0)  # the judge is gone: nobody is left to answer
        chunks += chunk
    return chunks


def _send(fd, kind, body):
    payload = ('["' + kind + '",' + body + "]").encode()
    payload = len(payload).to_bytes(4, "big") + payload
    while payload:
        payload = payload[posix.write(fd, payload) :]


def _send_error(fd, error):
    number = getattr(error, "errno", None)
    if type(number) is not int:
        number = 0
    try:
        message = str(error)[:300]
    except BaseException:  # the program's own __str__ may do anything
        message = ""
    names = [encode_basestring_ascii(type(error).__name__), encode_basestring_ascii(message)]
    _send(fd, "raised", "[" + ",".join([*names, str(number)]) + "]")


def _confine(limits, uid):
    import resource

    if uid is not None:
        posix.setgroups([])
        posix.setresgid(uid, uid, uid)
        posix.setresuid(uid, uid, uid)
    for name, value in limits:
        resource.setrlimit(getattr(resource, name), (value, value))


def _answer(reply_fd, limit, function, args, kwargs):
    try:
        value = encode(function(*args, **kwargs))
    except Unplain as error:
        _send(reply_fd, "unplain", encode_basestring_ascii(str(error)[:100]))
    except BaseException as error:  # SystemExit and KeyboardInterrupt are answers like any other
        _send_error(reply_fd, error)
    else:
        if len(value) > limit:
            _send(reply_fd, "unplain", '"too long"')
        else:
            _send(reply_fd, "value", value)


def serve():
    """Load the program, then answer calls until the judge closes the pipe."""
    request_fd, reply_fd = posix.dup(0), posix.dup(1)
    null = posix.open("/dev/null", posix.O_RDWR)
    for fd in (0, 1, 2):
        posix.dup2(null, fd)
    posix.close(null)

    def receive():
        size = int.from_bytes(_read_exactly(request_fd, 4), "big")
        return marshal.loads(_read_exactly(request_fd, size))

    _send(reply_fd, "up", "null")
    limits, uid, max_bytes, sources, entry_point = receive()
    _confine(limits, uid)
    builtins.exit = builtins.quit = sys.exit  # without `site` they are missing
    module = type(sys)("solution")
    sys.modules["solution"] = module
    try:
        for name, source in sources:
            exec(compile(source, name, "exec"), module.__dict__)
        function = module.__dict__[entry_point]
    except BaseException as error:
        _send_error(reply_fd, error)
        return
    _send(reply_fd, "ready", "null")
    while True:
        args, kwargs = receive()
        _answer(reply_fd, max_bytes, function, args, kwargs)


if __name__ == "__main__":
    serve()
