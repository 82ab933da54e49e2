r"""Matrices, cases and systems of an answer: what LaTeX writes in rows and cells. Base class of `operands.Operands`."""

import re
from collections.abc import Callable

from repro.grading.lexer import Token
from repro.grading.nodes import Node

END = Token("end", "")
_MATRICES = re.compile(r"[pbB]?(?:small)?matrix|array")  # vmatrix is a determinant
_CONDITION_WORDS = re.compile(r"(?:if|for|when|where|as)\b ?")


_CELL_ENDS = ("\\\\", "&", r"\end{array}", r"\end{cases}", r"\end{dcases}", r"\end{rcases}")


class ParseError(ValueError):
    """The tokens are not an answer this grammar covers."""


class Tables:
    """Needs the token access and the arithmetic of `Parser`."""

    def matrix(self, environment: str) -> Node:
        if environment.endswith("cases"):
            return self.cases(environment)
        if not _MATRICES.fullmatch(environment):
            raise ParseError(f"environment {environment}")
        rows = self.rows(environment, self.sum)
        if len({len(cells) for cells in rows}) != 1:
            raise ParseError("matrix rows of unequal length")
        return Node("matrix", tuple(cell for cells in rows for cell in cells), len(rows))

    def rows(self, environment: str, cell: Callable[[], Node]) -> list[tuple[Node, ...]]:
        """The cells of a table, row by row, up to the end of its environment. Raises ParseError if it has none."""
        if environment == "array" and self.at("{"):  # column specification
            while not self.at("}") and self.peek() is not END:
                self.pos += 1
            self.expect("}")
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = []
        closing = rf"\end{{{environment}}}"
        while not self.at(closing):
            row.append(cell())
            if self.at("&"):
                self.pos += 1
                continue
            rows.append(tuple(row))
            row = []
            if self.at("\\\\"):
                self.pos += 1
            elif not self.at(closing):
                raise ParseError("a row that does not end")
        self.pos += 1
        if not rows or row:
            raise ParseError("a table without rows")
        return rows

    def cases(self, environment: str) -> Node:
        """Values with their conditions; statements without conditions are a system, which holds as a whole."""
        rows = self.rows(environment, self.case_cell)
        if all(len(cells) == 1 for cells in rows):
            return Node("list", tuple(cells[0] for cells in rows), "and") if len(rows) > 1 else rows[0][0]
        if not all(len(cells) == 2 for cells in rows):
            raise ParseError("cases of unequal length")
        return Node("cases", tuple(Node("case", cells) for cells in rows))

    def case_cell(self) -> Node:
        token = self.peek()
        if token.kind == "text":  # \text{if } x > 0, \text{if $n$ is even}, \text{otherwise}
            condition = _CONDITION_WORDS.sub("", token.value.lower().strip(" ,."))
            self.pos += 1
            self.pos += self.at("&") and not condition
            return Node("text", (), condition) if condition else self.listing(stop=_CELL_ENDS)
        return self.listing(stop=_CELL_ENDS)
