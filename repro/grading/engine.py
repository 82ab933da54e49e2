"""math-verify behind guards: what it is asked, for how long, and when its answer is believed.

Asked only about what the grammar of `parser` leaves out by design: sums, products, integrals, limits, matrix algebra.
Malformed text is never shown to it: math-verify drops what it cannot read (a sign, a base, half of a formula) and
compares the rest. For the same reason a reading that lost a letter or a sum sign of the text counts as no reading.
Runs in the main thread of a worker, since limits are signals.
"""

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import sympy
from math_verify import LatexExtractionConfig, parse, verify

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its timeouts are off: `alarm` stands in

MAX_LENGTH = 400
_CALCULUS = re.compile(r"\\(?:sum|prod|i*int|oint|lim|det)(?![a-zA-Z])|matrix\}|\{array\}")
_OPERATOR = re.compile(r"\\(?:sum|prod|i*int|oint|lim)(?![a-zA-Z])")
_OPERATORS = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit)
_TOWER = re.compile(r"\d\s*\}?\s*\^\s*[{(\s\\left]*\d+\s*\}?\s*\^")
_LARGE = re.compile(
    r"\d[eE][+-]?\d{4}|\d{25}|\^\s*\{?\s*-?\d{4}|\d{4}\s*\}?\s*!|!\s*[)}]*\s*!|\d{5}\s*\}\s*\{?\s*\d{4}"
)
_COMMAND = re.compile(r"\\(?:text|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+")
_NOT_VARIABLES = frozenset("die")
_CONFIG = [LatexExtractionConfig(boxed_match_priority=0)]


class OutOfTime(BaseException):
    """The alarm rang. Not an Exception: sympy and math-verify catch those."""


@contextmanager
def alarm(seconds: float, *, inner: bool = False) -> Iterator[None]:
    """Raise OutOfTime in the body after `seconds` of this process's own time. Main thread only.

    Own time, not wall time: a machine that stalls must not turn a right answer into a timeout. The `inner` alarm is a
    second one, of user time, that may ring inside the body of the first.
    """
    timer, signal_number = (signal.ITIMER_VIRTUAL, signal.SIGVTALRM) if inner else (signal.ITIMER_PROF, signal.SIGPROF)

    def ring(_signal_number: int, _frame: object) -> None:
        raise OutOfTime

    previous = signal.signal(signal_number, ring)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(signal_number, previous)


def is_for(text: str) -> bool:
    """Whether the text holds something this engine is there for."""
    return bool(_CALCULUS.search(text))


def is_safe(text: str) -> bool:
    """Whether sympy may be shown the text: short, no power tower, no huge factorial or exponent."""
    return len(text) <= MAX_LENGTH and not _TOWER.search(text) and not _LARGE.search(text)


def read(text: str) -> sympy.Basic | sympy.MatrixBase | None:
    """math-verify's reading of an answer; None if it has none or lost one of its letters."""
    for reading in parse(rf"\boxed{{{text}}}", _CONFIG, fallback_mode="no_fallback", parsing_timeout=None):
        if (
            isinstance(reading, sympy.Basic | sympy.MatrixBase)
            and _keeps_letters(text, reading)
            and _keeps_operators(text, reading)
        ):
            return reading
    return None


def _keeps_letters(text: str, reading: sympy.Basic | sympy.MatrixBase) -> bool:
    kept = {str(name) for name in reading.free_symbols}
    if isinstance(reading, sympy.Basic):
        kept |= {str(part) for part in reading.atoms(sympy.Symbol)}
        kept |= {str(part.func) for part in reading.atoms(sympy.Function)}
    return set(re.findall(r"[A-Za-z]", _COMMAND.sub(" ", text))) - _NOT_VARIABLES <= set("".join(kept))


def _keeps_operators(text: str, reading: sympy.Basic | sympy.MatrixBase) -> bool:
    return not _OPERATOR.search(text) or (isinstance(reading, sympy.Basic) and bool(reading.atoms(*_OPERATORS)))


def same(gold: sympy.Basic | sympy.MatrixBase, other: sympy.Basic | sympy.MatrixBase) -> bool:
    """math-verify's verdict at 15 decimals (its default of six calls 0.0000672 and 0.0000673 equal)."""
    return verify(gold, other, float_rounding=15, numeric_precision=30, timeout_seconds=None)
