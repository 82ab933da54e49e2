"""MCTS at test time: a tree over steps of a solution, many questions in lock-step, the answer by value-weighted vote.

The paper publishes no settings of its search; this is the tree of MCTS* (arXiv 2406.03816) without a trained value. A
simulation descends to a node where a new draw has the largest U, the policy completes the solution from there, and the
completion's steps join the tree; an equal step leads on into the child that is there. Steps are drawn one by one and
not `branch` at once, so that no token is wasted: every one is part of a completion that votes. `branch` bounds distinct
steps and not draws: where nearly all draws agree, as on the first steps of an easy question, a bound on draws would
soon send every further simulation below the few steps that differ, which are the wrong ones.

Does: reuse the prefix's keys; count what was cut or empty; give each question random numbers of its own. Does not: see
a reference answer, or stop early.
"""

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gcpo.search.keys import Slots
from gcpo.search.policy import Continuation, Policy, Request
from gcpo.search.tree import Tree, weighted_vote

AnswerOf = Callable[[list[int], bool], Hashable | None]  # (completion ids without the end token, ended) -> its answer
Classes = Callable[
    [Sequence[Any]], Sequence[Hashable | None]
]  # answers -> what each votes for, equal ones for one class


@dataclass(frozen=True)
class SearchQuestion:
    """What a search may know of a question: a name, the prompt's token ids, and a seed."""

    id: str
    prompt: list[int]
    seed: int


