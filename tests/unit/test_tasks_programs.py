"""Program synthesis: descriptions mean what their programs compute, and programs are judged by being run."""

import json
import random
import re

import pytest

from repro.bases.programs import BaseSpec, ProgramMixture
from repro.config import TaskSpec
from repro.errors import BadInput
from repro.sandbox import SandboxBroken, SandboxPool
from repro.tasks.build import make_taskset
from repro.tasks.programs import grading
from repro.tasks.programs.language import EVAL_SHARE, OPERATIONS, TESTS, is_program, make_function
from repro.tasks.programs.suites import EXEMPLAR_SEEDS, exemplars, load_functions, prompt_text, training_functions
from repro.tasks.programs.taskset import ProgramTasks
from repro.tasks.programs.tokenizer import build_tokenizer, encode
from repro.tasks.protocol import Response

SUITES = {"programs-0shot": 9, "programs-5shot": 9}
SPEC = TaskSpec(kind="programs", train_levels=["e", "m"], suites=SUITES)


@pytest.fixture(scope="module")
def tasks():
    with ProgramTasks(SPEC) as made:
        yield made


def spoken(description, x, y):
    """The value of a description, read word by word: an evaluator of its own, innermost operation first."""
    *words, start = re.findall(r"double|triple|negative|(?:sum|difference) of . and|[xy0-9]", description)
    leaf = {"x": x, "y": y}
    value = leaf[start]
    for word in reversed(words):
        if word in ("double", "triple", "negative"):
            value *= {"double": 2, "triple": 3, "negative": -1}[word]
        else:
            kind, _, operand, _ = word.split()
            left = leaf[operand] if operand in leaf else int(operand)
            value = left + value if kind == "sum" else left - value
    return value % 10


def computed(program, x, y):
    space = {}
    exec(f"def f(x, y):\n    {program}", space)
    return space["f"](x, y) % 10


@pytest.mark.parametrize("level", OPERATIONS)
def test_description_both_programs_and_hidden_tests_are_one_function(level):
    for seed in range(60):
        function = make_function(level, seed)
        assert is_program(function.worked) and is_program(function.direct)
        for x, y in [(random.Random(seed).randrange(10), place) for place in range(10)]:
            wanted = spoken(function.description, x, y)
            assert computed(function.worked, x, y) == computed(function.direct, x, y) == wanted
        assert len(set(function.tests)) == TESTS
        assert all(value == spoken(function.description, x, y) for x, y, value in function.tests)


def test_training_and_evaluation_share_no_function_of_one_size():
    def key(function):
        return function.worked.count(";"), function.direct

    train = {key(make_function(level, seed)) for level in OPERATIONS for seed in range(300)}
    held = {key(make_function(level, seed, split="eval")) for level in OPERATIONS for seed in range(300)}
    assert not train & held
    assert len(held) > 300 / EVAL_SHARE


def test_both_suites_ask_for_the_same_functions_and_one_shows_five_examples(tasks):
    none, five = (tasks.questions(name) for name in SUITES)
    assert [q.id for q in none] == [q.id for q in five]
    assert {q.shots for q in none} == {0} and {q.shots for q in five} == {5}
    assert tasks.prompt(five[0]) == exemplars() + tasks.prompt(none[0])
    shown = exemplars().splitlines()
    assert len(set(shown)) == len(shown) == len(EXEMPLAR_SEEDS)
    assert all(is_program(line.partition(":")[2]) for line in shown)
    with pytest.raises(ValueError, match="shots is 3"):
        prompt_text("double x", 3)


def test_a_shorter_suite_begins_a_longer_one_and_training_is_the_same_each_time(tasks):
    assert load_functions(20)[:7] == load_functions(7)
    assert tasks.training_questions("any", 3, 6) == tasks.training_questions("other", 3, 6)
    held = {function.description for function in load_functions(164)}
    assert not held & {question.text for question in tasks.training_questions("any", 0, 500)}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("return x", True),
        ("a=x+y;return a", True),
        ("return 2*x+3*y+0", True),
        ("a=x+y;b=a", False),  # no return
        ("return x;", False),
        ("a=x+y+1;return a", False),  # a line has one operation
        ("return x+x+x+x+x+x", False),
        ("x=1;return x", False),  # inputs are not assigned
        ("return z", False),
        ("return 12", False),
        ("return x\n", False),
        ("import os;return x", False),
        ("a=x**9;return a", False),
        (13 * "a=x+y;" + "return a", False),
        ("", False),
    ],
)
def test_the_grammar(text, is_one):
    assert is_program(text) == is_one


