import json
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from synthetic_cells import BASES, SUITES, make_cells, make_metrics
from synthetic_cells import synthetic_table as build

from repro import figures, tables
from repro.cells.experiments import EXPERIMENTS
from repro.errors import BadInput
from repro.figures import search, table1
from repro.figures.contrasts import contrasts, is_ablation
from repro.reporting.published import profiles, published
from repro.tables.finding import finding


@pytest.fixture(scope="module")
def table():
    return build(make_cells(3, bases=BASES[:2], arms=("base", "grpo", "gvpo", "gcpo_expected"), questions=20))


def a_published(wanted):
    """The first published table of that kind, whatever profile it is of."""
    made = [each.table for profile in profiles() for each in published(profile) if each.table]
    return next(table for table in made if wanted(table))


def diamonds(axes):
    return sorted(round(float(line.get_xdata()[0]), 6) for line in axes.lines if line.get_marker() == "D"
                  and line.get_markerfacecolor() == "none")  # fmt: skip


def intervals(axes):
    return [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2]


def test_forest_plot_draws_our_intervals_and_the_papers_multiples(table):
    top, middle, bottom = table1.gains(table).axes[::2]
    arms = ("grpo", "gvpo", "gcpo_expected")
    rows = {arm: table.row(BASES[0], arm) for arm in arms}
    assert intervals(top) == [(row.gain.low, row.gain.high) for row in rows.values()]
    assert intervals(middle) == [(rows[a].versus.low, rows[a].versus.high) for a in arms[1:]]
    assert intervals(bottom) == [(rows[a].size.low, rows[a].size.high) for a in arms[1:]]
    assert diamonds(top) == diamonds(middle) == []  # gains and gaps of other tasks are not on one axis with ours
    assert diamonds(bottom) == pytest.approx([1.8, 24 / 13, 81 / 26, 3.2, 55 / 13, 4.6], abs=1e-5)
    assert any(text.get_text() == "not run" for text in top.texts)


def test_gains_of_the_papers_own_tasks_stand_beside_ours(table):
    top = table1.gains(replace(table, head=replace(table.head, stand_in=False))).axes[0]
    assert diamonds(top) == [0.5, 0.9, 1.6, 2.3]


def test_bands_show_the_detectable_gap_of_their_row_and_the_dots_the_margin(table):
    panel = table1.gains(table).axes[2]
    gaps = [table.row(BASES[0], arm).versus.mdg for arm in ("gvpo", "gcpo_expected")]
    assert gaps[0] != gaps[1]
    assert [(band.get_x(), band.get_width()) for band in panel.patches] == [
        pytest.approx((-gap, 2 * gap)) for gap in gaps
    ]
    margin = 0.1 * table.row(BASES[0], "grpo").gain.value
    assert sorted(line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == ":") == pytest.approx(
        [-margin, margin]
    )


def test_ratio_without_ends_is_written_and_not_drawn(table):
    rows = tuple(
        replace(row, size=replace(row.size, low=None, high=None)) if row.arm == "gvpo" and row.size else row
        for row in table.rows
    )
    bottom = table1.gains(replace(table, rows=rows)).axes[4]
    assert [text.get_text() for text in bottom.texts].count("no bounds") == 1


def test_base_without_a_counterpart_is_drawn_without_diamonds():
    cells = make_cells(3, bases=BASES[:2], arms=("base", "grpo", "gvpo"), questions=20)
    figure = table1.gains(build(cells, models=(None, None)))
    assert all(diamonds(axes) == [] for axes in figure.axes)
    assert not any("printed" in text.get_text() for text in figure.legends[0].get_texts())
    assert not any("beside" in text.get_text() for text in figure.axes[0].texts)


def test_greedy_scores_are_second_bars_of_the_suites():
    cells = make_cells(3, bases=BASES[:1], arms=("base", "grpo"), questions=20, greedy=True)
    axes = table1.suites(build(cells)).axes[0]
    assert len(intervals(axes)) == 4


def test_suites_have_one_panel_per_base_and_suite_without_arms_that_did_not_run(table):
    figure = table1.suites(table)
    assert len(figure.axes) == 2 * len(SUITES)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["base", "GRPO", "GVPO", "GCPO"]
    assert len(intervals(figure.axes[0])) == 4


def test_stamp_of_a_smoke_run_is_on_every_picture():
    smoke = build(make_cells(2, bases=BASES[:1], arms=("base", "grpo"), questions=5), stamp="smoke: not a result")
    for figure in (table1.gains(smoke), table1.suites(smoke)):
        assert "SMOKE: NOT A RESULT" in figure.get_suptitle()


def test_table_without_cells_still_draws(tmp_path):
    paths = table1.write_figures(build([]), tmp_path)
    assert [path.name for path in paths] == [
        "table1_gains.png",
        "table1_gains.svg",
        "table1_suites.png",
        "table1_suites.svg",
    ]


def test_two_drawings_are_byte_identical_and_carry_no_date(table, tmp_path):
    first = figures.save(table1.gains(table), tmp_path / "a", "table1_gains")
    with mpl.rc_context({"font.size": 3.0, "axes.grid": False}):  # a caller's settings must not leak in
        second = figures.save(table1.gains(table), tmp_path / "b", "table1_gains")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    text = (tmp_path / "a" / "table1_gains.svg").read_text()
    assert "dc:date" not in text and "Matplotlib v" not in text


def test_style_leaves_global_settings_alone():
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["svg.hashsalt"] == "gcpo"
    assert dict(mpl.rcParams) == before


