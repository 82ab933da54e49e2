"""Procedural arithmetic problems modulo 10 with worked solutions: families `rec`, `shop`, `lin`, `chain`, and the first
three in other words: `rep`, `bill`, `find`.

A problem is a short program of steps `a?b=c`; the worked solution writes every step and then `#answer`. A step names
the earlier step whose result it uses, so a solution can be rendered with slips that its later steps follow.

Training and evaluation problems are disjoint by construction: a problem's key is a hash of what it asks, whatever its
wording, the order of its items or a ten added (-3 is +7), and the key decides the split. A generator redraws until its
problem lies in the split asked for.

Does not: parse prompts, use numbers of more than one digit, or guarantee that two seeds give two problems.
"""

import functools
import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

LEVELS = ("e", "m", "h", "o")  # easy, medium, hard, far
SPLITS = ("train", "eval")
EVAL_SHARE = 8  # one key in eight belongs to evaluation

PRICES = {"pen": 3, "cup": 7, "hat": 2, "bag": 9, "map": 5, "toy": 4, "fan": 6, "jar": 8}

# Sizes per level. No size appears in two levels of a family, so levels share no prompt.
REC_ROUNDS = {"e": (1, 2), "m": (3, 3), "h": (4, 4), "o": (5, 6)}
SHOP_ITEMS = {"e": (2, 2), "m": (3, 3), "h": (4, 5), "o": (6, 7)}
LIN_OPERATIONS = {"e": (2, 3), "m": (4, 6), "h": (7, 9), "o": (10, 12)}
CHAIN_TERMS = {"e": (3, 4), "m": (5, 7), "h": (8, 10), "o": (11, 13)}


@dataclass(frozen=True)
class Ref:
    """The result of an earlier step, by its index."""

    step: int


@dataclass(frozen=True)
class Step:
    """One line of a worked solution: `left op right`, operands 0-9 or references to earlier results."""

    left: int | Ref
    op: str
    right: int | Ref


@dataclass(frozen=True)
class Problem:
    """A prompt with its worked solution. `key` is `problem_key(prompt)`: equivalent problems have equal keys."""

    family: str
    level: str
    seed: int
    prompt: str
    solution: str
    answer: str
    key: str
    steps: tuple[Step, ...]


def apply(op: str, left: int, right: int) -> int:
    """`left op right` modulo 10."""
    match op:
        case "+":
            return (left + right) % 10
        case "-":
            return (left - right) % 10
        case "*":
            return (left * right) % 10
    raise ValueError(f"operation is {op!r}; want '+', '-' or '*'")


def work(steps: tuple[Step, ...], *, slip: float = 0.0, rng: random.Random | None = None) -> tuple[str, str]:
    """Worked solution text (`a?b=c;...#answer`) and its final answer.

    With probability `slip` a step's result is replaced by a uniform digit; later steps and the answer follow it.
    """
    if slip and rng is None:
        raise ValueError("slip > 0 needs an rng")
    results: list[int] = []
    lines = []
    for step in steps:
        left = results[step.left.step] if isinstance(step.left, Ref) else step.left
        right = results[step.right.step] if isinstance(step.right, Ref) else step.right
        result = apply(step.op, left, right)
        if slip and rng.random() < slip:
            result = rng.randrange(10)
        results.append(result)
        lines.append(f"{left}{step.op}{right}={result};")
    return "".join(lines) + f"#{results[-1]}", str(results[-1])


def _rec(level: str, rng: random.Random) -> tuple[str, tuple[Step, ...]]:
    """`rec 6:*5,+2@2=`: apply the pair of operations that many times to the start."""
    operations = [("*", n) for n in range(2, 10)] + [(op, n) for op in "+-" for n in range(1, 10)]
    pair = [rng.choice(operations), rng.choice(operations)]
    while pair[0][0] == pair[1][0] == "*":  # two products soon reach 0 or 5 and stay there
        pair = [rng.choice(operations), rng.choice(operations)]
    start = rng.randrange(10)
    rounds = rng.randint(*REC_ROUNDS[level])
    steps = []
    for index in range(2 * rounds):
        op, number = pair[index % 2]
        steps.append(Step(start if index == 0 else Ref(index - 1), op, number))
    return f"rec {start}:{','.join(f'{op}{n}' for op, n in pair)}@{rounds}=", tuple(steps)


def _shop(level: str, rng: random.Random) -> tuple[str, tuple[Step, ...]]:
    """`shop 5 cup,8 jar=`: what the items cost together; products first, then the running sum."""
    items = rng.sample(sorted(PRICES), rng.randint(*SHOP_ITEMS[level]))
    counts = [rng.randint(1, 9) for _ in items]
    steps = [Step(count, "*", PRICES[item]) for count, item in zip(counts, items, strict=True)]
    total: Ref = Ref(0)
    for index in range(1, len(items)):
        steps.append(Step(total, "+", Ref(index)))
        total = Ref(len(steps) - 1)
    return f"shop {','.join(f'{count} {item}' for count, item in zip(counts, items, strict=True))}=", tuple(steps)


