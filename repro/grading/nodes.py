"""Syntax tree of an answer. A node is a kind, its children and, for leaves, a value."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple


class Node(NamedTuple):
    """kind: num const sym text base | add mul div pow neg pm mp call apply lattice fact binom abs floor ceil pct deg |
    tuple set list matrix rel union inter diff ratio."""

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
