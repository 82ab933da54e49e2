"""The mathematics under the grader: exact values, error bounds, equality, real sets; and faults to be noticed."""

from fractions import Fraction

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.grading import compare, equality, evaluate, realsets
from repro.grading.compare import same_answer
from repro.grading.operands import parse_number
from repro.grading.parser import parse_answer


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(evaluate.DIGITS):
        yield


def value(text: str):
    return evaluate.evaluate(parse_answer(text).tree)


def same(gold: str, other: str) -> bool | None:
    return same_answer(parse_answer(gold), parse_answer(other))


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("1.25", Fraction(5, 4)),
        (".0000672", Fraction(672, 10**7)),
        ("3.89e-10", Fraction(389, 10**12)),
        ("4.6 \\times 10^{-24}", Fraction(46, 10**25)),
        ("0.1\\overline{6}", Fraction(1, 6)),
        ("137\\frac{1}{2}", Fraction(275, 2)),
        ("-1\\frac{1}{2}", Fraction(-3, 2)),
        ("\\sqrt{\\frac{9}{4}}", Fraction(3, 2)),
        ("8^{-2/3}", Fraction(1, 4)),
        ("\\sqrt[3]{-8}", Fraction(-2)),
        ("\\binom{10}{3}", Fraction(120)),
        ("5!", Fraction(120)),
        ("2^{10}-2^3!", Fraction(1024 - 2**6)),
        ("1 - 2 - 3", Fraction(-4)),
        ("12/4/3", Fraction(1)),
        ("-2^2", Fraction(-4)),
        ("2^{3^2}", Fraction(512)),
        ("|-3|", Fraction(3)),
        ("\\lfloor -\\frac12 \\rfloor", Fraction(-1)),
        ("\\lceil -\\frac12 \\rceil", Fraction(0)),
        ("12\\%", Fraction(12, 100)),
        ("\\gcd(12,18)", Fraction(6)),
        ("1,234,567.5", Fraction(2469135, 2)),
    ],
)
def test_a_rational_formula_has_its_exact_value(text, exact):
    assert value(text) == exact


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1/0", evaluate.Undefined),
        ("0^0", evaluate.Undefined),
        ("\\frac{1}{\\sin \\pi}", evaluate.Undefined),
        ("\\tan \\frac{\\pi}{2}", evaluate.Undefined),
        ("\\ln 0", evaluate.Undefined),
        ("(-3)!", evaluate.Undefined),
        ("9^{9^{9^9}}", evaluate.TooBig),
        ("((9!)!)!", evaluate.TooBig),
        ("\\infty", evaluate.NoValue),
        ("\\infty - \\infty", evaluate.NoValue),
    ],
)
def test_what_has_no_value_says_so(text, error):
    with pytest.raises(error):
        value(text)


def test_an_exponent_of_ten_beyond_any_answer_is_not_read():
    assert parse_number("1e400") == Fraction(10) ** 400
    with pytest.raises(ValueError, match="exponent"):
        parse_number("1e999999999")


@pytest.mark.parametrize(
    ("text", "number"),
    [("\\sqrt{2}", "sqrt(2)"), ("e^{\\pi}", "exp(pi)"), ("\\sin 30^\\circ", "0.5"), ("\\log_2 10", "log(10)/log(2)")],
)
def test_an_irrational_value_is_within_its_error_bound(text, number):
    approximate = value(text)
    exact = eval(number, {name: getattr(mpmath, name) for name in ("sqrt", "exp", "pi", "log")} | {"__builtins__": {}})
    assert abs(approximate.value - mpmath.mpf(exact)) <= approximate.scale * mpmath.mpf(10) ** -(evaluate.DIGITS - 3)


