"""Syntax tree of an answer. A node is a kind, its children and, for leaves, a value."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple


class Node(NamedTuple):
    """kind: num const sym text base | add mul div pow neg pm mp call apply lattice fact binom abs floor ceil pct deg |
    tuple set list matrix cases case rel union inter diff ratio."""

    kind: str
    args: tuple["Node", ...] = ()
    value: object = None


class TooManySigns(ValueError):
    """The choices of signs are too many to write out."""


def num(value: Fraction | int) -> Node:
    return Node("num", (), Fraction(value))


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(current.args)


def symbols(node: Node) -> frozenset[str]:
    """Names of the variables and unknown functions in the node."""
    return frozenset(str(part.value) for part in walk(node) if part.kind in ("sym", "apply"))


def contains(node: Node, *kinds: str) -> bool:
    return any(part.kind in kinds for part in walk(node))


def expand_signs(node: Node) -> list[Node]:
    r"""The node's values for each choice of signs: one for each `\pm` on its own, one for all where `\mp` ties them."""
    count = sum(part.kind in ("pm", "mp") for part in walk(node))
    if count == 0:
        return [node]
    if count > 3:
        raise TooManySigns("more than three plus-minus signs")
    if contains(node, "mp"):
        choices = [[True] * count, [False] * count]
    else:
        choices = [[bool(mask >> bit & 1) for bit in range(count)] for mask in range(2**count)]
    return [_choose(node, iter(choice)) for choice in choices]


def _choose(node: Node, signs: Iterator[bool]) -> Node:
    if node.kind not in ("pm", "mp"):
        return Node(node.kind, tuple(_choose(arg, signs) for arg in node.args), node.value)
    positive = next(signs) == (node.kind == "pm")
    *left, right = (_choose(arg, signs) for arg in node.args)
    signed = right if positive else Node("neg", (right,))
    return Node("add", (*left, signed)) if left else signed


def as_matrix(node: Node) -> Node | None:
    """The node as one matrix, a scalar factor or sign multiplied in; None if it is none."""
    if node.kind == "matrix":
        return node
    if node.kind == "neg":
        inner = as_matrix(node.args[0])
        return inner and Node("matrix", tuple(Node("neg", (cell,)) for cell in inner.args), inner.value)
    if node.kind == "add":
        left, right = map(as_matrix, node.args)
        if left is None or right is None or left.value != right.value or len(left.args) != len(right.args):
            return None
        cells = tuple(Node("add", pair) for pair in zip(left.args, right.args, strict=True))
        return Node("matrix", cells, left.value)
    if node.kind == "div" and (inner := as_matrix(node.args[0])):
        return Node("matrix", tuple(Node("div", (cell, node.args[1])) for cell in inner.args), inner.value)
    if node.kind == "mul":
        for scalar, factor in (node.args, node.args[::-1]):
            inner = as_matrix(factor)
            if inner and not contains(scalar, "matrix"):
                return Node("matrix", tuple(Node("mul", (scalar, cell)) for cell in inner.args), inner.value)
    return None


def adds_unlike(node: Node) -> bool:
    """Whether a matrix is added to something that is none."""
    return any(part.kind == "add" and len({contains(arg, "matrix") for arg in part.args}) == 2 for part in walk(node))
