"""The grader never raises, never exceeds its limit and has no side effect, on random text and on attacks."""

import random
from pathlib import Path

import pytest
from grader_variants import all_cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.grading import REASONS, GraderPool
from repro.grading.pool import _processor_seconds

LIMIT_SECONDS = 2.0  # of the worker's own time: wall time says what else the machine does
MARKER = Path("/tmp/gcpo_grader_test_pwned")
_TOKENS = (
    r"\frac \sqrt { } ( ) [ ] \{ \} ^ _ + - * / = < > \le 1 2 10 3.5 x y n i e \pi \sin \log \text{ \boxed{ \binom ! | "
    r"\pm , ; \cup \infty \sum \int \lim \begin{pmatrix} \end{pmatrix} \\ & % \% $ \left \right . ... \circ ' \, "
    r"\mathbb{R} \in e10 999999 ^{9^{9^9}} \overline \dot \vec \mathrm{m} or and \to \cdot \times \ldots ² √ ٣ ① : "
    r"base _9 \langle"
)
TOKENS = _TOKENS.split(" ")
_DETERMINANT = r"\\".join("&".join(f"x_{{{6 * row + column}}}" for column in range(6)) for row in range(6))
ATTACKS = {
    "tower": "9^{9^{9^{9}}}",
    "python tower": "9**9**9**9",
    "issue-like tower": r"\dfrac{5^{\left(5^{\left(5^{\left(5^5\right)}\right)}-4\right)}-5}{16}",
    "factorials": "((((9!)!)!)!)!",
    "factorial": "100000!",
    "bangs": "1" + "!" * 900,
    "binomial": r"\binom{1000000000}{500000000}",
    "sum": r"\sum_{k=1}^{1000000000} \frac{1}{k}",
    "product": r"\prod_{k=1}^{100000}(1+x^k)",
    "integral": r"\int_0^1 x^{x^{x}} dx",
    "determinant": r"\det\begin{pmatrix}" + _DETERMINANT + r"\end{pmatrix}",
    "limit": r"\lim_{x\to 0} " + r"\sin(" * 20 + "x" + ")" * 20,
    "expansion": "(x+y+z)^{200}",
    "nested powers": "(((1+x)^{100})^{100})^{100}",
    "overflow": "1e999999999",
    "long integer": "9" * 999,
    "deep parentheses": "(" * 490 + "1" + ")" * 490,
    "deep braces": "{" * 490 + "1" + "}" * 490,
    "deep functions": "f(" * 330 + "1" + ")" * 330,
    "deep calls": "a(" * 330 + "1" + ")" * 330,
    "deep fractions": r"\frac1{1+" * 90 + "1" + "}" * 90,
    "deep roots": r"\sqrt{" * 150 + "2" + "}" * 150,
    "deep powers": "x^{" * 300 + "x" + "}" * 300,
    "deep text": r"\text{" * 150 + "5" + "}" * 150,
    "deep matrices": r"\begin{pmatrix}" * 30 + "1" + r"\end{pmatrix}" * 30,
    "deep sines": r"\sin\cos" * 120 + "x",
    "percents": "5" + "%" * 990,
    "signs": r"\pm" * 300 + "1",
    "minuses": "-" * 990 + "1",
    "bars": "|" * 990,
    "long sum": "+".join(["x"] * 490),
    "long list": "1," * 490 + "1",
    "long set": r"\{" + ",".join(["1"] * 480) + r"\}",
    "long chain": "=".join(["5"] * 490),
    "long union": r"\cup".join(f"({i},{i + 1})" for i in range(90)),
    "undefined": "1/0",
    "indefinite": r"\infty-\infty",
    "null bytes": "\x00" * 500,
    "lone surrogate": "\ud800",
    "system": f"__import__('os').system('touch {MARKER}')",
    "open": f"open('{MARKER}','w')",
    "exec": f"exec(\"open('{MARKER}','w')\")",
    "shell escape": rf"\immediate\write18{{touch {MARKER}}}",
}  # fmt: skip
FOR_THE_ENGINE = ("sum", "product", "integral", "determinant", "limit")  # each of these costs its whole time limit
SAY_FIVE = ("deep text", "long chain")
OUTPUTS = {
    "open boxes": "\\boxed{" * 20_000,
    "bare boxes": "\\boxed" * 50_000,
    "stray closers": "}" * 20_000 + "\\boxed{",
    "dollars": "$" * 100_000,
    "brackets": "\\[" * 50_000,
    "many boxes": " ".join(f"\\boxed{{{n}}}" for n in range(5000, 12_000)),
    "no box": "the answer is 5. " * 20_000,
    "digits": "\\boxed{" + "1" * 100_000 + "}",
    "backslashes": "\\" * 100_000,
}
GOLDS = (
    "5",
    "x^2+1",
    "(1,2)",
    r"\{1,2\}",
    r"\frac{\pi}{2}",
    r"\text{even}",
    r"\begin{pmatrix}1\\2\end{pmatrix}",
    "x=5",
    "[1,2)",
)


