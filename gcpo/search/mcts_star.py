"""MCTS* (arXiv 2406.03816): a tree over steps with a learnt value of every step; many questions in lock-step.

One iteration: descend by U to a leaf; draw `branch` steps there, drop equal ones, value each; from the child with the
largest U look `roll_forward` steps ahead, each the best-valued of `roll_branch`; mix the best value seen into the
child; back up visit-weighted means. Trees for training data mark a leaf past the end gate as ended, and the policy
completes it afterwards (ASSUMED: the source asks a model for a summary). Trees for answering stop there.

Does not: know which leaves are right. That is decided afterwards, by whoever owns the answers.
"""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gcpo.search.keys import Slots
from gcpo.search.mcts import AnswerOf, SearchQuestion, split_steps
from gcpo.search.policy import Continuation, Policy, Request
from gcpo.search.tree import ROOT, Tree, weighted_vote
from gcpo.search.value_model import StepValues


@dataclass(frozen=True)
class MCTSStarConfig:
    """Settings of MCTS*; the defaults are those published for training data. Raises ValueError for impossible ones."""

    # ReST-MCTS*, data generation: "50 iterations", one tree per question
    iterations: int = 50
    # ReST-MCTS*: branch 3, in data generation and answering
    branch: int = 3
    # ReST-MCTS*: one proposal per step of a rollout
    roll_branch: int = 1
    # ReST-MCTS*, data generation: 1 step ahead (answering 2, class default 3)
    roll_forward: int = 1
    # ReST-MCTS*, data generation: c = 0.5 (answering 0.4, class default 0.7)
    exploration: float = 0.5
    # ReST-MCTS*, data generation: INF = 0.9 (answering 0.8, class default 1)
    first_visit_value: float = 0.9
    # ReST-MCTS*, data generation: 0.8 (answering 0.9)
    end_gate: float = 0.8
    # ReST-MCTS*: a = 0.5, the weight of the best value seen ahead
    mix: float = 0.5
    # ReST-MCTS*: 256 tokens per step
    step_tokens: int = 256
    # Not stated: 16,384 tokens, as in the paper's training
    path_tokens: int = 16384
    # ReST-MCTS*: answering stops at the end gate, data generation goes on
    stop_at_gate: bool = False

    def __post_init__(self) -> None:
        for name in ("iterations", "branch", "roll_branch", "step_tokens", "path_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; want at least 1")
        if self.roll_forward < 0:
            raise ValueError(f"roll_forward is {self.roll_forward}; want 0 or more")
        for name in ("exploration", "first_visit_value", "end_gate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; want a finite number of 0 or more")
        if not 0 <= self.mix <= 1:
            raise ValueError(f"mix is {self.mix}; want 0 to 1")


ANSWERING = MCTSStarConfig(
    iterations=100, roll_forward=2, exploration=0.4, first_visit_value=0.8, end_gate=0.9, stop_at_gate=True
)


@dataclass
class StarTree:
    """A grown tree: `steps` are token ids per node, `finished` leaves that the end token closed. tokens: drawn for it,
    lookahead included.
    """

    question: SearchQuestion
    tree: Tree = field(default_factory=Tree)
    steps: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    finished: list[bool] = field(default_factory=lambda: [False])
    tokens: int = 0
    stopped: bool = False

    def ids(self, node: int) -> list[int]:
        """Completion token ids from the prompt to `node`."""
        return [token for each in self.tree.path(node) for token in self.steps[each]]

    def leaves(self) -> list[int]:
        """Leaves that the end token closed, in the order in which they were found."""
        return [node for node, done in enumerate(self.finished) if done]

    def answer(self, answer_of: AnswerOf) -> Hashable | None:
        """The value-weighted vote of the finished leaves."""
        leaves = self.leaves()
        answers = [answer_of(self.ids(leaf)[:-1], True) for leaf in leaves]
        return weighted_vote(answers, [self.tree.values[leaf] for leaf in leaves])


