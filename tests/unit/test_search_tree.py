"""The arithmetic of MCTS*: hand vectors, one-line faults, invariants, and exhaustive search on toy trees."""

import math
import random
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcpo.search import tree as shipped
from gcpo.search.tree import ROOT, Tree, backed_up_value, quality_value, tree_values, ucb, weighted_vote

# root -> {A, B}, A -> {C, D}, C -> {E right, F}
PARENTS = [-1, 0, 0, 1, 1, 3, 3]
CORRECT = [False, False, False, False, False, True, False]
VALUES = [0, 1 / 3, 0, 2 / 3, 1 / 9, 1, 1 / 2]


def mutated(old: str, new: str) -> SimpleNamespace:
    """The shipped module with its first occurrence of `old` replaced."""
    source = Path(shipped.__file__).read_text(encoding="utf-8")
    assert old in source, f"tree.py no longer holds {old!r}"
    names: dict = {"__name__": "gcpo.search.tree"}
    exec(compile(source.replace(old, new, 1), "mutant", "exec"), names)
    return SimpleNamespace(**names)


def first_vector_holds(module) -> bool:
    values = module.tree_values(PARENTS, CORRECT)
    return values == pytest.approx(VALUES, abs=1e-12)


def second_vector_holds(module) -> bool:
    options = {"exploration": 0.5, "first_visit_value": 0.9}
    found = [module.ucb(value, visits, 4, **options) for value, visits in ((0.2, 1), (0.6, 2), (0.4, 0))]
    tree = module.Tree(visits=[4])
    for value, visits in ((0.2, 1), (0.6, 2), (0.4, 0)):
        tree.visits[tree.add(0, value)] = visits
    chosen = tree.best_child(0, rng=random.Random(0), **options)
    tree.visits[0] += 1
    tree.refresh(0)
    return (
        found == pytest.approx([1.0325546112, 1.1887050113, 1.3], abs=1e-10)
        and chosen == 3
        and tree.values[0] == pytest.approx(0.4666666667, abs=1e-10)
        and tree.visits[0] == 5
        and all(map(math.isfinite, found))
    )


def test_values_on_a_tree_equal_the_hand_vector():
    assert first_vector_holds(shipped)


def test_ucb_choice_and_backup_equal_the_hand_vector():
    assert second_vector_holds(shipped)


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        ("for value, number in zip(values, visits, strict=True)) / total", # sum for visit-weighted mean
         "for value, number in zip(values, visits, strict=True))", second_vector_holds),
        ("(1.0 - 2.0 * wrong)", "(2.0 * wrong - 1.0)", first_vector_holds),
        ("return value + first_visit_value", "return math.inf", second_vector_holds),
        ("min(steps[parents[node]], steps[node] + 1)", "min(steps[parents[node]], steps[node])", first_vector_holds),
        ("steps[node] = steps[parent]", "steps[node] = 1.0", first_vector_holds),
        ("max(0.0, previous + weighted", "(previous + weighted", first_vector_holds),
        ("2.0 * math.log(parent_visits)", "math.log(parent_visits)", second_vector_holds),
    ],
)  # fmt: skip
def test_one_line_faults_break_a_vector(old, new, holds):
    assert not holds(mutated(old, new))


def test_a_right_path_of_k_steps_has_values_in_equal_steps():
    parents = [-1, 0, 1, 2, 3]
    assert tree_values(parents, [False] * 4 + [True]) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_a_tree_without_a_right_leaf_gives_no_data():
    assert tree_values([-1, 0, 0], [False, False, False]) is None


def test_what_follows_a_wrong_step_keeps_the_distance_of_its_last_right_ancestor():
    # root -> A -> right leaf, A -> X -> Y: X and Y are wrong, A has m + 1 = 2, and so have they
    values = tree_values([-1, 0, 1, 1, 3], [False, False, True, False, False])
    assert values == pytest.approx([0, 0.5, 1.0, 0.25, max(0.0, 0.25 - 0.75 / 2)])


@pytest.mark.parametrize("parents", [[], [0], [-1, 1], [-1, 2, 0]])
def test_parents_out_of_order_are_refused(parents):
    with pytest.raises(ValueError, match="parents are"):
        tree_values(parents, [True] * len(parents))


