"""Counting the legs of two kinds of animals, from reasoning-gym's generator `leg_counting`.

Source: reasoning-gym 0.1.25 (Apache-2.0), `reasoning_gym.arithmetic.leg_counting`. Its question without the sentence
of instructions in front, its answer as it is; the worked solution is ours. Its own scorer pays .01 for any wrong answer
and is not used.
"""

from random import Random

from reasoning_gym.arithmetic.leg_counting import ANIMALS, LegCountingConfig, LegCountingDataset

from repro.tasks.words.problem import Draft

MOST = 5  # animals of one kind
LEGS = tuple(sorted(ANIMALS.values()))  # as often as animals have them
INTRODUCTION = "Now, "  # what stands before it is the same sentence in every question


def draft_legs(rng: Random, *, kinds: int = 2, most: int = MOST) -> Draft:
    """A question about `kinds` kinds of animals, 2 to `most` of each."""
    config = LegCountingConfig(
        min_animals=kinds, max_animals=kinds, min_instances=2, max_instances=most, seed=rng.getrandbits(32), size=1
    )
    item = LegCountingDataset(config)[0]
    _, found, question = item["question"].partition(INTRODUCTION)
    if not found:
        raise RuntimeError(f"leg_counting asks {item['question']!r}; want a sentence that starts with {INTRODUCTION!r}")
    animals = item["metadata"]["animals"]
    products = [(count, ANIMALS[animal]) for animal, count in animals.items()]
    steps, total = [f"{count}*{legs}={count * legs}" for count, legs in products], products[0][0] * products[0][1]
    for count, legs in products[1:]:
        steps.append(f"{total}+{count * legs}={total + count * legs}")
        total += count * legs
    if str(total) != item["answer"]:
        raise RuntimeError(f"leg_counting answers {item['answer']} where its animals have {total} legs")
    key = "legs:" + ",".join(sorted(f"{count} {animal}" for animal, count in animals.items()))
    return Draft(key, question[0].upper() + question[1:].strip(), item["answer"], tuple(steps))
