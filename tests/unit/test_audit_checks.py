"""The audit ends with the expected outcomes, says what it says for the right reason, and sees a changed digit."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import repro.paper as paper
from repro.paper import MODELS, audit, exact
from repro.paper.audit import arithmetic, formulas, grids, protocol, sources
from repro.paper.audit.check import NO_DATA, half_up, text
from repro.paper.findings import FAILS, HOLDS, UNDECIDED, VERDICTS
from repro.paths import benchmark_dir

NEEDS_DATA = pytest.mark.skipif(benchmark_dir() is None, reason="no folder of benchmark files (GCPO_DATA)")


@pytest.fixture(scope="module")
def done():
    return audit.checks()


@pytest.fixture(scope="module")
def found(done):
    return {finding.id: finding for check in done for finding in check.findings}


def test_every_check_ends_as_expected(done):
    assert audit.unexpected(done) == []


def test_there_are_fifteen_checks_and_no_statement_is_listed_twice(done):
    assert sorted(check.id for check in done if check.id != "read") == sorted(f"K{i}" for i in range(1, 16))
    ids = [finding.id for check in done for finding in check.findings]
    assert len(ids) == len(set(ids)) > 60


# The inconsistencies found by hand, and how each must be decided.
VERDICT_OF = {
    FAILS: "T1a T1b T1c T1d T1e T1g T1h T1i P1 P2 P3 M1 M2 T3a T3b H1 H2 N1 N4 E1 E2 E3 E4 E6 E8 E11 E12 E13 E14 E15 "
    "E17 C1 C2 C3 I2",
    HOLDS: "T1f T1j T2 T3d T3e N3 E7 Q2",
    UNDECIDED: "M2c M3 M3b M4 T3c D5 D6 S1 N2 E5 E9 E10 E16 C4 I1 Q1 H3",
}


@pytest.mark.parametrize(("verdict", "id"), [(v, i) for v, ids in VERDICT_OF.items() for i in ids.split()])
def test_each_statement_has_its_verdict(found, verdict, id):
    assert found[id].verdict == verdict, found[id]


@NEEDS_DATA
@pytest.mark.parametrize("id", ["D1", "D2", "D3", "D4"])
def test_stated_data_sizes_do_not_match_the_files(found, id):
    assert found[id].verdict == FAILS


def test_without_data_the_sizes_are_not_decided(monkeypatch):
    monkeypatch.setattr(protocol, "benchmark_dir", lambda: None)
    check = protocol.k10()
    assert check.outcome == NO_DATA
    assert {finding.verdict for finding in check.findings} == {UNDECIDED}
    frame = audit.outcomes([check])
    assert frame.as_expected.all()


def test_sizes_come_from_the_files_not_from_a_list(tmp_path):
    for name in protocol.EVALUATION_FILES:
        (tmp_path / f"{name}.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    rows = [{"year": 1983, "in_kaggle_918": True}, {"year": 1990, "in_kaggle_918": False}]
    (tmp_path / f"{protocol.AIME_TRAINING}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert protocol.k10(tmp_path).outcome == "2/2/2/2/2/2/2; AIME 1 / 2 / 1"


@pytest.mark.parametrize(
    ("value", "rounded"), [("46.75", "46.8"), ("46.85", "46.9"), ("46.84", "46.8"), ("-0.25", "-0.3"), ("0", "0")]
)
def test_halves_round_away_from_zero(value, rounded):
    assert half_up(exact(value)) == exact(rounded)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_rounding_moves_a_value_by_at_most_half_a_tenth(numerator, denominator):
    value = Fraction(numerator, denominator)
    assert abs(half_up(value) - value) <= Fraction(1, 20)
    assert (half_up(value) * 10).denominator == 1


def test_decimals_are_those_of_the_exact_value():
    assert text(Fraction(2833, 50), 2) == "56.66"
    assert text(Fraction(11, 5), sign=True) == "+2.2"


def test_an_average_is_reachable_exactly_when_some_unrounded_cells_give_it():
    frame = arithmetic.averages()
    frame = frame[frame.table == "table1"].set_index(["model", "method"])
    assert not frame.loc[("DeepScaleR-1.5B", "GCPO")].reachable  # 56.66 + at most 0.05 < 56.75
    gvpo = frame.loc[("R1-Distill-1.5B", "GVPO")]
    assert gvpo.reachable
    assert not gvpo.holds
    assert gvpo.from_cells - Fraction(1, 20) < gvpo.printed + Fraction(1, 20)


def test_ranks_share_the_better_place_and_count_every_column():
    frame = arithmetic.ranks()
    assert len(frame[frame.table == "table1"]) == 3 * 6 * 6
    seven = frame[(frame.table == "table1") & (frame.model == "R1-Distill-7B") & (frame.benchmark == "average")]
    assert seven.set_index("method")["rank"].to_dict()["GCPO"] == 1
    minerva = frame[(frame.table == "table3") & (frame.benchmark == "Minerva")].set_index("method")["rank"]
    assert minerva["GRPO + MCTS"] == minerva["Dr.GRPO"] == 6


@pytest.mark.parametrize(
    ("value", "total", "fit"),
    [("45.8", 600, True), ("46.1", 600, False), ("46.7", 30, True), ("65.1", 164, False), ("62.2", 164, True),
     ("85.25", 400, True), ("0", 7, True), ("100", 7, True)],
)  # fmt: skip
def test_grid_test_on_values_worked_out_by_hand(value, total, fit):
    assert grids.fits(exact(value), total) is fit


@given(st.integers(1, 2000), st.data())
def test_every_rounded_share_fits_its_own_grid(total, data):
    share = Fraction(100 * data.draw(st.integers(0, total)), total)
    assert grids.fits(half_up(share), total)


def test_grid_of_twenty_samples_lets_sixty_per_cent_through_and_that_of_thirty_two_everything():
    assert grids.chance(600) == Fraction(3, 5)
    assert grids.chance(960) == 1
    assert grids.at_least(15, 16, Fraction(3, 5)) == pytest.approx(16 * 0.6**15 * 0.4 + 0.6**16)


def test_sixteen_mrt_cells_and_twenty_eight_others_are_tested():
    frame = grids.aime_cells()
    assert frame.origin.value_counts().to_dict() == {"other": 28, "MRT": 16}


def test_copied_rows_are_those_of_the_older_papers():
    frame = sources.copied_cells()
    assert len(frame) == 48
    wrong = frame[~frame.equal]
    assert list(wrong[["model", "method", "benchmark"]].itertuples(index=False, name=None)) == [
        ("R1-Distill-1.5B", "ReST-MCTS", "AMC23")
    ]


def test_rows_marked_new_are_not_in_the_older_papers():
    frame = paper.load_table("table1")
    new = frame[(frame.provenance == "new") & frame.benchmark.isin(paper.BENCHMARKS)]
    for (model, _), part in new.groupby(["model", "method"]):
        row = dict(zip(part.benchmark, map(exact, part.printed), strict=True))
        older = paper.load_table("sources")
        for (source, name), _ in older[older.model == model].groupby(["source", "method"]):
            candidate = sources.source_row(source, model, name)
            assert any(candidate.get(benchmark) != value for benchmark, value in row.items())


def test_mrt_and_l2t_print_the_same_rows_where_both_have_them():
    frame = paper.load_table("sources")
    both = frame.pivot_table(index=["model", "method", "benchmark"], columns="source", values="value").dropna()
    assert len(both) == 7 * 6
    assert (both.MRT == both.L2T).all()


def test_l2t_is_higher_than_gcpo_on_every_average():
    frame = sources.omitted_rows()
    rows = frame[(frame.method == "L2T") & (frame.benchmark == "average")]
    assert len(rows) == 3
    assert rows.omitted_is_higher.all()


def test_counts_behind_figure_5_by_brute_force():
    assert protocol.coprime_to_six(1000) == len([i for i in range(1, 1001) if i % 2 and i % 3]) == 333
    assert protocol.expected_flips_to_two_heads() == 6
    # P(the first pair of heads ends at flip k) = F(k-1)/2^k with Fibonacci numbers
    fibonacci, total = [0, 1], 0.0
    while len(fibonacci) < 400:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for k in range(2, 400):
        total += k * fibonacci[k - 1] / 2**k
    assert total == pytest.approx(6.0)


@pytest.mark.parametrize(("n", "shared", "separate"), [(2, 12, 16), (4, 72, 88), (8, 528, 592)])
def test_generations_counted_by_running_the_steps(n, shared, separate):
    def sequences(step2: bool) -> int:
        count = n  # candidates
        outputs = range(n)  # y_{n,0}, ..., y_{n,n-1}
        count += len(outputs)
        for _ in range(n):  # each y_i
            count += n if step2 else 0
            for _ in outputs:  # each x_{i,l}
                count += n
        return count

    assert formulas.generations(n) == sequences(step2=False) == shared
    assert formulas.generations(n, shared=False) == sequences(step2=True) == separate


def test_mass_of_equation_13_by_summing_over_a_vocabulary():
    p_x, p_q = (0.2, 0.3, 0.5), (0.6, 0.3, 0.1)
    draws = [(0.1, 0.8, 0.1)] * 8
    total = sum(x - sum(d[v] for d in draws) + q for v, (x, q) in enumerate(zip(p_x, p_q, strict=True)))
    assert total == pytest.approx(formulas.target_mass(8)) == -6
    averaged = sum(x - sum(d[v] for d in draws) / 8 + q for v, (x, q) in enumerate(zip(p_x, p_q, strict=True)))
    assert averaged == pytest.approx(formulas.target_mass(8, mean=True)) == 1


def test_share_of_generation_that_allows_the_stated_cost_is_consistent():
    table = formulas.cost_table().set_index("n")
    share = table.largest_generation_share[8]
    assert share * table.ratio[8] + (1 - share) == pytest.approx(formulas.STATED_COST)


MISREAD = [
    (arithmetic.k1, "GVPO", "MATH500", "87.5"),
    (arithmetic.k2, "GVPO", "AMC23", "86.2"),
    (arithmetic.k3, "GCPO", "AMC23", "87.2"),
    (arithmetic.k4, "GCPO", "AMC23", "87.2"),
    (sources.k5, "base", "AMC23", "85.0"),
    (grids.k6, "GCPO", "AIME24", "58.1"),
    (sources.k8, "base", "AMC23", "84.1"),
]


@pytest.mark.parametrize(("check", "method", "benchmark", "value"), MISREAD)
def test_a_wrong_digit_in_the_transcription_is_reported(monkeypatch, check, method, benchmark, value):
    original = paper._read

    def misread(name):
        frame = original(name)
        if name != "table1":
            return frame
        frame = frame.copy()
        row = (frame.model == "R1-Distill-7B") & (frame.method == method) & (frame.benchmark == benchmark)
        frame.loc[row, "printed"], frame.loc[row, "value"] = value, float(value)
        return frame

    monkeypatch.setattr(paper, "_read", misread)
    paper._index.cache_clear()
    try:
        assert len(audit.unexpected([check()])) == 1
    finally:
        monkeypatch.undo()
        paper._index.cache_clear()


def test_run_writes_every_table_and_twice_the_same(tmp_path, done):
    first = audit.run(tmp_path / "a")
    second = audit.summary(tmp_path / "b")
    assert second["unexpected"] == []
    assert len(second["statements"]) == sum(second["counts"].values()) == len(first)
    assert json.loads(json.dumps(second)) == second
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    expected = {name for check in done for name in check.tables} | {"outcomes"}
    assert {path.stem for path in files if path.parent.name == "audit"} == expected
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    assert {finding.verdict for finding in first} == set(VERDICTS)
    assert f"{len(first)} statements" in (tmp_path / "a" / "audit.md").read_text(encoding="utf-8")


def test_weights_name_known_statements_and_every_failed_one_has_a_weight(found):
    weights = paper.load_table("weights").set_index("id")["weight"]
    assert set(weights) == {"high", "medium", "low"}
    assert set(weights.index) <= set(found)
    rounding = {f"T1g-{model}" for model in MODELS}
    assert {f.id for f in found.values() if f.verdict == FAILS} - rounding <= set(weights.index)


def test_text_claims_nothing_about_intentions(done):
    words = ("fabricat", "fraud", "dishonest", "deliberate", "cheat", "invent", "mislead", "manipulat", "intention")
    for check in done:
        for finding in check.findings:
            sentence = f"{finding.stated} {finding.recomputed}".lower()
            assert not any(word in sentence for word in words), finding


def test_models_are_in_the_order_of_the_paper():
    assert MODELS == ("DeepScaleR-1.5B", "R1-Distill-1.5B", "R1-Distill-7B")
