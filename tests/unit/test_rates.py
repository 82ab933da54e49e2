"""The rule that picks a learning rate, and the grid's registration."""

from dataclasses import replace

import pytest

from repro.cells.experiments import get_arm, get_experiment
from repro.cells.plan import DEVELOPMENT_SEED, plan_cells, why_not_run
from repro.config import TaskSpec, load_profile
from repro.errors import BadInput
from repro.figuredata.model import FigureData, figure_head
from repro.figuredata.rates import _decide, pick
from repro.figures.rates import draw
from repro.tasks.build import make_taskset

RATES = get_experiment("rates")


@pytest.mark.parametrize(
    ("scores", "base", "expected"),
    [
        ({0.5: [0.40, 0.41], 1.0: [0.44, 0.43], 2.0: [0.42, 0.40]}, 0.2, 1.0),
        ({0.5: [0.40, 0.41], 1.0: [0.50, 0.10], 2.0: [0.20, 0.19]}, 0.2, 0.5),  # a seed below the base rules a rate out
        ({0.5: [0.430, 0.431], 1.0: [0.433, 0.434]}, 0.2, 0.5),  # half a point is a tie, and the lower rate wins it
        ({0.5: [0.10, 0.30], 1.0: [0.05, 0.06]}, 0.2, None),
    ],
)
def test_the_rule(scores, base, expected):
    assert pick(scores, base) == expected


def test_every_arm_of_the_grid_is_its_arm_at_another_rate():
    profile = load_profile("micro")
    cells = {cell.arm: cell for cell in plan_cells(profile, RATES, seeds=1)}
    table = {cell.arm: cell for cell in plan_cells(profile, get_experiment("table1"), seeds=1)}
    for series in RATES.sweep.series:
        assert len(series.arms) == 5
        for factor, arm in series.arms.items():
            own, model = cells[arm].spec["train"], table[get_arm(arm).like].spec["train"]
            assert own["learning_rate"] == factor * profile.train["learning_rate"]
            assert {**own, "learning_rate": 0} == {**model, "learning_rate": 0}


def test_no_table_has_the_seeds_or_questions_of_the_grid():
    profile = load_profile("micro")
    grid = plan_cells(profile, RATES, seeds=2)
    assert {cell.seed for cell in grid} == {DEVELOPMENT_SEED, DEVELOPMENT_SEED + 1}
    assert {cell.base for cell in grid} == {"duo-s"}
    asked = [
        {suite: {q.id for q in tasks.questions(suite)} for suite in profile.tasks.suites}
        for spec in (grid[0].spec["tasks"], profile.tasks.model_dump())
        for tasks in [make_taskset(TaskSpec.model_validate(spec))]
    ]
    for suite in profile.tasks.suites:
        assert len(asked[0][suite]) == 40 and not asked[0][suite] & asked[1][suite]


def test_tasks_without_development_questions_are_refused_in_one_line():
    with pytest.raises(BadInput, match="rates needs development questions"):
        plan_cells(load_profile("pretrained"), RATES)


def test_the_check_elsewhere_is_refused_where_there_is_no_other_base():
    assert "needs more bases" in why_not_run(load_profile("smoke"), get_experiment("rates_elsewhere"))


def test_the_check_elsewhere_has_the_picked_rates_and_their_neighbours():
    profile, check = load_profile("micro"), get_experiment("rates_elsewhere")
    cells = plan_cells(profile, check, seeds=1)
    assert {cell.base for cell in cells} == {"duo-s-hard", "duo-m"}
    for full, near in zip(RATES.sweep.series, check.sweep.series, strict=True):
        grid, few = list(full.arms.items()), list(near.arms.items())
        start = grid.index(few[0])
        assert grid[start : start + 3] == few
        model = get_arm(get_arm(few[1][1]).like).id
        own = next(cell for cell in plan_cells(profile, get_experiment("table1"), seeds=1) if cell.arm == model)
        assert own.spec["train"]["learning_rate"] == few[1][0] * profile.train["learning_rate"]


def test_the_picture_of_a_grid_that_is_not_whole_shows_what_is_there():
    profile, check = load_profile("micro"), get_experiment("rates_elsewhere")
    head = replace(figure_head(profile, check, [], "make"), bases=("duo-s-hard", "duo-m"))
    point = {"rate": 8e-4, "ours": 44.0, "low": 40.0, "high": 48.0, "lowest_seed": 44.0, "gain": 21.0, "picked": True}
    rows = [
        {"base": base, "method": method, "arm": f"{arm}_rate_4000", **point}
        for base, method, arm in (
            ("duo-s-hard", "GRPO", "grpo"),
            ("duo-s-hard", "GVPO", "gvpo"),
            ("duo-m", "GVPO", "gvpo"),
        )
    ]
    one, two = (draw(FigureData(replace(head, seeds=seeds), tuple(rows), {}, "", ())) for seeds in (1, 2))
    assert [len(axes.get_lines()) for axes in two.axes] == [7, 4]  # a method: line, lowest seed, ring; then the base
    assert [len(axes.get_lines()) for axes in one.axes] == [5, 3]  # one seed is no lowest of several
    assert [tick.get_text() for tick in one.axes[0].get_xticklabels()] == ["0.0008"]


def test_a_part_of_the_rates_picks_nothing():
    statement = RATES.statements[0]
    some = {1.0: [0.3], 2.0: [0.4]}
    assert _decide(statement, "duo-s", 2.0, 4.0, 3, some).verdict == "not tested"
    assert _decide(statement, "duo-s", 2.0, 4.0, 2, some).verdict == "reversed"
    assert _decide(statement, "duo-s", 4.0, 4.0, 2, some).verdict == "supported"
