"""Scores of stored samples: hand vectors, brute force, and what must not be scored."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.evaluation import report, scores
from repro.evaluation.store import Sample
from repro.tasks.benchmarks.grading import AS_IT_STANDS, Grader
from repro.tasks.benchmarks.loading import MATH500_IN_AIME
from repro.tasks.protocol import Question, Response


def sample(question: str, number: int, letter: str | None, *, gold: str = "A", **changes) -> Sample:
    """A graded sample that answers with a letter; None is a response without a box."""
    fields = {
        "suite": "MATH500", "question_id": question, "draw": "sampled", "sample": number, "seed": 0, "text": "",
        "prompt_tokens": 5, "tokens": 10, "ended": True, "thinking": False, "correct": letter == gold,
        "reason": "no_box" if letter is None else "correct" if letter == gold else "wrong", "detail": "",
        "extracted": letter,
    }  # fmt: skip
    return Sample(**(fields | changes))


def letters(answers):
    """Answer classes without a grader: equal letters."""
    return [None if each is None else ord(each) for each in answers]


def summary(answers: dict[str, str], k: int | None = None, **changes):
    problems = [Question(name, "?", "A") for name in answers]
    drawn = [
        sample(name, number, None if letter == "-" else letter, **changes)
        for name, text in answers.items()
        for number, letter in enumerate(text)
    ]
    return scores.summarise(drawn, problems, k or len(next(iter(answers.values()))), letters)


@pytest.mark.parametrize(
    ("answers", "share", "first"),
    [("AABB", 0.5, 1.0), ("BBAA", 0.5, 0.0), ("ABCD", 0.25, 1.0), ("A---", 1.0, 1.0), ("----", 0.0, 0.0)],
)
def test_majorities_follow_the_documented_tie_rules(answers, share, first):
    result = summary({"a": answers, "b": answers})
    assert result["maj_at"] == {"4": {"share": share, "first": first}}


@given(st.lists(st.text(alphabet="AB-", min_size=5, max_size=5), min_size=2, max_size=4))
def test_avg_pass_and_counts_equal_brute_force_over_all_subsets(rows):
    result = summary({str(place): row for place, row in enumerate(rows)})
    right = [[letter == "A" for letter in row] for row in rows]
    assert result["correct"] == [sum(row) for row in right]
    assert result["avg_at_k"] == pytest.approx(sum(map(sum, right)) / (5 * len(rows)))
    for k in (1, 4, 5):
        subsets = [[any(chosen) for chosen in itertools.combinations(row, k)] for row in right]
        wanted = sum(sum(each) / len(each) for each in subsets) / len(rows)
        assert result["pass_at"][str(k)] == pytest.approx(wanted)
    assert set(result["pass_at"]) == {"1", "4", "5"}
    assert result["no_box"] == pytest.approx(sum(row.count("-") for row in rows) / (5 * len(rows)))


def test_a_k_above_the_stored_samples_is_an_error_and_a_k_below_takes_the_first():
    with pytest.raises(BadInput, match=r"question a has 4 sampled samples; k is 5"):
        summary({"a": "AABB", "b": "AABB"}, k=5)
    assert summary({"a": "AABB", "b": "BAAA"}, k=2)["correct"] == [2, 1]


def test_a_gap_in_the_samples_of_a_question_is_an_error():
    drawn = [sample("a", number, "A") for number in (0, 2)]
    with pytest.raises(BadInput, match="question a has 2 sampled samples"):
        scores.by_question(drawn, [Question("a", "?", "A")], "sampled", 2)


def test_samples_of_questions_that_were_not_asked_do_not_count():
    drawn = [sample(name, 0, "A") for name in ("a", "b", "other")]
    result = scores.summarise(drawn, [Question("a", "?", "A"), Question("b", "?", "A")], 1, letters)
    assert result["reasons"] == {"correct": 2} and result["n"] == 2


def test_interval_of_one_pass_is_wilson_and_one_question_still_has_one():
    passes = summary({str(n): "A" if n < 6 else "B" for n in range(10)})["correct"]
    assert report.score(passes, 1)["low"] == pytest.approx(0.3127, abs=1e-4)
    single = report.score(summary({"a": "AB"})["correct"], 2)
    assert 0 < single["low"] < 0.5 < single["high"] < 1


def test_math492_leaves_out_the_eight_problems_of_the_training_set():
    answers = dict.fromkeys(MATH500_IN_AIME, "A") | {"x": "B", "y": "A"}
    result = summary(answers)
    assert result["avg_at_k"] == pytest.approx(0.9)
    assert report.without_training_overlap(result) == [0, 1]
    assert report.without_training_overlap(summary({"x": "B", "y": "A"})) == [0, 1]


def test_other_golds_are_scored_beside_and_the_number_that_differs_is_told():
    problems = [
        Question("a", "?", "A", {"answer_corrected": ("B",)}),
        Question("b", "?", "A", {"answer_corrected": ("A",)}),
    ]
    drawn = [
        sample("a", 0, "B", others={"answer_corrected": True}),
        sample("b", 0, "A", others={"answer_corrected": True}),
    ]
    result = scores.summarise(drawn, problems, 1, letters)
    assert result["avg_at_k"] == 0.5
    assert result["others"]["answer_corrected"]["correct"] == [1, 1]
    assert result["others"]["answer_corrected"]["questions_with_another_gold"] == 1


def test_a_greedy_pass_is_scored_on_its_own():
    problems = [Question("a", "?", "A"), Question("b", "?", "A")]
    drawn = [sample(name, number, "B") for name in "ab" for number in range(3)]
    drawn += [sample("a", 0, "A", draw="greedy"), sample("b", 0, "B", draw="greedy", ended=False)]
    result = scores.summarise(drawn, problems, 3, letters)
    assert result["avg_at_k"] == 0.0 and result["truncated"] == 0.0
    assert result["greedy"]["correct"] == [1, 0] and result["greedy"]["truncated"] == 0.5


def test_lengths_are_counted_once_each_with_cut_answers_apart():
    drawn = [sample("a", n, "A", tokens=1 + 13 * n, ended=n % 3 != 0) for n in range(30)]
    bins = scores.histogram(drawn)
    assert sum(bins["ended"]) == 20 and sum(bins["cut"]) == 10
    assert bins["edges"][0] == 0 and bins["edges"][-1] == 1 + 13 * 29
    assert sum(scores.histogram([sample("a", 0, "A", tokens=1)])["ended"]) == 1


def test_one_pass_in_the_dress_of_many_is_flagged():
    assert report.is_disguised(summary({"a": "AAAA", "b": "BBBB"}))
    assert not report.is_disguised(summary({"a": "AAAB", "b": "BBBB"}))
    assert not report.is_disguised(summary({"a": "A", "b": "B"}))


def test_sampling_gap_is_2_80_standard_errors_of_a_difference():
    gap = report.sampling_gap([2, 4, 0, 2], 4)
    wanted = 2.8016 * (2 * (0.25 + 0.25) / 3 / 16) ** 0.5
    assert gap == pytest.approx(wanted, rel=1e-3)
    assert report.sampling_gap([1, 0], 1) is None


def test_cost_adds_up_the_shares_of_the_samples():
    drawn = [sample("a", n, "A", seconds=0.5, grade_seconds=0.1) for n in range(4)]
    result = scores.cost(drawn, "cpu")
    assert (result["generation_seconds"], result["grading_seconds"], result["tokens_per_second"]) == (2.0, 0.4, 20.0)


# --- grading -----------------------------------------------------------------


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1) as made:
        yield made


def graded(grader, question: Question, text: str, *, thinking: bool = False):
    return grader.grade([question], [Response(text, True, thinking)])[0]


def test_a_response_has_a_verdict_for_each_gold_and_any_of_several_golds_counts(grader):
    question = Question("m", "?", "5", {"answer_corrected": ("125",), "deepscaler_gold": ("7", "\\frac{5}{1}")})
    result = graded(grader, question, "so \\boxed{125}")
    assert not result.correct and result.reason == "wrong"
    assert result.others == {"answer_corrected": True, "deepscaler_gold": False}
    result = graded(grader, question, "so \\boxed{5}")
    assert result.correct and result.others == {"answer_corrected": False, "deepscaler_gold": True}


def test_a_box_inside_an_unclosed_thought_is_no_answer_but_its_reading_is_kept(grader):
    result = graded(grader, Question("m", "?", "5"), "maybe \\boxed{5}, but", thinking=True)
    assert (result.correct, result.reason, result.detail) == (False, "no_box", "unclosed_thought")
    assert result.extracted is None and result.others == {AS_IT_STANDS: True}
    closed = graded(grader, Question("m", "?", "5"), "maybe \\boxed{4}</think>\\boxed{5}", thinking=True)
    assert closed.correct and closed.others == {}


def test_votes_group_equal_answers_and_keep_right_and_wrong_apart(grader):
    answers = ["\\frac{1}{2}", "0.5", None, "3", "0.50"]
    assert grader.classes(answers) == [0, 0, None, 1, 0]
    group = [sample("q", n, None, extracted=each, correct=n < 2) for n, each in enumerate(answers)]
    votes, right = scores._votes(group, grader.classes)
    assert votes == [(0, True), (0, True), None, (1, False), (0, False)] and right == [True, True, False, False, False]
