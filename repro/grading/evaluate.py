"""Value of a formula: an exact fraction where it is rational, else a 60-digit number with a bound on its error.

Every operation is guarded: no integer beyond `MAX_BITS`, no power tower, no factorial of a large number is ever built,
so a value costs microseconds to milliseconds whatever the text says.
"""

import math
import zlib
from fractions import Fraction
from typing import NamedTuple

import mpmath

from repro.grading.nodes import Node, symbols
from repro.grading.vocabulary import TRIGONOMETRIC

DIGITS = 60
MAX_BITS = 1 << 16  # of an exact integer
MAX_LOG2 = 1e9  # of an approximate one
MAX_EXACT_FACTORIAL = 3000


class Undefined(ArithmeticError):
    """The formula has no finite value: a division by zero, infinity minus infinity."""


class TooBig(ArithmeticError):
    """The value is beyond anything an answer means; it is not built."""


class NoValue(ArithmeticError):
    """The node is not a formula with a value (a set, a word)."""


class Approx(NamedTuple):
    """value: real or complex. scale: the absolute error is about scale * 10^-DIGITS."""

    value: mpmath.mpc
    scale: mpmath.mpf


Value = Fraction | Approx
_WHOLE = frozenset("ijklmnN")
_HALF_TURN = Fraction(180)


def sample(name: str, point: int, low: Fraction, high: Fraction) -> Fraction:
    """Reproducible pseudo-random value of a symbol at sample `point`, strictly inside (low, high)."""
    draw = zlib.crc32(f"{point}/{name}".encode("utf-8", "backslashreplace")) % 9973 + 1
    return low + (high - low) * Fraction(draw, 9974)


def approximate(value: Value) -> Approx:
    if isinstance(value, Approx):
        return value
    number = mpmath.mpf(value.numerator) / value.denominator
    return Approx(number, abs(number))


def evaluate(
    node: Node,
    point: int = 0,
    low: Fraction = Fraction(1, 3),
    high: Fraction = Fraction(8, 3),
    *,
    integers: bool = False,
) -> Value:
    """Value of the formula at a sample point; with `integers` the letters i to n and N are whole there.

    Raises Undefined, TooBig or NoValue. The caller sets mpmath's digits.
    """
    return _Evaluator(point, low, high, integers).value(node)


def is_whole_constant(node: Node) -> bool:
    """Whether the node is a formula without symbols whose value is a whole number."""
    try:
        return not symbols(node) and _is_whole(evaluate(node))
    except ArithmeticError:
        return False


