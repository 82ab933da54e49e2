"""`repro.grade`: order, bad lines by number, the audit; the reward functions in TRL's shape; the audit grader."""

import json
from fractions import Fraction

import pytest

from repro.errors import BadInput
from repro.grading import answer_classes, usable_gold
from repro.grading.audit_grader import as_number, audit, opinion, simplified
from repro.grading.functions import accuracy_reward, format_reward
from repro.grading.grade_file import grade_file
from repro.grading.json_lines import BadLine, read_object

GOOD = [
    {"id": "a", "gold": "5", "prediction": "\\boxed{5}"},
    {"gold": "x+1", "prediction": "\\boxed{1+x}"},
    {"gold": "5", "prediction": "five"},
    {"gold": "\\frac12", "prediction": "\\boxed{0.5}"},
    {"gold": "", "prediction": "\\boxed{0.5}"},
]
BAD = [b"{not json", b"[1]", b'{"gold": "5"}', b'{"gold": 5, "prediction": "x"}', b"\xff\xfe", b"[" * 100_000]


@pytest.fixture
def graded(tmp_path):
    lines = [json.dumps(row).encode() for row in GOOD]
    mixed = [lines[0], BAD[0], lines[1], b"", BAD[1], lines[2], BAD[2], lines[3], BAD[3], BAD[4], lines[4], BAD[5]]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(mixed) + b"\n")
    seen = []
    report = grade_file(source, tmp_path / "out.jsonl", workers=1, progress=seen.append)
    return report, [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()], seen


def test_good_lines_are_graded_in_order_whatever_stands_between_them(graded):
    _, rows, seen = graded
    assert [row["reason"] for row in rows] == ["correct", "correct", "no_box", "correct", "unparseable_gold"]
    assert [row["correct"] for row in rows] == [True, True, False, True, False]
    assert [row["line"] for row in rows] == [1, 3, 6, 8, 11]
    assert rows[0]["id"] == "a" and rows[1].keys() == {
        "line", "correct", "reason", "detail", "extracted", "seconds",
    }  # fmt: skip
    assert seen[-1] == 5


def test_bad_lines_are_reported_by_number_and_reason(graded):
    report, _, _ = graded
    assert [number for number, _ in report.bad_lines] == [2, 5, 7, 9, 10, 12]
    reasons = [why for _, why in report.bad_lines]
    assert reasons[0].startswith("not JSON") and reasons[1].startswith("not an object")
    assert "prediction" in reasons[2] and "gold" in reasons[3] and reasons[4] == "not UTF-8"
    assert report.counts == {"correct": 3, "no_box": 1, "unparseable_gold": 1}
    assert report.audit.samples == 5


def test_a_missing_input_and_an_output_onto_the_input_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        grade_file(tmp_path / "none.jsonl", tmp_path / "out.jsonl")
    source = tmp_path / "in.jsonl"
    source.write_text("{}\n")
    with pytest.raises(BadInput, match="is the input"):
        grade_file(source, source)
    with pytest.raises(BadInput):
        grade_file(source, tmp_path / "no folder" / "out.jsonl")
    assert source.read_text() == "{}\n"


