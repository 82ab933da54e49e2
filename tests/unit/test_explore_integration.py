"""The sets of candidates that are shown, and the bound on what any rule over votes can reach."""

import math

import pandas as pd
import pytest

from repro.figures import png
from repro.figures.integration import accuracy_by_right
from repro.studies.integration import MIXED, POOL, SHOWN, Shown, best_mixed, shown_sets
from repro.tasks.procedural import make_problem

PROBLEM = make_problem("lin", "m", 0)
WRONG = [digit for digit in "0123456789" if digit != PROBLEM.answer]


def test_sets_hold_what_their_names_say_and_leave_out_problems_that_cannot_fill_them():
    mixed = [PROBLEM.answer if k % 3 == 0 else WRONG[k % 5] for k in range(POOL)]
    hopeless = [None if k % 4 == 0 else WRONG[k % 9] for k in range(POOL)]
    sets = shown_sets([PROBLEM, PROBLEM], [mixed, hopeless])
    for count in range(SHOWN + 1):
        items = sets[f"{count} right"]
        assert len(items) == (2 if count == 0 else 1)
        assert all(sum(answer == PROBLEM.answer for answer in item.view) == count for item in items)
        assert all(len(item.alone) == POOL for item in items)
    assert sets["all right"] == sets[f"{SHOWN} right"]
    assert sets["all wrong"] == sets["0 right"]
    assert [item.view for item in sets[MIXED]] == [mixed[:SHOWN]]
    assert [item.view for item in sets["all wrong as sampled"]] == [hopeless[:SHOWN]]
    assert sets["all wrong as sampled"][0].single == 0.0
    assert sets["all wrong as sampled"][0].alone == hopeless[SHOWN:]
    # one sample's accuracy does not depend on how many right answers are shown beside it
    assert len({round(sets[f"{count} right"][0].single, 9) for count in range(SHOWN + 1)}) == 1


def item(right: int, leader: int, own_right: float) -> Shown:
    """`right` right votes, `leader` votes for one wrong answer, the rest single; others right with a given share."""
    rest = SHOWN - right - leader
    others = [PROBLEM.answer] * round(10 * own_right) + [WRONG[8]] * (10 - round(10 * own_right))
    return Shown(PROBLEM, [PROBLEM.answer] * right + [WRONG[0]] * leader + WRONG[1 : 1 + rest], others)


def test_where_votes_tell_right_from_wrong_sets_the_bound_is_the_vote():
    mixed, wrong = [item(5, 1, 0.4)], [item(0, 2, 0.4)]  # a majority is always right, two votes always wrong
    assert best_mixed(mixed, wrong, slack=0.0) == pytest.approx(1.0)


def test_where_they_look_alike_a_gain_costs_as_much_as_it_brings():
    # own answers unseen among the candidates, five votes for the leader in both: follow in a share p of the cases
    mixed = [Shown(PROBLEM, [PROBLEM.answer] * 5 + WRONG[:3], [WRONG[8]] * 10)]
    wrong = [Shown(PROBLEM, [WRONG[0]] * 5 + WRONG[1:4], [PROBLEM.answer] * 10)]
    for slack in (0.0, 0.05, 0.3, 1.0):
        assert best_mixed(mixed, wrong, slack=slack) == pytest.approx(slack)
    assert best_mixed(mixed, wrong, slack=2.0) == pytest.approx(1.0)


def test_the_bound_grows_with_what_may_be_lost_and_stays_between_one_sample_and_the_better_of_both():
    mixed = [item(4, 2, 0.5), item(3, 2, 0.6), item(2, 3, 0.5)]
    wrong = [item(0, 4, 0.3), item(0, 3, 0.5), item(0, 2, 0.5)]
    bounds = [best_mixed(mixed, wrong, slack=slack) for slack in (0.0, 0.05, 0.2, 1.0)]
    assert bounds == sorted(bounds)
    assert bounds[0] >= sum(i.single for i in mixed) / 3
    votes = [1.0, 1.0, 0.0]
    assert bounds[-1] <= sum(max(v, i.single) for v, i in zip(votes, mixed, strict=True)) / 3 + 0.4  # own votes help
    assert math.isfinite(bounds[-1])


def test_the_picture_has_a_panel_per_base_and_skips_what_was_never_shown():
    rows = [
        {"base": base, "candidates": f"{count} right", "questions": 5 if count else 0, "one_sample": 0.5,
         "majority": count / 8, "integrated": count / 9}
        for base in ("a", "b") for count in range(SHOWN + 1)
    ]  # fmt: skip
    figure = accuracy_by_right(pd.DataFrame(rows), SHOWN)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    assert list(figure.axes[0].lines[0].get_xdata()) == list(range(1, SHOWN + 1))
    assert png(figure) == png(accuracy_by_right(pd.DataFrame(rows), SHOWN))
