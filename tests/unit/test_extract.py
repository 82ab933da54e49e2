"""The last complete box: which one counts, and that finding it is linear in the text."""

import pytest
from counting import lines_run
from hypothesis import given
from hypothesis import strategies as st

from repro.grading.extract import last_box, missing_braces

CASES = [
    (r"\boxed{32} wait, \boxed{33}", "33", False),
    (r"\boxed {65}", "65", False),
    ("\\boxed\n\t{65}", "65", False),
    (r"\boxed{\boxed{800}}", r"\boxed{800}", False),
    (r"\boxed{33} ... \boxed{", "33", True),
    (r"\boxed{33} ... \boxed{34", "33", True),
    (r"\boxed{ ... \boxed{33}", "33", False),
    (r"\boxed{39", None, True),
    (r"\boxed 5", None, False),
    ("The answer is 33", None, False),
    ("", None, False),
    (r"\boxed{\{1,2\}}", r"\{1,2\}", False),
    (r"\boxed{a\}", None, True),
    (r"}}}}\boxed{5}", "5", False),
    (r"set {1,2 and \boxed{5}", "5", False),
    (r"\boxed{\frac{1}{2}} \boxed{}", "", False),
    (r"\boxed{1 \\ {2}}", r"1 \\ {2}", False),
    (r"\\boxed{7}", "7", False),
    (r"\boxed{3}{4}", "3", False),
]


@pytest.mark.parametrize(("text", "content", "open_box"), CASES)
def test_the_last_complete_box_is_the_answer(text, content, open_box):
    box = last_box(text)
    assert (box.content, box.open_box) == (content, open_box)


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "\\boxed", "{", "}", "\\", "\\boxed {", "\\boxed{1}", "$", "\\[", "\\\\boxed{", "\\{"]
)
def test_ten_times_the_text_costs_ten_times_the_work(unit):
    small, large = (lines_run(lambda count=count: last_box(unit * count)) for count in (400, 4_000))
    assert large <= 10 * small  # 100 times if it were quadratic


@pytest.mark.timeout(300)  # hours, where the pattern, which counts no lines, runs over a stretch again and again
@pytest.mark.parametrize("unit", ["\\boxed ", "\\boxed" + " " * 100, "\\", " ", "\\boxed\n{"])
def test_the_pattern_does_not_hang_on_hostile_text(unit):
    last_box(unit * 100_000)


@given(st.text(alphabet="\\boxed{} 1,a$", max_size=200))
def test_the_content_of_a_box_has_balanced_braces(text):
    content = last_box(text).content
    assert content is None or missing_braces(content) == 0


@given(st.text(max_size=60).filter(lambda text: missing_braces(text) == 0), st.text(max_size=60))
def test_a_balanced_text_in_a_last_box_comes_back_unchanged(content, before):
    if not content.endswith("\\") and "\\" not in before:
        assert last_box(before + "\\boxed{" + content + "}").content == content


@pytest.mark.parametrize(
    ("text", "missing"), [(r"\frac{1}{2}", 0), (r"\frac{1}{(k+n)!", 1), ("{{1", 2), ("}", -1), (r"\{", 0), ("}{", -1)]
)
def test_missing_braces_are_counted(text, missing):
    assert missing_braces(text) == missing