@pytest.fixture(scope="module")
def pool():
    with GraderPool(1) as workers:
        workers.grade_many([("x+1", "\\boxed{1+x}")])
        yield workers


def check(pool, pairs) -> list:
    """Verdicts on the pairs, each of them within the limit and by a worker that lives on."""
    verdicts = []
    for pair in pairs:
        before = _processor_seconds(pool._pool[0].process.pid)
        verdicts += pool.grade_many([pair])
        assert _processor_seconds(pool._pool[0].process.pid) - before <= LIMIT_SECONDS
        assert verdicts[-1].reason in REASONS
        assert verdicts[-1].detail not in ("crash", "outer_limit")
    return verdicts


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_in_a_box_is_wrong_in_time(pool, name):
    text = ATTACKS[name]
    golds = GOLDS[:2] if name in FOR_THE_ENGINE else GOLDS
    verdicts = check(pool, [(gold, f"\\boxed{{{text}}}") for gold in golds])
    if name not in SAY_FIVE:
        assert not any(verdict.correct for verdict in verdicts)
    assert not MARKER.exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_as_a_gold_ends_in_time(pool, name):
    check(pool, ([(ATTACKS[name], "\\boxed{5}"), (ATTACKS[name], "\\boxed{x+1}")]))
    assert not MARKER.exists()


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_hostile_output_is_wrong_in_time(pool, name):
    verdicts = check(pool, [(gold, OUTPUTS[name]) for gold in GOLDS])
    assert not any(verdict.correct for verdict in verdicts)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(gold=st.text(max_size=40), content=st.text(max_size=200), boxed=st.booleans())
def test_random_text_never_raises(pool, gold, content, boxed):
    check(pool, ([(gold, f"\\boxed{{{content}}}" if boxed else content)]))


@FUZZ
@given(gold=st.binary(max_size=40), content=st.binary(max_size=200))
def test_random_bytes_never_raise(pool, gold, content):
    check(pool, ([(gold.decode("latin1"), f"\\boxed{{{content.decode('utf-8', 'replace')}}}")]))


@FUZZ
@given(gold=st.lists(st.sampled_from(TOKENS), max_size=8), content=st.lists(st.sampled_from(TOKENS), max_size=60))
def test_random_latex_never_raises(pool, gold, content):
    check(pool, ([("".join(gold), f"\\boxed{{{''.join(content)}}}")]))


def test_mutated_golds_never_raise_and_a_gold_always_equals_itself(pool):
    rng = random.Random(7)
    golds = sorted({gold for _, gold, _, _ in all_cases()})
    pairs = []
    for _ in range(1500):
        gold = rng.choice(golds)
        text = list(gold)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(text) + 1)
            text[place : place + rng.randint(0, 1)] = [rng.choice(TOKENS)] if rng.random() < 0.6 else []
        mutated = "".join(text)
        pairs += [(gold, f"\\boxed{{{mutated}}}"), (mutated, f"\\boxed{{{gold}}}")]
    check(pool, pairs)
    verdicts = pool.grade_many([(gold, f"\\boxed{{{gold}}}") for gold in golds])
    assert [gold for gold, verdict in zip(golds, verdicts, strict=True) if not verdict.correct] == []