def _lin(level: str, rng: random.Random) -> tuple[str, tuple[Step, ...]]:
    """`solve x+7-7=4`: the hidden start; undo the operations from the right."""
    operations = [(rng.choice("+-"), rng.randrange(10)) for _ in range(rng.randint(*LIN_OPERATIONS[level]))]
    start = rng.randrange(10)
    end = functools.reduce(lambda value, operation: apply(operation[0], value, operation[1]), operations, start)
    steps = tuple(
        Step(end if index == 0 else Ref(index - 1), "-" if op == "+" else "+", number)
        for index, (op, number) in enumerate(reversed(operations))
    )
    return f"solve x{''.join(f'{op}{n}' for op, n in operations)}={end}", steps


@functools.cache
def _chain_sum(level: str):
    """reasoning-gym's chain_sum with single-digit terms."""
    # A heavy import that only this family needs.
    from reasoning_gym.arithmetic.chain_sum import ChainSumConfig, ChainSumDataset

    low, high = CHAIN_TERMS[level]
    return ChainSumDataset(ChainSumConfig(min_terms=low, max_terms=high, min_digits=1, max_digits=1, seed=0))


def _chain(level: str, rng: random.Random) -> tuple[str, tuple[Step, ...]]:
    """`chain 3+5-2=`: the expression is drawn by reasoning-gym's chain_sum; running sums are worked modulo 10 here."""
    terms = _chain_sum(level)[rng.randrange(2**40)]["metadata"]["expression"].split()
    steps = tuple(
        Step(int(terms[0]) if index == 0 else Ref(index - 1), op, int(number))
        for index, (op, number) in enumerate(zip(terms[1::2], terms[2::2], strict=True))
    )
    return f"chain {''.join(terms)}=", steps


_GENERATORS: dict[str, Callable[[str, random.Random], tuple[str, tuple[Step, ...]]]] = {
    "rec": _rec,
    "shop": _shop,
    "lin": _lin,
    "chain": _chain,
}


@dataclass(frozen=True)
class _Wording:
    """Other words for a family's prompts: (pattern, replacement) pairs that lead there, and back."""

    family: str
    there: tuple[tuple[str, str], ...]
    back: tuple[tuple[str, str], ...]


_WORDINGS = {
    "rep": _Wording(
        "rec", ((r"rec (\d):(.*)@(\d)=", r"rep \3@\2:\1="),), ((r"rep (\d)@(.*):(\d)=", r"rec \3:\2@\1="),)
    ),  # rep 2@*5,+2:6=
    "bill": _Wording(
        "shop",
        ((r"(\d)( [a-z]+)", r"\2\1"), (r"shop ", r"bill @")),
        ((r"bill @", r"shop "), (r" ([a-z]+)(\d)", r"\2 \1")),
    ),  # bill @ cup5, jar8=
    "find": _Wording(
        "lin", ((r"solve (.*)=(\d)", r"find \2:\1="),), ((r"find (\d):(.*)=", r"solve \2=\1"),)
    ),  # find 4:x+7-7=
}
FAMILIES = (*_GENERATORS, *_WORDINGS)
REWORDED = {wording.family: name for name, wording in _WORDINGS.items()}  # a family's name in other words


def _rewritten(prompt: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        prompt = re.sub(pattern, replacement, prompt)
    return prompt


def canonical(prompt: str) -> str:
    """What a prompt asks: plain words, items sorted, every subtraction written as the addition that equals it."""
    word = prompt.partition(" ")[0]
    prompt = _rewritten(prompt, _WORDINGS[word].back) if word in _WORDINGS else prompt
    if prompt.startswith("shop "):
        return f"shop {','.join(sorted(prompt[5:-1].split(',')))}="
    return re.sub(r"-(\d)", lambda match: f"+{-int(match[1]) % 10}", prompt)


def problem_key(prompt: str) -> str:
    """Hash of what a problem asks: 16 hexadecimal digits of the SHA-256 of its canonical form."""
    return hashlib.sha256(canonical(prompt).encode()).hexdigest()[:16]


def split_of(key: str) -> str:
    """The split a key belongs to: one key in `EVAL_SHARE` is evaluation, all others are training."""
    return "eval" if int(key, 16) % EVAL_SHARE == 0 else "train"


def make_problem(family: str, level: str, seed: int, *, split: str = "train") -> Problem:
    """The problem that `seed` draws from a family at a level, within one split. Equal arguments give equal problems.

    Raises ValueError on an unknown family, level or split.
    """
    for name, value, known in (("family", family, FAMILIES), ("level", level, LEVELS), ("split", split, SPLITS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; want one of {', '.join(known)}")
    rng = random.Random(f"{family}/{level}/{seed}/{split}")
    wording = _WORDINGS.get(family)
    while True:
        prompt, steps = _GENERATORS[wording.family if wording else family](level, rng)
        prompt = _rewritten(prompt, wording.there) if wording else prompt
        key = problem_key(prompt)
        if split_of(key) == split:
            solution, answer = work(steps)
            return Problem(family, level, seed, prompt, solution, answer, key, steps)
