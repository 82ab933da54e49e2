"""Two policies side by side: who is right where, which questions are shown, and which steps hold."""

import hashlib
import json
from math import comb

import pytest

from repro.cli import main
from repro.errors import BadInput
from repro.evaluation.sides import (
    Pair,
    cases_text,
    chosen,
    count_cases,
    examples,
    examples_markdown,
    marked_steps,
    pair_up,
)
from repro.evaluation.store import GREEDY, SAMPLED, Sample
from repro.paths import benchmark_dir
from repro.tasks.protocol import Question


def sample(name, correct, text="#1", suite="s", draw=GREEDY, number=0):
    return Sample(suite, name, draw, number, 0, text, 1, 2, True, False, correct, "correct" if correct else "wrong",
                  "", None)  # fmt: skip


def pairs_of(outcomes, suite="s"):
    return [
        Pair(
            suite, Question(f"q{n}", f"text {n}", ""), sample(f"q{n}", a, suite=suite), sample(f"q{n}", b, suite=suite)
        )
        for n, (a, b) in enumerate(outcomes)
    ]


def test_counts_and_mcnemar_against_a_loop():
    outcomes = [(True, True)] * 11 + [(True, False)] * 3 + [(False, True)] * 9 + [(False, False)] * 7
    cases = count_cases(pairs_of(outcomes))
    assert (cases.both, cases.left, cases.right, cases.neither, cases.questions) == (11, 3, 9, 7, 30)
    tail = sum(comb(12, k) for k in range(12 + 1) if comb(12, k) <= comb(12, 9)) / 2**12
    assert cases.p == pytest.approx(tail)
    assert cases.story[0] == 9 / 30 and cases.mirror[0] == 3 / 30
    share, low, high = cases.share
    assert share == 9 / 12
    # Clopper and Pearson: at the ends of the interval the tail has 2.5 %
    upper = sum(comb(12, k) * high**k * (1 - high) ** (12 - k) for k in range(10))
    lower = sum(comb(12, k) * low**k * (1 - low) ** (12 - k) for k in range(9, 13))
    assert upper == pytest.approx(0.025, abs=1e-6) and lower == pytest.approx(0.025, abs=1e-6)
    text = cases_text(cases, "A", "B")
    assert "both right 11, only B 9, only A 3, neither 7" in text and "75.0 % [" in text


def test_policies_that_agree_have_no_share():
    cases = count_cases(pairs_of([(True, True), (False, False)]))
    assert cases.share is None and cases.p == 1.0
    assert "right on the same questions" in cases_text(cases, "A", "B")
    with pytest.raises(BadInput, match="no question"):
        count_cases([])


def test_what_is_shown_depends_on_ids_alone():
    first = pairs_of([(True, False)] * 9, "a") + pairs_of([(True, True)] * 9, "b")
    other = pairs_of([(False, True)] * 9, "a") + pairs_of([(False, False)] * 9, "b")
    names = [[(each.suite, each.question.id) for each in chosen(pairs, 6)] for pairs in (first, other)]
    assert names[0] == names[1]
    assert [suite for suite, _ in names[0]] == ["a", "b"] * 3
    order = sorted(range(9), key=lambda n: hashlib.sha256(f"a\0q{n}".encode()).hexdigest())
    assert [name for suite, name in names[0] if suite == "a"] == [f"q{n}" for n in order[:3]]
    assert len(chosen(first, 99)) == 18 and chosen(first, 0) == []


@pytest.mark.parametrize(
    ("text", "modulus", "marks"),
    [
        ("3*4=2;2+9=1;#1", 10, "✓✓·"),
        ("3*4=2;2+9=2;#2", 10, "✓✗·"),
        ("3-5=8;#8", 10, "✓·"),
        ("3*4=2;#2", None, "✗·"),
        ("17-3=14. 14*2 = 27. The answer is \\boxed{27}.", None, "✓✗·"),
        ("10/4=2.5\n10/3=3.33\n10/3=3.34", None, "✓✓✗"),
        ("1/0=5", None, "✗"),
        ("so 2 + 3 + 4 = 9", None, "·"),  # three numbers: not an equation of two
        ("2*3+4=10", None, "·"),
        ("x2+3=7 and f(2)*3=7", None, "·"),
        ("2+3=5*1", None, "·"),
        ("1.5+1.5=3", None, "✓"),
        ("a=x+y;return a", None, "··"),
        ("", None, ""),
    ],
)
def test_steps_are_marked_where_their_equations_can_be_checked(text, modulus, marks):
    assert "".join(mark for _, mark in marked_steps(text, modulus)) == marks


def test_a_question_that_one_policy_did_not_answer_is_named():
    questions = [Question("q0", "", ""), Question("q1", "", "")]
    left = [sample("q0", True), sample("q1", False)]
    with pytest.raises(BadInput, match="the second policy has no greedy answer to q1"):
        pair_up("s", questions, left, left[:1])
    drawn = [sample(name, True, draw=SAMPLED, number=n) for name in ("q0", "q1") for n in (0, 1)]
    assert [pair.case for pair in pair_up("s", questions, drawn, drawn, draw=SAMPLED)] == ["both", "both"]


def test_the_text_shows_both_answers_with_their_marks():
    pair = Pair("s", Question("q", "shop 2 pen|x=", ""), sample("q", True, "1+1=2;#2"), sample("q", False, "1+1=3;#3"))
    (shown,) = examples([pair], 6, 10)
    assert shown == {"suite": "s", "question": "shop 2 pen|x=", "case": "left", "left": "✓", "right": "✗ (wrong)",
                     "left_steps": "✓ 1+1=2;\n· #2", "right_steps": "✗ 1+1=3;\n· #3"}  # fmt: skip
    text = examples_markdown([shown], "A", "B")
    assert "shop 2 pen\\|x=" in text and "| ✓<br>✓ 1+1=2;<br>· #2 | ✗ (wrong)<br>✗ 1+1=3;<br>· #3 |" in text


def evaluated(folder, model):
    asked = ["--suite", "MATH500", "--limit", "12", "--samples", "2"]
    assert main(["evaluate", "--model", model, "--engine", "replay", *asked, "--output", str(folder)]) == 0


def test_two_stored_evaluations_by_the_command(tmp_path, capsys):
    if benchmark_dir() is None:
        pytest.skip("no benchmark files: set GCPO_DATA")
    evaluated(tmp_path / "gold", "gold")
    evaluated(tmp_path / "wrong", "wrong-last-step")
    capsys.readouterr()
    assert main(["side-by-side", str(tmp_path / "wrong"), str(tmp_path / "gold"), "--json", "--show", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    cases = found["cases"]["all"]
    assert (cases["both"], cases["left"], cases["right"], cases["neither"]) == (0, 0, 12, 0)
    assert cases["p"] == pytest.approx(2 / 2**12)
    assert [each["case"] for each in found["shown"]] == ["right", "right"]
    assert main(["side-by-side", str(tmp_path / "wrong"), str(tmp_path / "gold"), "--draw", "sampled"]) == 0
    assert "only gold 12, only wrong 0" in capsys.readouterr().out


def test_folders_that_cannot_be_compared_are_refused(tmp_path, capsys):
    assert main(["side-by-side", str(tmp_path), str(tmp_path)]) == 2
    assert "holds no evaluation" in capsys.readouterr().err
    assert main(["side-by-side", str(tmp_path), str(tmp_path), "--show", "-1"]) == 2
    assert "--show is -1; want 0 or more" in capsys.readouterr().err
