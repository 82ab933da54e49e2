"""Which code a model's text stands for."""

import pytest
from counting import lines_run

from repro.grading.code_extract import assemble, defines, extract_code, fenced_blocks, preamble, writes

DEF = "def f(x):\n    return x\n"
PROMPT = (
    'import math\nfrom typing import List\n\n\ndef helper(x):\n    return x\n\n\ndef f(x: List[int]):\n    """Doc."""\n'
)


def fence(code, info="python", mark="```"):
    return f"{mark}{info}\n{code}{mark}\n"


def run(sources):
    space = {}
    for source in sources:
        exec(source, space)
    return space


@pytest.mark.parametrize(
    "text",
    [
        fence(DEF),
        fence(DEF, ""),
        fence(DEF, "Python3"),
        fence(DEF, mark="~~~"),
        fence(DEF, mark="`````"),
        "Sure!\n\n" + fence(DEF) + "\nThis returns x.",
        fence("def f(x):\n    return 0\n") + "A better one:\n" + fence(DEF),
        fence(DEF) + "Use it:\n" + fence("print(f(1))\n") + "Output:\n" + fence("1\n", "text"),
        fence(DEF) + "and then\n```python\ndef f(",
        fence(DEF).replace("\n", "\r\n"),
        "1. Like this:\n\n   ```python\n   def f(x):\n       return x\n   ```\n",
        "> ```python\n> def f(x):\n>     return x\n> ```\n",
        "````markdown\n" + DEF + "````\n",
        "<think>\n" + fence("def f(x):\n    return 1\n") + "</think>\n" + fence(DEF),
    ],
)
def test_the_last_complete_block_that_defines_the_function_is_taken(text):
    assert extract_code(text, "f") == DEF


BAD = "def f(x):\n    return 0\n"
IN_A_DOCSTRING = 'def f(x):\n    """Do.\n\n    ```python\n    f(1)\n    ```\n    """\n    return x\n'


@pytest.mark.parametrize(
    "text",
    [
        fence(DEF) + "Usage:\n" + fence("from solution import f\nprint(f(1))\n"),
        fence(DEF) + "Tests:\n" + fence("import pytest\nfrom sol import f\n\ndef test_f():\n    assert f(1) == 1\n"),
        "```python\n" + DEF.strip() + "```",
        "```python\n" + DEF.strip() + "```\nThat is it.",
        "```python\n" + DEF.strip() + "```\nand so\n```python\nprint(f(1))\n```",
        "```python\n" + DEF + "```<|im_end|>",
        "```python\n" + DEF + "``` <|endoftext|>",
        "```python\n" + DEF + "``` Hope this helps you.",
        "The code is: ```python\n" + DEF + "```",
        "Code: ```\n" + DEF + "```\nbye",
        fence(BAD) + "fixed: ```python\n" + DEF + "```",
        DEF + "```\n",
        DEF + "```\nThis returns x.",
        "<think>\n```python\n" + BAD + "hmm\n</think>\n" + fence(DEF),
        "<think>\n" + fence(BAD) + "</think>\n" + DEF,
        "<answer>\n" + fence(DEF) + "</answer>",
        "````md\nLike this:\n" + fence(DEF) + "````\n",
        "- item\n\n  ```python\n  def f(x):\n      return x\n  ```\n",
        "   ```python\n   def f(x):\n       return x\n   ```\n",
        "```python {.numberLines}\n" + DEF + "```",
        fence(DEF).replace("\n", "\r"),
    ],
)
def test_a_fence_that_is_out_of_order_loses_no_right_answer(text):
    assert extract_code(text, "f").strip() == DEF.strip()


def test_a_fence_inside_a_docstring_does_not_end_the_block():
    glued = IN_A_DOCSTRING.replace("Do.\n\n    ```python", "Do: ```")
    for code in (IN_A_DOCSTRING, glued):
        assert run([extract_code(fence(code), "f")])["f"](3) == 3


def test_four_spaces_before_a_fence_are_code_and_no_fence():
    assert fenced_blocks("text\n\n    ```python\n    x\n    ```\n") == []


