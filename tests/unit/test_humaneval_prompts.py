"""What a model is asked on HumanEval, and the examples it may be shown."""

import doctest
import json

import pytest

from repro.grading.code_extract import extract_code
from repro.paths import benchmark_dir
from repro.tasks.benchmarks.humaneval_prompts import EXEMPLARS, EXEMPLARS_SHA256, REQUEST, chat_turns, exemplars_sha256

PROMPT = 'def f(x):\n    """ Doc. """\n'


def test_without_examples_there_is_one_user_turn_that_ends_in_the_prompt_verbatim():
    (turn,) = chat_turns(PROMPT, shots=0)
    assert turn == {"role": "user", "content": f"{REQUEST}\n\n{PROMPT}"}


def test_five_examples_alternate_and_use_the_same_wording_as_the_question():
    turns = chat_turns(PROMPT, shots=5)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 5 + ["user"]
    assert all(turn["content"].startswith(f"{REQUEST}\n\n") for turn in turns[::2])
    assert turns[-1:] == chat_turns(PROMPT, shots=0)


@pytest.mark.parametrize("shots", [-1, 1, 4, 6])
def test_another_number_of_examples_is_refused(shots):
    with pytest.raises(ValueError, match="want 0 or 5"):
        chat_turns(PROMPT, shots=shots)


def test_the_examples_are_the_recorded_ones_in_the_recorded_order():
    assert exemplars_sha256() == EXEMPLARS_SHA256


@pytest.mark.parametrize("exemplar", EXEMPLARS, ids=lambda exemplar: exemplar.entry_point)
def test_each_example_is_right_by_its_own_docstring_and_survives_extraction(exemplar):
    answer = chat_turns(PROMPT, shots=5)[2 * EXEMPLARS.index(exemplar) + 1]["content"]
    code = extract_code(answer, exemplar.entry_point)
    assert code == exemplar.prompt + exemplar.solution
    space = {}
    exec(code, space)
    function = space[exemplar.entry_point]
    (case,) = doctest.DocTestFinder(recurse=False).find(function, exemplar.entry_point, module=False, globs=space)
    assert case.examples
    assert doctest.DocTestRunner(verbose=False).run(case).failed == 0


def test_no_example_is_a_humaneval_problem():
    if benchmark_dir() is None:
        pytest.skip("no benchmark files: set GCPO_DATA")
    rows = [json.loads(line) for line in (benchmark_dir() / "humaneval.jsonl").read_text().splitlines()]
    everything = "\n".join(row["prompt"] + row["canonical_solution"] for row in rows)
    assert all(f"def {exemplar.entry_point}" not in everything for exemplar in EXEMPLARS)
