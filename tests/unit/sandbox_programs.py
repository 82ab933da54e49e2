"""Programs for the sandbox tests: one small problem, right answers in unusual dress, and attacks by kind.

The programs themselves are in `sandbox_programs_*.txt`, each under a line `#### kind | name`; `right` is one kind.
"""

import re
from pathlib import Path

PROMPT = """from typing import List


def halve(number: int) -> int:
    return number // 2


def total(numbers: List[int]) -> int:
    \""" Sum of the even numbers of a list.
    >>> total([1, 2, 4])
    6
    \"""
"""
TEST = """
METADATA = {"author": "us"}


def check(candidate):
    assert candidate([1, 2, 4]) == 6
    assert candidate([]) == 0, "empty"
    for size in range(3):
        assert candidate([2] * size) == 2 * size
    assert halve(candidate([8])) == 4
"""
RIGHT = "def total(numbers):\n    return sum(n for n in numbers if n % 2 == 0)\n"
WRONG = "def total(numbers):\n    return sum(numbers)\n"


def _programs() -> dict[str, dict[str, str]]:
    """kind -> name -> source, from the text files and the few that no text file can hold."""
    files = sorted(Path(__file__).parent.glob("sandbox_programs_*.txt"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"^#### ", text, flags=re.MULTILINE)[1:]:
        head, _, source = block.partition("\n")
        kind, _, name = head.partition(" | ")
        found.setdefault(kind, {})[name] = source
    found["no answer"] |= {
        "empty": "",
        "null byte": "def total(numbers):\x00 pass",
        "lone surrogate": "x = '\ud800'\ndef total(numbers): return x",
        "nests too deep": "x = " + "(" * 5000 + ")" * 5000,
        "chains too long": "x = " + "-" * 10**6 + "1",
    }
    return found


HOSTILE = _programs()
UNUSUAL = HOSTILE.pop("right")
