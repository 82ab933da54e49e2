import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic_cells import BASES, SUITES, make_cell, make_cells

from repro import tables
from repro.errors import BadInput
from repro.tables import AVERAGE, ArmRow, BaseRow, ClaimRow, SuiteColumn, TableSpec

BENCHMARKS = ("AIME24", "AIME25", "AMC23", "MATH500", "Minerva")
PAPER_METHOD = {"base": "base", "grpo": "GRPO", "rest_mcts": "ReST-MCTS", "gvpo": "GVPO", "drgrpo": "Dr.GRPO",
                "gcpo_expected": "GCPO", "gcpo_mc": "GCPO"}  # fmt: skip
PRINTED = {"base": 40.0, "GRPO": 42.0, "ReST-MCTS": 42.5, "GVPO": 43.0, "Dr.GRPO": 43.2, "GCPO": 45.0}


def paper(average=lambda method: PRINTED[method]):
    rows = []
    for model in ("model A", "model B"):
        for method, level in PRINTED.items():
            for benchmark in (*BENCHMARKS, AVERAGE):
                value = average(method) if benchmark == AVERAGE else level
                gain = "" if method == "base" else f"{level - PRINTED['base']:+.1f}"
                rows.append((model, method, benchmark, f"{value:.1f}", gain, "new", np.nan, ""))
    names = (
        "model",
        "method",
        "benchmark",
        "printed",
        "printed_gain",
        "provenance",
        "independent",
        "independent_source",
    )
    frame = pd.DataFrame(rows, columns=names)
    here = (frame.model == "model A") & (frame.method == "base") & (frame.benchmark == AVERAGE)
    frame.loc[here, ["independent", "independent_source"]] = [39.5, "Somebody"]
    return frame