def test_a_byte_order_mark_and_half_a_surrogate_cost_no_line(tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [rb'{"gold": "7", "prediction": "\\boxed{7}"}', rb'{"gold": "7", "prediction": "\ud83d \\boxed{7}"}']
    source.write_bytes(b"\xef\xbb\xbf" + b"\n".join([*rows, rb'{"gold": "7", "prediction": "\\boxed{7\ud83d}"}']))
    report = grade_file(source, tmp_path / "out.jsonl", workers=1)
    verdicts = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert report.bad_lines == [] and [row["correct"] for row in verdicts] == [True, True, False]
    assert verdicts[2]["extracted"] == "7\ufffd"


@pytest.mark.parametrize(
    ("raw", "why"),
    [(b"\xff\xfe{}", "not UTF-8"), (b"{", "not JSON"), (b"[]", "not an object; want one with a and b"),
     (b'{"a": "x"}', "b: missing or not a string"), (b"[" * 100_000, "nested too deeply")],
)  # fmt: skip
def test_a_line_that_cannot_be_read_says_why_in_one_sentence(raw, why):
    with pytest.raises(BadLine, match=why) as caught:
        read_object(raw, ("a", "b"))
    assert "\n" not in str(caught.value)


def test_what_else_a_line_must_have_may_be_no_text():
    row = read_object(b'\xef\xbb\xbf{"prompt": [{"content": "a\\ud800"}], "n": 1}', (), others=("prompt",))
    assert row == {"prompt": [{"content": "a\ufffd"}], "n": 1}
    with pytest.raises(BadLine, match="prompt: missing"):
        read_object(b"{}", (), others=("prompt",))


def test_a_gold_that_is_no_text_is_refused_with_what_would_be_right():
    with pytest.raises(ValueError, match="gold 7 is a int; want a column of texts, such as '7'"):
        accuracy_reward(["p"], ["\\boxed{7}"], answer=[7])


def test_an_answer_of_a_marked_solution_is_the_gold():
    assert usable_gold("#### 7") and not usable_gold("####")
    assert accuracy_reward(["p"] * 3, ["\\boxed{7}", "\\boxed{8}", "7"], answer=["#### 7"] * 3) == [1.0, 0.0, 0.0]
    assert accuracy_reward(["p"], ["\\boxed{1200}"], answer=["6 * 200 = 1200\n#### 1,200"]) == [1.0]


def test_a_message_in_parts_is_read_like_one_in_a_string():
    parts = [{"type": "text", "text": "So \\boxed{"}, {"type": "image"}, {"type": "text", "text": "5}"}]
    messages = [{"role": "user", "content": "\\boxed{6}"}, {"role": "assistant", "content": parts}]
    assert accuracy_reward(["p"], [messages], answer=["5"]) == [1.0]
    assert format_reward(["p"], [messages]) == [1.0]
    assert accuracy_reward(["p"], [[{"role": "assistant", "content": None}]], answer=["5"]) == [0.0]


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def test_accuracy_reward_reads_the_last_box_of_strings_and_chats():
    completions = ["<think>\\boxed{4}</think> \\boxed{5}", chat("\\boxed{5}"), chat("\\boxed{6}"), "five"]
    completions.append("<think>the answer is \\boxed{5}</think> five")  # the last complete box, wherever it stands
    rewards = accuracy_reward(["p"] * 5, completions, answer=["5"] * 5, other_column=[1] * 5)
    assert rewards == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert all(isinstance(reward, float) for reward in rewards)


def test_accuracy_reward_refuses_a_gold_it_cannot_grade_against():
    with pytest.raises(ValueError, match="cannot be graded against"):
        accuracy_reward(["p"], ["\\boxed{5}"], answer=[""])
    with pytest.raises(ValueError, match="2 completions and 1 golds"):
        accuracy_reward(["p", "p"], ["a", "b"], answer=["5"])


def test_answers_are_grouped_by_the_graders_equality_in_stored_order():
    texts = [
        "\\boxed{0.5}",
        "none",
        "\\boxed{7}",
        "\\boxed{\\frac12}",
        "\\boxed{}",
        "\\boxed{7.0}",
        "\\boxed{?}",
        "\\boxed{?}",
    ]
    assert answer_classes(texts) == [0, None, 1, 0, None, 1, 2, 2]
    assert answer_classes([]) == []


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("\\boxed{5}", 1.0),
        ("<think>a</think> \\boxed{5}", 1.0),
        ("a</think> so \\boxed{5}", 1.0),
        ("<think>\\boxed{5}</think> five", 0.0),
        ("<think>\\boxed{5}", 0.0),
        ("\\boxed{}", 0.0),
        ("\\boxed{5} \\boxed{", 0.0),
        ("a</think> b</think> \\boxed{5}", 0.0),
        ("five", 0.0),
        ("", 0.0),
    ],
)
def test_format_reward_pays_for_a_readable_end(text, reward):
    assert format_reward(["p", "p"], [text, chat(text)]) == [reward, reward]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1{,}000", Fraction(1000)),
        ("\\frac12", Fraction(1, 2)),
        ("-3/4", Fraction(-3, 4)),
        ("2.5\\times10^{3}", Fraction(2500)),
        ("10\\%", Fraction(1, 10)),
        ("15\\text{ cm}^2", Fraction(15)),
        ("x = 7", Fraction(7)),
        ("1/0", None),
        ("x", None),
    ],
)
def test_the_audit_grader_reads_plain_numbers(text, value):
    assert as_number(simplified(text)) == value


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("5", "5.0", True),
        ("5", "6", False),
        ("\\frac13", "0.333333333333", False),
        ("0.5", "\\frac12", True),
        ("1, 2", "2,1", True),
        ("(1,2)", "(2,1)", False),
        ("x+1", "1+x", None),
        ("\\text{Even}", "even", True),
        ("10\\%", "10", True),
        ("5", "5" * 2000, False),
    ],
)
def test_the_audit_grader_has_an_opinion_or_says_it_has_none(gold, answer, expected):
    assert opinion(gold=gold, prediction=f"\\boxed{{{answer}}}") is expected


def test_the_audit_counts_disagreements_among_the_samples_it_could_judge():
    result = audit(
        [("5", "\\boxed{5}", True), ("5", "\\boxed{6}", True), ("x+1", "\\boxed{1+x}", True), ("5", "", False)]
    )
    assert (result.samples, result.silent, result.disagreements) == (4, 1, [(1, True)])
    assert result.rate == pytest.approx(1 / 3)