class _Evaluator:
    def __init__(self, point: int, low: Fraction, high: Fraction, integers: bool):
        self.point = point
        self.low = low
        self.high = high
        self.integers = integers
        self.in_degrees = False

    def value(self, node: Node) -> Value:
        handler = getattr(self, "on_" + node.kind, None)
        if handler is None:
            raise NoValue(f"a {node.kind} has no single value")
        return _checked(handler(node))

    def on_num(self, node: Node) -> Value:
        return node.value

    def on_sym(self, node: Node) -> Value:
        if str(node.value).startswith(("\\mathbb", "\\ldots")):
            raise NoValue(str(node.value))
        value = sample(str(node.value), self.point, self.low, self.high)
        return Fraction(math.ceil(value)) if self.integers and node.value in _WHOLE else value

    def on_const(self, node: Node) -> Value:
        if node.value == "inf":
            raise NoValue("infinity")
        number = {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}[node.value]
        return Approx(+number, mpmath.mpf(4))

    def on_apply(self, node: Node) -> Value:
        """An unknown function: a pseudo-random number fixed by its name and its arguments' values."""
        shown = []
        for argument in node.args:
            value = self.value(argument)
            shown.append(str(value) if isinstance(value, Fraction) else mpmath.nstr(value.value, 25))
        return sample(f"{node.value}({','.join(shown)})", self.point, self.low, self.high)

    def on_add(self, node: Node) -> Value:
        return add(self.value(node.args[0]), self.value(node.args[1]))

    def on_neg(self, node: Node) -> Value:
        value = self.value(node.args[0])
        return -value if isinstance(value, Fraction) else Approx(-value.value, value.scale)

    def on_mul(self, node: Node) -> Value:
        return multiply(self.value(node.args[0]), self.value(node.args[1]))

    def on_div(self, node: Node) -> Value:
        return divide(self.value(node.args[0]), self.value(node.args[1]))

    def on_pow(self, node: Node) -> Value:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        if node.value == "root" and isinstance(exponent, Fraction) and exponent.denominator % 2 and _is_negative(base):
            return -power(-base, exponent)  # a real odd root
        return power(base, exponent)

    def on_pct(self, node: Node) -> Value:
        return divide(self.value(node.args[0]), Fraction(100))

    def on_deg(self, node: Node) -> Value:
        value = self.value(node.args[0])
        if not self.in_degrees:
            return value
        return divide(multiply(value, Approx(+mpmath.pi, mpmath.mpf(4))), _HALF_TURN)

    def on_abs(self, node: Node) -> Value:
        value = self.value(node.args[0])
        return abs(value) if isinstance(value, Fraction) else Approx(abs(value.value), value.scale)

    def on_floor(self, node: Node) -> Value:
        return self.rounded(node, mpmath.floor)

    def on_ceil(self, node: Node) -> Value:
        return self.rounded(node, mpmath.ceil)

    def rounded(self, node: Node, rounding) -> Value:
        value = self.value(node.args[0])
        if isinstance(value, Fraction):
            return Fraction(value.__floor__() if rounding is mpmath.floor else value.__ceil__())
        if mpmath.im(value.value) or value.scale > mpmath.mpf(10) ** (DIGITS // 2):
            raise NoValue("rounding of a complex or very large value")
        return Fraction(int(rounding(value.value)))

    def on_fact(self, node: Node) -> Value:
        return factorial(self.value(node.args[0]))

    def on_binom(self, node: Node) -> Value:
        top, bottom = self.value(node.args[0]), self.value(node.args[1])
        if _is_whole(top) and _is_whole(bottom) and 0 <= bottom <= top <= MAX_EXACT_FACTORIAL:
            return Fraction(mpmath.libmp.ifac(int(top)), 1) / (
                mpmath.libmp.ifac(int(bottom)) * mpmath.libmp.ifac(int(top - bottom))
            )
        rest = add(top, multiply(Fraction(-1), bottom))
        return divide(factorial(top), multiply(factorial(bottom), factorial(rest)))

    def on_lattice(self, node: Node) -> Value:
        """Greatest, least, gcd or lcm of rational arguments."""
        values = [self.value(argument) for argument in node.args]
        if not all(isinstance(value, Fraction) for value in values):
            raise NoValue(f"{node.value} of numbers that are not rational")
        if node.value in ("max", "min"):
            return max(values) if node.value == "max" else min(values)
        if not all(_is_whole(value) for value in values):
            raise NoValue(f"{node.value} of numbers that are not whole")
        return Fraction((math.gcd if node.value == "gcd" else math.lcm)(*map(int, values)))

    def on_call(self, node: Node) -> Value:
        name = str(node.value)
        if name == "log10":
            return divide(self.on_call(Node("call", node.args, "ln")), log(Fraction(10)))
        outer, self.in_degrees = self.in_degrees, name in TRIGONOMETRIC
        argument = self.value(node.args[0])
        self.in_degrees = outer
        return log(argument) if name == "ln" else function(name, argument)


def _checked(value: Value) -> Value:
    """Turn an exact number that grew too long into an approximate one; refuse what is not finite."""
    if isinstance(value, Fraction):
        if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
            return approximate(value)
        return value
    if not mpmath.isfinite(value.value) or not mpmath.isfinite(value.scale):
        raise Undefined("not a finite number")
    if value.value and abs(mpmath.mag(value.value)) > MAX_LOG2:
        raise TooBig("a value beyond 2^1e9")
    return value


def _is_whole(value: Value) -> bool:
    return isinstance(value, Fraction) and value.denominator == 1


def _is_negative(value: Value) -> bool:
    if isinstance(value, Fraction):
        return value < 0
    return not mpmath.im(value.value) and mpmath.re(value.value) < 0


def is_zero(value: Value) -> bool:
    """Whether the value is zero within its own error."""
    if isinstance(value, Fraction):
        return value == 0
    return abs(value.value) <= value.scale * mpmath.mpf(10) ** -(DIGITS - 12)


def add(left: Value, right: Value) -> Value:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left + right
    a, b = approximate(left), approximate(right)
    return Approx(a.value + b.value, a.scale + b.scale)


def multiply(left: Value, right: Value) -> Value:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left * right
    if left == 0 or right == 0:
        return Fraction(0)
    a, b = approximate(left), approximate(right)
    return Approx(a.value * b.value, abs(a.value) * b.scale + abs(b.value) * a.scale)


def divide(left: Value, right: Value) -> Value:
    if is_zero(right):
        raise Undefined("a division by zero")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left / right
    a, b = approximate(left), approximate(right)
    size = abs(b.value)
    return Approx(a.value / b.value, a.scale / size + abs(a.value) * b.scale / size**2)


def power(base: Value, exponent: Value) -> Value:
    """base^exponent on the principal branch; exact where base and result are rational and of bounded length."""
    if is_zero(base):
        if is_zero(exponent) or mpmath.re(approximate(exponent).value) < 0:
            raise Undefined("zero to a power that is not positive")
        return Fraction(0)
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        exact = _exact_power(base, exponent)
        if exact is not None:
            return exact
    a, b = approximate(base), approximate(exponent)
    logarithm = mpmath.log(a.value)
    if abs(logarithm) * abs(b.value) > MAX_LOG2:
        raise TooBig("a power beyond 2^1e9")
    result = mpmath.power(a.value, b.value)
    relative = 1 + abs(b.value) * a.scale / abs(a.value) + (1 + abs(logarithm)) * b.scale
    return Approx(result, abs(result) * relative)


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if abs(base) == 1 and exponent.denominator == 1:
        return base if exponent.numerator % 2 else Fraction(1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator == 1:
        return base ** int(exponent) if abs(exponent) * bits <= MAX_BITS else None
    degree = exponent.denominator
    if base < 0 or degree > 64 or abs(exponent.numerator) * bits > MAX_BITS:
        return None
    top, bottom = _integer_root(base.numerator, degree), _integer_root(base.denominator, degree)
    if top is None or bottom is None:
        return None
    return Fraction(top, bottom) ** exponent.numerator


def _integer_root(number: int, degree: int) -> int | None:
    """The whole root of a whole number, None if it has none."""
    if number < 2:
        return number
    low, high = 1, 1 << (number.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= number:
            low = middle
        else:
            high = middle - 1
    return low if low**degree == number else None


def factorial(value: Value) -> Value:
    if _is_whole(value):
        if value < 0:
            raise Undefined("factorial of a negative whole number")
        if value <= MAX_EXACT_FACTORIAL:
            return Fraction(mpmath.libmp.ifac(int(value)))
    number = approximate(value)
    if abs(number.value) > 1e7:
        raise TooBig("factorial of a number beyond 1e7")
    result = mpmath.gamma(number.value + 1)
    return Approx(result, abs(result) * (1 + number.scale * (2 + mpmath.log(2 + abs(number.value)))))


def log(value: Value) -> Value:
    if is_zero(value):
        raise Undefined("logarithm of zero")
    if value == 1:
        return Fraction(0)
    number = approximate(value)
    result = mpmath.log(number.value)
    return Approx(result, abs(result) + number.scale / abs(number.value))


# name: (function, size of its derivative at x where the value is y)
_FUNCTIONS = {
    "sin": (mpmath.sin, lambda x, y: 1 + abs(mpmath.im(x))),
    "cos": (mpmath.cos, lambda x, y: 1 + abs(mpmath.im(x))),
    "tan": (mpmath.tan, lambda x, y: 1 + abs(y) ** 2),
    "cot": (mpmath.cot, lambda x, y: 1 + abs(y) ** 2),
    "sec": (mpmath.sec, lambda x, y: 1 + abs(y) ** 2),
    "csc": (mpmath.csc, lambda x, y: 1 + abs(y) ** 2),
    "sinh": (mpmath.sinh, lambda x, y: 1 + abs(y)),
    "cosh": (mpmath.cosh, lambda x, y: 1 + abs(y)),
    "tanh": (mpmath.tanh, lambda x, y: 1 + abs(y) ** 2),
    "coth": (mpmath.coth, lambda x, y: 1 + abs(y) ** 2),
    "exp": (mpmath.exp, lambda x, y: abs(y)),
    "arcsin": (mpmath.asin, lambda x, y: _steep(1 - x**2)),
    "arccos": (mpmath.acos, lambda x, y: _steep(1 - x**2)),
    "arctan": (mpmath.atan, lambda x, y: _steep((1 + x**2) ** 2)),
    "arccot": (mpmath.acot, lambda x, y: _steep((1 + x**2) ** 2)),
    "arcsec": (mpmath.asec, lambda x, y: 1 + _steep((x**2 - 1) * x**2)),
    "arccsc": (mpmath.acsc, lambda x, y: 1 + _steep((x**2 - 1) * x**2)),
    "arcsinh": (mpmath.asinh, lambda x, y: _steep(1 + x**2)),
    "arccosh": (mpmath.acosh, lambda x, y: _steep(x**2 - 1)),
    "arctanh": (mpmath.atanh, lambda x, y: _steep((1 - x**2) ** 2)),
}


def _steep(square: mpmath.mpc) -> mpmath.mpf:
    """1/sqrt(|square|), bounded: the derivative of an inverse function beside its branch point."""
    return 1 / mpmath.sqrt(abs(square) + mpmath.mpf(10) ** -DIGITS)


def function(name: str, value: Value) -> Value:
    number = approximate(value)
    if abs(number.value) > 1e9:
        raise TooBig(f"{name} of a number beyond 1e9")
    if name in ("tan", "sec") and is_zero(Approx(mpmath.cos(number.value), 1 + number.scale)):
        raise Undefined(f"{name} at a pole")
    if name in ("cot", "csc") and is_zero(Approx(mpmath.sin(number.value), 1 + number.scale)):
        raise Undefined(f"{name} at a pole")
    call, slope = _FUNCTIONS[name]
    try:
        result = call(number.value)
    except (ZeroDivisionError, ValueError) as error:
        raise Undefined(f"{name} at a pole") from error
    return Approx(result, abs(result) + slope(number.value, result) * number.scale)
