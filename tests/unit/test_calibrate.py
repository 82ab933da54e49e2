import json

import numpy as np
import pytest

from repro.errors import BadInput
from repro.studies import calibrate
from repro.studies.calibrate import Scenario


def rates(rows, method):
    return next(row for row in rows if row["method"].startswith(method))


@pytest.mark.parametrize("seeds", [5, 2])
def test_shipped_interval_raises_false_alarms_in_5_percent_of_null_comparisons(seeds):
    row = rates(calibrate.compare_methods(Scenario("null", seeds), 2000, 0, seed=1), "seeds + questions")
    assert 0.035 <= row["rejection"] <= 0.065 and 0.93 <= row["coverage"] <= 0.97


def test_sign_flips_over_questions_raise_far_more_false_alarms_than_5_percent():
    rows = calibrate.compare_methods(Scenario("null", 5, seed_sd=0.02, suites=2), 200, 100, seed=2)
    assert rates(rows, "sign flips")["rejection"] > 0.15
    assert rates(rows, "seeds + questions")["rejection"] < 0.11


def test_planted_effect_is_found_as_often_as_stated():
    result = calibrate.planted_effect(Scenario("null", 5), 1000, seed=3)
    assert result["stated_power"] == pytest.approx(0.8, abs=1e-6)
    assert abs(result["found"] - 0.8) < 0.05 and result["coverage"] > 0.93


def test_simulated_arms_differ_by_the_planted_gap():
    a, b = calibrate.simulate(Scenario("gap", 5, gap=0.06), 300, np.random.default_rng(0))
    assert a.shape == (300, 5, 5, 100) and (a.mean() - b.mean()) / 8 == pytest.approx(0.06, abs=0.003)


def cell(base, seed, correct, arm="grpo"):
    return {"base": base, "arm": arm, "seed": seed, "suites": {"one": {"k": 8, "correct": list(correct)}}}


def test_real_seeds_of_one_configuration_are_split_in_every_way():
    rng = np.random.default_rng(0)
    cells = [cell("b", seed, rng.binomial(8, 0.5, 40)) for seed in range(4)] + [cell("c", 0, [4] * 40)]
    result = calibrate.split_seeds(cells, "grpo")
    assert result["splits"] == 12 and result["used"] == ["b (4 seeds)"]  # 6 first halves, 2 pairings each


def test_real_samples_split_in_halves_raise_few_alarms():
    rng = np.random.default_rng(0)
    cells = [cell("b", seed, rng.binomial(8, rng.uniform(0.1, 0.9, 100))) for seed in range(5)]
    result = calibrate.split_samples(cells, 40, seed=0)
    assert result["splits"] == 200 and result["rejection"] < 0.1


def test_calibration_writes_both_files_and_withholds_p_values_when_a_check_fails(tmp_path):
    result = calibrate.run_calibration(tables=200, slow_tables=5, seed=4)
    result["checks"]["made to fail"] = False
    result["passed"] = False
    paths = calibrate.write_calibration(result, tmp_path)
    assert json.loads(paths[0].read_text())["checks"]["made to fail"] is False
    text = paths[1].read_text()
    assert "p-values are withheld" in text and "Real data: not run" in text


def test_calibration_refuses_too_few_tables():
    with pytest.raises(BadInput, match="200"):
        calibrate.run_calibration(tables=50, slow_tables=10)


def test_command_line_names_the_folder_without_cells(tmp_path, capsys):
    assert calibrate.main(["--runs", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
