"""Sweeps: their registration, the statistics of a curve's shape against loops, the verdicts on synthetic cells."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from synthetic_cells import FIGURE_BASE, FIGURE_SETS, figure_cells

from gcpo import GCPOConfig
from repro import stats
from repro.cells.experiments import EXPERIMENTS, get_arm, get_experiment
from repro.cells.plan import make_cell as planned_cell
from repro.cells.plan import plan_cells, training_values
from repro.config import load_profile
from repro.errors import BadInput
from repro.figuredata import sweep
from repro.figuredata.model import read_figure, to_csv, to_json
from repro.figuredata.scores import on_common_seeds
from repro.figures import sweep as pictures
from repro.stats import Counts

FIGURES = ("figure4a", "figure4b", "figure4c")


def spread(rows):
    """Variance over values of the mean over seeds, by loops."""
    means = [sum(row[j] for row in rows) / len(rows) for j in range(len(rows[0]))]
    centre = sum(means) / len(means)
    return sum((mean - centre) ** 2 for mean in means) / len(means)


def test_the_flatness_test_is_the_share_of_all_orderings_with_at_least_that_spread():
    scores = np.random.default_rng(3).normal(size=(3, 3)).round(2)
    counted = [
        spread([[row[j] for j in order] for row, order in zip(scores, orders, strict=True)])
        for orders in itertools.product(itertools.permutations(range(3)), repeat=3)
    ]
    expected = sum(value >= spread(scores) * (1 - 1e-12) for value in counted) / len(counted)
    assert stats.flat_p(scores, rng=np.random.default_rng(0)) == pytest.approx(expected)


def test_the_spread_orders_permutations_as_the_f_of_repeated_measures_does():
    rng = np.random.default_rng(5)
    table = rng.normal(size=(4, 5))
    found = []
    for _ in range(50):
        shuffled = rng.permuted(table, axis=1)
        effect = 4 * ((shuffled.mean(axis=0) - shuffled.mean()) ** 2).sum()
        within = ((shuffled - shuffled.mean(axis=1, keepdims=True)) ** 2).sum()
        found.append((spread(shuffled), (effect / 4) / ((within - effect) / 12)))
    assert [f for _, f in sorted(found)] == sorted(f for _, f in found)


def test_drawn_orderings_alarm_on_flat_curves_about_as_often_as_they_should():
    rng = np.random.default_rng(7)
    flat = [stats.flat_p(rng.normal(size=(3, 6)), rng=rng, draws=400) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(flat) < 0.05) <= 0.10
    curve = rng.normal(size=(3, 6)) / 2 + np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert stats.flat_p(curve, rng=rng) < 0.01


def test_one_seed_has_no_flatness_test_and_bad_scores_are_refused():
    assert stats.flat_p([[0.1, 0.5, 0.2]], rng=np.random.default_rng(0)) is None
    with pytest.raises(BadInput, match="want finite"):
        stats.flat_p([[0.1], [0.2]], rng=np.random.default_rng(0))


def test_trend_weights_give_the_rise_of_the_least_squares_line():
    values, scores = [0.5, 1.0, 1.4, 2.0], [3.0, 1.0, 4.0, 7.0]
    slope = np.polyfit(values, scores, 1)[0]
    assert np.dot(stats.trend_weights(values), scores) == pytest.approx(slope * 1.5)
    with pytest.raises(BadInput, match="two different values"):
        stats.trend_weights([2.0])


def test_equivalence_of_a_contrast_of_two_is_that_of_the_pair():
    rng = np.random.default_rng(1)
    a, b, reference = ([Counts(rng.binomial(8, level, size=(4, 60)), 8)] for level in (0.6, 0.61, 0.6))
    base = [Counts(rng.binomial(8, 0.3, size=(1, 60)), 8)]
    pair = stats.equivalence_p(a, b, reference, base, 0.5)
    assert stats.contrast_equivalence_p([(1.0, a), (-1.0, b)], reference, base, 0.5) == pytest.approx(pair)


@pytest.mark.parametrize("name", FIGURES)
def test_every_arm_of_a_sweep_differs_from_its_model_in_the_setting_alone(name):
    profile = load_profile("micro-slips")
    figure = EXPERIMENTS[name]
    base, setting = figure.bases(profile)[0], figure.sweep.setting
    assert getattr(GCPOConfig(output_dir="unused", use_cpu=True), setting) == figure.sweep.unset
    for series in figure.sweep.series:
        rest = []
        for value, arm in series.arms.items():
            values = training_values(profile, base, get_arm(arm))
            assert values.get(setting, figure.sweep.unset) == value
            rest.append({k: v for k, v in values.items() if k not in (setting, "match_cosine_mean")})
        assert all(values == rest[0] for values in rest)


def test_a_profile_narrows_a_sweep_and_only_to_values_of_its_grid():
    smoke = load_profile("smoke")
    narrowed = get_experiment("figure4a").in_profile(smoke)
    assert list(narrowed.sweep.series[0].arms) == [0.0, 2.0, 3.4] and len(narrowed.arms) == 8
    assert {cell.arm for cell in plan_cells(smoke, narrowed)} == set(narrowed.arms)
    for values, message in (([0.0, 2.0, 5.0], "5.0 is not on its grid"), ([0.0, 1.0], "2.0, the paper's best")):
        with pytest.raises(BadInput, match=message):
            get_experiment("figure4a").in_profile(load_profile("smoke", [f"sweeps.figure4a={values}"]))


def test_a_point_whose_arm_has_another_value_is_refused():
    profile = load_profile("smoke", ["arms.gcpo_expected.alpha=1.0"])
    with pytest.raises(BadInput, match=r"arm gcpo_expected stands at alpha 2\.0, and profile smoke gives it 1\.0"):
        plan_cells(profile, get_experiment("figure4a").in_profile(profile))


def test_the_point_at_the_default_is_the_cell_of_the_tables():
    smoke = load_profile("smoke")
    cells = {cell.id for cell in plan_cells(smoke, get_experiment("figure4a").in_profile(smoke))}
    assert planned_cell(smoke, next(iter(smoke.bases)), get_arm("gcpo_expected"), 0).id in cells


def built(tmp_path, name, effects, seeds=4, margin=0.1):
    profile = load_profile("micro-slips", FIGURE_SETS)
    figure = replace(EXPERIMENTS[name], margin=margin)
    return sweep.measure(profile, figure, figure_cells(figure, effects, seeds), tmp_path, "make reproduce")


def words(data):
    return {each.statement: each.verdict for each in data.decisions}


def test_a_peak_at_the_papers_best_value_is_found(tmp_path):
    arms = EXPERIMENTS["figure4a"].sweep.series[0].arms
    effects = {arm: 0.10 - 0.04 * abs(alpha - 2.0) ** 0.5 for alpha, arm in arms.items()}
    found = words(built(tmp_path, "figure4a", effects))
    assert found["alpha = 2 is best"] == "supported"
    assert found["the curve over alpha is not flat"] == "supported"
    assert found["rises"] == found["above the lowest"] == found["falls"] == "supported"
    assert found["alpha does more than a scaling of every advantage"] == "reversed"  # the control stays at .10


def test_a_flat_curve_is_equivalent_and_never_a_best_value(tmp_path):
    found = words(built(tmp_path, "figure4a", {}, margin=0.5))
    assert set(found.values()) == {"equivalent"}


def test_a_peak_elsewhere_is_reversed_and_names_the_value(tmp_path):
    data = built(tmp_path, "figure4a", {"gcpo_alpha_34": 0.2})
    best = data.decision("alpha = 2 is best", FIGURE_BASE)
    assert best.verdict == "reversed" and "below 3.4" in best.measured and words(data)["falls"] == "reversed"


def test_similarities_that_differ_contradict_negligible_and_equal_ones_support_it(tmp_path):
    differ = words(built(tmp_path, "figure4c", {"gcpo_gaussian": 0.02}))
    assert differ["the similarity does not matter at equal alpha"] == "contradicted"
    equal = words(built(tmp_path, "figure4c", {}, margin=0.5))
    assert set(equal.values()) == {"supported"}


def test_arms_with_equal_answers_differ_by_nothing(tmp_path):
    figure = EXPERIMENTS["figure4a"]
    cells = figure_cells(figure, {})
    same = {cell["seed"]: cell["suites"] for cell in cells if cell["arm"] == "grpo"}
    alike = [cell if cell["arm"] == "base" else cell | {"suites": same[cell["seed"]]} for cell in cells]
    profile = load_profile("micro-slips", FIGURE_SETS)
    assert set(words(sweep.measure(profile, figure, alike, tmp_path, "make reproduce")).values()) == {"equivalent"}


def test_one_seed_and_missing_points_are_said_to_be_so(tmp_path):
    one = words(built(tmp_path, "figure4b", {}, seeds=1))
    assert "supported" not in one.values()
    profile = load_profile("micro-slips", FIGURE_SETS)
    figure = EXPERIMENTS["figure4b"]
    cells = [cell for cell in figure_cells(figure, {}) if cell["arm"] in ("base", "grpo")]
    data = sweep.measure(profile, figure, cells, tmp_path, "make reproduce")
    assert set(words(data).values()) == {"not tested"} and "Not run: GCPO expected, w/o KL Term" in data.notes[-1]


def test_the_mean_upsilon_is_over_the_steps_that_have_one(tmp_path):
    figure = EXPERIMENTS["figure4c"]
    for cell in figure_cells(figure, {}, seeds=2):
        (tmp_path / cell["cell_id"]).mkdir()
        values = ["null", "1.5", "2.5"] if cell["arm"] == "gcpo_expected" else ["null"]
        lines = [f'{{"step": {step}, "upsilon/mean": {value}}}\n' for step, value in enumerate(values)]
        (tmp_path / cell["cell_id"] / "metrics.jsonl").write_text("".join(lines))
    rows = {row["arm"]: row["mean_upsilon"] for row in built(tmp_path, "figure4c", {}, seeds=2).rows}
    assert rows["gcpo_expected"] == 2.0 and rows["gcpo_gaussian"] is None and rows["grpo"] is None


def test_data_survive_their_json_and_the_csv_has_every_point(tmp_path):
    data = built(tmp_path, "figure4a", {}, seeds=2)
    (tmp_path / "figure4a.json").write_text(to_json(data))
    assert read_figure(tmp_path / "figure4a.json") == data
    lines = to_csv(data).splitlines()
    assert len(lines) == 1 + 2 + 20 and lines[0].startswith("figure,profile,stamp,base,kind,series,setting,value")
    (tmp_path / "figure4a.json").write_text(to_json(data)[:200])
    with pytest.raises(BadInput, match=r"figure4a\.json is damaged"):
        read_figure(tmp_path / "figure4a.json")


@pytest.mark.parametrize("name", FIGURES)
def test_the_picture_has_a_mark_for_every_measured_point(tmp_path, name):
    data = built(tmp_path, name, {}, seeds=2)
    (axes,) = pictures.draw(data).axes
    drawn = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in "osD" and line.get_zorder() == 4)
    assert drawn == sum(row["kind"] == "point" for row in data.rows)


def test_arms_with_more_seeds_than_others_are_drawn_on_those_that_all_have(tmp_path):
    profile, target = load_profile("micro-slips", FIGURE_SETS), EXPERIMENTS["figure4b"]
    small = replace(target, arms=("base", "grpo", "gcpo_no_kl", "gcpo_kappa_06"))
    cells = figure_cells(small, {}, seeds=4)
    fewer = [cell for cell in cells if cell["arm"] != "gcpo_no_kl" or cell["seed"] in (1, 2)]
    kept = on_common_seeds(fewer)
    assert {(cell["arm"], cell["seed"]) for cell in kept if cell["method"]} == {
        (arm, seed) for arm in ("grpo", "gcpo_no_kl", "gcpo_kappa_06") for seed in (1, 2)
    }
    assert [cell for cell in kept if not cell["method"]] == [cell for cell in cells if not cell["method"]]
    data = sweep.measure(profile, target, fewer, tmp_path, "make reproduce-figure4b")
    rows = {row["arm"]: row for row in data.rows}
    assert {row["seeds"] for row in rows.values() if row["ours"] is not None and row["arm"] != "base"} == {2}
    gap = rows["gcpo_kappa_06"]["ours"] - rows["gcpo_no_kl"]["ours"]
    whole = sweep.measure(profile, target, kept, tmp_path, "make reproduce-figure4b")
    assert gap == pytest.approx({row["arm"]: row for row in whole.rows}["gcpo_kappa_06"]["ours"]
                                - {row["arm"]: row for row in whole.rows}["gcpo_no_kl"]["ours"])  # fmt: skip
    nothing = [cell for cell in cells if cell["arm"] != "gcpo_no_kl" or cell["seed"] == 0]
    nothing = [cell for cell in nothing if cell["arm"] != "grpo" or cell["seed"] > 0]
    assert on_common_seeds(nothing) == nothing


def test_a_curve_of_which_only_the_base_was_measured_is_drawn_round_it(tmp_path):
    profile, target = load_profile("micro-slips", FIGURE_SETS), EXPERIMENTS["figure4b"]
    cells = [cell for cell in figure_cells(target, {}, seeds=2) if cell["arm"] == "base"]
    data = sweep.measure(profile, target, cells, tmp_path, "make reproduce-figure4b")
    (row,) = [row for row in data.rows if row["ours"] is not None]
    low, high = pictures.draw(data).axes[0].get_ylim()
    assert low < row["ours"] < high
