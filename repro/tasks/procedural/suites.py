"""Evaluation suites and the stream of training problems.

The suites are stand-ins ordered by difficulty and named by content; they hold evaluation problems only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repro.errors import BadInput
from repro.tasks.procedural.families import FAMILIES, LEVELS, Problem, make_problem

_TRIES = 5_000  # problems drawn in a row without a new one, after which a suite is taken to have no more
TRAIN_FAMILIES = ("rec", "shop", "lin")


@dataclass(frozen=True)
class Suite:
    """A level of some families."""

    name: str
    level: str
    families: tuple[str, ...]
    title: str


SUITES = {
    suite.name: suite
    for suite in (
        Suite("modten-easy", "e", ("rec", "shop", "lin"), "2-4 steps, all families"),
        Suite("modten-medium", "m", ("rec", "shop", "lin"), "4-6 steps, all families"),
        Suite("modten-hard", "h", ("rec", "shop", "lin"), "7-9 steps, all families"),
        Suite("modten-reworded", "m", ("rep", "bill", "find"), "4-6 steps, all families in other words"),
        Suite("modten-hard-recshop", "h", ("rec", "shop"), "7-9 steps, rec and shop"),
        Suite("modten-hard-lin", "h", ("lin",), "7-9 steps, lin"),
        Suite("modten-far", "o", ("rec", "shop", "lin"), "10-13 steps, all families"),
        Suite("modten-smoke", "e", ("shop",), "3 steps, shop"),
    )
}


def load_suite(name: str, questions: int, skip: int = 0) -> list[Problem]:
    """The first `questions` distinct problems of a suite after `skip` of them, families in turn; a shorter suite begins
    a longer one.

    Raises BadInput on an unknown suite or a count below one.
    """
    if name not in SUITES:
        raise BadInput(f"suite {name!r} is unknown; want one of {', '.join(SUITES)}")
    if questions < 1:
        raise BadInput(f"suite {name}: {questions} questions asked; want at least 1")
    suite = SUITES[name]
    problems: dict[str, Problem] = {}
    seed = newest = 0
    while len(problems) < skip + questions:
        if seed - newest > _TRIES:
            raise BadInput(
                f"suite {name}: {skip + questions} questions asked; want at most {len(problems)}, all there are"
            )
        family = suite.families[len(problems) % len(suite.families)]
        problem = make_problem(family, suite.level, seed, split="eval")
        if problem.key not in problems:
            problems[problem.key], newest = problem, seed
        seed += 1
    return list(problems.values())[skip:]


def training_problems(
    levels: Sequence[str], seed: int, count: int, *, families: Sequence[str] = TRAIN_FAMILIES
) -> Iterator[Problem]:
    """`count` training problems, families and levels in turn; equal arguments give equal problems.

    Raises BadInput on an empty or unknown level or family, at the first problem.
    """
    for what, given, known in (("levels", levels, LEVELS), ("families", families, FAMILIES)):
        if not given or any(each not in known for each in given):
            raise BadInput(f"training {what} are {list(given)}; want some of {', '.join(known)}")
    cells = [(family, level) for level in levels for family in families]
    for index in range(count):
        family, level = cells[index % len(cells)]
        yield make_problem(family, level, seed * 10_000_000 + index, split="train")
