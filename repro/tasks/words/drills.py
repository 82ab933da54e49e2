"""Rows of sums for a model to practise on: the arithmetic that word problems need, without the words.

A small model learns the form of a worked solution from a few hundred examples and the sums from thousands, so the sums
are shown by themselves, many to a text. They are facts and no questions: a step of an evaluation question may stand
among them, as it may stand among the steps of a training question.
"""

from random import Random

LARGEST_CHANGE = 12  # largest number added to or taken from another
LARGEST_SUM = 60
LARGEST_FACTOR = 14  # the legs of a woodlouse


def drill(rng: Random, count: int) -> tuple[str, ...]:
    """`count` equations: three in ten sums, four differences, three products."""
    return tuple(_equation(rng) for _ in range(count))


def _equation(rng: Random) -> str:
    kind = rng.choices("+-*", weights=(3, 4, 3))[0]
    if kind == "*":
        left, right = rng.randint(2, 9), rng.randint(0, LARGEST_FACTOR)
        return f"{left}*{right}={left * right}"
    if kind == "+":
        total = rng.randint(3, LARGEST_SUM)
        change = rng.randint(1, min(total - 1, LARGEST_CHANGE if rng.random() < 0.7 else LARGEST_SUM // 2))
        return f"{total - change}+{change}={total}"
    left = rng.randint(3, LARGEST_SUM)
    right = rng.randint(1, min(left - 1, LARGEST_CHANGE))
    return f"{left}-{right}={left - right}"
