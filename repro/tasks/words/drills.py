"""Rows of sums for a model to practise on: the arithmetic that word problems need, without the words.

A small model learns the form of a worked solution from a few hundred examples and the sums from thousands, so the sums
are shown by themselves, many to a text, with the numbers that stories and legs have. They are facts and no questions: a
step of an evaluation question may stand among them, as it may among the steps of a training question.
"""

from random import Random

from repro.tasks.words.legs import LEGS, MOST
from repro.tasks.words.stories import CHANGES, GROUPS, LARGEST, SIZES


def drill(rng: Random, count: int) -> tuple[str, ...]:
    """`count` equations: changes of a number (more of them downwards, which is harder), products, sums of products."""
    return tuple(_equation(rng) for _ in range(count))


def _equation(rng: Random) -> str:
    kind = rng.choices(("minus", "plus", "groups", "legs", "total"), weights=(38, 26, 8, 10, 18))[0]
    change = rng.randint(*CHANGES)
    if kind == "minus":
        value = rng.randint(change + 1, LARGEST)
        return f"{value}-{change}={value - change}"
    if kind == "plus":
        value = rng.randint(1, LARGEST - change)
        return f"{value}+{change}={value + change}"
    if kind == "groups":
        groups, size = rng.randint(*GROUPS), rng.randint(*SIZES)
        return f"{groups}*{size}={groups * size}"
    (first, first_legs), (second, second_legs) = ((rng.randint(2, MOST), rng.choice(LEGS)) for _ in range(2))
    if kind == "legs":
        return f"{first}*{first_legs}={first * first_legs}"
    return f"{first * first_legs}+{second * second_legs}={first * first_legs + second * second_legs}"
