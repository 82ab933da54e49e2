"""What math-verify 0.9.0 gets wrong and this grader must not, line by line; and the reason codes."""

import pytest

from repro.grading import REASONS, GraderPool, grade, usable_gold

MINERVA_FORMULA = r"\hbar \omega(v+1 / 2)-\frac{E_{0}^{2} e^{2}}{2 m \omega^{2}}"

# gold, whole output, required verdict; math-verify alone gives the opposite.
DOCUMENTED = [
    ("33", r"\boxed{32} wait, \boxed{33}", True),
    ("33", "The answer is 33", False),
    ("65", r"\boxed {65}", True),
    ("40_9", r"\boxed{40_{10}}", False),
    (".0000672", r"\boxed{0.0000673}", False),
    (r"\frac13", r"\boxed{0.333333}", False),
    (r"4.6 \times 10^{-24}", r"\boxed{10^{-20}}", False),
    (r"3.89 \times 10^{-10}", r"\boxed{3.89e-10}", True),
    ("3.83e35", r"\boxed{3.83 \times 10^{35}}", True),
    ("-1./3", r"\boxed{-\frac13}", True),
    (r"8.7 \times 10^{8}", r"\boxed{870000000}", True),
    ("1950", r"\boxed{1\,950}", True),
    ("1 - 12i", r"\boxed{1-12 i}", True),
    ("E_{1},E_{2}", r"\boxed{E_1, E_2}", True),
    (r"\frac{37}{4} m", r"\boxed{\frac{37}{4}}", False),
    (MINERVA_FORMULA, r"\boxed{2}", False),
    ("0", r"\boxed{5x-7y+11z+4=0}", False),
    ("(1,2)", r"\boxed{(1, 2)}", True),
    ("1{,}000", r"\boxed{1000}", True),
    (r"10\%", r"\boxed{10\%}", True),
]

REASON_CASES = [
    ("5", r"\boxed{5}", "correct", "identical"),
    ("5", r"\boxed{6}", "wrong", "value"),
    ("5", "five", "no_box", "no_box"),
    ("5", r"so \boxed{5", "no_box", "unclosed_box"),
    ("33", r"\boxed{33} and \boxed{", "correct", "trailing_open_box"),
    ("33", r"\boxed{34} and \boxed{", "wrong", "trailing_open_box"),
    ("5", r"\boxed{}", "unparseable_prediction", "empty_box"),
    ("5", r"\boxed{ \, \; }", "unparseable_prediction", "empty_box"),
    ("5", r"\boxed{" + "5" * 1001 + "}", "unparseable_prediction", "too_long"),
    ("5", r"\boxed{?}", "unparseable_prediction", "unreadable"),
    ("", r"\boxed{5}", "unparseable_gold", "empty_gold"),
    ("  ", r"\boxed{5}", "unparseable_gold", "empty_gold"),
    (r"\frac{1}{", r"\boxed{5}", "unparseable_gold", "unusable_gold"),
    ("5}", r"\boxed{5}", "unparseable_gold", "unusable_gold"),
    (r"\text{even}", r"\boxed{\text{odd}}", "wrong", "text"),
]


@pytest.fixture(scope="module")
def pool():
    with GraderPool(1) as workers:
        yield workers


@pytest.mark.parametrize(("gold", "prediction", "correct"), DOCUMENTED)
def test_a_documented_fault_of_math_verify_is_not_ours(pool, gold, prediction, correct):
    assert pool.grade_many([(gold, prediction)])[0].correct is correct


@pytest.mark.parametrize(("gold", "prediction", "reason", "detail"), REASON_CASES)
def test_every_verdict_says_why(pool, gold, prediction, reason, detail):
    verdict = pool.grade_many([(gold, prediction)])[0]
    assert (verdict.reason, verdict.detail) == (reason, detail)
    assert verdict.reason in REASONS and verdict.correct is (verdict.reason == "correct")
    assert verdict.seconds >= 0


def test_gold_and_prediction_cannot_be_swapped_silently():
    with pytest.raises(TypeError):
        grade("5", r"\boxed{5}")


def test_something_else_than_two_strings_is_refused_by_name():
    with pytest.raises(TypeError, match="gold is int"):
        grade(gold=5, prediction=r"\boxed{5}")


def test_a_gold_that_lost_its_last_braces_still_equals_itself():
    gold = r"\frac{2 k n}{n+k-1}-\frac{k!n!}{(k+n-1)!"
    assert usable_gold(gold)
    assert grade(gold=gold, prediction=rf"\boxed{{{gold}}}").correct
    assert grade(gold=gold, prediction=rf"\boxed{{{gold}}}}}").correct
    assert not grade(gold=gold, prediction=r"\boxed{\frac{2 k n}{n+k-1}}").correct


def test_verdict_holds_the_content_of_the_box():
    assert grade(gold="33", prediction=r"\boxed{32} or \boxed{ 33 }").extracted == " 33 "
    assert grade(gold="33", prediction="33").extracted is None
