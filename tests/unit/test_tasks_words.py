"""Word problems: splits that never meet, fixed suites, solutions that are right, and an exact grader."""

import re

import pytest

from repro.bases.packaged import PACKAGED, ensure_packaged
from repro.errors import BadInput
from repro.tasks.words import (
    EVAL_ONLY,
    FAMILIES,
    SUITES,
    chat_messages,
    final_answer,
    grade,
    load_suite,
    make_question,
    training_problems,
)
from repro.tasks.words.gsm import EVAL_TEMPLATES, TRAIN_TEMPLATES, equations
from repro.tasks.words.problem import draw, split_of

TRAINABLE = [family for family in FAMILIES if family not in EVAL_ONLY]
PROMPT_TOKENS = {"gsm": 66, "gsm-held-out": 80}  # the published questions are long; every other family keeps to 56
COMPLETION_TOKENS = 40


def value(expression: str) -> float:
    """A chain of numbers and + - * / by Python's own rules, after a check that it is nothing else."""
    assert re.fullmatch(r"\d+([-+*/]\d+)*", expression)
    return eval(expression)


def some(family: str, count: int = 40) -> list:
    split = "eval" if family in EVAL_ONLY else "train"
    return [make_question(family, split, 0, index) for index in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_problem_depends_on_its_seed_and_index_alone(family):
    assert some(family, 10) == some(family, 10)
    split = "eval" if family in EVAL_ONLY else "train"
    assert make_question(family, split, 0, 3) != make_question(family, split, 1, 3)
    assert make_question(family, split, 0, 3) != make_question(family, split, 0, 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_worked_and_direct_solutions_are_right_and_every_step_holds(family):
    for problem in some(family):
        assert grade(problem.worked, problem.gold, True) == (True, "correct")
        assert grade(problem.direct, problem.gold, True) == (True, "correct")
        assert problem.worked.endswith(f" The answer is \\boxed{{{problem.gold}}}.")
        steps = problem.worked.removesuffix(problem.direct).strip().removesuffix(".").split(". ")
        assert steps and "=" not in problem.direct
        for step in steps:
            left, right = step.split("=")
            assert value(left) == int(right)
        assert steps[-1].endswith(f"={problem.gold}")


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.startswith(("stories", "reworded"))])
def test_a_story_has_as_many_steps_as_its_family_says_and_only_its_own_numbers(family):
    for problem in some(family):
        assert problem.worked.count("=") == int(family[-1])
        told = sorted(re.findall(r"\d+", problem.text))
        lefts = [step.split("=")[0] for step in problem.worked.split(". ")[:-1]]
        used = re.findall(r"\d+", lefts[0]) + [re.findall(r"\d+", left)[1] for left in lefts[1:]]
        assert told == sorted(used)


def test_no_training_question_is_an_evaluation_question_by_key_or_text():
    training = [p for seed in range(3) for p in training_problems(TRAINABLE, seed, 400)]
    keys, texts = {p.key for p in training}, {p.text for p in training}
    for suite in SUITES:
        for problem in load_suite(suite, 40):
            assert problem.key not in keys and problem.text not in texts
            assert split_of(problem.key) == "eval"
    assert {split_of(key) for key in keys} == {"train"}


def test_keys_ignore_names_and_the_order_of_exchangeable_parts():
    from repro.tasks.words.stories import REWORDED, STORIES, draft_story

    by_key = {}
    for index in range(4000):
        problem = draw("any", lambda rng: draft_story(rng, steps=2, scenes=STORIES + REWORDED), "train", 0, index)
        by_key.setdefault(problem.key, []).append(problem)
    repeated = [group for group in by_key.values() if len({p.text for p in group}) > 1]
    assert repeated, "no key had two texts: the test sees nothing"
    for group in repeated:
        numbers = {tuple(sorted(re.findall(r"\d+", p.text))) for p in group}
        assert len(numbers) == 1 and len({p.gold for p in group}) == 1


def test_every_template_of_gsm_symbolic_gives_problems():
    for family, templates in (("gsm", TRAIN_TEMPLATES), ("gsm-held-out", EVAL_TEMPLATES)):
        assert {int(problem.key.split(":")[1]) for problem in some(family)} == set(templates)