def test_verdicts_come_from_running_the_programs_in_order(tasks):
    questions = tasks.questions("programs-0shot")
    functions = load_functions(9)
    texts = [functions[0].worked, functions[1].direct, "return a", "return x+", functions[4].worked, "return 0*x"]
    ended = [True, True, True, True, False, True]
    responses = [Response(text, end) for text, end in zip(texts, ended, strict=True)]
    verdicts = tasks.grade(questions[:6], responses)
    assert [each.reason for each in verdicts] == ["passed", "passed", "error", "syntax", "truncated", "failed"]
    assert [each.correct for each in verdicts] == [True, True, False, False, False, False]
    assert verdicts[2].detail == "NameError"
    assert tasks.final_answer(responses[0]) == functions[0].worked
    assert tasks.final_answer(responses[3]) is None and tasks.final_answer(responses[4]) is None


def test_one_process_runs_a_whole_batch_and_sees_no_hidden_value(tasks, monkeypatch):
    jobs, run = [], SandboxPool.run

    def counted(self, given, on_done=None):
        given = list(given)
        jobs.extend(given)
        return run(self, given, on_done)

    monkeypatch.setattr(SandboxPool, "run", counted)
    monkeypatch.setattr(grading, "BATCH", 6)
    questions, functions = tasks.questions("programs-0shot"), load_functions(9)
    verdicts = tasks.grade(questions, [Response(each.worked, True) for each in functions])
    assert all(each.correct for each in verdicts)
    assert len(jobs) == 2  # 9 programs
    wanted = "".join(str(value) for _, _, value in functions[0].tests)
    assert wanted in jobs[0].test and not any(wanted in source for source in jobs[0].sources)


def test_a_batch_without_verdicts_is_the_harness_fault(tasks, monkeypatch):
    monkeypatch.setattr(grading, "_RUNNER", "def run_all(asked):\n    return []\n")
    with pytest.raises(SandboxBroken, match="a batch of programs ended with failed"):
        tasks.grade(tasks.questions("programs-0shot")[:1], [Response("return x", True)])


def test_a_wrong_program_that_agrees_on_some_inputs_fails(tasks):
    question, function = tasks.questions("programs-0shot")[0], load_functions(1)[0]
    a, b, c = re.findall(r"\d", function.direct)
    near = f"return {(int(a) + 5) % 10}*x+{b}*y+{c}"  # equal wherever x is even
    agreeing = [computed(near, x, y) == value for x, y, value in json.loads(question.gold)]
    assert any(agreeing) and not all(agreeing)
    assert tasks.grade([question], [Response(near, True)])[0].reason == "failed"


def test_the_tokenizer_is_lossless_on_prompts_and_programs(tasks):
    tokenizer = build_tokenizer()
    for question, function in zip(tasks.questions("programs-5shot"), load_functions(9), strict=True):
        for text in (tasks.prompt(question) + function.worked, function.direct):
            ids = tokenizer(text)["input_ids"]
            assert ids == encode(text)
            assert tokenizer.unk_token_id not in ids and tokenizer.decode(ids) == text


def test_demonstrations_are_written_one_way_and_the_way_does_not_depend_on_the_function():
    mixture = ProgramMixture({"e": 1.0, "m": 0.5}, direct_share=0.5, shots_share=0.5, seed=0)
    tokenizer = build_tokenizer()
    shots, direct = [], []
    for index in range(200):
        example = mixture.example(index)
        assert example == mixture.example(index)
        text = tokenizer.decode(example.ids)
        programs = [line.partition(":")[2].removesuffix("<eos>") for line in text.splitlines()]
        assert all(is_program(program) for program in programs)
        assert len({";" in program for program in programs}) == 1  # all worked or all direct
        assert tokenizer.decode(example.ids[example.start :]) == programs[-1] + "<eos>"
        shots.append(len(programs) - 1)
        direct.append(";" not in programs[-1])
    assert set(shots) == {0, 1, 2, 3, 4, 5}
    assert 70 < sum(direct) < 130


def test_bad_numbers_are_named():
    with pytest.raises(BadInput, match="0 questions asked"):
        load_functions(0)
    with pytest.raises(BadInput, match="training levels are"):
        training_functions(["x"], 0, 1)
    with pytest.raises(BadInput, match="suite 'programs' is unknown"):
        make_taskset(TaskSpec(kind="programs", suites={"programs": 3}))
    with pytest.raises(ValueError, match="not all 0"):
        BaseSpec(name="a", hidden=8, layers=1, heads=1, kv_heads=1, intermediate=8, tokens=1, batch_tokens=1,
                 muon_lr=1, muon_steps=1, adamw_lr=1, warmup_steps=1, flat_share=0, final_rate=0, seed=0,
                 levels={"e": 0.0}, direct_share=0.5, shots_share=0)  # fmt: skip
