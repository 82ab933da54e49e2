"""Steadiness of a series: statistics against loops, intervals against scipy, the verdicts of Figure 7."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats as reference
from synthetic_cells import make_cell

from repro import stats
from repro.cells.experiments import EXPERIMENTS
from repro.config import load_profile
from repro.errors import BadInput
from repro.figuredata import gradients
from repro.figures import gradients as pictures

RNG = np.random.default_rng(0)


def test_the_statistics_of_a_run_by_loops():
    series = [1.0, 3.0, 2.0, 6.0, 4.0]
    mean = sum(series) / 5
    spread = math.sqrt(sum((x - mean) ** 2 for x in series) / 4) / mean
    steps = math.sqrt(sum((b - a) ** 2 for a, b in itertools.pairwise(series)) / 4 / 2) / mean
    slope = sum((i - 2) * (x - mean) for i, x in enumerate(series)) / sum((i - 2) ** 2 for i in range(5))
    array = np.array(series)
    assert stats.relative_spread(array) == pytest.approx(spread)
    assert stats.oscillation(array) == pytest.approx(steps)
    assert stats.relative_drift(array) == pytest.approx(slope * 4 / mean)


def test_no_statistic_depends_on_the_scale_and_a_drift_is_no_oscillation():
    noise = RNG.normal(5, 0.3, 200)
    for statistic in (stats.relative_spread, stats.oscillation, stats.relative_drift):
        assert statistic(7 * noise) == pytest.approx(statistic(noise))
    assert stats.oscillation(noise) == pytest.approx(stats.relative_spread(noise), rel=0.15)
    drifting = np.linspace(1, 3, 200)
    assert stats.oscillation(drifting) < 0.01 < stats.relative_spread(drifting)


def test_the_interval_over_seeds_is_students_t_of_the_logarithms():
    values = [0.2, 0.3, 0.25]
    found = stats.geometric_mean(values)
    ends = reference.t.interval(0.95, 2, np.mean(np.log(values)), reference.sem(np.log(values)))
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(ends)))
    assert stats.geometric_mean([0.5]).low is None


def test_a_ratio_is_paired_by_seed_and_tested_as_scipy_does():
    a = [RNG.normal(5, 0.5, 40) for _ in range(4)]
    b = [RNG.normal(5, 1.0, 40) for _ in range(4)]
    found = stats.ratio_over_seeds(a, b, stats.relative_spread, margin=0.1, rng=RNG)
    logs = [math.log(stats.relative_spread(x) / stats.relative_spread(y)) for x, y in zip(a, b, strict=True)]
    assert found.p == pytest.approx(reference.ttest_1samp(logs, 0).pvalue)
    sides = [
        reference.ttest_1samp(logs, -math.log(1.1), alternative="greater").pvalue,
        reference.ttest_1samp(logs, math.log(1.1), alternative="less").pvalue,
    ]
    assert found.p_equivalent == pytest.approx(max(sides)) and found.high < 1
    same = stats.ratio_over_seeds(a, a, stats.relative_spread, margin=0.1, rng=RNG)
    assert (same.value, same.p) == (1.0, 1.0) and same.p_equivalent < 0.05


def test_one_seed_has_an_interval_over_steps_that_says_so():
    run, other = RNG.normal(5, 0.5, 60), RNG.normal(5, 1.5, 90)
    found = stats.over_seeds([run], stats.relative_spread, rng=RNG)
    assert found.low < found.value < found.high and found.covers == "1 seed, steps only"
    ratio = stats.ratio_over_seeds([run], [other], stats.relative_spread, margin=0.1, rng=RNG)
    assert ratio.high < 1 and ratio.p < 0.05 < ratio.p_equivalent


@pytest.mark.parametrize("run", [[1.0, 2.0], [1.0, math.nan, 2.0], [2.0, 2.0, 2.0]], ids=["short", "nan", "constant"])
def test_series_without_a_spread_are_refused(run):
    with pytest.raises(BadInput, match="steadiness"):
        stats.over_seeds([run, run], stats.relative_spread, rng=RNG)


SPREADS = {"grpo": 0.4, "gvpo": 0.5, "drgrpo": 0.45, "gcpo_expected": 0.05, "gcpo_mc": 0.4}
BASE = "nano-s-hard"


def figure(tmp_path, spreads, *, seeds=4, level=None):
    """Figure 7 of synthetic metrics: every arm's norms around its level, with a spread of its own."""
    profile = load_profile("micro")
    profile = profile.model_copy(update={"bases": {BASE: next(iter(profile.bases.values()))}})
    cells = []
    for place, (arm, spread) in enumerate(spreads.items()):
        for seed in range(seeds):
            cell = make_cell(BASE, "grpo", seed) | {"arm": arm, "cell_id": f"{BASE}__{arm}__s{seed}"}
            cells.append(cell)
            folder = tmp_path / cell["cell_id"]
            folder.mkdir(parents=True)
            rng, steps = np.random.default_rng([place, seed]), 60 if arm == "gvpo" else 20
            size = (level or {}).get(arm, 1.0)
            rows = [
                {"step": step + 1, "grad_norm": size * float(max(rng.normal(1, spread), 0.01)), "loss": 0.0}
                | ({"reward": 0.5} if step % (3 if arm == "gvpo" else 1) == 0 else {})
                | ({"upsilon/mean": 2.0} if arm.startswith("gcpo") else {})
                for step in range(steps)
            ]
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return gradients.measure(profile, EXPERIMENTS["figure7"], cells, tmp_path, "make reproduce")


