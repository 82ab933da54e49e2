"""The second grader over a stored evaluation."""

import json
from dataclasses import replace

import pytest

from repro.cli import main
from repro.errors import BadInput
from repro.evaluation.audit import audit_samples, describe
from repro.evaluation.run import AUDIT, audit_evaluation
from repro.evaluation.store import SAMPLED, SAMPLES, Sample, read_samples, replace_samples
from repro.paths import benchmark_dir
from repro.tasks.protocol import Question

PROBLEMS = {name: Question(name, "?", gold) for name, gold in (("number", "7"), ("formula", "x^2+1"))}


def stored(question: str, text: str, *, correct: bool, thinking: bool = False) -> Sample:
    return Sample(
        suite="MATH500",
        question_id=question,
        draw=SAMPLED,
        sample=0,
        seed=1,
        text=text,
        prompt_tokens=3,
        tokens=5,
        ended=True,
        thinking=thinking,
        correct=correct,
        reason="correct" if correct else "wrong",
        detail="value",
        extracted="7",
    )


@pytest.mark.parametrize(
    ("text", "correct", "disagreements"),
    [
        ("\\boxed{7}", True, 0),
        ("\\boxed{7}", False, 1),
        ("\\boxed{8}", False, 0),
        ("\\boxed{8}", True, 1),
        ("no box", False, 0),
        ("no box", True, 1),
        ("\\boxed{7} \\boxed{8}", True, 1),
    ],
)
def test_a_stored_verdict_that_the_second_grader_is_sure_is_wrong_is_a_disagreement(text, correct, disagreements):
    audited = audit_samples(PROBLEMS, [stored("number", text, correct=correct)])
    assert (len(audited.disagreements), audited.silent) == (disagreements, 0)
    assert audited.rate == disagreements


def test_where_the_second_grader_cannot_tell_it_stays_out_of_the_rate():
    silent = stored("formula", "\\boxed{1+x^2}", correct=True)
    only = audit_samples(PROBLEMS, [silent])
    assert (only.silent, only.rate) == (1, None)
    both = audit_samples(PROBLEMS, [silent, stored("number", "\\boxed{8}", correct=True)])
    assert (both.samples, both.silent, both.rate) == (2, 1, 1.0)


def test_a_box_in_an_unclosed_thought_is_no_answer_to_the_second_grader_either():
    thought = stored("number", "so \\boxed{7}", correct=False, thinking=True)
    assert audit_samples(PROBLEMS, [thought]).disagreements == []
    closed = replace(thought, text="hm</think> \\boxed{7}")
    assert len(audit_samples(PROBLEMS, [closed]).disagreements) == 1


def test_disagreements_are_counted_by_the_first_graders_reason_and_named():
    audited = audit_samples(
        PROBLEMS, [stored("number", "\\boxed{8}", correct=True), stored("number", "\\boxed{7}", correct=False)]
    )
    assert audited.as_json()["by_reason"] == {"correct/value": 1, "wrong/value": 1}
    text = describe("MATH500", audited)
    assert "disagrees on 2 (100.00 %)" in text
    assert "number sampled 0: stored as right (correct, value); gold '7'" in text


@pytest.fixture
def evaluation(tmp_path):
    if benchmark_dir() is None:
        pytest.skip("no folder of benchmark files (GCPO_DATA)")
    folder = tmp_path / "gold"
    options = [
        "--preset",
        "quick",
        "--samples",
        "1",
        "--temperature",
        "0",
        "--workers",
        "1",
        "--json",
        "--output",
        str(folder),
    ]
    assert main(["evaluate", "--engine", "replay", "--model", "gold", "--suite", "AIME24", *options]) == 0
    return folder


def test_the_verb_finds_the_one_verdict_that_was_changed_in_the_store(evaluation, capsys):
    assert main(["evaluate", "--audit", str(evaluation)]) == 0
    assert "judges 30 of 30 samples and disagrees on 0 (0.00 %)" in capsys.readouterr().out
    path = evaluation / "AIME24" / SAMPLES
    samples = read_samples(path)
    replace_samples(path, [replace(samples[0], correct=False, reason="wrong"), *samples[1:]])
    assert main(["evaluate", "--audit", str(evaluation), "--json"]) == 0
    found = json.loads((evaluation / "AIME24" / AUDIT).read_text())
    assert [row["question_id"] for row in found["rows"]] == [samples[0].question_id]
    assert found["by_reason"] == {f"wrong/{samples[0].detail}": 1} and found["rate"] == 1 / 30


def test_a_folder_without_mathematics_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no evaluation"):
        audit_evaluation(tmp_path)
    (tmp_path / "HumanEval").mkdir()
    (tmp_path / "HumanEval" / SAMPLES).write_bytes(b"")
    with pytest.raises(BadInput, match="no samples of mathematics"):
        audit_evaluation(tmp_path)


def test_the_verb_grade_names_the_lines_on_which_the_second_grader_disagrees(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("repro.grading.audit_grader.opinion", lambda **_: True)  # a grader that is always sure
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"gold": "7", "prediction": f"\\boxed{{{answer}}}"} for answer in (7, 8, 9)]
    source.write_text("\n".join(map(json.dumps, rows)))
    assert main(["grade", "--input", str(source), "--output", str(target), "--workers", "1"]) == 0
    assert "judges 3 of them and disagrees on lines 2, 3" in capsys.readouterr().out
