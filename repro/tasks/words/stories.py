"""Stories of things that come and go, made from sentence templates; numbers up to two digits.

Two sets of sentences tell the same kind of story. `stories` (a person's belongings) is trained on; `reworded` (a bus, a
tree, a jar, a car park) asks for the same arithmetic in sentences no training text has. Both share their canonical
keys, so the reworded questions are new in their numbers too.

Source: ours, in the manner of grade-school word problems.
"""

from dataclasses import dataclass
from random import Random

from repro.tasks.words.problem import Draft

LARGEST = 40  # no number of a story is larger
START = (3, 20)
CHANGES = (2, 9)
GROUPS, SIZES = (2, 5), (2, 6)
NAMES = ("Anna", "Ben", "Carla", "Dan", "Eva", "Finn", "Grace", "Hugo", "Ines", "Jack")
THINGS = ("apples", "pens", "books", "coins", "cards", "eggs", "stamps", "shells")


@dataclass(frozen=True)
class Scene:
    """The sentences of one kind of story; {n} is a number, {k} and {m} are groups and their size."""

    start: tuple[str, ...]
    groups: tuple[str, ...]
    more: tuple[str, ...]
    fewer: tuple[str, ...]
    ask: str


STORIES = (
    Scene(
        start=("{name} has {n} {thing}.",),
        groups=("{name} has {k} boxes of {m} {thing}.", "{name} has {k} bags with {m} {thing} each."),
        more=("{name} buys {n} more.", "{name} finds {n} more.", "{name} gets {n} more."),
        fewer=("{name} gives away {n}.", "{name} loses {n}.", "{name} sells {n}."),
        ask="How many {thing} does {name} have now?",
    ),
)
REWORDED = (
    Scene(
        start=("A bus carries {n} people.",),
        groups=("A bus has {k} rows of {m} people.",),
        more=("Then {n} people get on.",),
        fewer=("Then {n} people get off.",),
        ask="How many people are on the bus?",
    ),
    Scene(
        start=("There are {n} birds in a tree.",),
        groups=("{k} groups of {m} birds sit in a tree.",),
        more=("{n} birds fly in.",),
        fewer=("{n} birds fly away.",),
        ask="How many birds are in the tree?",
    ),
    Scene(
        start=("A jar holds {n} sweets.",),
        groups=("A jar is filled with {k} packs of {m} sweets.",),
        more=("Tom puts {n} in.",),
        fewer=("Ella takes {n} out.",),
        ask="How many sweets are left in the jar?",
    ),
    Scene(
        start=("A car park holds {n} cars.",),
        groups=("A car park has {k} rows of {m} cars.",),
        more=("Now {n} cars arrive.",),
        fewer=("Now {n} cars drive off.",),
        ask="How many cars are parked there at the end?",
    ),
)


def draft_story(rng: Random, *, steps: int, scenes: tuple[Scene, ...]) -> Draft:
    """A story whose answer takes `steps` equations; one in three starts with groups of equal size."""
    if steps < 1:
        raise ValueError(f"steps is {steps}; want at least 1")
    scene = rng.choice(scenes)
    words = {"name": rng.choice(NAMES), "thing": rng.choice(THINGS)}
    if rng.random() < 1 / 3:
        groups, size = rng.randint(*GROUPS), rng.randint(*SIZES)
        value = groups * size
        sentences = [rng.choice(scene.groups).format(k=groups, m=size, **words)]
        equations = [f"{groups}*{size}={value}"]
        start = "*".join(map(str, sorted((groups, size))))
    else:
        value = rng.randint(*START)
        sentences, equations, start = [rng.choice(scene.start).format(n=value, **words)], [], str(value)
    changes = []
    while len(equations) < steps:
        change = rng.randint(*CHANGES)
        grows = rng.random() < 0.5
        after = value + change if grows else value - change
        if not 1 <= after <= LARGEST:
            continue
        sentences.append(rng.choice(scene.more if grows else scene.fewer).format(n=change, **words))
        sign = "+" if grows else "-"
        equations.append(f"{value}{sign}{change}={after}")
        changes.append(f"{sign}{change}")
        value = after
    text = " ".join([*sentences, scene.ask.format(**words)])
    return Draft(f"story:{start}{''.join(sorted(changes))}", text, str(value), tuple(equations))
