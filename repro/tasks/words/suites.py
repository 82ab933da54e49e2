"""The families of word problems, the suites measured on, and what a policy is trained on.

A suite is a fixed list of questions: the evaluation split of one family under one seed, without repeated keys.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from repro.errors import BadInput
from repro.tasks.words.gsm import EVAL_TEMPLATES, TRAIN_TEMPLATES, draft_gsm
from repro.tasks.words.legs import draft_legs
from repro.tasks.words.problem import Draft, Split, WordProblem, draw
from repro.tasks.words.stories import REWORDED, STORIES, draft_story

FAMILIES: dict[str, Callable[[Random], Draft]] = {
    **{f"stories-{steps}": partial(draft_story, steps=steps, scenes=STORIES) for steps in (1, 2, 3)},
    **{f"reworded-{steps}": partial(draft_story, steps=steps, scenes=REWORDED) for steps in (1, 2, 3)},
    "legs": draft_legs,
    "gsm": partial(draft_gsm, templates=TRAIN_TEMPLATES),
    "gsm-held-out": partial(draft_gsm, templates=EVAL_TEMPLATES),
}
# Families that exist to be measured on: nothing is ever trained on them
EVAL_ONLY = ("reworded-1", "reworded-2", "reworded-3", "gsm-held-out")


@dataclass(frozen=True)
class Suite:
    """Where a suite's questions come from: families in turn, and the seed."""

    families: tuple[str, ...]
    seed: int
    title: str


SUITES = {
    "words-short": Suite(("stories-1", "stories-2"), 101, "stories of one and two steps"),
    "words-long": Suite(("stories-3",), 102, "stories of three steps"),
    "words-legs": Suite(("legs",), 103, "legs of two kinds of animals"),
    "words-reworded": Suite(("reworded-1", "reworded-2"), 104, "the stories' arithmetic in sentences never trained on"),
    "words-far": Suite(("gsm-held-out",), 105, "templates of gsm_symbolic never trained on"),
}


def make_question(family: str, split: Split, seed: int, index: int) -> WordProblem:
    """Problem `index` of a family's split under a seed. Raises BadInput for an unknown family or an untrainable one."""
    if family not in FAMILIES:
        raise BadInput(f"word problems: family {family!r} is not known; want one of {', '.join(FAMILIES)}")
    if split == "train" and family in EVAL_ONLY:
        raise BadInput(f"word problems: family {family!r} is measured on and cannot be trained on")
    return draw(family, FAMILIES[family], split, seed, index)


def load_suite(name: str, count: int) -> list[WordProblem]:
    """The first `count` questions of a suite, in an order that never changes."""
    if name not in SUITES:
        raise BadInput(f"word problems: suite {name!r} is not known; want one of {', '.join(SUITES)}")
    suite = SUITES[name]
    found: list[WordProblem] = []
    for problem in _distinct(suite.families, "eval", suite.seed):
        if len(found) == count:
            break
        found.append(problem)
    return found


def training_problems(families: Sequence[str], seed: int, count: int) -> list[WordProblem]:
    """`count` problems of the training split, the families drawn evenly; the same for every method of a seed."""
    if not families:
        raise BadInput("word problems: no families to train on")
    rng = Random(f"training|{seed}")
    return [make_question(rng.choice(list(families)), "train", seed, index) for index in range(count)]


def _distinct(families: tuple[str, ...], split: Split, seed: int) -> Iterator[WordProblem]:
    """Problems of the families in turn, each canonical key once."""
    seen: set[str] = set()
    index = 0
    while True:
        problem = make_question(families[index % len(families)], split, seed, index)
        if problem.key not in seen:
            seen.add(problem.key)
            yield problem
        index += 1