def test_held_out_templates_and_wordings_cannot_be_trained_on():
    assert not set(TRAIN_TEMPLATES) & set(EVAL_TEMPLATES)
    for family in EVAL_ONLY:
        with pytest.raises(BadInput, match="cannot be trained on"):
            training_problems([family], 0, 1)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_a_fixed_list_without_repeats_and_a_shorter_one_is_its_beginning(suite):
    problems = load_suite(suite, 40)
    assert problems == load_suite(suite, 40) and load_suite(suite, 10) == problems[:10]
    assert len(problems) == 40
    assert len({p.key for p in problems}) == len({p.id for p in problems}) == len({p.text for p in problems}) == 40


def test_training_problems_are_equal_for_equal_seeds_and_prefixes_of_each_other():
    assert training_problems(TRAINABLE, 3, 20) == training_problems(TRAINABLE, 3, 40)[:20]
    assert training_problems(TRAINABLE, 3, 20) != training_problems(TRAINABLE, 4, 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_question("poems", "eval", 0, 0), "family 'poems' is not known"),
        (lambda: load_suite("words-none", 4), "suite 'words-none' is not known"),
        (lambda: training_problems([], 0, 4), "no families"),
    ],
)
def test_unknown_names_are_one_line_errors(call, message):
    with pytest.raises(BadInput, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "gold", "ended", "verdict"),
    [
        ("The answer is \\boxed{14}.", "14", True, "correct"),
        ("The answer is \\boxed{ 14 }.", "14", True, "correct"),
        ("\\boxed{$14}", "14", True, "correct"),
        ("\\boxed{\\$14}", "14", True, "correct"),
        ("\\boxed{14.}", "14", True, "correct"),
        ("\\boxed{1,400}", "1400", True, "correct"),
        ("\\boxed{1,400}", "1,400", True, "correct"),
        ("\\boxed{-3}", "-3", True, "correct"),
        ("first \\boxed{13}, no: \\boxed{14}", "14", True, "correct"),
        ("\\boxed{14} and \\boxed{13}", "14", True, "wrong"),
        ("\\boxed{14} and \\boxed{13", "14", True, "correct"),  # the last box that closes
        ("\\boxed{{14}}", "14", True, "wrong"),  # braces inside are content
        ("\\boxed{014}", "14", True, "wrong"),
        ("\\boxed{14.0}", "14", True, "wrong"),
        ("\\boxed{14 apples}", "14", True, "wrong"),
        ("\\boxed{14,00}", "1400", True, "wrong"),
        ("\\boxed{12+2}", "14", True, "wrong"),
        ("\\boxed{}", "14", True, "wrong"),
        ("\\boxed{01:25}", "01:25", True, "correct"),
        ("The answer is 14.", "14", True, "no_box"),
        ("boxed{14}", "14", True, "no_box"),
        ("\\boxed{14", "14", True, "no_box"),
        ("", "14", True, "no_box"),
        ("The answer is \\boxed{14}.", "14", False, "truncated"),
    ],
)
def test_grader(text, gold, ended, verdict):
    assert grade(text, gold, ended) == (verdict == "correct", verdict)


def test_a_cut_text_votes_for_nothing_and_an_ended_one_for_its_normal_form():
    assert final_answer("\\boxed{1,400.}") == "1400"
    assert final_answer("\\boxed{1,400.}", ended=False) is None
    assert final_answer("none") is None


@pytest.mark.parametrize(
    ("solution", "found"),
    [
        ("She has 34 girls x 4 boys/girl = 136 boys.\n#### 136", ("34*4=136",)),
        ("The width is 2775 square meters / 37 meters = 75 meters.\n#### 75", ("2775/37=75",)),
        ("There are 29-4-8 = 17 purple blocks.\n#### 17", ("29-4-8=17",)),
        ("$3 * 2 = $6, then $6 + $1 = $7\n#### 7", ("3*2=6", "6+1=7")),
        ("He has 3 * 2 = 7 apples.\n#### 7", ()),  # not exact
        ("It is 48 * 0.25=12.\n#### 12", ()),  # no whole numbers
    ],
)
def test_equations_are_read_from_published_solutions_or_refused(solution, found):
    assert equations(solution) == found


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    name = next(iter(PACKAGED))
    try:
        folder = ensure_packaged(name)
    except BadInput as error:
        pytest.skip(str(error))
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_and_completions_keep_to_their_token_budgets(family, tokenizer):
    for problem in some(family):
        messages = chat_messages("", problem.text)
        prompt = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)["input_ids"]
        completion = tokenizer(problem.worked + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        assert len(prompt) <= PROMPT_TOKENS.get(family, 56)
        assert 15 <= len(completion) <= COMPLETION_TOKENS
