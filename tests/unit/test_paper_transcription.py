"""The transcription agrees with a second one, taken from the paper's text by another route, and with itself."""

from fractions import Fraction

import pytest

from repro.errors import BadInput
from repro.paper import AVERAGE, BENCHMARKS, FILES, MODELS, PROVENANCE, TABLES, cells, exact, load_table

# Second entry: the lines of the paper's text without citations (Tables 1 and 3 from arXiv 2508.05428; Table 2 from the
# AAAI-26 text, because the arXiv text breaks its last column). The CSV files were typed from the tables by hand.
PAPER_TEXT = {
    "table1": """
DeepScaleR-1.5B-Preview | 42.8 | 36.7 | 83.0 | 85.2 | 24.6 | 54.5
+GRPO | 44.5 (+1.7) | 39.3 (+2.6) | 81.5 (-1.5) | 84.9 (-0.3) | 24.7 (+0.1) | 55.0 (+0.5)
+ReST-MCTS | 45.5 (+2.7) | 39.5 (+2.8) | 83.4 (+0.4) | 84.8 (-0.4) | 23.9 (-0.7) | 55.4 (+0.9)
+GVPO | 46.1 (+3.3) | 39.7 (+3.0) | 83.6 (+0.6) | 85.7 (+0.5) | 25.3 (+0.7) | 56.1 (+1.6)
+Dr.GRPO | 45.8 (+3.0) | 39.6 (+2.9) | 82.1 (-0.9) | 85.3 (+0.1) | 25.1 (+0.5) | 55.6 (+1.1)
+GCPO | 46.7 (+3.9) | 40.3 (+3.6) | 84.1 (+1.1) | 86.3 (+1.1) | 25.9 (+1.4) | 56.8 (+2.3)
DeepSeek-R1-Distill-Qwen-1.5B | 28.7 | 26.0 | 69.9 | 80.1 | 19.8 | 44.9
+GRPO | 29.8 (+1.1) | 27.3 (+1.3) | 70.5 (+0.6) | 80.3 (+0.2) | 22.1 (+2.3) | 46.0 (+1.1)
+ReST-MCTS | 30.5 (+1.8) | 28.6 (+2.6) | 71.1 (+1.2) | 80.4 (+0.3) | 20.3 (+0.5) | 46.4 (+1.5)
+GVPO | 30.6 (+1.9) | 28.2 (+2.2) | 71.5 (+1.6) | 80.5 (+0.4) | 23.1 (+3.3) | 46.7 (+1.8)
+Dr.GRPO | 30.4 (+1.7) | 28.4 (+2.4) | 71.3 (+1.4) | 80.8 (+0.7) | 22.9 (+3.1) | 46.9 (+2.0)
+GCPO | 31.0 (+2.3) | 29.0 (+3.0) | 71.8 (+1.9) | 81.6 (+1.5) | 23.4 (+3.6) | 47.4 (+2.5)
DeepSeek-R1-Distill-Qwen-7B | 55.5 | 50.2 | 85.1 | 87.4 | 42.1 | 64.1
+GRPO | 56.9 (+1.4) | 51.7 (+1.5) | 85.5 (+0.4) | 87.7 (+0.3) | 43.5 (+1.4) | 65.1 (+1.0)
+ReST-MCTS | 57.1 (+1.6) | 52.4 (+2.2) | 85.7 (+0.6) | 87.9 (+0.5) | 42.8 (+0.7) | 65.2 (+1.1)
+GVPO | 57.5 (+2.0) | 52.1 (+1.9) | 86.3 (+1.2) | 88.5 (+1.1) | 44.2 (+2.1) | 65.7 (+1.6)
+Dr.GRPO | 57.4 (+1.9) | 52.3 (+2.1) | 86.4 (+1.3) | 88.2 (+0.8) | 44.0 (+1.9) | 65.7 (+1.6)
+GCPO | 58.3 (+2.8) | 53.0 (+2.8) | 87.3 (+2.2) | 89.1 (+1.7) | 45.0 (+2.9) | 66.5 (+2.4)
""",
    "table2": """
GCPO | 46.7 | 40.3 | 84.1 | 86.3 | 25.9 | 56.8
w/o Adv. Weighting | 45.0 | 39.0 | 83.0 | 85.4 | 24.6 | 55.4
w/o KL Term | 45.3 | 39.4 | 83.3 | 85.3 | 24.9 | 55.6
""",
    "table3": """
DeepScaleR-1.5B-Preview | 42.8 | 36.7 | 83.0 | 85.2 | 24.6 | 54.5
+GRPO | 44.5 | 39.3 | 81.5 | 84.9 | 24.7 | 55.0
+GRPO + MCTS | 45.3 | 40.2 | 82.4 | 85.4 | 25.1 | 55.7
+GVPO | 46.1 | 39.7 | 83.6 | 85.7 | 25.3 | 56.1
+GVPO + MCTS | 46.8 | 40.5 | 83.9 | 86.2 | 25.6 | 56.6
+Dr.GRPO | 45.8 | 39.6 | 82.1 | 85.3 | 25.1 | 55.6
+Dr.GRPO + MCTS | 46.5 | 40.4 | 82.9 | 85.9 | 25.5 | 56.2
+GCPO | 46.7 | 40.3 | 84.1 | 86.3 | 25.9 | 56.8
+GCPO + MCTS | 47.5 | 41.2 | 84.6 | 86.9 | 26.3 | 57.3
""",
}

