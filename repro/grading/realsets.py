r"""Sets of real numbers as unions of intervals: what `(2,3] \cup \{5\}`, `-1 < x \le 4` and `x \ne 0` describe.

Does: constant end points, unions, intersections with the line, differences. Does not: symbolic end points.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import mpmath

from repro.grading.equality import close, is_real, signed_infinity
from repro.grading.evaluate import NoValue, TooBig, Undefined, Value, approximate, evaluate
from repro.grading.nodes import Node, contains, num, symbols


class NotARealSet(ValueError):
    """The node does not describe a set of real numbers with constant end points."""


class End(NamedTuple):
    """An end point. infinite: -1, 0 or 1; value is meaningful when it is 0."""

    infinite: int
    value: Value

    def key(self) -> mpmath.mpf:
        return mpmath.mpf("inf") * self.infinite if self.infinite else mpmath.re(approximate(self.value).value)


class Piece(NamedTuple):
    """From `low` to `high`; a point where they are equal and both closed."""

    low: End
    low_closed: bool
    high: End
    high_closed: bool


_LINE = [Piece(End(-1, Fraction(0)), False, End(1, Fraction(0)), False)]
REALS = Node("sym", (), r"\mathbb{R}")
_PROBES = (Fraction(0), Fraction(1), Fraction(-355, 113), Fraction(10007, 3))  # what is linear at these is linear
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}


def end_point(node: Node) -> End:
    sign = signed_infinity(node)
    if sign:
        return End(sign, Fraction(0))
    if symbols(node):
        raise NotARealSet("a symbolic end point")
    try:
        value = evaluate(node)
    except (Undefined, TooBig, NoValue) as error:
        raise NotARealSet(str(error)) from error
    if not is_real(value):
        raise NotARealSet("a complex end point")
    return End(0, value)


def same_end(left: End, right: End, *, tolerant: bool = False) -> bool:
    if left.infinite or right.infinite:
        return left.infinite == right.infinite
    try:
        return close(left.value, right.value, tolerant=tolerant)
    except TooBig as error:
        raise NotARealSet(str(error)) from error


def from_node(node: Node) -> list[Piece]:
    """Normalised pieces, in order, none touching the next. Raises NotARealSet."""
    if node.kind == "tuple" and len(node.args) == 2:
        low, high = end_point(node.args[0]), end_point(node.args[1])
        if not low.key() < high.key():
            raise NotARealSet("end points out of order")
        return [Piece(low, node.value[0] == "[", high, node.value[1] == "]")]
    if node.kind == "set":
        return _merged([_point(arg) for arg in node.args])
    if node == REALS:
        return _LINE
    if node.kind == "union":
        return _merged(from_node(node.args[0]) + from_node(node.args[1]))
    if node.kind == "diff":
        return _intersection(from_node(node.args[0]), _complement(from_node(node.args[1])))
    if node.kind == "inter":
        return _intersection(from_node(node.args[0]), from_node(node.args[1]))
    if node.kind == "rel":
        return _from_relation(node)
    if node.kind == "list":  # "x < 2 or x > 3"
        if len({variable(arg) for arg in node.args}) != 1:
            raise NotARealSet("relations in different variables")
        return _joined([_from_relation(arg) for arg in node.args], str(node.value))
    raise NotARealSet(f"a {node.kind}")


def _joined(parts: list[list[Piece]], how: str) -> list[Piece]:
    """Relations joined by "and" hold together, by "or" one by one; by commas together if that leaves anything."""
    together = parts[0]
    for part in parts[1:]:
        together = _intersection(together, part)
    if how == "and" or (how == "," and together):
        return together
    return _merged([piece for part in parts for piece in part])


def variable(node: Node) -> str | None:
    """Name of the one symbol a relation restricts, None if there is none."""
    if node.kind == "list":
        names = {variable(arg) for arg in node.args}
        return names.pop() if len(names) == 1 else None
    if node.kind != "rel":
        return None
    names = {name for name in symbols(node) if not name.startswith("\\mathbb")}
    return names.pop() if len(names) == 1 else None


def _point(node: Node) -> Piece:
    end = end_point(node)
    if end.infinite:
        raise NotARealSet("an infinite point")
    return Piece(end, True, end, True)


def _from_relation(node: Node) -> list[Piece]:
    if node.kind != "rel" or variable(node) is None:
        raise NotARealSet("not a relation on one symbol")
    if node.value == ("in",):
        return from_node(node.args[1])
    pieces = _LINE
    for left, sign, right in zip(node.args, node.value, node.args[1:], strict=False):
        if sign not in _MIRRORED:
            raise NotARealSet(f"relation {sign}")
        if symbols(right):
            left, sign, right = right, _MIRRORED[sign], left
        if symbols(right):
            raise NotARealSet("a symbol on both sides")
        pieces = _intersection(pieces, _solutions(left, sign, right))
    return pieces


def _solutions(left: Node, sign: str, right: Node) -> list[Piece]:
    """Where `left`, linear in one symbol or the absolute value of something linear, stands so to a constant."""
    if left.kind == "abs":
        inner = left.args[0]
        over = _solutions(inner, ">=" if sign in ("<", ">=") else ">", right)
        under = _solutions(inner, "<=" if sign in ("<", ">=") else "<", Node("neg", (right,)))
        if end_point(right).key() < 0 or sign == "!=":
            raise NotARealSet("an absolute value compared with a negative number")
        outside = _merged(over + under)
        return outside if sign in (">", ">=") else _complement(outside)
    if left.kind == "sym":
        return _half_line(sign, end_point(right))
    slope, start = _line(left)
    bound = Node("div", (Node("add", (right, Node("neg", (num(start),)))), num(slope)))
    return _half_line(sign if slope > 0 else _MIRRORED[sign], end_point(bound))


def _line(node: Node) -> tuple[Fraction, Fraction]:
    """Slope and value at zero of a formula that is linear in its one symbol, with rational coefficients."""
    (name,) = symbols(node)
    try:
        values = [evaluate(_put(node, name, point)) for point in _PROBES]
    except (Undefined, TooBig, NoValue) as error:
        raise NotARealSet(str(error)) from error
    if not all(isinstance(value, Fraction) for value in values) or contains(node, "abs", "floor", "ceil", "lattice"):
        raise NotARealSet("not a linear formula with rational coefficients")
    start, slope = values[0], values[1] - values[0]
    if not slope or any(value != start + slope * point for value, point in zip(values, _PROBES, strict=True)):
        raise NotARealSet("not a linear formula")
    return slope, start


def _put(node: Node, name: str, value: Fraction) -> Node:
    if node.kind == "sym" and node.value == name:
        return num(value)
    return Node(node.kind, tuple(_put(arg, name, value) for arg in node.args), node.value)


def by_condition(cases: tuple[Node, ...]) -> tuple[str, list[tuple[Node, list[Piece]]]]:
    """The variable of a case distinction, and each value with the set it holds on; "otherwise" is what is left over.

    Raises NotARealSet if the conditions are not all on one symbol.
    """
    stated = [case for case in cases if case.args[1].value not in ("otherwise", "else")]
    names = {variable(case.args[1]) for case in stated}
    if len(names) != 1 or None in names or len(cases) - len(stated) > 1:
        raise NotARealSet("conditions on more than one symbol")
    sets = {case: from_node(case.args[1]) for case in stated}
    rest = _complement(_merged([piece for pieces in sets.values() for piece in pieces]))
    return names.pop(), [(case.args[0], sets.get(case, rest)) for case in cases]


def _half_line(sign: str, end: End) -> list[Piece]:
    low, high = _LINE[0].low, _LINE[0].high
    if sign == "!=":
        return _complement([Piece(end, True, end, True)])
    if sign in ("<", "<="):
        return [Piece(low, False, end, sign == "<=")]
    return [Piece(end, sign == ">=", high, False)]


def _merged(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for piece in sorted(pieces, key=lambda item: (item.low.key(), not item.low_closed)):
        if out:
            last = out[-1]
            touching = same_end(last.high, piece.low)
            if (touching and (last.high_closed or piece.low_closed)) or (
                not touching and piece.low.key() < last.high.key()
            ):
                if same_end(last.high, piece.high):
                    high, closed = last.high, last.high_closed or piece.high_closed
                else:
                    high, closed = max(
                        (last.high, last.high_closed), (piece.high, piece.high_closed), key=lambda item: item[0].key()
                    )
                out[-1] = Piece(last.low, last.low_closed or (same_end(last.low, piece.low) and piece.low_closed),
                                high, closed)  # fmt: skip
                continue
        out.append(piece)
    return out


def _complement(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    low, closed = _LINE[0].low, False
    for piece in pieces:
        if low.key() < piece.low.key() or (same_end(low, piece.low) and closed and not piece.low_closed):
            out.append(Piece(low, closed, piece.low, not piece.low_closed and not piece.low.infinite))
        low, closed = piece.high, not piece.high_closed and not piece.high.infinite
    if low.infinite != 1:
        out.append(Piece(low, closed, _LINE[0].high, False))
    return out


def _intersection(left: list[Piece], right: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for a in left:
        for b in right:
            low, low_closed = _inner_end((a.low, a.low_closed), (b.low, b.low_closed), max)
            high, high_closed = _inner_end((a.high, a.high_closed), (b.high, b.high_closed), min)
            if (low_closed and high_closed) if same_end(low, high) else low.key() < high.key():
                out.append(Piece(low, low_closed, high, high_closed))
    return out


def _inner_end(left: tuple[End, bool], right: tuple[End, bool], choose: Callable) -> tuple[End, bool]:
    if same_end(left[0], right[0]):
        return left[0], left[1] and right[1]
    return choose(left, right, key=lambda end: end[0].key())


def same_set(gold: list[Piece], other: list[Piece], *, tolerant: bool = False) -> bool:
    """Equal piece by piece, closed ends included."""
    return len(gold) == len(other) and all(
        a.low_closed == b.low_closed
        and a.high_closed == b.high_closed
        and same_end(a.low, b.low, tolerant=tolerant)
        and same_end(a.high, b.high, tolerant=tolerant)
        for a, b in zip(gold, other, strict=True)
    )