@settings(max_examples=60, deadline=None)
@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_two_fractions_are_equal_exactly_when_they_are(left, right):
    texts = [f"\\frac{{{number.numerator}}}{{{number.denominator}}}" for number in (left, right)]
    assert same(*texts) is (left == right)
    assert same(texts[0], texts[0]) is True


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(1, 12))
def test_a_decimal_equals_its_fraction_and_no_neighbour_of_its_last_digit(digits, places):
    number = Fraction(digits, 10**places)
    gold = f"{digits / abs(digits) if digits else 1:.0f}".replace("1", "") + f"{abs(digits):0{places + 1}d}"
    gold = gold[: len(gold) - places] + "." + gold[len(gold) - places :]
    assert same(gold, f"\\frac{{{number.numerator}}}{{{number.denominator}}}") is True
    if abs(digits) < 10**8:  # below, a unit of the last place is float noise
        assert same(gold, f"\\frac{{{digits + 1}}}{{{10**places}}}") is False


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("[0,1]\\cup[1,2]", [(0, True, 2, True)]),
        ("[0,1)\\cup(1,2]", [(0, True, 1, False), (1, False, 2, True)]),
        ("(0,1)\\cup\\{1\\}", [(0, False, 1, True)]),
        ("(0,3)\\setminus[1,2]", [(0, False, 1, False), (2, False, 3, False)]),
        ("(0,3)\\cap[2,5]", [(2, True, 3, False)]),
        ("x \\ne 1", [(None, False, 1, False), (1, False, None, False)]),
        ("-1 < x \\le 4", [(-1, False, 4, True)]),
        ("\\mathbb{R}", [(None, False, None, False)]),
    ],
)
def test_a_set_of_reals_is_a_list_of_pieces(text, ends):
    pieces = realsets.from_node(parse_answer(text).tree)
    shown = [
        (None if low.infinite else low.value, low_closed, None if high.infinite else high.value, high_closed)
        for low, low_closed, high, high_closed in pieces
    ]
    assert shown == ends


# name: (module, attribute, faulty value, gold, answer, verdict that the fault turns)
FAULTS = {
    "an absolute tolerance": (
        equality,
        "close",
        lambda a, b, *, tolerant: abs(evaluate.approximate(a).value - evaluate.approximate(b).value) < 1e-6,
        ".0000672",
        "0.0000673",
        False,
    ),
    "tolerance for exact golds": (
        equality,
        "RELATIVE_TOLERANCE",
        Fraction(1, 10**3),
        "0.3333",
        "\\frac13",
        False,
    ),
    "roundings are compared at small numbers": (
        equality,
        "_LARGE_POINTS",
        (),
        "\\lfloor n/90\\rfloor",
        "\\lfloor n/91\\rfloor",
        False,
    ),
    "signs are never asked about": (equality, "_asks_about_sign", lambda node: False, "|x|", "x", False),
    "no precision loss is too much": (
        equality,
        "MAX_LOSS",
        10**99,
        "\\pi+10^{50}-10^{50}",
        "\\frac{355}{113}",
        None,
    ),
    "letters are never whole numbers": (
        equality,
        "_has_negative_base",
        lambda node: False,
        "(-1)^{n}",
        "(-1)^{-n}",
        True,
    ),
    "bases are equal": (compare, "_same_base", lambda gold, other: True, "40_9", "40_{10}", False),
    "lists may be longer": (
        compare._Comparison,
        "unordered",
        lambda self, gold, other: all(any(self.same(a, b) for b in other) for a in gold),
        "5, 1",
        "1, 5, 999",
        False,
    ),
    "tuples are sets": (
        compare._Comparison,
        "in_order",
        lambda self, gold, other: self.unordered(gold, other),
        "(6,5)",
        "(5,6)",
        False,
    ),
    "open ends are closed ends": (
        realsets,
        "same_set",
        lambda gold, other, *, tolerant: [p.low.key() for p in gold] == [p.low.key() for p in other],
        "(0,1)\\cup(2,3)",
        "[0,1)\\cup(2,3)",
        False,
    ),
    "any equation has a name and a value": (
        compare,
        "_is_assignment",
        lambda node: node.kind == "rel",
        "x+y=5",
        "5",
        False,
    ),
    "a zero right-hand side is a value": (compare, "_is_name", lambda node: True, "3", "5x-7y=3", False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_comparison_is_noticed(name, monkeypatch):
    module, attribute, faulty, gold, answer, right = FAULTS[name]
    assert same(gold, answer) is right
    monkeypatch.setattr(module, attribute, faulty)
    assert same(gold, answer) is not right
