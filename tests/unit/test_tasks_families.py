"""Problems are right, repeatable, and their splits and levels share nothing."""

import ast
import itertools
import operator
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.tasks.procedural import (
    SUITES,
    load_suite,
    make_problem,
    problem_key,
    split_of,
    training_problems,
    verify,
    work,
)
from repro.tasks.procedural.families import EVAL_SHARE, FAMILIES, LEVELS, PRICES, Ref, Step, _chain_sum

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
families = st.sampled_from(FAMILIES)
levels = st.sampled_from(LEVELS)
seeds = st.integers(0, 2**31)


def answer_from_prompt(prompt: str) -> int:
    """The answer read from the prompt alone, by another route than the generator's steps."""
    if match := re.fullmatch(r"rec (\d):(.)(\d),(.)(\d)@(\d)=", prompt):
        start, op1, n1, op2, n2, rounds = match.groups()
        value = int(start)
        for _ in range(int(rounds)):
            value = OPERATIONS[op2](OPERATIONS[op1](value, int(n1)), int(n2))
        return value % 10
    if match := re.fullmatch(r"shop (.*)=", prompt):
        bought = [item.split(" ") for item in match[1].split(",")]
        return sum(int(count) * PRICES[name] for count, name in bought) % 10
    if match := re.fullmatch(r"solve x(.*)=(\d)", prompt):
        terms = re.findall(r"([+-])(\d)", match[1])
        solutions = [x for x in range(10) if (x + sum(int(op + n) for op, n in terms)) % 10 == int(match[2])]
        assert len(solutions) == 1
        return solutions[0]
    if match := re.fullmatch(r"rep (\d)@(.)(\d),(.)(\d):(\d)=", prompt):
        rounds, op1, n1, op2, n2, start = match.groups()
        return answer_from_prompt(f"rec {start}:{op1}{n1},{op2}{n2}@{rounds}=")
    if match := re.fullmatch(r"bill @(.*)=", prompt):
        bought = [re.fullmatch(r" ([a-z]+)(\d)", item).groups() for item in match[1].split(",")]
        return sum(int(count) * PRICES[name] for name, count in bought) % 10
    if match := re.fullmatch(r"find (\d):x(.*)=", prompt):
        return answer_from_prompt(f"solve x{match[2]}={match[1]}")
    match = re.fullmatch(r"chain (.*)=", prompt)
    terms = re.findall(r"[+-]?\d", match[1])
    assert "".join(terms) == match[1]
    return sum(ast.literal_eval(term) for term in terms) % 10


@given(families, levels, seeds)
def test_the_answer_follows_from_the_prompt_alone(family, level, seed):
    problem = make_problem(family, level, seed)
    assert problem.answer == str(answer_from_prompt(problem.prompt))


@given(families, levels, seeds)
def test_every_worked_step_is_right_and_the_solution_verifies(family, level, seed):
    problem = make_problem(family, level, seed)
    steps = re.findall(r"(\d)([+*-])(\d)=(\d);", problem.solution)
    assert len(steps) == len(problem.steps) == problem.solution.count(";")
    assert all(OPERATIONS[op](int(a), int(b)) % 10 == int(c) for a, op, b, c in steps)
    assert verify(problem.solution, problem.answer) == (True, "correct")


@given(families, levels, seeds, st.sampled_from(("train", "eval")))
def test_equal_arguments_give_equal_problems_of_the_split_asked_for(family, level, seed, split):
    problem = make_problem(family, level, seed, split=split)
    assert problem == make_problem(family, level, seed, split=split)
    assert split_of(problem.key) == split
    assert problem.key == problem_key(problem.prompt)


def test_worked_solutions_of_known_problems():
    lin = (Step(4, "+", 7), Step(Ref(0), "-", 7))  # solve x+7-7=4
    assert work(lin) == ("4+7=1;1-7=4;#4", "4")
    shop = (Step(5, "*", 7), Step(8, "*", 8), Step(Ref(0), "+", Ref(1)))  # 5 cups and 8 jars
    assert work(shop) == ("5*7=5;8*8=4;5+4=9;#9", "9")


def test_training_and_evaluation_prompts_are_disjoint_when_regenerated():
    evaluation = {problem.prompt for name in SUITES for problem in load_suite(name, 200)}
    training = {problem.prompt for problem in training_problems(LEVELS, 0, 12_000, families=FAMILIES)}
    assert len(training) > 9_000
    assert not evaluation & training


