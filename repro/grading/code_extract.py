"""From a model's text to the program that is run: fenced blocks, preambles, the three formats of `score-code`.

Blocks are CommonMark's, found by markdown-it-py; before that, a fence that shares its line with text is put on a line
of its own, as models write such and CommonMark reads them as text. Nothing here runs or parses the code.
"""

import ast
import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

FORMATS = ("completion", "full_code", "markdown")
_MARKDOWN = MarkdownIt("commonmark").disable("html_block")  # a fence after `<answer>` is one
_MARKDOWN.core.ruler.enableOnly(["block"])  # no inline markup: only blocks matter, and hostile lines stay cheap
_FENCE_LINE = re.compile(r"(?P<before>[ >*+\d.)-]*)(?P<mark>`{3,}|~{3,})(?P<tail>[^`]*)$")
_FENCE_AFTER_TEXT = re.compile(r"(?P<text>[^`]*[^`\s]) *(?P<mark>`{3,})(?P<info>[\w+-]*)\s*$")
_TAIL_TEXT = re.compile(r"\s*(?:<\||\S+\s+\S)")  # an end token, or more words than an info string's one
_CLOSED_THOUGHT = "</think>"


@dataclass(frozen=True)
class Block:
    """One fenced block: its text without the fences, and whether a closing fence was seen."""

    text: str
    complete: bool


def fenced_blocks(text: str) -> list[Block]:
    """The fenced code blocks of a Markdown text, in order; linear in the text's length.

    As CommonMark has them: at most three spaces before a fence (in its list or quotation), closed by the same
    character at least as often. The blocks of a block of Markdown stand for it.
    """
    return _split(text)[0]


def _split(text: str, *, outermost: bool = True) -> tuple[list[Block], list[str]]:
    """The blocks, and the stretches of text before, between and behind them."""
    lines = _with_fences_apart(re.sub(r"\r\n?", "\n", text).split("\n"))
    blocks, stretches, end = [], [], 0
    for token in _MARKDOWN.parse("\n".join(lines)):
        if token.type != "fence":
            continue
        first, behind = token.map
        last = lines[behind - 1].strip(" \t>") if behind - 1 > first else ""
        complete = len(last) >= len(token.markup) and set(last) == {token.markup[0]}
        nested = outermost and token.info.strip().lower() in ("markdown", "md")
        blocks += (nested and _split(token.content, outermost=False)[0]) or [Block(token.content, complete)]
        stretches.append("\n".join(lines[end:first]))
        end = behind
    return blocks, [*stretches, "\n".join(lines[end:])]


def _with_fences_apart(lines: list[str]) -> list[str]:
    """The lines, with a fence that has text before it, or a closing one that has text behind it, on its own line."""
    out: list[str] = []
    mark, margin = "", 0  # of the block that is open
    for line, goes_on in zip(lines, _before_indented_text(lines), strict=True):
        fence = _FENCE_LINE.match(line)
        glued = None if fence else _FENCE_AFTER_TEXT.match(line)
        closes = mark and fence and fence["mark"].startswith(mark) and len(fence["before"]) < margin + 4
        if closes and _TAIL_TEXT.match(fence["tail"]):
            out += [fence["before"] + fence["mark"], fence["tail"]]
            mark = ""
        elif glued and not mark:
            out += [glued["text"], glued["mark"] + glued["info"]]
            mark, margin = glued["mark"], 0
        elif glued and glued["mark"].startswith(mark) and not glued["info"] and not goes_on:
            out += [glued["text"], " " * margin + glued["mark"]]
            mark = ""
        else:
            out.append(line)
            if fence and not mark:
                mark, margin = fence["mark"], len(fence["before"])
            elif closes and not fence["tail"].strip():
                mark = ""
    return out


def _before_indented_text(lines: list[str]) -> list[bool]:
    """Of each line, whether the next one that is not blank is indented: a docstring's fence has its code behind it."""
    indented = [False]
    for line in reversed(lines[1:]):
        indented.append(line[:1].isspace() if line.strip() else indented[-1])
    return indented[::-1]


def extract_code(text: str, entry_point: str) -> str:
    """The program in a chat answer: the last block that defines `entry_point`, a complete one before an open one.

    Else the last stretch outside the blocks that defines it, the last block that imports it, the last block, the raw
    text. What follows a closed `<think>` is read alone if it defines the function.
    """
    answer = text.rpartition(_CLOSED_THOUGHT)[2]
    for part in (answer, text) if answer != text else (text,):
        blocks, stretches = _split(part)
        candidates = [block.text for complete in (False, True) for block in blocks if block.complete is complete]
        sources = [*(stretches if blocks else [part]), *candidates]
        if defining := [source for source in sources if writes(source, entry_point)]:
            return defining[-1]
    importing = [source for source in candidates if defines(source, entry_point)]
    return (importing or [block.text for block in blocks] or [text])[-1]


def writes(source: str, name: str) -> bool:
    """Whether a line at the margin defines `name`: def, class or assignment. Linear in the text's length.

    By lines, not by parsing: this runs outside the sandbox, and Python's parser is no match for hostile text.
    """
    word, gap = rf"{re.escape(name)}\b", "[ \\t]"
    bindings = (
        rf"(?:async{gap}+)?def{gap}+{word}",
        rf"class{gap}+{word}",
        rf"{word}{gap}*(?::[^=\n]*)?=(?!=)",
    )
    return re.search(rf"^(?:{'|'.join(bindings)})", source, re.MULTILINE) is not None


def defines(source: str, name: str) -> bool:
    """Whether a line at the margin binds `name`: as in `writes`, or by an import."""
    importing = rf"^(?:from|import)\b[^\n]*\b{re.escape(name)}\b"
    return writes(source, name) or re.search(importing, source, re.MULTILINE) is not None


def preamble(prompt: str, entry_point: str) -> str:
    """What a prompt gives besides the function to write: its imports, and the helpers it defines beside it."""
    tree = ast.parse(prompt)
    kept = [node for node in tree.body if getattr(node, "name", None) != entry_point]
    return ast.unparse(ast.Module(kept, []))


def assemble(*, prompt: str, entry_point: str, completion: str, format: str) -> list[str]:
    """The source texts to run in order, in one module, for a completion in one of FORMATS.

    completion: the prompt with the text appended, nothing else. full_code: the prompt's preamble, then the text.
    markdown: the same with the text taken from its fences; if that does not define `entry_point`, the whole prompt
    with the code appended. Raises ValueError for another format.
    """
    if format == "completion":
        return [prompt + completion]
    if format == "full_code":
        return [preamble(prompt, entry_point), completion]
    if format != "markdown":
        raise ValueError(f"format is {format!r}; want one of {', '.join(FORMATS)}")
    code = extract_code(completion, entry_point)
    if defines(code, entry_point):
        return [preamble(prompt, entry_point), code]
    return [prompt + code]