class _Grower:
    """Grows many trees at once with one policy and one value model."""

    def __init__(
        self,
        policy: Policy,
        values: StepValues,
        config: MCTSStarConfig,
        delimiters: frozenset[int],
        trees: list[StarTree],
    ) -> None:
        self.policy, self.values, self.config, self.trees = policy, values, config, trees
        self.stop = delimiters | {policy.eos}
        prompts = [each.question.prompt for each in trees]
        self.slots = [[slots] for slots in policy.open(prompts)]
        empty: Slots = np.empty(0, dtype=np.int64)
        _, states = values.read([empty] * len(prompts), prompts)
        self.states = [[state] for state in states]
        self.lengths = [[0] for _ in trees]
        self.rngs = [random.Random(each.question.seed) for each in trees]

    def add(self, number: int, parent: int, ids: list[int], slots: Slots, state: Slots, value: float) -> int:
        """A new child with its step, its keys and its value."""
        each = self.trees[number]
        length = self.lengths[number][parent] + len(ids)
        finished = ids[-1] == self.policy.eos
        cut = length >= self.config.path_tokens
        node = each.tree.add(parent, value, ended=finished or cut)
        each.steps.append(tuple(ids))
        each.finished.append(finished)
        self.slots[number].append(slots)
        self.states[number].append(state)
        self.lengths[number].append(length)
        return node

    def draw(self, wanted: list[tuple[int, Slots, int, int]], stop: frozenset[int], most: int, keep: bool) -> list:
        """Continue (tree, slots, last token, length so far) to a stop token; counts the tokens per tree."""
        requests = [
            Request(slots, last, min(most, self.config.path_tokens - length), self.rngs[number].getrandbits(63))
            for number, slots, last, length in wanted
        ]
        drawn = self.policy.write(requests, stop, keep=keep)
        for (number, *_), new in zip(wanted, drawn, strict=True):
            self.trees[number].tokens += len(new.ids)
        return drawn

    def last(self, number: int, node: int) -> int:
        each = self.trees[number]
        return each.steps[node][-1] if node != ROOT else each.question.prompt[-1]

    def iterate(self) -> None:
        """One iteration of every tree that has not stopped."""
        config, opened = self.config, []
        for number, each in enumerate(self.trees):
            if each.stopped:
                continue
            node = each.tree.select(
                exploration=config.exploration, first_visit_value=config.first_visit_value, rng=self.rngs[number]
            )
            if node != ROOT and each.tree.values[node] >= config.end_gate:
                each.tree.ended[node] = True
                each.stopped = config.stop_at_gate
            if each.tree.ended[node]:
                each.tree.back_up(node)
            else:
                opened.append((number, node))
        self.expand(opened)
        chosen = [(number, child) for number, node in opened if (child := self.best(number, node)) is not None]
        ahead = self.look_ahead(chosen)
        for (number, child), seen in zip(chosen, ahead, strict=True):
            tree = self.trees[number].tree
            tree.values[child] = (1 - config.mix) * tree.values[child] + config.mix * seen
            tree.back_up(child)

    def best(self, number: int, node: int) -> int | None:
        return self.trees[number].tree.best_child(
            node,
            exploration=self.config.exploration,
            first_visit_value=self.config.first_visit_value,
            rng=self.rngs[number],
        )

    def expand(self, opened: list[tuple[int, int]]) -> None:
        """Draw `branch` steps at every opened node, drop equal ones, value the others."""
        wanted = [
            (number, self.slots[number][node], self.last(number, node), self.lengths[number][node])
            for number, node in opened
            for _ in range(self.config.branch)
        ]
        drawn = self.draw(wanted, self.stop, self.config.step_tokens, keep=True)
        fresh: dict[tuple[int, int, tuple[int, ...]], Continuation] = {}
        for place, new in enumerate(drawn):
            number, node = opened[place // self.config.branch]
            fresh.setdefault((number, node, tuple(new.ids)), new)
        if not fresh:
            return
        found, states = self.values.read(
            [self.states[number][node] for number, node, _ in fresh], [new.ids for new in fresh.values()]
        )
        for ((number, node, ids), new), value, state in zip(fresh.items(), found, states, strict=True):
            self.add(number, node, list(ids), new.slots, state, value)

    def look_ahead(self, chosen: list[tuple[int, int]]) -> list[float]:
        """The best value within `roll_forward` steps of each chosen child, its own included; nothing joins the tree."""
        best = [self.trees[number].tree.values[child] for number, child in chosen]
        at = {
            place: (self.slots[number][child], self.last(number, child), self.lengths[number][child],
                    self.states[number][child])
            for place, (number, child) in enumerate(chosen)
            if not self.trees[number].tree.ended[child]
        }  # fmt: skip
        width = self.config.roll_branch
        for ahead in range(self.config.roll_forward):
            if not at:
                break
            places = [place for place in at for _ in range(width)]
            keep = ahead + 1 < self.config.roll_forward
            drawn = self.draw(
                [(chosen[place][0], *at[place][:3]) for place in places], self.stop, self.config.step_tokens, keep
            )
            found, states = self.values.read([at[place][3] for place in places], [new.ids for new in drawn])
            following = {}
            for start in range(0, len(places), width):
                place = places[start]
                top = max(range(start, start + width), key=found.__getitem__)
                best[place] = max(best[place], found[top])
                new, length = drawn[top], at[place][2] + len(drawn[top].ids)
                if new.ids[-1] != self.policy.eos and length < self.config.path_tokens:
                    following[place] = new.slots, new.ids[-1], length, states[top]
            at = following
        return best

    def complete(self, delimiters: frozenset[int]) -> None:
        """Let the policy finish every leaf that ended at the gate without an end token; its steps join the tree."""
        gated = [
            (number, node)
            for number, each in enumerate(self.trees)
            for node in range(1, len(each.tree))
            if each.tree.ended[node]
            and not each.finished[node]
            and not each.tree.children[node]
            and self.lengths[number][node] < self.config.path_tokens
        ]
        wanted = [
            (number, self.slots[number][node], self.last(number, node), self.lengths[number][node])
            for number, node in gated
        ]
        empty: Slots = np.empty(0, dtype=np.int64)
        drawn = self.draw(wanted, frozenset([self.policy.eos]), self.config.path_tokens, keep=False)
        for (number, node), new in zip(gated, drawn, strict=True):
            value = self.trees[number].tree.values[node]
            for step in split_steps(new.ids, delimiters, self.config.step_tokens):
                node = self.add(number, node, list(step), empty, empty, value)


def grow(
    policy: Policy,
    values: StepValues,
    questions: Sequence[SearchQuestion],
    config: MCTSStarConfig,
    *,
    delimiters: frozenset[int],
) -> list[StarTree]:
    """One tree per question, grown side by side. Equal arguments give equal trees.

    Raises ValueError for a prompt that leaves no room in the model's context.
    """
    for question in questions:
        policy.check_room(question.id, question.prompt, config.path_tokens)
    if not questions:
        return []
    policy.keys.clear()
    values.keys.clear()
    grower = _Grower(policy, values, config, delimiters, [StarTree(question) for question in questions])
    for _ in range(config.iterations):
        if all(each.stopped for each in grower.trees):
            break
        grower.iterate()
    grower.complete(delimiters)
    return grower.trees
