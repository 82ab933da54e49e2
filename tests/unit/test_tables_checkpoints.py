"""A row that is no training, the base with its worked strategy forced: one checkpoint, to compare others with."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_cells import SUITES, make_cell
from test_tables import paper, spec

from repro import tables
from repro.cells.experiments import get_arm, get_experiment
from repro.cells.plan import plan_cells
from repro.config import load_profile
from repro.errors import BadInput
from repro.tables import ArmRow, BaseRow, ClaimRow, table_spec

ARMS = (ArmRow("base", "base", "base"), ArmRow("base_worked", "forced", None), ArmRow("grpo", "GRPO", "GRPO"))


@pytest.fixture(scope="module")
def table():
    forced = [make_cell("nano-s", "base", seed, questions=40, greedy=True) for seed in range(3)]
    for seed, cell in enumerate(forced):
        better = make_cell("nano-s", "gcpo_expected", 0, effect=0.06, seed_sd=0.0, questions=40, greedy=True)
        drawn = make_cell("nano-s", "gcpo_expected", seed, effect=0.06, seed_sd=0.0, questions=40, greedy=True)
        for name, suite in cell["suites"].items():
            suite.update(drawn["suites"][name], greedy=better["suites"][name]["greedy"])
        cell.update(arm="base_worked", cell_id=f"forced-{seed}")
    plain = [make_cell("nano-s", arm, s, questions=40, greedy=True) for arm in ("base", "grpo") for s in range(3)]
    asked = spec(
        bases=(BaseRow("nano-s", "model A"),),
        arms=ARMS,
        claims=(ClaimRow("taught", "ours", "grpo", "base_worked"),),
        checkpoints=("base", "base_worked"),
    )
    return tables.build_table1([*plain, *forced], asked, paper()), [*plain, *forced]


def test_its_evaluations_are_pooled_and_it_gains_nothing_of_its_own(table):
    built, cells = table
    row = built.row("nano-s", "base_worked")
    shares = [c["suites"][name]["avg_at_k"] for c in cells if c["arm"] == "base_worked" for name in SUITES]
    assert row.ours.value == pytest.approx(100 * np.mean(shares)) and row.ours.covers.startswith("one checkpoint")
    assert row.greedy is not None and (row.gain, row.versus, row.size) == (None, None, None)
    assert built.head.trained == ["grpo"]


def test_a_trained_arm_is_compared_with_it_as_with_the_base(table):
    built, _ = table
    claim = next(each for each in built.claims if each.base == "nano-s")
    rows = {arm: built.row("nano-s", arm) for arm in ("grpo", "base_worked")}
    assert claim.difference.value == pytest.approx(rows["grpo"].ours.value - rows["base_worked"].ours.value)
    assert claim.greedy.value == pytest.approx(rows["grpo"].greedy.value - rows["base_worked"].greedy.value)
    assert claim.size is None and claim.margin is None  # gains of what was trained are on that scale
    assert claim.direction == "supported" and claim.difference.low > 0


def test_it_stands_where_the_profile_has_two_strategies_and_nowhere_else():
    micro, smoke = load_profile("micro"), load_profile("smoke")
    table1 = get_experiment("table1")
    forced = [cell for cell in plan_cells(micro, table1, seeds=1) if cell.arm == "base_worked"]
    assert [cell.spec["forbidden_first"] for cell in forced] == [micro.evaluate.direct_start] * len(micro.bases)
    assert forced[0].spec["evaluate"] == plan_cells(micro, table1, seeds=1)[0].spec["evaluate"]
    assert not [cell for cell in plan_cells(smoke, table1) if cell.arm == "base_worked"]
    assert "base_worked" not in [arm.id for arm in table_spec(smoke, table1, "make").arms]
    assert "base_worked" in [arm.id for arm in table_spec(micro, table1, "make").arms]
    with pytest.raises(BadInput, match=r"base_worked.*evaluate\.direct_start"):
        plan_cells(smoke, table1, arms=["base_worked"])
    assert replace(get_arm("base_worked"), forced=False).measurable(smoke)
