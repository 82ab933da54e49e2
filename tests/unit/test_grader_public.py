"""Small inputs made from public threads about graders: every row that is mathematics, and which conventions differ."""

import json
from collections import Counter
from pathlib import Path

import pytest

from repro.grading import GraderPool

ROWS = [json.loads(line) for line in Path(__file__).with_name("grader_public.jsonl").read_text().splitlines()]


def text_of(row: dict) -> str:
    return row["text"] if "text" in row else f"So the result is $\\boxed{{{row['box']}}}$."


@pytest.fixture(scope="module")
def verdicts():
    with GraderPool(1) as pool:
        return pool.grade_many([(row["gold"], text_of(row)) for row in ROWS])


def test_every_row_that_is_mathematics_is_graded_right(verdicts):
    wrong = [
        (row["gold"], text_of(row), verdict.reason)
        for row, verdict in zip(ROWS, verdicts, strict=True)
        if not row.get("policy") and verdict.correct != row["expected"]
    ]
    assert wrong == []
    assert Counter(bool(row.get("policy")) for row in ROWS) == {False: 762, True: 76}


def test_conventions_differ_only_where_the_row_says_so(verdicts):
    differing = [
        (row["gold"], text_of(row))
        for row, verdict in zip(ROWS, verdicts, strict=True)
        if row.get("policy") and verdict.correct != row["expected"]
    ]
    assert differing == [(row["gold"], text_of(row)) for row in ROWS if row.get("differs")]