@dataclass(frozen=True)
class MCTSConfig:
    """Settings of the search. Raises ValueError for values that no search can run with."""

    # Not stated: 16 simulations; the first one is a plain sample
    simulations: int = 16
    # Not stated: 4 distinct steps at a node, one more than the "3" of ReST-MCTS*, which prunes by a trained value
    branch: int = 4
    # Not stated: c = 1, on the scale of a vote share
    exploration: float = 1.0
    # Not stated: 1, the class default of ReST-MCTS*
    first_visit_value: float = 1.0
    # Not stated: 1,024 tokens, where a model writes no blank line
    step_tokens: int = 1024
    # "the maximum generation length is 16,384 tokens"
    path_tokens: int = 16384

    def __post_init__(self) -> None:
        for name in ("simulations", "branch", "step_tokens", "path_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; want at least 1")
        for name in ("exploration", "first_visit_value"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; want a finite number of 0 or more")


@dataclass(frozen=True)
class Leaf:
    """A finished completion, as a value function sees it. slots: of prompt and completion but the last token."""

    prompt: list[int]
    ids: list[int]
    log_probs: list[float]
    slots: Slots


LeafValues = Callable[[Sequence[Leaf]], list[float]]


@dataclass(frozen=True)
class SearchResult:
    """A finished search: plain data, to be stored.

    answers, values, leaves: one per completion, in order; its answer in the words of the first equal one (None: no
    answer), its value, its node. curve:
    (tokens drawn so far, answer so far) after each simulation. tree: parents, values, visits, steps (token ids), ended.
    cut: completions that reached the path budget; empty: those that ended at once; revisits: simulations that met a
    finished leaf.
    """

    id: str
    answer: Hashable | None
    answers: list[Hashable | None]
    values: list[float]
    leaves: list[int]
    curve: list[tuple[int, Hashable | None]]
    tokens: int
    cut: int
    empty: int
    revisits: int
    tree: dict[str, list]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON data; `SearchResult(**data)` reads it back, tuples as lists."""
        return asdict(self)


def vote_shares(answers: Sequence[Hashable | None]) -> list[float]:
    """The share of all completions that give each one's answer; 0 without an answer."""
    votes = Counter(answers)
    return [0.0 if answer is None else votes[answer] / len(answers) for answer in answers]


def confidence(leaves: Sequence[Leaf]) -> list[float]:
    """The policy's own probability of a completion, per token: exp of the mean log-probability at temperature 1."""
    return [float(np.exp(np.mean(leaf.log_probs))) for leaf in leaves]


def p_true(policy: Policy, *, question: Sequence[int], true: int, false: int) -> LeafValues:
    """The policy's own P(True): it reads `question` after a completion; value = p(true) / (p(true) + p(false)).

    question: token ids such as those of " Is this right? Answer True or False:"; true, false: the two words' ids.
    """
    if true == false:
        raise ValueError(f"true and false are both token {true}; want the ids of two words of the vocabulary")

    def values(leaves: Sequence[Leaf]) -> list[float]:
        output, _ = policy.keys.read([leaf.slots for leaf in leaves], [[leaf.ids[-1], *question] for leaf in leaves])
        return output.logits[: len(leaves), -1, [true, false]].float().softmax(dim=-1)[:, 0].tolist()

    return values


def split_steps(ids: Sequence[int], delimiters: frozenset[int], most: int) -> list[tuple[int, ...]]:
    """A completion's steps: each ends with a delimiter, at `most` tokens, or with the completion."""
    steps, start = [], 0
    for place, token in enumerate(ids, start=1):
        if token in delimiters or place - start >= most or place == len(ids):
            steps.append(tuple(ids[start:place]))
            start = place
    return steps


class _Search:
    """One question's tree while it grows."""

    def __init__(self, question: SearchQuestion, slots: Slots) -> None:
        self.question, self.tree, self.rng = question, Tree(), random.Random(question.seed)
        self.steps: list[tuple[int, ...]] = [()]
        self.slots, self.last, self.length = [slots], [question.prompt[-1]], [0]
        self.log_probs: list[list[float]] = [[]]
        self.child: dict[tuple[int, tuple[int, ...]], int] = {}
        self.leaves: list[int] = []  # one per completion
        self.answers: list[Hashable | None] = []
        self.values: list[float] = []
        self.curve: list[tuple[int, Hashable | None]] = []
        self.tokens = self.cut = self.empty = self.revisits = 0

    def request(self, number: int, config: MCTSConfig) -> Request | None:
        """Where simulation `number` continues; None where it meets a finished leaf, which it only visits."""
        node = self.node = self.tree.select(
            exploration=config.exploration,
            first_visit_value=config.first_visit_value,
            rng=self.rng,
            branch=config.branch,
        )
        if self.tree.ended[node]:
            self.revisits += 1
            self.tree.back_up(node)
            return None
        seed = random.Random(f"{self.question.seed}/{number}").getrandbits(63)
        return Request(self.slots[node], self.last[node], config.path_tokens - self.length[node], seed)

    def insert(self, drawn: Continuation, delimiters: frozenset[int], config: MCTSConfig) -> Leaf:
        """Put a completion into the tree, step by step; equal steps of one node are one child."""
        node, done = self.node, 0
        for step in split_steps(drawn.ids, delimiters, config.step_tokens):
            done += len(step)
            known = self.child.get((node, step))
            if known is None:
                known = self.child[node, step] = self.tree.add(node)
                self.steps.append(step)
                self.length.append(self.length[node] + len(step))
                self.slots.append(drawn.slots[: len(self.question.prompt) + self.length[-1] - 1])
                self.last.append(step[-1])
                self.log_probs.append(self.log_probs[node] + drawn.log_probs[done - len(step) : done])
            node = known
        self.tree.ended[node] = True
        self.leaves.append(node)
        self.tokens += len(drawn.ids)
        self.cut += not drawn.stopped
        self.empty += self.length[node] == 1 and drawn.stopped
        return Leaf(self.question.prompt, self.path_ids(node), self.log_probs[node], self.slots[node])

    def path_ids(self, node: int) -> list[int]:
        """Completion token ids from the prompt to `node`."""
        return [token for each in self.tree.path(node) for token in self.steps[each]]

    def count(self, answer: Hashable | None, value: float | None, classes: Classes) -> None:
        """Value the last completion (None: running vote shares, of all completions anew) and back it up."""
        votes = list(classes([*self.answers, answer]))
        self.answers.append(None if votes[-1] is None else [*self.answers, answer][votes.index(votes[-1])])
        if value is None:
            self.values = vote_shares(self.answers)
            for leaf, share in zip(self.leaves, self.values, strict=True):
                self.tree.values[leaf] = share
        else:
            self.values.append(value)
            self.tree.values[self.leaves[-1]] = value
        self.tree.back_up(self.leaves[-1])
        self.tree.refresh_all()

    def result(self) -> SearchResult:
        tree: dict[str, list] = {
            "parents": self.tree.parents,
            "values": self.tree.values,
            "visits": self.tree.visits,
            "steps": [list(step) for step in self.steps],
            "ended": self.tree.ended,
        }
        answer = weighted_vote(self.answers, self.values)
        return SearchResult(self.question.id, answer, self.answers, self.values, self.leaves, self.curve,
                            self.tokens, self.cut, self.empty, self.revisits, tree)  # fmt: skip


def search(
    policy: Policy,
    questions: Sequence[SearchQuestion],
    config: MCTSConfig,
    *,
    delimiters: frozenset[int],
    answer_of: AnswerOf,
    classes: Classes = list,
    leaf_values: LeafValues | None = None,
) -> list[SearchResult]:
    """Search all questions in lock-step; results in the order of the questions.

    delimiters: tokens that end a step. answer_of: the answer of a completion, from its text alone. classes: which
    answers are one vote, by default equal ones. leaf_values: values of finished completions; None is the running vote
    share. Equal arguments give equal results.
    Raises ValueError for a prompt that leaves no room in the model's context.
    """
    for question in questions:
        policy.check_room(question.id, question.prompt, config.path_tokens)
    if not questions:
        return []
    policy.keys.clear()
    slots = policy.open([question.prompt for question in questions])
    searches = [_Search(question, each) for question, each in zip(questions, slots, strict=True)]
    stop = frozenset([policy.eos])
    for number in range(config.simulations):
        asked = [(each, request) for each in searches if (request := each.request(number, config)) is not None]
        drawn = policy.write([request for _, request in asked], stop)
        leaves = [each.insert(new, delimiters, config) for (each, _), new in zip(asked, drawn, strict=True)]
        values = leaf_values(leaves) if leaf_values and leaves else [None] * len(leaves)
        for (each, _), leaf, new, value in zip(asked, leaves, drawn, values, strict=True):
            text = leaf.ids[:-1] if new.stopped else leaf.ids
            each.count(answer_of(text, new.stopped), value, classes)
        for each in searches:
            each.curve.append((each.tokens, weighted_vote(each.answers, each.values)))
    return [each.result() for each in searches]