def test_equivalent_problems_have_one_key():
    for one, other in (
        ("shop 5 cup,8 jar=", "shop 8 jar,5 cup="),
        ("shop 5 cup,8 jar=", "bill @ jar8, cup5="),
        ("solve x+7-7=4", "solve x-3-7=4"),
        ("solve x+7-7=4", "find 4:x+7+3="),
        ("rec 6:*5,+2@2=", "rep 2@*5,-8:6="),
        ("chain 3+5-2=", "chain 3-5+8="),
    ):
        assert problem_key(one) == problem_key(other)
    for one, other in (
        ("shop 5 cup,8 jar=", "shop 8 cup,5 jar="),
        ("solve x+7-7=4", "solve x-7+7=4"),  # other steps
        ("rec 6:*5,+2@2=", "rec 6:+2,*5@2="),
        ("chain 3+5-2=", "chain 5+3-2="),
    ):
        assert problem_key(one) != problem_key(other)


def test_no_evaluation_question_has_an_equivalent_in_training_data():
    evaluation = {problem.key for name in SUITES for problem in load_suite(name, 100)}
    assert not evaluation & {problem.key for problem in training_problems(LEVELS, 1, 8_000, families=FAMILIES)}


def test_skipped_questions_are_those_of_a_shorter_suite():
    whole = load_suite("modten-reworded", 50)
    assert load_suite("modten-reworded", 30, skip=20) == whole[20:] and load_suite("modten-reworded", 20) == whole[:20]


def test_levels_share_no_prompt():
    by_level = [
        {make_problem(family, level, seed).prompt for family in FAMILIES for seed in range(700)} for level in LEVELS
    ]
    assert sum(len(prompts) for prompts in by_level) == len(set.union(*by_level))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_easiest_level_has_enough_distinct_problems(family):
    assert len({make_problem(family, "e", seed).key for seed in range(1500)}) > 1_000


def test_one_problem_in_eight_is_evaluation():
    prompts = {make_problem("lin", "h", seed, split=split).prompt for seed in range(400) for split in ("train", "eval")}
    drawn = [split_of(problem_key(f"lin {index}")) for index in range(4000)]
    assert len(prompts) == 800
    assert abs(drawn.count("eval") / 4000 - 1 / EVAL_SHARE) < 0.02


def test_chain_agrees_with_the_library_that_draws_it():
    for index in range(50):
        item = _chain_sum("m")[index]
        terms = item["metadata"]["expression"].replace(" ", "")
        assert int(item["answer"]) % 10 == answer_from_prompt(f"chain {terms}=")


def test_slips_change_answers_at_their_rate_and_later_steps_follow_them():
    rng = random.Random(0)
    problem = make_problem("lin", "m", 1)
    right = 0
    for _ in range(2000):
        text, answer = work(problem.steps, slip=0.1, rng=rng)
        lines = re.findall(r"(\d)[+-]\d=(\d);", text)
        assert all(after[0] == before[1] for before, after in itertools.pairwise(lines))
        assert text.endswith(f"={answer};#{answer}")
        right += answer == problem.answer
    expected = 0.91 ** len(problem.steps)  # a slip hits the right digit one time in ten
    assert expected - 0.03 < right / 2000 < expected + 0.08  # two slips can cancel


def test_certain_slips_need_a_generator():
    with pytest.raises(ValueError, match="rng"):
        work(make_problem("lin", "e", 0).steps, slip=0.5)


@pytest.mark.parametrize("arguments", [("sum", "e", 0), ("lin", "x", 0)])
def test_unknown_family_or_level_is_refused(arguments):
    with pytest.raises(ValueError, match="want one of"):
        make_problem(*arguments)


def test_suites_are_distinct_problems_and_prefixes():
    for name, suite in SUITES.items():
        problems = load_suite(name, 60)
        assert len({problem.key for problem in problems}) == 60
        assert {problem.family for problem in problems} == set(suite.families)
        assert {problem.level for problem in problems} == {suite.level}
        assert load_suite(name, 20) == problems[:20]


def test_training_problems_repeat_and_differ_between_seeds():
    first = list(training_problems(("e", "m"), 3, 60))
    assert first == list(training_problems(("e", "m"), 3, 60))
    assert {problem.key for problem in first}.isdisjoint(problem.key for problem in training_problems(("m",), 4, 60))
    assert len({(problem.family, problem.level) for problem in first}) == 6


def test_bad_suite_and_level_are_one_line_errors():
    with pytest.raises(BadInput, match="modten-easy"):
        load_suite("modten-esay", 3)
    with pytest.raises(BadInput, match="at least 1"):
        load_suite("modten-easy", 0)
    with pytest.raises(BadInput, match="levels"):
        list(training_problems(("q",), 0, 1))
    with pytest.raises(BadInput, match="levels"):
        list(training_problems((), 0, 1))
