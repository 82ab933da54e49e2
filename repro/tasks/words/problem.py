"""What a word problem is, and which of its two splits it belongs to.

A problem's canonical key names what has to be computed and nothing else: neither the people and things of its text nor
the order of exchangeable parts. The key alone decides the split, so a training question and an evaluation question
never have the same arithmetic, whatever seeds made them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

Split = Literal["train", "eval"]
HELD_OUT = 5  # one key in five belongs to the evaluation split
ATTEMPTS = 2000  # draws until one falls into the wanted split


@dataclass(frozen=True)
class WordProblem:
    """A question with its answer and the two ways of answering that demonstrations show."""

    id: str
    family: str
    key: str  # canonical: equal keys ask for the same arithmetic
    text: str
    gold: str
    worked: str  # step by step, ends in "The answer is \\boxed{gold}."
    direct: str  # the last sentence alone


@dataclass(frozen=True)
class Draft:
    """What a family's generator gives: a problem without id and split."""

    key: str
    text: str
    gold: str
    steps: tuple[str, ...]  # equations such as "12+5=17"


def chat_messages(system: str, text: str) -> list[dict[str, str]]:
    """The chat a question is put in, for training and for evaluation. An empty system line is shorter than a
    template's own, which a chat without one gets."""
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def answer_sentence(gold: str) -> str:
    """The sentence every solution ends in."""
    return f"The answer is \\boxed{{{gold}}}."


def split_of(key: str) -> Split:
    """The split a canonical key belongs to, by a hash of the key."""
    return "eval" if hashlib.sha256(key.encode()).digest()[0] % HELD_OUT == 0 else "train"


def draw(family: str, draft: Callable[[Random], Draft], split: Split, seed: int, index: int) -> WordProblem:
    """The problem number `index` of a family's split under a seed. Equal arguments give equal problems.

    Raises RuntimeError where the family gives no problem of that split in ATTEMPTS draws.
    """
    if split not in ("train", "eval"):
        raise ValueError(f"split is {split!r}; want 'train' or 'eval'")
    rng = Random(f"{family}|{split}|{seed}|{index}")
    for _ in range(ATTEMPTS):
        found = draft(rng)
        if split_of(found.key) == split:
            last = answer_sentence(found.gold)
            worked = " ".join([*(f"{step}." for step in found.steps), last])
            return WordProblem(
                f"{family}:{split}:{seed}:{index}", family, found.key, found.text, found.gold, worked, last
            )
    raise RuntimeError(f"family {family!r} gave no problem of split {split!r} in {ATTEMPTS} draws")
