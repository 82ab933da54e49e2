"""The answer in a model's output: the content of the last complete, brace-balanced box, found in linear time."""

import re
from dataclasses import dataclass

# A doubled backslash is a line break and leaves the brace after it alone; before `boxed` it is an output escaped once
# too often, and still a box. No alternative can run over a long stretch twice.
_MARK = re.compile(r"\\boxed\s*\{|\\\\(?!boxed)|\\[{}]|[{}]")


@dataclass(frozen=True)
class Extraction:
    """content: inside of the last complete box, None without one; open_box: one was opened after it and not closed."""

    content: str | None
    open_box: bool


def last_box(text: str) -> Extraction:
    r"""Find the last complete `\boxed{...}` of `text`; of nested boxes the outermost.

    Escaped braces do not count, white space may stand before the brace, closing braces without a partner are ignored.
    One pass over the text: 20,000 unclosed boxes cost what 20,000 words cost.
    """
    opened: list[int] = []  # start of the content for a box, -1 for a plain brace
    best: tuple[int, int] | None = None
    for mark in _MARK.finditer(text):
        token = mark.group()
        if token == "}":
            if opened:
                start = opened.pop()
                if start >= 0:
                    best = (start, mark.start())
        elif token == "{":
            opened.append(-1)
        elif token[-1] == "{" and token != "\\{":
            opened.append(mark.end())
    last_open = max((start for start in opened if start >= 0), default=-1)
    if best is None:
        return Extraction(None, last_open >= 0)
    return Extraction(text[best[0] : best[1]], last_open > best[1])


def missing_braces(text: str) -> int:
    """How many closing braces the text lacks; 0 if it balances, -1 if it closes one that was never opened."""
    depth = 0
    for mark in _MARK.finditer(text):
        token = mark.group()
        if token == "}":
            depth -= 1
            if depth < 0:
                return -1
        elif token[-1] == "{" and token != "\\{":
            depth += 1
    return depth