def spec(**changes):
    arms = tuple(
        ArmRow(arm, method if arm != "gcpo_mc" else "GCPO mc", method, "not run yet" if arm == "rest_mcts" else "")
        for arm, method in PAPER_METHOD.items()
    )
    claims = (
        ClaimRow("gain", "GCPO above base", "gcpo_expected", "base"),
        ClaimRow("grpo", "GCPO above GRPO", "gcpo_expected", "grpo", primary=True),
        ClaimRow("gvpo", "GCPO above GVPO", "gcpo_expected", "gvpo", primary=True),
        ClaimRow("lost", "GVPO reaches less than GCPO", "gcpo_expected", "gvpo", scale="share lost"),
        ClaimRow("mcts", "GCPO above ReST-MCTS", "gcpo_expected", "rest_mcts"),
    )
    made = TableSpec(
        id="table1",
        title="Pass@1 on five suites",
        profile="micro",
        stamp="",
        bases=(BaseRow("nano-s", "model A"), BaseRow("nano-m", "model B")),
        arms=arms,
        suites=tuple(SuiteColumn(suite, benchmark, False) for suite, benchmark in zip(SUITES, BENCHMARKS, strict=True)),
        claims=claims,
        command="make table1 SEEDS=3",
        p_values=True,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def cells():
    return make_cells(3, bases=BASES[1:], questions=30)


@pytest.fixture(scope="module")
def table(cells):
    return tables.build_table1(cells, spec(), paper())


def test_average_is_the_plain_mean_of_unrounded_suites(table):
    for base in ("nano-s", "nano-m"):
        for arm in ("base", "grpo", "gcpo_mc"):
            suites = [table.row(base, arm, suite).ours.value for suite in SUITES]
            assert table.row(base, arm).ours.value == pytest.approx(np.mean(suites), abs=1e-12)


def test_scores_are_the_pooled_counts_of_all_seeds(table, cells):
    right = sum(sum(c["suites"][SUITES[0]]["correct"]) for c in cells if (c["base"], c["arm"]) == ("nano-s", "grpo"))
    assert table.row("nano-s", "grpo", SUITES[0]).ours.value == pytest.approx(100 * right / (3 * 30 * 8))


def test_gain_and_difference_follow_from_the_scores(table):
    row, base, reference = (table.row("nano-m", arm) for arm in ("gcpo_expected", "base", "grpo"))
    assert row.gain.value == pytest.approx(row.ours.value - base.ours.value)
    assert row.versus.value == pytest.approx(row.ours.value - reference.ours.value)
    assert row.versus.low < row.versus.value < row.versus.high and row.versus.mdg > 0
    assert reference.versus is None and base.gain is None


def test_difference_is_paired_on_the_seeds_that_both_arms_have(cells):
    fewer = [c for c in cells if not (c["arm"] == "gvpo" and c["seed"] == 2)]
    built = tables.build_table1(fewer, spec(), paper())
    row = built.row("nano-s", "gvpo")
    assert row.versus.seeds == 2 and row.ours.seeds == 2 and built.row("nano-s", "grpo").ours.seeds == 3
    low_only = [c for c in cells if c["seed"] < 2]
    assert row.versus == tables.build_table1(low_only, spec(), paper()).row("nano-s", "gvpo").versus


def test_arms_without_seeds_in_common_are_not_compared(cells):
    apart = [c for c in cells if c["arm"] != "gvpo" or c["seed"] == 2]
    apart = [c for c in apart if c["arm"] != "grpo" or c["seed"] != 2]
    assert tables.build_table1(apart, spec(), paper()).row("nano-s", "gvpo").versus is None


def test_the_base_is_one_checkpoint_whose_evaluations_are_pooled(table):
    estimate = table.row("nano-s", "base").ours
    assert estimate.covers.startswith("one checkpoint") and estimate.seeds == 1


def test_missing_arms_and_cells_show_as_not_run(cells):
    built = tables.build_table1([c for c in cells if c["arm"] != "gvpo"], spec(), paper())
    for arm in ("gvpo", "rest_mcts"):
        assert built.row("nano-s", arm).ours is None and built.arm("nano-s", arm).status == "not run yet"
    text = tables.to_markdown(built)
    assert "| ReST-MCTS | 42.5 (+2.5) | none | not run yet | - | - | - | - | 1.25 / 1.25 | - |" in text
    claims = {(c.claim, c.base): c.direction for c in built.claims}
    assert claims["mcts", "nano-s"] == claims["mcts", "all"] == "not tested"


def test_an_arm_that_cannot_be_run_says_why(cells):
    arms = tuple(replace(a, why_not="needs its data") if a.id == "rest_mcts" else a for a in spec().arms)
    built = tables.build_table1(cells, spec(arms=arms), paper())
    assert built.arm("nano-s", "rest_mcts").status == "cannot be run (needs its data)"


def test_table_without_any_cell_still_prints(tmp_path):
    built = tables.build_table1([], spec(), paper())
    assert {arm.status for arm in built.arms} == {"not run yet"}
    assert {claim.direction for claim in built.claims} == {"not tested"}
    assert len(tables.write_table1(built, tmp_path)) == 4


def test_p_values_are_withheld_without_calibration(cells):
    built = tables.build_table1(cells, spec(p_values=False), paper())
    assert all(row.versus.p is None for row in built.rows if row.versus)
    assert all(c.p == c.holm == {} and (c.difference is None or c.difference.p is None) for c in built.claims)
    text = tables.to_markdown(built)
    assert "p-values are withheld" in text and "Holm p 0" not in text


def test_one_seed_is_marked_as_sampling_only(cells):
    built = tables.build_table1([c for c in cells if c["seed"] == 0], spec(), paper())
    assert "1 x 8 (1 seed, sampling only)" in tables.to_markdown(built)
    assert built.row("nano-s", "gvpo").versus.covers == "1 seed, sampling only"


def test_markdown_carries_stamp_stand_in_note_detectable_gap_and_provenance(cells):
    dirty = [{**cells[0], "dirty": True}, *cells[1:]]
    text = tables.to_markdown(tables.build_table1(dirty, spec(stamp="smoke: not a result"), paper()))
    for wanted in ("**smoke: not a result**", "stand-ins", "Primary outcome: avg@k",
                   "MDG (nano-s): ", "power 80 %, 3 seeds x 8 samples)",
                   "`make table1 SEEDS=3`", "Runs: 36; commit cccccccccccc", "†", "39.5 (Somebody)"):  # fmt: skip
        assert wanted in text
    assert "†" not in tables.to_markdown(tables.build_table1(cells, spec(), paper()))


def test_footnote_names_a_printed_average_that_its_cells_do_not_give(cells):
    built = tables.build_table1(cells, spec(), paper(lambda method: 45.2 if method == "GCPO" else PRINTED[method]))
    assert built.footnotes == tuple(
        f"The paper prints 45.2 as the average of {model}, GCPO; its cells give 45.00."
        for model in ("model A", "model B")
    )


def test_footnotes_of_the_transcribed_table_are_the_four_known_averages():
    from repro.paper import MODELS, load_table

    bases = tuple(BaseRow(base, model) for base, model in zip(BASES, MODELS, strict=True))
    built = tables.build_table1([], spec(bases=bases), load_table("table1"))
    assert [note.split(" as ")[0].split()[-1] for note in built.footnotes] == ["56.8", "46.4", "46.7", "46.9"]


def test_csv_has_one_line_per_base_arm_and_suite_with_unrounded_numbers(table):
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(table))))
    assert len(rows) == 2 * 7 * 6
    row = next(r for r in rows if (r["base"], r["arm"], r["suite"]) == ("nano-s", "gvpo", AVERAGE))
    assert float(row["versus_low"]) == table.row("nano-s", "gvpo").versus.low
    assert row["seeds"] == "0 1 2" and row["k"] == "8"
    ratio = table.row("nano-s", "gvpo").size
    assert float(row["gain_ratio_high"]) == ratio.high
    assert float(row["printed_gain_ratio_from_averages"]) == pytest.approx(1.5) and row["greedy_value"] == ""
    absent = next(r for r in rows if r["arm"] == "rest_mcts")
    assert absent["ours_value"] == "" and absent["printed"] == "42.5" and absent["status"] == "not run yet"


