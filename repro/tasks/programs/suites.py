"""Evaluation suites of the program tasks, the stream of training functions, and the solved examples of a prompt.

The suites stand in for HumanEval without and with five solved examples: the same 164 functions in both, so that a
difference between them is the examples' alone. They hold evaluation functions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from repro.errors import BadInput
from repro.tasks.programs.language import OPERATIONS, Function, ask, make_function, shot

LEVELS = tuple(OPERATIONS)
EXEMPLAR_SEEDS = (0, 1, 3, 4, 5)  # not stated: the first five distinct ones; easy functions of the training split


@dataclass(frozen=True)
class Suite:
    """Functions of all levels in turn. shots: solved examples before each question."""

    name: str
    shots: int
    title: str


SUITES = {
    suite.name: suite
    for suite in (
        Suite("programs-0shot", 0, "2-7 operations, no example"),
        Suite("programs-5shot", len(EXEMPLAR_SEEDS), "2-7 operations, five solved examples"),
    )
}


def suite_of(name: str) -> Suite:
    """The suite called `name`. Raises BadInput for an unknown one."""
    if name not in SUITES:
        raise BadInput(f"suite {name!r} is unknown; want one of {', '.join(SUITES)}")
    return SUITES[name]


@cache
def load_functions(count: int) -> tuple[Function, ...]:
    """The first `count` distinct functions of evaluation, levels in turn; fewer begin more.

    Raises BadInput on a count below one.
    """
    if count < 1:
        raise BadInput(f"suite of programs: {count} questions asked; want at least 1")
    functions: dict[str, Function] = {}
    seed = 0
    while len(functions) < count:
        function = make_function(LEVELS[len(functions) % len(LEVELS)], seed, split="eval")
        functions.setdefault(function.key, function)
        seed += 1
    return tuple(functions.values())


def training_functions(levels: Sequence[str], seed: int, count: int) -> list[Function]:
    """`count` training functions, levels in turn; equal arguments give equal functions.

    Raises BadInput on an empty or unknown level.
    """
    unknown = [level for level in levels if level not in LEVELS]
    if not levels or unknown:
        raise BadInput(f"training levels are {list(levels)}; want some of {', '.join(LEVELS)}")
    return [make_function(levels[index % len(levels)], seed * 10_000_000 + index) for index in range(count)]


@cache
def exemplars() -> str:
    """Five solved examples, each with its worked program: what a five-shot prompt begins with."""
    chosen = (make_function("e", seed) for seed in EXEMPLAR_SEEDS)
    return "".join(shot(each.description, each.worked) for each in chosen)


def prompt_text(description: str, shots: int) -> str:
    """A question's prompt, with all the solved examples or none.

    Raises ValueError for another number of them.
    """
    if shots not in (0, len(EXEMPLAR_SEEDS)):
        raise ValueError(f"shots is {shots}; want 0 or {len(EXEMPLAR_SEEDS)}")
    return (exemplars() if shots else "") + ask(description)
