"""Claims of a built table: verdicts, ratios of gains, equivalence, Holm; greedy passes; bases without a counterpart."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_cells import BASES, SUITES, make_cell, make_cells
from test_tables import paper, spec

from repro import stats, tables
from repro.cells.experiments import get_experiment
from repro.config import load_profile
from repro.errors import BadInput
from repro.paper import load_table
from repro.stats.verdicts import DIRECTIONS, SIZES
from repro.tables import AVERAGE, BaseRow, ClaimRow, table_spec
from repro.tables.bases import RULE
from repro.tables.finding import doubts, finding, question, sentences
from repro.tables.printed import Printed


@pytest.fixture(scope="module")
def table():
    return tables.build_table1(make_cells(3, bases=BASES[1:], questions=30), spec(), paper())


def claims_of(table):
    return {(claim.claim, claim.base): claim for claim in table.claims}


def one_base(effects, seeds=5, **changes):
    """A table of nano-s whose arms have these true gains over the base."""
    cells = [
        make_cell("nano-s", arm, seed, effect=effect, **changes)
        for seed in range(seeds)
        for arm, effect in {"base": 0.0, **effects}.items()
    ]
    return tables.build_table1(cells, spec(bases=spec().bases[:1]), paper())


def test_every_verdict_is_a_word_of_the_closed_lists(table):
    assert {claim.direction for claim in table.claims} <= set(DIRECTIONS)
    assert {claim.size_verdict for claim in table.claims} <= {*SIZES, None}
    assert claims_of(table)["gain", "all"].direction == "supported"


def test_paper_ratios_come_from_its_averages_and_from_its_cells():
    printed = Printed(load_table("table1"))
    ratios = [
        printed.ratios(model, "GCPO", "GRPO") for model in ("DeepScaleR-1.5B", "R1-Distill-1.5B", "R1-Distill-7B")
    ]
    assert [[round(each, 1) for each in pair] for pair in ratios] == [[4.6, 4.2], [2.3, 2.2], [2.4, 2.5]]
    assert printed.ratios(None, "GCPO", "GRPO") == printed.ratios("R1-Distill-7B", "GCPO", "GCPO") == ()
    assert printed.ratios("R1-Distill-7B", "GCPO", "base") == ()


def test_paper_lost_shares_of_table_2_use_the_base_of_table_1():
    printed = Printed(load_table("table2"))
    lost = [
        [round(1 - each, 2) for each in printed.ratios("DeepScaleR-1.5B", method, "GCPO")]
        for method in ("w/o Adv. Weighting", "w/o KL Term")
    ]
    assert lost == [[0.61, 0.57], [0.52, 0.46]]
    assert printed.row("DeepScaleR-1.5B", "base", AVERAGE) is None  # a gain's zero, not a row of Table 2


def test_size_of_a_claim_is_the_ratio_of_the_gains(table):
    claim = claims_of(table)["gvpo", "nano-s"]
    gains = [table.row("nano-s", arm).gain.value for arm in ("gcpo_expected", "gvpo")]
    assert claim.size.value == pytest.approx(gains[0] / gains[1])
    assert claim.size.printed == pytest.approx((5 / 3, 5 / 3)) and claim.size.nothing == 1


def test_lost_share_is_what_the_lesser_arm_does_not_reach():
    sharp = one_base({"grpo": 0.1, "gvpo": 0.1, "gcpo_expected": 0.2})
    ratio, lost = (claims_of(sharp)[name, "nano-s"].size for name in ("gvpo", "lost"))
    assert lost.value == pytest.approx(1 - 1 / ratio.value)
    assert (lost.low, lost.high) == pytest.approx((1 - 1 / ratio.low, 1 - 1 / ratio.high), rel=1e-4)
    assert lost.printed == pytest.approx((0.4, 0.4)) and lost.nothing == 0


def test_claim_against_the_base_has_a_direction_and_no_size(table):
    claim = claims_of(table)["gain", "nano-s"]
    assert claim.direction == "supported" and claim.size is None and claim.size_verdict is None


def test_a_clear_loss_is_reversed_and_contradicts_the_size():
    claim = claims_of(one_base({"grpo": 0.2, "gcpo_expected": 0.1}, seed_sd=0.001))["grpo", "nano-s"]
    assert (claim.direction, claim.size_verdict) == ("reversed", "contradicted")


def test_arms_of_equal_gain_are_equivalent_when_seen_sharply():
    claim = claims_of(one_base({"grpo": 0.2, "gcpo_expected": 0.2}, seed_sd=0.0005, k=64, seeds=8))["grpo", "nano-s"]
    assert (claim.direction, claim.size_verdict) == ("equivalent", "contradicted")
    assert claim.margin == pytest.approx(2.0, abs=0.3) and claim.p["equivalence"] < 0.05


def test_size_is_never_contradicted_where_every_seed_goes_the_way_of_the_paper():
    built = one_base({"grpo": 0.2, "gcpo_expected": 0.23}, seed_sd=0.0005, k=64)
    claim = claims_of(built)["grpo", "nano-s"]
    assert claim.size.high < min(claim.size.printed)  # 2.5 in the paper, about 1.15 here
    assert (claim.direction, claim.size_verdict) == ("supported", "undecided")


def test_a_gain_as_many_times_the_rivals_as_in_the_paper_is_consistent():
    claim = claims_of(one_base({"grpo": 0.08, "gcpo_expected": 0.2}, seed_sd=0.001, k=32))["grpo", "nano-s"]
    assert (claim.direction, claim.size_verdict) == ("supported", "consistent")


def test_holm_corrects_each_kind_of_test_over_the_primary_claims_of_all_bases(table):
    primary = [claim for claim in table.claims if claim.primary and claim.difference]
    assert len(primary) == 4
    for kind in ("difference", "equivalence", "size"):
        wanted = stats.holm([claim.p[kind] for claim in primary])
        assert [claim.holm[kind] for claim in primary] == pytest.approx(wanted)
    assert all(claim.holm == {} for claim in table.claims if not claim.primary or claim.base == "all")
    assert all(claim.p["difference"] == claim.difference.p for claim in primary)


def test_markdown_names_primary_verdicts_that_holm_does_not_uphold(table):
    lost = [
        replace(c, direction="supported", holm={**c.holm, "difference": 0.2})
        if (c.claim, c.base) == ("grpo", "nano-s")
        else c
        for c in table.claims
    ]
    text = tables.to_markdown(replace(table, claims=tuple(lost)))
    assert "Not upheld by it: GCPO > GRPO on nano-s (supported)" in text
    said = "does not uphold: GCPO > GRPO on nano-s (supported)"
    assert said in sentences(replace(table, claims=tuple(lost)))[0] and said not in sentences(table)[0]


def test_claim_on_an_unknown_arm_is_refused():
    with pytest.raises(BadInput, match="names an arm outside table1"):
        tables.build_table1([], spec(claims=(ClaimRow("x", "y", "gcpo_expected", "ppo"),)), paper())


# --- greedy ------------------------------------------------------------------


def test_greedy_scores_and_gains_are_those_of_the_greedy_passes():
    cells = make_cells(3, bases=["nano-s"], questions=30, greedy=True)
    built = tables.build_table1(cells, spec(bases=spec().bases[:1]), paper())
    right = {
        arm: np.mean([c["suites"][s]["greedy"]["correct"] for c in cells if c["arm"] == arm for s in SUITES])
        for arm in ("base", "grpo")
    }
    row = built.row("nano-s", "grpo")
    assert row.greedy.value == pytest.approx(100 * right["grpo"])
    assert row.greedy_gain.value == pytest.approx(100 * (right["grpo"] - right["base"]))
    assert row.greedy.covers == "seeds, questions"
    assert built.row("nano-s", "base").greedy.covers == "one checkpoint: questions"
    claim = claims_of(built)["grpo", "nano-s"]
    assert claim.greedy is not None and "; greedy " in tables.to_markdown(built)
    line = next(each for each in tables.headline_markdown(built).splitlines() if each.startswith("|  | GRPO |"))
    assert f"| {row.greedy.value:.1f} [" in line and f"]; {row.greedy_gain.value:+.1f} [" in line


def test_greedy_is_a_dash_where_a_single_cell_of_an_arm_lacks_it():
    cells = [make_cell("nano-s", arm, seed, questions=30, greedy=(arm, seed) != ("grpo", 1))
             for arm in ("base", "grpo", "gvpo") for seed in range(3)]  # fmt: skip
    built = tables.build_table1(cells, spec(bases=spec().bases[:1]), paper())
    assert built.row("nano-s", "grpo").greedy is None and built.row("nano-s", "gvpo").greedy is not None
    assert built.row("nano-s", "grpo").ours is not None


def test_table_without_greedy_passes_shows_a_dash_for_every_arm(table):
    assert all(row.greedy is None and row.greedy_gain is None for row in table.rows)
    line = next(each for each in tables.to_markdown(table).splitlines() if each.startswith("|  | GRPO |"))
    assert line.split(" | ")[5].strip() == "-"


# --- k per suite -------------------------------------------------------------


def test_suites_may_differ_in_samples_and_the_average_is_their_plain_mean():
    ks = {SUITES[0]: 16, SUITES[4]: 2}
    cells = make_cells(3, bases=["nano-s"], questions=30, k=4, ks=ks)
    built = tables.build_table1(cells, spec(bases=spec().bases[:1]), paper())
    assert built.head.k == {**dict.fromkeys(SUITES, 4), **ks}
    values = [built.row("nano-s", "grpo", suite).ours.value for suite in SUITES]
    assert built.row("nano-s", "grpo").ours.value == pytest.approx(np.mean(values))
    text = tables.to_markdown(built)
    assert f"{SUITES[0]} avg@16" in text and f"{SUITES[4]} avg@2" in text and "ours: avg@k [95 % CI]" in text
    assert "3 x 2 to 16" in text and tables.to_csv(built).count(",16,0 1 2,") > 0


# --- bases without a counterpart ---------------------------------------------


def test_base_without_a_counterpart_gets_dashes_and_directions_only():
    cells = make_cells(3, bases=["nano-s"], questions=30)
    built = tables.build_table1(cells, spec(bases=(BaseRow("nano-s", None),)), paper())
    assert all(row.printed is None and row.printed_gain is None and row.independent is None for row in built.rows)
    assert all(claim.size_verdict is None for claim in built.claims)
    assert claims_of(built)["gain", "nano-s"].direction == "supported"
    text = tables.to_markdown(built)
    assert (
        "| nano-s (no counterpart in the paper) | base | - | - |" in text and "none" not in text.split("## Suites")[0]
    )
    assert "; paper " not in text and "; size " not in text
    assert tables.to_latex(built) and "nano-s,," in tables.to_csv(built)


def test_over_all_bases_the_size_is_judged_where_the_paper_has_one():
    bases = (spec().bases[0], BaseRow("nano-m", None))
    built = tables.build_table1(make_cells(3, bases=BASES[1:], questions=30), spec(bases=bases), paper())
    claims = claims_of(built)
    assert claims["gvpo", "nano-m"].size_verdict is None
    assert claims["gvpo", "all"].size_verdict == claims["gvpo", "nano-s"].size_verdict


def on_suites(*names):
    """nano-s, whose GCPO gains over GRPO on the last suite alone, with one claim on the average of some suites."""
    cells = [
        make_cell("nano-s", arm, seed, effect=effect, seed_sd=0.001, k=32, greedy=True)
        for seed in range(4)
        for arm, effect in {"base": 0.0, "grpo": 0.1, "gcpo_expected": 0.1}.items()
    ]
    for cell in cells:
        if cell["arm"] == "gcpo_expected":
            last = cell["suites"][SUITES[-1]]
            last["correct"] = [min(count + 4, 32) for count in last["correct"]]
            last["avg_at_k"] = sum(last["correct"]) / (32 * last["n"])
    claims = (ClaimRow("x", "GCPO above GRPO", "gcpo_expected", "grpo", primary=True, suites=names),)
    return tables.build_table1(cells, spec(bases=spec().bases[:1], claims=claims), paper())


def test_a_claim_on_some_suites_is_decided_by_their_average_and_has_no_size():
    far = on_suites(SUITES[-1])
    claim, row = claims_of(far)["x", "nano-s"], far.row("nano-s", "gcpo_expected", SUITES[-1])
    assert claim.difference == row.versus and claim.direction == "supported" and claim.difference.value > 9
    gain = far.row("nano-s", "grpo", SUITES[-1]).gain.value
    assert claim.margin == pytest.approx(gain / 10) and claim.size is claim.size_verdict is None
    assert "size" not in claim.p and claim.greedy is not None
    both = claims_of(on_suites(*SUITES[-2:]))["x", "nano-s"]
    assert both.difference.value == pytest.approx(claim.difference.value / 2, abs=2.0)
    assert f"GCPO > GRPO, {SUITES[-1]} alone (primary)" in tables.to_markdown(far)


def test_the_line_over_a_table_names_the_suites_of_a_claim():
    far = on_suites(SUITES[-1])
    assert finding(far) == f"on {SUITES[-1]} GCPO beats GRPO"
    assert f"GCPO minus GRPO ({SUITES[-1]} alone) +" in sentences(far)[0]


def per_base(gains, questions=100):
    """Table 1 whose GCPO has these gains, base by base, where GRPO has 0.1; bases that are not named were not run."""
    cells = [
        make_cell(base, arm, seed, effect=effect, seed_sd=0.001, k=32)
        for base, gain in gains.items()
        for arm, effect in {"base": 0.0, "grpo": 0.1, "gcpo_expected": gain}.items()
        for seed in range(5)
    ]
    return tables.build_table1(cells, spec(claims=spec().claims[1:2]), paper())


def with_holm(table, p):
    """The table with these corrected p-values behind every claim."""
    return replace(table, claims=tuple(replace(each, holm=p) for each in table.claims))


def test_where_the_bases_differ_each_has_its_verdict_and_one_over_all_stands_behind():
    table = with_holm(per_base({"nano-s": 0.1, "nano-m": 0.3}), {})
    assert finding(table) == "GCPO beats GRPO on nano-m, equals it on nano-s"
    first = sentences(table)[0]
    assert " on `nano-s` (equivalent), " in first and " on `nano-m` (supported); over all bases undecided" in first


def test_the_line_over_a_table_leaves_out_what_holms_correction_does_not_uphold():
    doubted = with_holm(per_base({"nano-s": 0.1, "nano-m": 0.3}), {"difference": 0.2, "equivalence": 0.01})
    assert finding(doubted) == "GCPO equals GRPO on nano-s, is not told apart from it on nano-m"
    assert doubts(doubted) == [
        "Holm's correction over the primary claims does not uphold: GCPO > GRPO on nano-m (supported)."
    ]


def test_bases_that_were_not_run_are_named_and_leave_no_verdict():
    table = per_base({"nano-s": 0.1})
    assert finding(table) == "GCPO equals GRPO on nano-s (nano-m was not run)"
    assert sentences(table) == []


def test_sizes_that_contradict_the_papers_are_counted_over_all_claims_the_primary_ones_named():
    built = tables.build_table1(make_cells(3, bases=BASES[1:]), spec(), paper())
    with_size = [c for c in built.claims if c.base != "all" and c.size and c.size.printed]
    against = [c for c in with_size if c.size_verdict == "contradicted"]
    first = [c for c in with_size if c.primary], [c for c in against if c.primary]
    assert len(with_size) > len(first[0]) > 0
    said = f"{len(against)} of {len(with_size)} comparisons contradict the paper's size (of the primary ones: "
    assert f"{said}{len(first[1])} of {len(first[0])})." in sentences(built)[1]


@pytest.mark.parametrize(
    ("bases", "word"),
    [
        (("equivalent", "not tested"), "not tested"),
        (("supported", "supported", "not tested"), "not tested"),
        (("not tested", "not tested"), "not tested"),
        (("undecided", "not tested"), "undecided"),
        (("supported", "equivalent", "not tested"), "undecided"),
        (("reversed", "not tested"), "reversed"),
        (("supported", "supported"), "supported"),
        (("equivalent", "supported"), "undecided"),
    ],
)
def test_the_rule_under_every_table_covers_bases_that_are_missing(bases, word):
    assert stats.over_bases(bases, everywhere=("supported", "equivalent"), anywhere="reversed") == word
    assert word in RULE and RULE in tables.to_markdown(per_base({"nano-s": 0.1}))


def test_a_question_names_only_arms_with_cells():
    claims = tuple(ClaimRow(f"{arm}>grpo", "", arm, "grpo", primary=True) for arm in ("gcpo_expected", "gcpo_mc"))
    whole, part = (
        tables.build_table1(make_cells(2, BASES[1:], ("base", "grpo", *arms)), spec(claims=claims), paper())
        for arms in (("gcpo_expected", "gcpo_mc"), ("gcpo_expected",))
    )
    mc = whole.head.arms["gcpo_mc"]
    assert mc in question(whole) and mc not in question(part) and "beat GRPO?" in question(part)


def test_a_claim_on_suites_that_a_profile_lacks_is_not_tested():
    none = on_suites()
    assert {claim.direction for claim in none.claims} == {"not tested"}
    assert "GCPO > GRPO, on suites not in this profile (primary)" in tables.to_markdown(none)


def test_suites_of_a_claim_are_those_whose_names_end_so():
    claims = {
        profile: {c.id: c.suites for c in table_spec(load_profile(profile), get_experiment("gc2po"), "").claims}
        for profile in ("micro", "pretrained", "smoke")
    }
    assert claims["micro"]["gc2po>grpo"] is None
    assert "modten-far" in claims["micro"]["gc2po>grpo away"]
    assert set(claims["pretrained"]["gc2po>gc2po_noncausal away"]) == {"words-reworded", "words-far"}
    assert claims["smoke"]["gc2po>grpo away"] == ()


def test_numbers_that_were_read_in_a_copy_are_marked_and_compared_on_the_cells_that_both_have():
    printed = Printed(load_table("gc2po"))
    gains = [sum(cell) / 5 for cell in ((3.6, 4.1, 3.1, 2.6, 3.5), (1.4, 1.5, 0.4, 0.3, 1.4))]  # over Table 1's base
    assert printed.ratios("R1-Distill-7B", "GC2PO", "GRPO") == pytest.approx((gains[0] / gains[1],))
    assert len(printed.ratios("R1-Distill-7B", "GRPO", "GRPO")) == 0
    assert printed.misprints(["R1-Distill-7B"], ["GC2PO", "GRPO"]) == printed.second_hand(["R1-Distill-1.5B"]) == []
    built = tables.build_table1([], table_spec(load_profile("paper"), get_experiment("gc2po"), ""), load_table("gc2po"))
    text = tables.to_markdown(built)
    assert "| 71.8 (second-hand) |" in text and "| 65.1 (+1.0) |" in text
    assert "GCPO 70.9, L2T 71.1, GC2PO 71.8" in text


def test_an_untrained_row_that_no_trained_arm_reaches_is_named_and_so_is_a_reference_below_its_base():
    table = per_base({"nano-s": 0.1, "nano-m": 0.3})
    assert "untrained" not in " ".join(sentences(table)) and "ends below" not in " ".join(sentences(table))
    rows = [table.row(base, "grpo") for base in ("nano-s", "nano-m")]
    ours = [replace(rows[0].ours, value=99.0), replace(rows[1].ours, value=1.0)]
    other = [replace(row, arm="worked", ours=own, gain=None, versus=None) for row, own in zip(rows, ours, strict=True)]
    below = replace(table.row("nano-m", "grpo", SUITES[2]), gain=replace(rows[0].gain, value=-5.0, low=-7.0, high=-3.0))
    kept = [row for row in table.rows if (row.base, row.arm, row.suite) != ("nano-m", "grpo", SUITES[2])]
    head = replace(table.head, arms={**table.head.arms, "worked": "base, worked"})
    text = sentences(replace(table, head=head, rows=(*kept, *other, below)))
    more = "more than every trained arm on 1 of 2 bases, by avg@k."
    assert f'The untrained row "base, worked" has 1.0 to 99.0, {more}' in text[2]
    assert f"on {SUITES[2]} of `nano-m` by -5.0 [-7.0, -3.0] points" in text[3]