def test_negative_remaining_steps_are_refused():
    with pytest.raises(ValueError, match="remaining steps"):
        quality_value(0.5, remaining=-1, wrong=0)


def test_a_backup_without_a_visit_is_refused():
    with pytest.raises(ValueError, match="no child was visited"):
        backed_up_value([0.3], [0])


def test_votes_are_weighted_by_value_and_ties_go_to_the_first():
    assert weighted_vote(["a", "b", "b", None], [0.9, 0.5, 0.5, 9.0]) == "b"
    assert weighted_vote(["a", "b", "b"], [1.2, 0.5, 0.5]) == "a"
    assert weighted_vote(["b", "a"], [0.5, 0.5]) == "b"
    assert weighted_vote([None, None], [1.0, 1.0]) is None


@st.composite
def trees(draw):
    size = draw(st.integers(2, 25))
    parents = [-1] + [draw(st.integers(0, node - 1)) for node in range(1, size)]
    leaves = [node not in parents for node in range(size)]
    correct = [leaf and draw(st.booleans()) for leaf in leaves]
    return parents, correct


@given(trees())
def test_values_lie_in_the_unit_interval_and_right_leaves_have_one(case):
    parents, correct = case
    values = tree_values(parents, correct)
    if values is None:
        assert not any(correct)
        return
    for node, value in enumerate(values):
        assert 0 <= value <= 1
        assert value == pytest.approx(1.0) if correct[node] else value < 1


@given(st.integers(1, 60), st.integers(0, 10_000), st.floats(0, 3))
def test_visits_are_conserved_and_values_stay_within_those_of_the_leaves(simulations, seed, exploration):
    """Every simulation adds one visit to the root, and an expanded node has the visits of its children and its own."""
    rng, tree = random.Random(seed), Tree()
    own = [0]  # simulations that ended at the node itself
    for _ in range(simulations):
        node = tree.select(exploration=exploration, first_visit_value=1.0, rng=rng)
        if len(tree.path(node)) < 4:
            for _ in range(3):
                tree.add(node, rng.random())
                own.append(0)
            node = tree.best_child(node, exploration=exploration, first_visit_value=1.0, rng=rng)
        own[node] += 1
        tree.back_up(node)
    assert tree.visits[ROOT] == simulations
    for node in range(len(tree)):
        assert tree.visits[node] == own[node] + sum(tree.visits[child] for child in tree.children[node])
        assert 0 <= tree.values[node] <= 1


def test_long_search_finds_the_best_leaf_that_exhaustive_search_finds():
    """Full binary trees of depth 4 with fixed random values of leaves: the most visited leaf is the best one."""
    for seed in range(8):
        rng = random.Random(seed)
        values = {bits: rng.random() for bits in product((0, 1), repeat=4)}
        best = max(values, key=values.__getitem__)  # exhaustive
        tree, names = Tree(), {ROOT: ()}
        for _ in range(4_000):
            node = tree.select(exploration=0.4, first_visit_value=2.0, rng=rng)
            while len(names[node]) < 4:
                for bit in (0, 1):
                    names[tree.add(node)] = (*names[node], bit)
                node = rng.choice(tree.children[node])
            tree.values[node] = values[names[node]]
            tree.back_up(node)
        leaves = [node for node in names if len(names[node]) == 4]
        assert names[max(leaves, key=lambda node: tree.visits[node])] == best
        assert tree.values[ROOT] <= values[best] + 1e-12


def test_a_step_not_drawn_yet_competes_with_its_parents_value_and_the_first_visit_value():
    tree = Tree(values=[0.25], visits=[2])
    tree.visits[tree.add(ROOT, 0.6)] = 2
    options = {"exploration": 0.5, "rng": random.Random(0), "branch": 2}
    known = ucb(0.6, 2, 2, exploration=0.5, first_visit_value=0)
    assert tree.best_child(ROOT, first_visit_value=known - 0.24, **options) is None
    assert tree.best_child(ROOT, first_visit_value=known - 0.26, **options) == 1
    tree.add(ROOT)
    tree.values[2], tree.visits[2] = 0.0, 50
    assert tree.best_child(ROOT, first_visit_value=known - 0.24, **options) == 1
