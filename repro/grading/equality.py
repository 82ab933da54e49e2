"""Whether two formulas have the same value: exactly where they are rational, else to 48 digits at several points."""

from fractions import Fraction

import mpmath

from repro.grading.evaluate import (
    Approx,
    NoValue,
    TooBig,
    Undefined,
    Value,
    add,
    approximate,
    evaluate,
    is_zero,
    multiply,
)
from repro.grading.nodes import Node, contains, symbols, walk

RELATIVE_TOLERANCE = Fraction(1, 10**9)  # float noise around a decimal gold; never absolute
MAX_LOSS = 10**15  # of the 48 digits compared, how much cancellation may cost
_POSITIVE_POINTS = (
    (0, Fraction(1, 3), Fraction(8, 3)),
    (1, Fraction(0), Fraction(1)),
    (2, Fraction(2), Fraction(9)),
    (3, Fraction(1, 3), Fraction(8, 3)),
    (4, Fraction(0), Fraction(1)),
)
_SIGNED_POINTS = ((5, Fraction(-3), Fraction(-1, 3)), (6, Fraction(-9), Fraction(9)))
_LARGE_POINTS = tuple((point, Fraction(5), Fraction(300)) for point in range(7, 10)) + tuple(
    (point, Fraction(10**4), Fraction(10**6)) for point in range(10, 13)
)  # roundings differ only far out
_SMALL_INTEGERS = tuple((point, Fraction(3), Fraction(12)) for point in range(13, 16))
_ENOUGH = 2  # agreements without a disagreement; two random points of a false identity agree with probability ~ 0


def close(gold: Value, other: Value, *, tolerant: bool) -> bool:
    """Equal: exactly for fractions, within the evaluation error otherwise, or within 1e-9 relative if `tolerant`.

    Raises TooBig if the error is too large for equality to mean anything.
    """
    if isinstance(gold, Fraction) and isinstance(other, Fraction):
        return gold == other or (tolerant and abs(gold - other) <= RELATIVE_TOLERANCE * abs(gold))
    difference = add(gold, multiply(Fraction(-1), other))
    if is_zero(difference):
        if difference.scale > MAX_LOSS * (1 + abs(approximate(gold).value) + abs(approximate(other).value)):
            raise TooBig("equal only because so little of the value is known")
        return True
    size = abs(approximate(gold).value)
    return tolerant and bool(abs(approximate(difference).value) <= size * mpmath.mpf(10) ** -9)


def is_real(value: Value) -> bool:
    return isinstance(value, Fraction) or is_zero(Approx(mpmath.im(value.value), value.scale))


def signed_infinity(node: Node) -> int:
    """+1 or -1 for an infinity, 0 for anything else."""
    if node.kind == "const" and node.value == "inf":
        return 1
    if node.kind == "neg":
        return -signed_infinity(node.args[0])
    return 0


def same_value(gold: Node, other: Node, *, tolerant: bool = False) -> bool | None:
    """Whether two formulas are equal; None if that cannot be told here (a value too big, nothing defined anywhere).

    Symbols stand for positive reals, unless an absolute value or the root of an even power asks about the sign. The
    letters i to n stand for whole numbers beside roundings, factorials, and powers of negative numbers.
    """
    if gold == other:
        return True
    infinities = signed_infinity(gold), signed_infinity(other)
    if any(infinities):
        return infinities[0] == infinities[1]
    if not symbols(gold) and not symbols(other):
        return _same_constant(gold, other, tolerant)
    points, integers = _points(gold, other)
    agreed = differed = 0
    for point, low, high in points:
        try:
            a, b = (evaluate(node, point, low, high, integers=integers) for node in (gold, other))
            equal = close(a, b, tolerant=tolerant)
        except (Undefined, TooBig):
            continue
        except NoValue:
            return False
        if equal:
            agreed += 1
        elif is_real(a) and is_real(b):
            return False
        else:  # principal branches may differ where a root or logarithm leaves the reals
            differed += 1
        if agreed >= _ENOUGH and points is _POSITIVE_POINTS:
            break
    if agreed >= _ENOUGH:
        return True
    return False if differed else None


def _same_constant(gold: Node, other: Node, tolerant: bool) -> bool | None:
    try:
        a = evaluate(gold)
    except (Undefined, NoValue):
        return False
    except TooBig:
        return None
    try:
        b = evaluate(other)
    except (Undefined, NoValue, TooBig):
        return False
    try:
        return close(a, b, tolerant=tolerant)
    except TooBig:
        return None


def _points(gold: Node, other: Node) -> tuple[tuple[tuple[int, Fraction, Fraction], ...], bool]:
    """Where to compare, and whether i to n are whole there."""
    points = _POSITIVE_POINTS
    if _asks_about_sign(gold) or _asks_about_sign(other):
        points = points + _SIGNED_POINTS
    counted = [contains(node, "fact", "binom") or _has_negative_base(node) for node in (gold, other)]
    rounded = [contains(node, "floor", "ceil") for node in (gold, other)]
    if any(rounded) or any(counted):
        return _SMALL_INTEGERS + (_LARGE_POINTS if any(rounded) else points[:1]), True
    return points, False


def _has_negative_base(node: Node) -> bool:
    """Whether a negative number is raised to a power that is no number: (-1)^n."""
    return any(part.kind == "pow" and part.args[0].kind == "neg" and symbols(part.args[1]) for part in walk(node))


def _asks_about_sign(node: Node) -> bool:
    if contains(node, "abs"):
        return True
    return any(
        part.value == "root" and part.args[0].kind == "pow" and part.args[0].value != "root" for part in walk(node)
    )


def ratio_of_differences(gold: tuple[Node, Node], other: tuple[Node, Node], *, tolerant: bool = False) -> int | None:
    """Sign of the constant c with (gold left - right) = c (other left - right); 0 if there is no such constant.

    None if it cannot be told. Two equations are the same up to a factor if c exists, two inequalities if it is > 0.
    """
    first: Value | None = None
    agreed = 0
    for point, low, high in _POSITIVE_POINTS + _SIGNED_POINTS:
        try:
            a, b = (
                add(evaluate(left, point, low, high), multiply(Fraction(-1), evaluate(right, point, low, high)))
                for left, right in (gold, other)
            )
        except (Undefined, TooBig):
            continue
        except NoValue:
            return None
        if not is_real(a) or not is_real(b):
            continue
        if is_zero(a) or is_zero(b):
            if is_zero(a) != is_zero(b):
                return 0
            continue
        if first is None:
            first_a, first, agreed = a, b, 1
        else:
            try:
                if not close(multiply(first_a, b), multiply(a, first), tolerant=tolerant):
                    return 0
            except TooBig:
                continue
            agreed += 1
    if first is None or agreed <= _ENOUGH:
        return None
    quotient = approximate(first_a).value / approximate(first).value
    return 1 if mpmath.re(quotient) > 0 else -1