def test_latex_is_balanced_and_escapes_what_latex_would_read(table):
    text = tables.to_latex(table)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 15 and {line.count(" & ") for line in body} == {12}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert not re.search(r"(?<!\\)%", "\n".join(body)) and r"\toprule" in text


def test_two_builds_are_byte_identical_and_json_round_trips(cells, table, tmp_path):
    again = tables.build_table1(list(reversed(cells)), spec(), paper())
    assert tables.table_json(again) == tables.table_json(table)
    paths = tables.write_table1(table, tmp_path)
    assert [path.name for path in paths] == ["table1.md", "table1.csv", "table1.tex", "table1.json"]
    assert tables.read_table(tmp_path / "table1.json") == table


def test_damaged_table_is_named(table, tmp_path):
    path = tmp_path / "table1.json"
    with pytest.raises(BadInput, match="does not exist"):
        tables.read_table(path)
    data = json.loads(tables.table_json(table))
    del data["rows"][0]["greedy"]
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput, match=r"rows\.0\.greedy"):
        tables.read_table(path)


# --- what is refused ---------------------------------------------------------


def changed(cell, suite=SUITES[0], **fields):
    return {**cell, "suites": {**cell["suites"], suite: {**cell["suites"][suite], **fields}}}


def test_cells_that_differ_in_what_was_measured_are_refused():
    a, b = make_cell("nano-s", "grpo", 0, questions=20), make_cell("nano-s", "gvpo", 0, questions=20)
    ids = b["suites"][SUITES[0]]["question_ids"]
    fewer = make_cell("nano-s", "gvpo", 0, questions=20, k=4)
    for other, words in (
        (fewer, "k=8 and k=4"),
        (changed(b, question_ids=[*ids[:-1], "another"]), "different questions"),
        (changed(b, question_ids=ids[::-1]), "different questions"),
        ({**b, "evaluate_hash": "f"}, "evaluation specification"),
        ({**b, "device": "NVIDIA H100"}, "GPU model"),
        ({**b, "base_weights": "other"}, "weights of base nano-s"),
        ({**b, "arm": "grpo"}, "one cell per base, arm and seed"),
        ({**b, "suites": {SUITES[0]: b["suites"][SUITES[0]]}}, "different suites"),
        (changed(b, avg_at_k=0.99), "does not follow from its counts"),
        (changed(b, correct=[9] * 20), "outside 0..8"),
        (changed(b, correct=[1] * 19), "one per question"),
        (changed(b, greedy={"correct": [1] * 19}), "one 0 or 1 for each"),
        (changed(b, greedy={"correct": [2] * 20}), "one 0 or 1 for each"),
        ({key: value for key, value in b.items() if key != "dirty"}, "lacks dirty"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            tables.check_cells([a, other])
    tables.check_cells([a, b])


def test_cells_outside_the_table_are_refused(cells):
    with pytest.raises(BadInput, match="is no row of table1"):
        tables.build_table1([make_cell("nano-s-hard", "grpo", 0)], spec(), paper())
    with pytest.raises(BadInput, match="want"):
        tables.build_table1(cells, spec(suites=spec().suites[:4]), paper())


def test_scores_on_the_grid_of_single_answers_are_flagged(cells):
    single = make_cell("nano-s", "grpo", 0, questions=30)
    for suite in SUITES:
        single = changed(single, suite, correct=[8] * 12 + [0] * 18, avg_at_k=0.4)
    assert tables.lint_grid([single]) and not tables.lint_grid([cells[0]])
    assert not tables.lint_grid([make_cell("nano-s", "base", 0, k=1)])
    rest = [c for c in cells if (c["base"], c["arm"]) != ("nano-s", "grpo")]
    text = tables.to_markdown(tables.build_table1([*rest, single], spec(), paper()))
    assert "nano-s, GRPO: every score with k > 1 is a multiple of 1/questions" in text


# --- the registered table ----------------------------------------------------


def test_registered_table_gives_stand_ins_by_position_and_withholds_p_values(monkeypatch, tmp_path):
    from repro.cells.experiments import get_experiment
    from repro.config import load_profile

    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    made = tables.table_spec(load_profile("smoke"), get_experiment("table1"), "make smoke", list(SUITES))
    assert [suite.paper_benchmark for suite in made.suites] == list(BENCHMARKS)
    assert not any(suite.same_task for suite in made.suites) and made.stamp == "smoke: not a result"
    assert made.bases[0].paper_model == "R1-Distill-1.5B" and not made.p_values
    folder = tmp_path / "published" / "smoke"
    folder.mkdir(parents=True)
    (folder / "calibration.json").write_text('{"passed": true}')
    again = tables.table_spec(load_profile("smoke"), get_experiment("table1"), "make smoke", ["only-one"])
    assert again.p_values and again.suites[0].paper_benchmark is None
    assert (again.outcome, again.margin, again.reference) == ("avg@k", 0.10, "grpo")


def test_real_benchmarks_are_known_by_the_names_they_are_loaded_under_in_any_case():
    from repro.cells.experiments import get_experiment
    from repro.config import load_profile
    from repro.tasks.benchmarks.loading import SUITES as KNOWN

    paper_profile, table1 = load_profile("paper"), get_experiment("table1")
    for names in (list(KNOWN), [name.lower() for name in KNOWN]):
        columns = tables.table_spec(paper_profile, table1, "make", names).suites
        assert all(column.same_task for column in columns) and [column.id for column in columns] == names
        beside = [column.paper_benchmark for column in columns if column.paper_benchmark]
        assert sorted(beside) == sorted(BENCHMARKS)
    with pytest.raises(BadInput, match="unknown suite 'aime99'"):
        tables.table_spec(paper_profile, table1, "make", ["aime99"])


# --- yours against published -------------------------------------------------


def test_comparison_asks_whether_yours_lies_in_the_published_interval(table, cells):
    rows = tables.compare_with_published(table, table)
    assert {row.verdict for row in rows} == {"within CI"}
    shifted = [
        make_cell(c["base"], c["arm"], c["seed"], effect=0.4, questions=30) if c["arm"] == "grpo" else c for c in cells
    ]
    other = tables.build_table1(shifted, spec(), paper())
    verdicts = {(*r.place.values(), r.what): r.verdict for r in tables.compare_with_published(other, table)}
    assert verdicts["nano-s", "GRPO", AVERAGE, "gain over the base"] == "outside CI"
    text = tables.comparison_markdown(rows)
    assert f"{len(rows)} of {len(rows)} of your numbers" in text and "yours in its interval" in text


def test_comparison_refuses_another_table_or_other_questions(table, cells):
    with pytest.raises(BadInput, match="are different"):
        tables.compare_with_published(table, replace(table, head=replace(table.head, profile="gpu")))
    with pytest.raises(BadInput, match="questions differ"):
        tables.compare_with_published(table, replace(table, head=replace(table.head, questions={"x": 1})))
    part = tables.build_table1([c for c in cells if c["arm"] != "gvpo"], spec(), paper())
    rows = tables.compare_with_published(table, part)
    assert {row.verdict for row in rows if row.place["method"] == "GVPO"} == {"not run"}