BASES = {
    "DeepScaleR-1.5B-Preview": "DeepScaleR-1.5B",
    "DeepSeek-R1-Distill-Qwen-1.5B": "R1-Distill-1.5B",
    "DeepSeek-R1-Distill-Qwen-7B": "R1-Distill-7B",
}


def parse(text: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    """(model, method, benchmark) -> (value, gain) of a block of the paper's text."""
    model, entries = "DeepScaleR-1.5B", {}
    for line in text.strip().splitlines():
        name, *columns = (part.strip() for part in line.split("|"))
        model = BASES.get(name, model)
        method = "base" if name in BASES else name.removeprefix("+")
        for benchmark, column in zip((*BENCHMARKS, AVERAGE), columns, strict=True):
            value, _, gain = column.partition(" ")
            entries[model, method, benchmark] = (value, gain.strip("()"))
    return entries


def transcribed(name: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    frame = load_table(name)
    keys = zip(frame.model, frame.method, frame.benchmark, strict=True)
    return dict(zip(keys, zip(frame.printed, frame.printed_gain, strict=True), strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_agrees_with_the_second_transcription(name):
    assert transcribed(name) == parse(PAPER_TEXT[name])


def test_one_changed_digit_would_be_seen():
    changed = PAPER_TEXT["table1"].replace("71.1 (+1.2)", "72.1 (+1.2)")
    assert transcribed("table1") != parse(changed)


CHECKSUMS = [("table1", 108, "6020.9"), ("table2", 18, "1006.3"), ("table3", 54, "3021.7")]


@pytest.mark.parametrize(("name", "rows", "total"), CHECKSUMS)
def test_row_counts_and_sums_match_the_checksums(name, rows, total):
    frame = load_table(name)
    assert len(frame) == rows
    assert not frame.duplicated(["model", "method", "benchmark"]).any()
    assert sum(map(exact, frame.printed), Fraction(0)) == exact(total)


def test_every_row_has_one_provenance():
    for name in TABLES:
        frame = load_table(name)
        assert set(frame.provenance) <= set(PROVENANCE)
        assert (frame.groupby(["model", "method"]).provenance.nunique() == 1).all()


def test_table_1_has_ten_new_rows_and_eight_copied_ones():
    rows = load_table("table1").drop_duplicates(["model", "method"])
    assert rows.provenance.value_counts().to_dict() == {"new": 10, "MRT": 4, "L2T": 4}
    assert set(rows[rows.method == "GCPO"].provenance) == {"new"}


def test_independent_values_are_joined_with_their_source():
    frame = load_table("table1").set_index(["model", "method", "benchmark"])
    row = frame.loc[("R1-Distill-1.5B", "base", "AIME24")]
    assert (row.independent, row.independent_source, row.independent_sd) == (28.7, "Sober", 4.8)
    row = frame.loc[("R1-Distill-1.5B", "GRPO", AVERAGE)]
    assert (row.independent, row.independent_source) == (45.43, "CMU MRT v0.1")
    assert frame.loc[("R1-Distill-7B", "base", AVERAGE)].independent == pytest.approx(63.4)
    assert frame.loc[("R1-Distill-7B", "GCPO", AVERAGE)].independent_source == ""


def test_gc2pos_table_is_second_hand_and_its_averages_are_over_six_suites():
    frame = load_table("gc2po").set_index(["method", "benchmark"])
    assert set(frame.model) == {"R1-Distill-7B"}
    for method in ("GCPO", "L2T", "GC2PO"):
        rows = frame.loc[method]
        assert round(rows.value[rows.index != AVERAGE].mean(), 1) == rows.value[AVERAGE]
        assert set(rows.index) == {*BENCHMARKS, "GSM8K", AVERAGE}
    six = [frame.value["GC2PO", suite] for suite in (*BENCHMARKS, "GSM8K") if suite != "MATH500"]
    assert 6 * 71.8 - sum(six) == pytest.approx(frame.value["GC2PO", "MATH500"])
    assert frame.provenance["GC2PO", "MATH500"] == "derived"
    gcpo = load_table("table1").query("model == 'R1-Distill-7B' and method == 'GCPO'").set_index("benchmark")
    assert all(gcpo.printed[suite] == frame.printed["GCPO", suite] for suite in BENCHMARKS)


def test_nobody_measured_gcpo_independently():
    frame = load_table("table1")
    assert frame[frame.method == "GCPO"].independent.isna().all()


def test_cells_are_exact_fractions():
    assert cells("table1", MODELS[0], "GCPO")["AIME24"] == Fraction(467, 10)
    assert exact("56.8") * 5 == 284


def test_all_files_load_and_an_unknown_name_is_refused():
    for name in FILES:
        assert len(load_table(name)) > 0, name
    with pytest.raises(BadInput, match="table9"):
        load_table("table9")
    with pytest.raises(BadInput, match=r"AIME24 for DeepScaleR-1\.5B / PPO"):
        cells("table1", MODELS[0], "PPO")


def test_only_figure_values_that_the_text_states_carry_a_number():
    frame = load_table("figures")
    assert set(frame.status) == {"known", "implied", "no label"}
    known = frame[(frame.figure == "3") & (frame.status == "known")]
    assert list(known.printed) == ["65.1", "72.0", "+2.9", "+5.5"]
