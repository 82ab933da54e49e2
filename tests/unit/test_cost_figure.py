"""Figure 8: costs of runs and steps beside the paper's 1.18, and accuracy per cost, on synthetic cells."""

import numpy as np
import pytest
from synthetic_cells import make_cell

from repro import stats
from repro.cells.experiments import EXPERIMENTS, get_arm
from repro.cells.plan import make_cell as planned_cell
from repro.cells.plan import plan_cells
from repro.config import load_profile
from repro.errors import BadInput
from repro.figuredata import cost
from repro.figures import cost as pictures
from repro.stats import Counts
from repro.stats.verdicts import above_each

BASE, SUITES = "nano-s-hard", ("modten-easy", "modten-far")
COSTS = {"grpo": 10.0, "gvpo": 11.0, "drgrpo": 10.0, "rest_mcts": 20.0, "gcpo_expected": 11.8, "gcpo_mc": 25.0}
PROFILE = load_profile("micro", ["tasks.suites={modten-easy: 400, modten-far: 400}"])
PROFILE = PROFILE.model_copy(update={"bases": {BASE: next(iter(PROFILE.bases.values()))}})


def step_cell(ratios):
    rows = [
        {"form": form, "n": 8, "length": 20.0, "ratio": ratio, "ratio_ci": [ratio - 0.03, ratio + 0.03],
         "cpu_seconds": ratio, "peak_mib": 300.0, "seconds": dict.fromkeys(cost.PHASES, 0.1 * ratio)}
        for form, ratio in ratios.items()
    ]  # fmt: skip
    return make_cell(BASE, "base", 0) | {
        "arm": "step_cost", "cell_id": "step", "suites": {}, "bench": {"rows": rows, "parameters": 800_000}
    }  # fmt: skip


def figure(costs=COSTS, effects=None, steps=None, seeds=4):
    cells = [step_cell(steps or {"grpo": 1.0, "expected": 1.18, "mc m=2 R=1 f=1": 2.5})]
    for place, arm in enumerate(("base", *costs)):
        for seed in range(seeds):
            gain = (effects or {}).get(arm, 0.10)
            cell = make_cell(BASE, "base" if arm == "base" else "grpo", 50 * place + seed, effect=gain, suites=SUITES,
                             seed_sd=0.001, questions=400)  # fmt: skip
            spent = {"cpu_seconds": costs.get(arm, 0) * (1 + 0.005 * np.sin(3 * place + seed)), "wall_seconds": 1.0}
            train = None if arm == "base" else {"steps": 20, **spent}
            cells.append(cell | {"arm": arm, "seed": seed, "cell_id": f"{arm}{seed}", "train": train})
    return cost.measure(PROFILE, EXPERIMENTS["figure8"], cells, None, "make reproduce")


def words(data):
    return {each.statement: each.verdict for each in data.decisions}


def test_the_papers_ratio_is_read_from_its_file():
    assert cost.printed_ratio() == 1.18


def test_a_cost_of_1_18_is_consistent_and_of_2_5_contradicted():
    found = words(figure())
    assert found["GCPO expected costs 1.18 x GRPO (whole runs)"] == "consistent"
    assert found["GCPO mc costs 1.18 x GRPO (whole runs)"] == "contradicted"
    assert found["GCPO expected costs 1.18 x GRPO (a step)"] == "consistent"
    assert found["GCPO mc costs 1.18 x GRPO (a step)"] == "contradicted"


def test_gain_per_cost_is_the_contrast_computed_by_hand():
    data = figure(effects={"gcpo_expected": 0.2})
    cells = {}
    for place, arm in enumerate(("base", *COSTS)):
        cells[arm] = [
            np.array(
                [
                    make_cell(BASE, "base" if arm == "base" else "grpo", 50 * place + seed,
                              effect=0.2 if arm == "gcpo_expected" else 0.10, suites=SUITES, seed_sd=0.001,
                              questions=400)["suites"][suite]["correct"]
                    for seed in range(4)
                ]
            )
            for suite in SUITES
        ]  # fmt: skip
    mean = {arm: np.mean([each.mean() / 8 for each in suites]) for arm, suites in cells.items()}
    row = next(row for row in data.rows if row["arm"] == "gcpo_expected" and row["kind"] == "run")
    by_hand = (mean["gcpo_expected"] - mean["base"]) / row["ratio"] - (mean["grpo"] - mean["base"])
    said = data.decision("GCPO expected is worth its cost", BASE)
    assert said.verdict == "supported" and said.measured.startswith(f"{100 * by_hand:+.1f} [")


def test_equal_arms_at_a_higher_cost_are_not_worth_it_and_outperform_nobody():
    found = words(figure())
    assert found["GCPO expected is worth its cost"] == found["GCPO mc is worth its cost"] == "reversed"
    assert found["GCPO expected outperforms all baselines"] in ("equivalent", "undecided")
    better = words(figure(effects={"gcpo_expected": 0.2}))
    assert better["GCPO expected outperforms all baselines"] == "supported"
    assert better["GCPO mc outperforms all baselines"] != "supported"


def test_equivalence_of_a_contrast_with_the_base_agrees_with_the_pair():
    rng = np.random.default_rng(2)
    a, reference = ([Counts(rng.binomial(8, level, size=(4, 60)), 8)] for level in (0.6, 0.55))
    base = [Counts(rng.binomial(8, 0.3, size=(1, 60)), 8)]
    pair = stats.equivalence_p(a, None, reference, base, 0.5)
    found = stats.contrast_equivalence_p([(1.0, a)], reference, base, 0.5, base_weight=-1.0)
    assert found == pytest.approx(pair)


def test_a_verdict_over_several_needs_holm():
    assert above_each([1.0, 1.0], [0.01, 0.03], [None, None]) == "supported"
    assert above_each([1.0, 1.0], [0.04, 0.04], [None, None]) == "undecided"
    assert above_each([1.0, -1.0], [0.9, 0.01], [0.01, 0.01]) == "reversed"
    assert above_each([1.0, -1.0], [0.9, 0.9], [0.01, 0.02]) == "equivalent"
    assert above_each([], [], []) == "not tested"


def test_cells_without_processor_time_are_refused_and_one_size_is_said_to_be_one():
    assert "one size alone" in figure().notes[-1]
    cells = [make_cell(BASE, "grpo", 0, suites=SUITES)]
    with pytest.raises(BadInput, match="has no cpu_seconds of its training"):
        cost.measure(PROFILE, EXPERIMENTS["figure8"], cells, None, "make reproduce")


def test_the_picture_has_bars_for_every_form_and_phase():
    data = figure(seeds=2)
    accuracy, ratios, phases = pictures.draw(data).axes
    assert len(phases.patches) == 3 * len(cost.PHASES)
    assert len(ratios.get_yticks()) == len(COSTS) + 3 and len(accuracy.get_legend_handles_labels()[1]) == 7


def test_the_cost_of_a_step_is_one_cell_a_base_and_needs_its_section():
    smoke = load_profile("smoke")
    cells = plan_cells(smoke, EXPERIMENTS["figure8"], seeds=3)
    assert [cell.seed for cell in cells if cell.arm == "step_cost"] == [0]
    with pytest.raises(BadInput, match="profile smoke has no section 'bench'; arm step_cost needs one"):
        planned_cell(smoke.model_copy(update={"bench": None}), next(iter(smoke.bases)), get_arm("step_cost"), 0)