def words(data):
    return {each.statement: each.verdict for each in data.decisions}


def test_a_steady_gcpo_and_an_oscillating_grpo_support_the_paper(tmp_path):
    found = words(figure(tmp_path, SPREADS))
    assert found["GCPO expected is the steadiest"] == found["GCPO expected is nearly constant"] == "supported"
    assert found["GCPO mc is nearly constant"] == "contradicted" and found["GRPO oscillates"] == "supported"


def test_a_restless_gcpo_is_reversed_and_a_steady_grpo_contradicts(tmp_path):
    found = words(figure(tmp_path, SPREADS | {"gcpo_expected": 0.4, "grpo": 0.03}))
    assert found["GCPO expected is the steadiest"] == "reversed" and found["GRPO oscillates"] == "contradicted"


def test_a_norm_that_doubles_with_upsilon_is_its_scale_and_another_is_not(tmp_path):
    calm = dict.fromkeys(SPREADS, 0.05)
    name = "GCPO's longer gradient is its scale"
    assert words(figure(tmp_path / "a", calm, level={"gcpo_expected": 2.0}))[name] == "supported"
    assert words(figure(tmp_path / "b", calm, level={"gcpo_expected": 1.0}))[name] == "contradicted"


def test_updates_and_rollouts_are_counted_and_the_picture_has_a_panel_per_arm(tmp_path):
    data = figure(tmp_path, SPREADS, seeds=2)
    rows = {row["arm"]: row for row in data.rows if row["kind"] == "arm"}
    assert (rows["gvpo"]["updates"], rows["gvpo"]["rollouts"], rows["grpo"]["rollouts"]) == (60, 20, 20)
    assert rows["gcpo_expected"]["rescaled"] == pytest.approx(rows["gcpo_expected"]["norm"] / 2)
    assert max(row["place"] for row in data.rows if row["kind"] == "step") == 20
    panels = pictures.draw(data).axes
    assert len(panels) == len(SPREADS) + 1
    assert [len(axes.lines) for axes in panels[:-1]] == [2] * len(SPREADS)


def test_a_run_without_any_gradient_is_not_tested_and_still_drawn(tmp_path):
    data = figure(tmp_path, SPREADS, level={"grpo": 0.0})
    found = words(data)
    assert found["GRPO oscillates"] == found["GCPO's longer gradient is its scale"] == "not tested"
    assert found["GCPO expected is nearly constant"] == "supported"
    (row,) = [row for row in data.rows if row["kind"] == "arm" and row["arm"] == "grpo"]
    assert row["norm"] == 0 and row["spread"] is None
    assert len(pictures.draw(data).axes) == len(SPREADS) + 1


def test_a_cell_without_norms_is_named(tmp_path):
    figure(tmp_path, {"grpo": 0.1}, seeds=1)
    (tmp_path / f"{BASE}__grpo__s0" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.0}\n')
    cell = make_cell(BASE, "grpo", 0)
    profile = load_profile("micro")
    profile = profile.model_copy(update={"bases": {BASE: next(iter(profile.bases.values()))}})
    with pytest.raises(BadInput, match="has no grad_norm; run the cell again"):
        gradients.measure(profile, EXPERIMENTS["figure7"], [cell], tmp_path, "make reproduce")
