"""Cases of the documented kinds that were written after the grader, before it had seen them: 130 of 132 were right."""

import json
from pathlib import Path

from repro.grading import GraderPool

CASES = [json.loads(line) for line in Path(__file__).with_name("grader_fresh.jsonl").read_text().splitlines()]


def test_cases_that_the_grader_was_not_written_for_are_graded_right():
    with GraderPool(1) as pool:
        verdicts = pool.grade_many([(case["gold"], case["text"]) for case in CASES])
    wrong = [
        (case["gold"], case["text"], verdict.reason)
        for case, verdict in zip(CASES, verdicts, strict=True)
        if verdict.correct != case["expected"]
    ]
    assert wrong == []
    assert len(CASES) > 120 and len({case["expected"] for case in CASES}) == 2