def test_neighbouring_series_never_share_colour_or_marker():
    looks = [figures.look(index) for index in range(8)]
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == 8


def test_running_mean_is_only_taken_over_full_windows():
    assert table1.smooth([1, 2, 3, 4], 2).tolist() == [1.5, 2.5, 3.5]
    assert table1.smooth([1], 2).size == 0


def test_training_curves_are_read_from_cells_and_averaged_over_seeds(table, tmp_path):
    for cell in table.head.cells:
        base, arm, seed = cell.split("__")
        folder = tmp_path / cell
        folder.mkdir()
        summary = {"base": base, "arm": arm, "seed": int(seed[1:])}
        (folder / "summary.json").write_text(json.dumps(summary))
        rows = make_metrics(int(seed[1:]), steps=20)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curves = table1.load_curves(table, tmp_path)
    assert len(curves[BASES[0], "grpo"]) == 3 and (BASES[0], "base") not in curves
    figure = table1.training(table, curves)
    (line,) = [line for line in figure.axes[0].lines if line.get_linewidth() == 2]
    wanted = np.mean([table1.smooth([row["reward"] for row in make_metrics(s, steps=20)], 5) for s in range(3)], axis=0)
    assert line.get_ydata() == pytest.approx(wanted) and line.get_xdata()[0] == 5


def test_damaged_metrics_are_named(table, tmp_path):
    folder = tmp_path / table.head.cells[-1]
    folder.mkdir()
    (folder / "summary.json").write_text("{}")
    (folder / "metrics.jsonl").write_text('{"reward": 1}\n{"rew')
    (folder / "summary.json").write_text(json.dumps({"base": BASES[0], "arm": "grpo", "seed": 0}))
    with pytest.raises(BadInput, match="line 2"):
        table1.load_curves(table, tmp_path)


def test_every_arm_has_one_look_of_its_method_and_no_two_of_a_table_share_it():
    for name in ("table1", "table2", "table3"):
        looks = [tuple(sorted(figures.look_of(arm).items())) for arm in EXPERIMENTS[name].arms]
        assert len(set(looks)) == len(looks), name
    methods = ("grpo", "gvpo", "drgrpo", "rest_mcts", "gcpo_expected", "gcpo_mc", "gcpo_corrected")
    assert len({figures.look_of(arm)["color"] for arm in methods}) == len(methods)
    for policy in ("grpo", "gcpo_expected"):
        assert {figures.look_of(f"{policy}_{kind}")["color"] for kind in figures.KINDS} == {
            figures.look_of(policy)["color"]
        }
    assert figures.look_of("grpo_rescaled")["color"] == figures.look_of("grpo")["color"]


def test_no_pair_of_colour_and_marker_comes_twice_before_the_twenty_fourth_series():
    looks = [tuple(sorted(figures.look(index).items())) for index in range(24)]
    assert len(set(looks)) == 24


def test_the_title_says_what_became_of_the_primary_claims_and_the_legend_names_every_mark(table):
    judged = a_published(lambda made: not is_ablation(made) and any(row.printed_multiples for row in made.rows))
    figure = table1.gains(judged)
    assert figure.get_suptitle().replace("\n", " ").startswith(finding(judged))
    legend = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    for mark in ("95 % interval", "equivalence", "detectable", "its averages", "its cells", "no difference"):
        assert mark in legend


def test_contrasts_of_an_ablation_stand_beside_the_papers_losses():
    ablation = a_published(is_ablation)
    left, right = contrasts(ablation).axes
    claims = [claim for claim in ablation.claims if claim.base != "all"]
    assert intervals(left) == [(claim.difference.low, claim.difference.high) for claim in claims]
    lost = [claim.size for claim in claims if claim.size.scale == "share lost"]
    assert intervals(right) == [(size.low, size.high) for size in lost]
    assert diamonds(right) == pytest.approx(sorted(each for size in lost for each in size.printed), abs=1e-5)
    assert not is_ablation(build([]))


def test_a_training_panel_has_every_seed_thin_and_the_reference_dashed(table):
    curves = {(BASES[0], arm): [make_metrics(seed) for seed in range(3)] for arm in ("grpo", "gvpo")}
    first, second = [axes for axes in table1.training(table, curves).axes if axes.get_visible()]
    assert [line.get_linewidth() for line in first.lines] == [0.6] * 3 + [2]
    assert [line.get_linestyle() for line in second.lines] == ["--", *["-"] * 4]


def test_token_curves_carry_intervals_over_seeds(tmp_path):
    def cell(seed, accuracy):
        line = [[10, accuracy], [20, accuracy + 0.1]]
        kinds = {kind: {"suite": line} for kind in ("mcts", "maj", "best")}
        record = {"curves": kinds, "k": {"suite": 2}, "example": None}
        return {"base": "b", "arm": "grpo_mcts", "seed": seed, "kinds": {}, "search": record}

    record = tables.search_record([cell(0, 0.4), cell(1, 0.5)])
    # two seeds, 40 and 50 percent: 45 +- t(0.975, 1 degree) x 5
    assert record["curves"]["b"]["grpo"]["mcts"][0] == pytest.approx([10, 45.0, 45 - 63.531, 45 + 63.531], abs=1e-2)
    axes = search.tokens(record, {"grpo": "GRPO"}).axes[0]
    assert len(axes.collections) == 3
    alone = tables.search_record([cell(0, 0.4)])
    assert alone["curves"]["b"]["grpo"]["mcts"][0][2:] == [None, None]
    assert not search.tokens(alone, {"grpo": "GRPO"}).axes[0].collections
