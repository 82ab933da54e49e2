"""A small language for functions of two digits, descriptions of such functions, and two ways to write each.

A program is a sliver of Python: at most twelve assignments of one operation each, `a=x+y;`, then `return` and a short
sum of products. Numbers are whole; a function's value is taken modulo 10. Every program of this grammar ends, and its
numbers stay small, so that many of them may share one process.

A description names operations from the outside in ("double sum of x and y"). The worked program computes them from
the inside out, one per line; the direct one is the closed form `return 2*x+2*y+0`, whose coefficients have to be known
at once. Both are right: which one pays is for the writer to find out.

Descriptions of training and evaluation are disjoint: a key, the hash of the *function and its size*, decides the
split, so that two wordings of one function of one size never stand on both sides.
"""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

SPLITS = ("train", "eval")
EVAL_SHARE = 8  # one key in eight belongs to evaluation
OPERATIONS = {"e": (2, 3), "m": (4, 5), "h": (6, 7)}  # operations of a description, by level
NAMES = "abcdefghijkl"  # of a program's lines, in order
INPUTS = "xy"
TESTS = 12  # hidden inputs of a function, of the hundred there are

_UNARY = ("double ", "triple ", "negative ")
_BINARY = ("sum of ", "difference of ")
_ATOM = rf"[0-9{NAMES}{INPUTS}]"
_PROGRAM = re.compile(
    rf"(?:[{NAMES}]={_ATOM}(?:[-+*]{_ATOM})?;){{0,{len(NAMES)}}}return {_ATOM}(?:[-+*]{_ATOM}){{0,4}}"
)

Affine = tuple[int, int, int]  # a, b, c of a*x + b*y + c, modulo 10


@dataclass(frozen=True)
class Function:
    """A function to write: its description, both programs, and the hidden tests as (x, y, value)."""

    key: str
    level: str
    description: str
    worked: str
    direct: str
    tests: tuple[tuple[int, int, int], ...]


def is_program(text: str) -> bool:
    """Whether a text is a program of the language. What it uses before assigning is found when it runs."""
    return _PROGRAM.fullmatch(text) is not None


def affine(words: Sequence[tuple[str, str]], start: str) -> Affine:
    """The function of a description, modulo 10. words: (operation, leaf or "") from the outside in; start: a leaf."""
    value = _leaf(start)
    for word, leaf in reversed(words):
        value = _applied(word, _leaf(leaf) if leaf else None, value)
    return value


def _leaf(text: str) -> Affine:
    return {"x": (1, 0, 0), "y": (0, 1, 0)}.get(text) or (0, 0, int(text))


def _applied(word: str, leaf: Affine | None, value: Affine) -> Affine:
    factor = {"double ": 2, "triple ": 3, "negative ": -1, "sum of ": 1, "difference of ": -1}[word]
    a, b, c = ((left + factor * right) % 10 for left, right in zip(leaf or (0, 0, 0), value, strict=True))
    return a, b, c


def _line(word: str, leaf: str, value: str) -> str:
    match word:
        case "double ":
            return f"{value}+{value}"
        case "triple ":
            return f"{value}*3"
        case "negative ":
            return f"0-{value}"
        case "sum of ":
            return f"{leaf}+{value}"
        case _:
            return f"{leaf}-{value}"


def make_function(level: str, seed: int, *, split: str = "train") -> Function:
    """The function that `seed` draws from a level of a split; equal arguments give equal functions."""
    rng = random.Random(f"programs/{level}/{seed}")
    while True:
        words = [_word(rng) for _ in range(rng.randint(*OPERATIONS[level]))]
        start = rng.choice(INPUTS)
        function = affine(words, start)
        key = hashlib.sha256(f"{len(words)}:{function}".encode()).hexdigest()
        if (int(key[:8], 16) % EVAL_SHARE == 0) == (split == "eval"):
            break
    description = "".join(word + (f"{leaf} and " if leaf else "") for word, leaf in words) + start
    lines, value = [], start
    for name, (word, leaf) in zip(NAMES, reversed(words), strict=False):
        lines.append(f"{name}={_line(word, leaf, value)};")
        value = name
    a, b, c = function
    points = [divmod(point, 10) for point in random.Random(f"tests/{description}").sample(range(100), TESTS)]
    return Function(
        key=hashlib.sha256(description.encode()).hexdigest()[:16],
        level=level,
        description=description,
        worked="".join(lines) + f"return {value}",
        direct=f"return {a}*x+{b}*y+{c}",
        tests=tuple((x, y, (a * x + b * y + c) % 10) for x, y in points),
    )


def _word(rng: random.Random) -> tuple[str, str]:
    """One operation; those of two operands are drawn as often as those of one, and carry a leaf."""
    if rng.random() < 0.5:
        return rng.choice(_UNARY), ""
    return rng.choice(_BINARY), rng.choice([*INPUTS, *"123456789"])


def as_gold(function: Function) -> str:
    """The hidden tests as the text that a question carries."""
    return json.dumps(function.tests, separators=(",", ":"))


def ask(description: str) -> str:
    """What stands before a program."""
    return f"{description}:"


def shot(description: str, program: str) -> str:
    """A solved example, as it stands before a question."""
    return f"{ask(description)}{program}\n"
