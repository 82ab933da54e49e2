import json

import numpy as np
import pytest

from repro.config import load_profile
from repro.errors import BadInput
from repro.studies import calibrate
from repro.studies.calibrated import compare_methods, equivalence_rates, planted_effect, ratio_methods
from repro.studies.real_data import split_samples, split_seeds
from repro.studies.worlds import World, design_of, simulate, worlds_of

SMALL = World("design", questions=(60, 60), samples=(4, 8))


def rates(rows, method):
    return next(row for row in rows if row["method"].startswith(method))


def test_shipped_interval_covers_95_percent_and_without_the_floor_it_does_not_where_it_is_narrow_by_luck():
    rows = compare_methods(World("null"), 3000, 0, seed=1)
    shipped, bare = rates(rows, "seeds with floor"), rates(rows, "without the floor")
    assert 0.93 <= shipped["coverage"] <= 0.97 and shipped["rejection"] == pytest.approx(1 - shipped["coverage"])
    assert bare["coverage_low"] < 0.8 < 0.84 < shipped["coverage_low"]


def test_shipped_interval_of_two_seeds_is_cautious():
    row = rates(compare_methods(World("null", 2), 2000, 0, seed=1), "seeds with floor")
    assert row["coverage"] >= 0.95


def test_floor_with_the_degrees_of_freedom_of_the_seeds_covers_far_more_than_it_says():
    rows = compare_methods(World("null", seed_sd=0.0, seed_question_sd=0.0), 2000, 0, seed=1)
    assert rates(rows, "floor on the seeds' t")["coverage"] > 0.985 > rates(rows, "seeds with floor")["coverage"]


def test_sign_flips_over_questions_raise_far_more_false_alarms_than_5_percent():
    world = World("null", seed_sd=0.02, questions=(100, 100), samples=(8, 8))
    rows = compare_methods(world, 200, 100, seed=2)
    assert rates(rows, "sign flips")["rejection"] > 0.15
    assert rates(rows, "seeds with floor")["rejection"] < 0.11


def test_planted_effect_is_found_as_often_as_stated():
    result = planted_effect(World("null"), 1000, seed=3)
    assert result["stated_power"] == pytest.approx(0.8, abs=1e-6)
    assert abs(result["found"] - 0.8) < 0.05 and result["coverage"] > 0.93


def test_simulated_arms_gain_and_differ_as_planted():
    world = World("gap", gap=0.06, samples=(8, 8, 8, 8, 2))
    a, b, base = simulate(world, 300, np.random.default_rng(0))
    mean_a, mean_b, zero = (np.mean([suite.rates.mean() for suite in arm]) for arm in (a, b, base))
    assert a[0].correct.shape == (300, 5, 100) and base[4].k == 10
    assert mean_a - mean_b == pytest.approx(0.06, abs=0.003) and mean_b - zero == pytest.approx(0.10, abs=0.003)


def test_collapsed_seeds_end_at_the_base_and_move_the_truth():
    world = World("collapse", collapse=0.5, gain=0.2)
    a, b, base = simulate(world, 200, np.random.default_rng(0))
    mean_a, mean_b, zero = (np.mean([suite.rates.mean() for suite in arm]) for arm in (a, b, base))
    assert world.true_gains == (0.1, 0.2)
    assert mean_a - zero == pytest.approx(0.1, abs=0.01) and mean_b - zero == pytest.approx(0.2, abs=0.01)


def test_fieller_covers_the_ratio_and_has_no_ends_where_the_gain_is_small():
    rows = ratio_methods(World("two", gap=0.10), 1500, 5, seed=4)
    assert 0.93 <= rates(rows, "Fieller")["coverage"] <= 0.98 and rates(rows, "Fieller")["bounded"] == 1
    small = rates(ratio_methods(World("small", gain=0.01), 500, 5, seed=4), "Fieller")
    assert small["bounded"] < 0.5 and small["coverage"] > 0.95


def test_equivalence_is_rare_at_the_margin_and_found_inside_it_when_seeds_are_many():
    sharp = World("sharp", seeds=20, samples=(64,) * 5, seed_sd=0.002)
    assert equivalence_rates(sharp, 1.0, 300, seed=5)["found"] < 0.08
    assert equivalence_rates(sharp, 0.0, 50, seed=5)["found"] > 0.9


def cell(base, seed, correct, arm="grpo"):
    suites = {"one": {"k": 8, "n": len(correct), "correct": [int(c) for c in correct]}}
    return {"base": base, "arm": arm, "seed": seed, "suites": suites}


def test_design_is_what_most_arms_of_the_cells_have():
    cells = [cell("b", seed, [1] * 40) for seed in range(7)] + [cell("b", 0, [1] * 40, "gvpo")]
    cells += [cell("c", seed, [1] * 40) for seed in range(7)] + [{**cell("b", 0, [1] * 40), "search": {}}]
    design = design_of(cells)
    assert (design.seeds, design.questions, design.samples) == (7, (40,), (8,))
    assert worlds_of(design)[0].name == "null" and worlds_of(design)[0].samples == (8,)
    assert design_of([]).seeds == 5


def test_real_seeds_are_split_with_five_a_side_or_not_at_all():
    rng = np.random.default_rng(0)
    nine = [cell("b", seed, rng.binomial(8, 0.5, 40)) for seed in range(9)]
    assert split_seeds(nine, "grpo", 10, 0)["splits"] == 0
    result = split_seeds([*nine, cell("b", 9, rng.binomial(8, 0.5, 40))], "grpo", 10, 0)
    assert (result["splits"], result["seeds_a_side"], result["used"]) == (10, 5, ["b (10 seeds)"])


def test_real_samples_split_in_halves_use_five_seeds_a_side_and_raise_few_alarms():
    rng = np.random.default_rng(0)
    difficulty = rng.uniform(0.1, 0.9, 100)
    cells = [cell("b", seed, rng.binomial(8, difficulty)) for seed in range(5)]
    cells += [cell("b", seed, rng.binomial(8, difficulty), "gvpo") for seed in range(4)]  # too few seeds
    result = split_samples(cells, 100, seed=0)
    assert result["splits"] == 100 and result["seeds_a_side"] == 5 and result["rejection"] < 0.1


def test_calibration_writes_both_files_and_withholds_p_values_when_a_check_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "design_of", lambda cells: SMALL)
    result = calibrate.run_calibration(tables=200, slow_tables=5, seed=4)
    result["checks"]["made to fail"] = False
    result["passed"] = False
    paths = calibrate.write_calibration(result, tmp_path)
    assert json.loads(paths[0].read_text())["checks"]["made to fail"] is False
    text = paths[1].read_text()
    assert "p-values are withheld" in text and "Real data: not run" in text and "collapses" in text


def test_calibration_refuses_too_few_tables():
    with pytest.raises(BadInput, match="200"):
        calibrate.run_calibration(tables=50, slow_tables=10)


def test_command_line_names_the_folder_without_cells(tmp_path, capsys):
    assert calibrate.main(["--runs", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_only_cells_of_table_1_are_calibrated_on(tmp_path):
    own = {"base": "duo-s", "arm": "grpo", "seed": 1}
    others = [
        {**own, "base": "nano-code"},
        {**own, "arm": "grpo_curve"},
        {**own, "seed": 1000},
        {**own, "arm": "step_cost"},
    ]
    for number, cell in enumerate([*others, own]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "summary.json").write_text(json.dumps(cell))
    assert calibrate._read_cells(tmp_path, load_profile("micro")) == [own]