def test_a_block_that_only_imports_the_function_is_taken_when_nothing_defines_it():
    assert extract_code(fence("from operator import add as f\n") + fence("print(1)\n"), "f").startswith("from operator")
    assert defines("from m import f", "f") and not writes("from m import f", "f")


def test_without_a_defining_block_the_last_block_is_taken():
    assert extract_code(fence("a = 1\n") + fence("b = 2\n"), "f") == "b = 2\n"


def test_an_answer_that_stops_without_closing_its_only_block_is_taken():
    assert extract_code("Here:\n```python\n" + DEF, "f").strip() == DEF.strip()


def test_a_complete_defining_block_wins_over_a_later_open_one():
    assert extract_code(fence(DEF) + "```python\ndef f(x): return 2\n", "f") == DEF


def test_without_any_fence_the_raw_text_is_taken_unchanged():
    assert extract_code("    return x ``inline``\n", "f") == "    return x ``inline``\n"


def test_a_fence_is_closed_only_by_its_own_kind_and_length():
    (block,) = fenced_blocks("````python\n```\n~~~\n```` x\n````\n")
    assert block.text == "```\n~~~\n```` x\n"
    assert block.complete


@pytest.mark.parametrize(
    "source",
    [
        DEF, "async def f(): pass", "class f: pass", "f = lambda x: x", "f: int = 3", "from m import f",
        "import a, f", "x = 1\ndef  f ():\n", "f  = g = 2",
    ],
)  # fmt: skip
def test_each_way_to_bind_a_name_at_the_margin_counts(source):
    assert defines(source, "f")


@pytest.mark.parametrize(
    "source", ["", "def ff(): pass", "def g(): f = 1", "class S:\n    def f(self): pass", "f == 1", "f(2)", "# def f"]
)
def test_a_use_or_an_inner_binding_of_the_name_does_not_count(source):
    assert not defines(source, "f")


def test_the_preamble_has_the_imports_and_helpers_but_not_the_function():
    space = run([preamble(PROMPT, "f")])
    assert {"math", "List", "helper"} <= set(space)
    assert "f" not in space


def test_a_full_answer_may_use_the_prompts_imports_and_helpers():
    code = "from __future__ import annotations\ndef f(x: List[int]):\n    return math.floor(helper(x))\n"
    for format, text in (("full_code", code), ("markdown", fence(code))):
        space = run(assemble(prompt=PROMPT, entry_point="f", completion=text, format=format))
        assert space["f"](2.5) == 2


def test_a_markdown_answer_without_the_function_continues_the_whole_prompt():
    sources = assemble(
        prompt=PROMPT, entry_point="f", completion=fence("    return helper(x) + 1\n"), format="markdown"
    )
    assert run(sources)["f"](1) == 2


def test_a_completion_is_the_prompt_and_the_text_and_nothing_else():
    assert assemble(prompt="p", entry_point="f", completion="```", format="completion") == ["p```"]


def test_an_unknown_format_is_refused_by_name():
    with pytest.raises(ValueError, match="'chat'; want one of completion, full_code, markdown"):
        assemble(prompt=PROMPT, entry_point="f", completion="", format="chat")


@pytest.mark.parametrize(
    "unit", ["```\n", "````", "~~~ x\n", "f:", "import ", "x```\n", "> ", "````md\n", "<think>", "- ```\n"]
)
def test_four_times_the_hostile_text_costs_four_times_the_work(unit):
    def read(count: int) -> None:
        text = unit * count
        extract_code(text, "f")
        defines(text, "f")

    small, large = (lines_run(lambda count=count: read(count)) for count in (300, 1_200))
    assert large <= 4.5 * small  # 16 times if it were quadratic


@pytest.mark.parametrize("text", ["```\n" * 50000, "`" * 200000, "~~~ x\n" * 50000, "f:" * 100000, "import " * 50000,
                                  "x```\n" * 20000, "> " * 50000, "````md\n" * 20000, "<think>" * 50000])  # fmt: skip
@pytest.mark.timeout(300)  # hours, where a pattern of `re`, which counts no lines, runs over a stretch again and again
def test_no_pattern_hangs_on_hostile_text(text):
    extract_code(text, "f")
    defines(text, "f")
