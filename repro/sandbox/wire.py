"""Plain values as text: how a result leaves the sandbox.

A result crosses as JSON built from tagged lists and is rebuilt here into exact builtin types, so no object of the
program, and no method of one, ever reaches the process that compares. `runner.py` holds the encoder, because the
encoder runs beside the program; a program that rewrites the encoder gains nothing but the choice of its own answer.
"""

import json
from decimal import Decimal
from fractions import Fraction

MAX_FRAME_BYTES = 16 * 2**20  # a longer answer is not sent; a longer frame is tampering


class Malformed(Exception):
    """A frame that the shipped runner would not have written."""


def decode_value(node: object) -> object:
    """Rebuild a plain value from its tagged JSON form.

    Accepts null, booleans and strings as they are and lists headed by a tag for the rest (see `runner.encode`).
    Returns None, bool, int, float, complex, str, bytes, Decimal, Fraction, or list, tuple, set, frozenset and dict of
    these, each of exactly that type. Raises Malformed on anything else.
    """
    if node is None or isinstance(node, bool | str):
        return node
    if not isinstance(node, list) or not node or not isinstance(node[0], str):
        raise Malformed(f"want a tagged list, got {type(node).__name__}")
    decoder = _DECODERS.get(node[0])
    if decoder is None:
        raise Malformed(f"unknown tag {node[0][:20]!r}")
    try:
        return decoder(node[1:])
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise Malformed(f"bad {node[0]!r} payload: {error}") from error


def decode_frame(payload: bytes) -> tuple[str, object]:
    """Split one reply frame into its kind and body. Raises Malformed when it is not `[kind, body]` in JSON."""
    try:
        frame = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed("reply is not JSON") from error
    if not isinstance(frame, list) or len(frame) != 2 or not isinstance(frame[0], str):
        raise Malformed("reply is not a pair of kind and body")
    return frame[0], frame[1]


def _one(body: list, kind: type) -> object:
    if len(body) != 1 or type(body[0]) is not kind:
        raise Malformed(f"want one {kind.__name__}")
    return body[0]


def _pairs(body: list) -> dict:
    if len(body) % 2:
        raise Malformed("a dict has a key without a value")
    return {decode_value(key): decode_value(value) for key, value in zip(body[::2], body[1::2], strict=True)}


def _complex(body: list) -> complex:
    if len(body) != 2:
        raise Malformed("a complex number has two parts")
    return complex(float.fromhex(body[0]), float.fromhex(body[1]))


_DECODERS = {
    "i": lambda body: int(_one(body, str), 16),
    "f": lambda body: float.fromhex(_one(body, str)),
    "c": _complex,
    "b": lambda body: bytes.fromhex(_one(body, str)),
    "l": lambda body: [decode_value(item) for item in body],
    "t": lambda body: tuple(decode_value(item) for item in body),
    "s": lambda body: {decode_value(item) for item in body},
    "z": lambda body: frozenset(decode_value(item) for item in body),
    "d": _pairs,
    "D": lambda body: Decimal(_one(body, str)),
    "F": lambda body: Fraction(_one(body, str)),
}
