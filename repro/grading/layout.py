r"""LaTeX that says how an answer looks and nothing else is taken out, by how TeX names such commands.

A command is layout if its name is made like one: `...space`, `...skip`, `...kern` are gaps; `...phantom`, `...tag`
show nothing; `...style`, `...series`, a size, `...strut`, `no...` switch; `...box`, `...color`, `math` with a class of
atoms wrap what they show. Every other command is left for the grammar, which refuses those it does not know: `\neg`,
`\cancel` and `\ngtr` change what is said. Environments that only align lose their cells and rows, too.
"""

import re
from dataclasses import dataclass, field

_PIECE = re.compile(
    r"\\(?P<edge>begin|end)\s*\{(?P<environment>[a-zA-Z]+)(?P<star>\*?)\}"
    r"|(?P<row>\\\\\*?(?:\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\])?|\\(?:cr|newline|tabularnewline)(?![a-zA-Z]))"
    r"|\\(?P<name>[a-zA-Z]+)|\\.|&",
    re.DOTALL,
)
_DIMENSION = r"\s*[-+]?\d*\.?\d+\s*(?:pt|em|ex|mu|cm|mm|in|pc|bp|sp|dd|cc|fill?)"
_LENGTH = re.compile(rf"{_DIMENSION}(?:\s*(?:plus|minus){_DIMENSION})*|\*?\s*\{{{_DIMENSION}\s*\}}")
_GAP = re.compile(r"(?P<length>[hvm]?(?:skip|kern|space))|\w*(?:space|skip|q?quad)")
_SWITCH = re.compile(
    r"(?i:tiny|small|large|huge|(?:script|footnote|normal)size)|(?:display|(?:script)*script|text)style"
    r"|\w+(?:series|shape|family|font)|math(?:op|rel|bin|ord|open|close|punct|inner|strut|[lrc]lap)"
    r"|(?:un)?boldmath|\w*limits|no(?:number|tag|indent|break)|(?:allow|line|page)?break|indent|strut|null|relax"
    r"|protect|h(?:fill?|ss|line)|(?:top|mid|bottom)rule|centering|ragged\w+|[lrc]lap|smash|ensuremath|boxed"
    r"|bf|it|em|sf|sl|sc|tt|unit"
)
_FENCE = re.compile(r"left|right|middle|[bB]igg?[lrm]?")  # makes the delimiter after it larger
_HIDDEN = re.compile(r"\w*phantom|tag|label|cline|require")  # nothing of the argument is shown
_FIRST_HIDDEN = re.compile(r"style|class|cssId|href|(?:text)?color|(?:raise|scale|rotate|par|color)box")
_TWO_HIDDEN = re.compile(r"(?:fcolor|resize)box")
_NOTE = re.compile(r"(?:over|under)set|stackrel")  # layout where the note is blank
_OPTION = re.compile(r"\s*\[[^][]*\]")
_TABULAR = re.compile(r"(?!eqn)\w*(?:matrix|array|cases|tabular)")
_RELATION_AHEAD = re.compile(r"[\s&]*(?:=|<|>|\\(?:l|g)eq?|\\approx|\\equiv|\\end|\Z)")


class LayoutError(ValueError):
    """A layout command without its argument."""


def group_end(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`, -1 if there is none."""
    depth = 0
    index = start
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


def without_layout(text: str) -> str:
    """The text with its layout commands taken out. Raises LayoutError. Linear but for arguments within arguments."""
    return _Page(text).run() if "\\" in text else text


@dataclass
class _Page:
    text: str
    pos: int = 0
    out: list[str] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)
    fences: list[str] = field(default_factory=list)  # the delimiters that are open

    def run(self) -> str:
        for piece in iter(lambda: _PIECE.search(self.text, self.pos), None):
            self.out.append(self.text[self.pos : piece.start()])
            self.pos = piece.end()
            if piece["edge"]:
                self.environment(piece)
            elif piece["row"]:
                self.row()
            elif piece["name"]:
                self.command(piece)
            elif piece.group() != "&" or self.tabular():
                self.out.append(piece.group())
        self.out.append(self.text[self.pos :])
        return "".join(self.out)

    def tabular(self) -> bool:
        return bool(self.environments) and _TABULAR.fullmatch(self.environments[-1]) is not None

    def environment(self, piece: re.Match) -> None:
        if piece["edge"] == "begin":
            self.environments.append(piece["environment"])
        if self.tabular():
            self.out.append(f"\\{piece['edge']}{{{piece['environment']}}}")
            if piece["star"]:
                self.option("lcr")
        elif piece["edge"] == "begin":
            self.option("tbc")
            if piece["environment"] == "alignat":
                self.argument()
        if piece["edge"] == "end" and self.environments:
            self.environments.pop()

    def row(self) -> None:
        r"""A row of a table stays one; elsewhere it starts a statement, unless that goes on: `x &= 1 \\ &= 2`."""
        if self.tabular():
            self.out.append(r"\\")
        elif "".join(self.out).strip() and not _RELATION_AHEAD.match(self.text, self.pos):
            self.out.append(", ")
        else:
            self.out.append(" ")

    def command(self, piece: re.Match) -> None:
        name = piece["name"]
        if _FENCE.fullmatch(name):
            self.fence(name)
        elif (two := _TWO_HIDDEN.fullmatch(name)) or _FIRST_HIDDEN.fullmatch(name):
            self.option()
            self.argument()
            if two:
                self.argument()
            self.out.append(" ")
        elif gap := _GAP.fullmatch(name):
            if gap["length"] and (length := _LENGTH.match(self.text, self.pos)):
                self.pos = length.end()
            self.out.append(r"\quad " if name.endswith("quad") else " ")
        elif _SWITCH.fullmatch(name):
            self.out.append(" ")
        elif _HIDDEN.fullmatch(name):
            self.argument()
            self.out.append(" ")
        elif name == "mathchoice":  # one content in four styles
            content = self.argument()
            for _ in range(3):
                self.argument()
            self.out.append(f"{{{content}}}")
        elif _NOTE.fullmatch(name) and re.match(r"\s*\{\s*\}", self.text[self.pos :]):
            self.argument()
        elif name.endswith("box") and name not in ("mbox", "hbox", "fbox"):  # \makebox[2cm][c]{7}
            self.option()
            self.option()
            self.out.append(r"\mbox")
        else:
            self.out.append(piece.group())

    def fence(self, name: str) -> None:
        r"""Take the size of a delimiter out; of an invisible one leave `\right.` where it ends what `\left\{` began."""
        if name == "left":
            self.fences.append(self.text[self.pos : self.pos + 2])
        opening = self.fences.pop() if name == "right" and self.fences else ""
        if name in ("left", "right") and self.text.startswith((".", "|"), self.pos):
            self.pos += 1
            if self.text[self.pos - 1] == "|":
                self.out.append(rf"\{name[0]}vert ")
            elif opening == r"\{":
                self.out.append(r"\right.")

    def option(self, letters: str = "") -> None:
        """Take an optional argument ahead out of the text; with `letters`, only one of those."""
        option = _OPTION.match(self.text, self.pos)
        if option and (not letters or option.group().strip(" []") in letters):
            self.pos = option.end()

    def argument(self) -> str:
        """Take the brace group ahead out of the text."""
        start = self.pos + len(self.text[self.pos :]) - len(self.text[self.pos :].lstrip(" *"))
        end = group_end(self.text, start) if self.text.startswith("{", start) else -1
        if end < 0:
            raise LayoutError("a layout command without its argument")
        self.pos = end + 1
        return self.text[start + 1 : end]
