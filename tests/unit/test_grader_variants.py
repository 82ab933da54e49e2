"""Thousands of cases from templates and by hand, in both directions; and that the number of workers changes nothing."""

import pytest
from grader_variants import all_cases

from repro.grading import GraderPool

CASES = all_cases()


@pytest.fixture(scope="module")
def verdicts():
    with GraderPool(2) as pool:
        return pool.grade_many([(gold, f"Thus $\\boxed{{{text}}}$.") for _, gold, text, _ in CASES])


@pytest.mark.parametrize("kind", sorted({case[0] for case in CASES}))
def test_every_generated_case_of_a_kind_is_graded_right(kind, verdicts):
    wrong = [(case, verdict.reason) for case, verdict in zip(CASES, verdicts, strict=True)
             if case[0] == kind and verdict.correct is not case[3]]  # fmt: skip
    assert wrong == []


def test_the_cases_go_in_both_directions():
    for kind in {case[0] for case in CASES}:
        assert {case[3] for case in CASES if case[0] == kind} == {True, False}
    assert len(CASES) > 8000


def test_one_worker_and_two_give_the_same_verdicts_in_the_same_order(verdicts):
    every_tenth = CASES[::10]
    with GraderPool(1) as pool:
        alone = pool.grade_many([(gold, f"Thus $\\boxed{{{text}}}$.") for _, gold, text, _ in every_tenth])
    assert [(v.correct, v.reason, v.detail, v.extracted) for v in alone] == [
        (v.correct, v.reason, v.detail, v.extracted) for v in verdicts[::10]
    ]
