"""The arithmetic of MCTS*: step values, values on a finished tree, UCB, backup, votes. Plain floats; no model, no text.

After ReST-MCTS* (arXiv 2406.03816). Does not: propose steps, read models, or know an answer key; `tree_values` is told
which leaves are right by a caller who may know.
"""

import math
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

ROOT = 0


def weighted_reward(previous: float, *, remaining: int, wrong: float) -> float:
    """w_k = (1 - v_{k-1}) / (m_k + 1) * (1 - 2 r_k): what step k adds to the quality of a partial solution.

    previous: v_{k-1} in [0, 1]. remaining: m_k >= 0, the steps still missing after step k. wrong: r_k, 0 for a right
    step, 1 for a wrong one. Returns a value in [-1, 1]. Raises ValueError for a negative `remaining`.
    """
    if remaining < 0:
        raise ValueError(f"remaining steps are {remaining}; want 0 or more")
    return (1.0 - previous) / (remaining + 1) * (1.0 - 2.0 * wrong)


def quality_value(previous: float, *, remaining: int, wrong: float) -> float:
    """v_k = max(0, v_{k-1} + w_k), with v_0 = 0. Arguments and errors as in `weighted_reward`; in [0, 1]."""
    return max(0.0, previous + weighted_reward(previous, remaining=remaining, wrong=wrong))


def tree_values(parents: Sequence[int], correct: Sequence[bool]) -> list[float] | None:
    """v of every node of a finished tree, from which of its leaves are right; None when none is: no leaf, no data.

    parents: parents[0] is -1 (the root, value 0), parents[i] < i otherwise. correct: right end leaves.
    On a path to a right leaf m_k + 1 = min_steps, which is 1 at the leaf and min over children + 1 above; a branch that
    reaches no right leaf is wrong, and takes min_steps from its nearest ancestor on such a path.
    Raises ValueError for other parents.
    """
    if not parents or parents[0] != -1 or any(not 0 <= parent < node for node, parent in enumerate(parents) if node):
        raise ValueError(f"parents are {list(parents)[:8]}; want -1 first and every parent before its children")
    if not any(correct):
        return None
    steps: list[float] = [1.0 if right else math.inf for right in correct]
    for node in range(len(parents) - 1, 0, -1):
        steps[parents[node]] = min(steps[parents[node]], steps[node] + 1)
    right_path = [math.isfinite(number) for number in steps]
    values = [0.0]
    for node, parent in enumerate(parents[1:], start=1):
        if not right_path[node]:
            steps[node] = steps[parent]
        values.append(
            quality_value(values[parent], remaining=int(steps[node]) - 1, wrong=0.0 if right_path[node] else 1.0)
        )
    return values


def ucb(value: float, visits: int, parent_visits: int, *, exploration: float, first_visit_value: float) -> float:
    """U = V + c sqrt(2 ln N_parent / N), and V + INF with a finite INF for a node never visited.

    Finite, so that a good known sibling can be preferred to an unknown one. parent_visits >= 1 where visits >= 1.
    """
    if visits == 0:
        return value + first_visit_value
    return value + exploration * math.sqrt(2.0 * math.log(parent_visits) / visits)


def backed_up_value(values: Sequence[float], visits: Sequence[int]) -> float:
    """V of an expanded node: its children's visit-weighted mean sum(V_c N_c) / sum(N_c). Raises without a visit."""
    total = sum(visits)
    if total == 0:
        raise ValueError("no child was visited; want at least one visit before a backup")
    return sum(value * number for value, number in zip(values, visits, strict=True)) / total


def weighted_vote(answers: Sequence[Hashable | None], values: Sequence[float]) -> Hashable | None:
    """The answer with the largest sum of values; None does not vote. A tie goes to the answer seen first.

    Returns None without a vote.
    """
    sums: dict[Hashable, float] = {}
    for answer, value in zip(answers, values, strict=True):
        if answer is not None:
            sums[answer] = sums.get(answer, 0.0) + value
    return max(sums, key=sums.__getitem__) if sums else None


@dataclass
class Tree:
    """A search tree as parallel lists; node 0 is the root.

    A node is a leaf until it has children; `ended` marks leaves that are never expanded (answered, cut, or past the end
    gate).
    """

    parents: list[int] = field(default_factory=lambda: [-1])
    children: list[list[int]] = field(default_factory=lambda: [[]])
    values: list[float] = field(default_factory=lambda: [0.0])
    visits: list[int] = field(default_factory=lambda: [0])
    ended: list[bool] = field(default_factory=lambda: [False])

    def __len__(self) -> int:
        return len(self.parents)

    def add(self, parent: int, value: float = 0.0, *, ended: bool = False) -> int:
        """A new child of `parent`, not visited yet; returns its number."""
        self.parents.append(parent)
        self.children.append([])
        self.values.append(value)
        self.visits.append(0)
        self.ended.append(ended)
        self.children[parent].append(len(self.parents) - 1)
        return len(self.parents) - 1

    def path(self, node: int) -> list[int]:
        """From the root to `node`, both included."""
        nodes = [node]
        while nodes[-1] != ROOT:
            nodes.append(self.parents[nodes[-1]])
        return nodes[::-1]

    def best_child(
        self, node: int, *, exploration: float, first_visit_value: float, rng: random.Random, branch: int = 0
    ) -> int | None:
        """The child with the largest U, ties at random; None where a step not drawn yet has the largest.

        branch: how many distinct steps may follow a node. While fewer do, a new draw takes part as a child without a
        visit; all that is known of its value is its parent's. 0 leaves it out.
        """
        scored: list[tuple[float, int | None]] = [
            (ucb(self.values[child], self.visits[child], max(1, self.visits[node]), exploration=exploration,
                 first_visit_value=first_visit_value), child)
            for child in self.children[node]
        ]  # fmt: skip
        if len(self.children[node]) < branch:
            scored.append((self.values[node] + first_visit_value, None))
        top = max(score for score, _ in scored)
        return rng.choice([child for score, child in scored if score == top])

    def select(self, *, exploration: float, first_visit_value: float, rng: random.Random, branch: int = 0) -> int:
        """Descend by the largest U from the root to a leaf, or with `branch` to a node where a step is to be drawn."""
        node = ROOT
        while self.children[node] and not self.ended[node]:
            child = self.best_child(
                node, exploration=exploration, first_visit_value=first_visit_value, rng=rng, branch=branch
            )
            if child is None:
                break
            node = child
        return node

    def back_up(self, node: int) -> None:
        """Count one visit on `node` and on every node above it, and give expanded ones their children's mean value."""
        for each in reversed(self.path(node)):
            self.visits[each] += 1
            self.refresh(each)

    def refresh(self, node: int) -> None:
        """The visit-weighted mean of the children, where one was visited."""
        children = self.children[node]
        if any(self.visits[child] for child in children):
            self.values[node] = backed_up_value(
                [self.values[child] for child in children], [self.visits[child] for child in children]
            )

    def refresh_all(self) -> None:
        """Values of all expanded nodes anew, from the leaves up; for values of leaves that changed."""
        for node in range(len(self) - 1, -1, -1):
            self.refresh(node)
