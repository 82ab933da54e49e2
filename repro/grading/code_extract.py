"""From a model's text to the program that is run: fenced blocks, preambles, the three formats of `score-code`.

Pure text and syntax trees; nothing here runs the code. Nothing is repaired: a text that is not Python stays so.
"""

import ast
import re
from dataclasses import dataclass

FORMATS = ("completion", "full_code", "markdown")
_FENCE = re.compile(r"^[ \t>]*(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its text without the fences, and whether a closing fence was seen."""

    text: str
    complete: bool


def fenced_blocks(text: str) -> list[Block]:
    """The fenced code blocks of a Markdown text, in order; linear in the text's length.

    A fence is three or more backticks or tildes, possibly indented (in a list) or quoted; it is closed by the same
    character at least as often, with nothing behind it. The opening fence's indentation is taken off each line.
    """
    blocks, lines, opening = [], [], None
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if opening is None:
            if fence:
                opening, lines = fence, []
        elif fence and not fence["info"].strip() and fence["mark"].startswith(opening["mark"]):
            blocks.append(Block("\n".join(lines) + "\n", True))
            opening = None
        else:
            indent = opening.start("mark")
            head = line[:indent]
            lines.append(line[indent:] if not head.strip(" \t>") else line)
    if opening is not None:
        blocks.append(Block("\n".join(lines) + "\n", False))
    return blocks


def extract_code(text: str, entry_point: str) -> str:
    """The program in a chat answer: last complete block defining `entry_point`, else last block, else the raw text.

    The last block may lack its closing fence: an answer that stops right after the code is still an answer.
    """
    blocks = fenced_blocks(text)
    defining = [block for block in blocks if block.complete and defines(block.text, entry_point)]
    chosen = (defining or blocks)[-1:]
    return chosen[0].text if chosen else text


def defines(source: str, name: str) -> bool:
    """Whether a line at the margin binds `name`: def, class, assignment or import. Linear in the text's length.

    By lines, not by parsing: this runs outside the sandbox, and Python's parser is no match for hostile text.
    """
    word, gap = rf"{re.escape(name)}\b", "[ \\t]"
    bindings = (
        rf"(?:async{gap}+)?def{gap}+{word}",
        rf"class{gap}+{word}",
        rf"{word}{gap}*(?::[^=\n]*)?=(?!=)",
        rf"(?:from|import)\b[^\n]*\b{word}",
    )
    binding = rf"^(?:{'|'.join(bindings)})"
    return re.search(binding, source, re.MULTILINE) is not None


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
