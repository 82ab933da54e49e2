"""The words of a target: every target has them, what was seen is what is published, and nothing of it is typed."""

import json
import re
from dataclasses import replace

import pytest
from synthetic_cells import BASES, FIGURE_BASE, FIGURE_SETS, figure_cells, make_cell
from test_tables import paper, spec

from repro.cells.experiments import EXPERIMENTS
from repro.config import load_profile
from repro.figuredata import sweep
from repro.figuredata.model import ALL, primary_words
from repro.paths import REPO_ROOT
from repro.reporting.published import Published, profiles, published, stamp
from repro.reporting.readings import READINGS
from repro.reporting.seen import paragraphs, seen
from repro.tables import ClaimRow, build_table1
from repro.tables.bases import spoken
from repro.tables.claim_text import claim_name
from repro.tables.finding import overall
from repro.tables.words import signed

TABLES = [each for name in profiles() for each in published(name) if each.table]


def a_figure(tmp_path, effects):
    target = EXPERIMENTS["figure4b"]
    small = replace(target, arms=("base", "grpo", "gcpo_no_kl", "gcpo_kappa_06"))
    profile = load_profile("micro-slips", FIGURE_SETS)
    data = sweep.measure(profile, target, figure_cells(small, effects, seeds=2), tmp_path, "make reproduce-figure4b")
    return Published("figure4b", "micro-slips", tmp_path, tmp_path / "figure4b.md", None, data)


def test_every_table_and_figure_that_is_built_has_a_reading():
    assert set(READINGS) == {name for name, experiment in EXPERIMENTS.items() if experiment.built}


def test_a_reading_types_no_result():
    for reading in READINGS.values():
        for text in (reading.asked, reading.means, reading.not_means):
            assert not re.search(r"\d+\.\d|%|\[|[+-]\d", text), text
            assert text.endswith((".", "?"))


@pytest.mark.parametrize("made", TABLES, ids=lambda made: f"{made.target}-{made.profile}")
def test_what_was_seen_of_a_table_holds_every_primary_difference_that_was_measured(made):
    text = seen(made)
    primary = {claim.claim for claim in overall(made.table) if claim.primary and claim.direction != "not tested"}
    primary = primary or {claim.claim for claim in overall(made.table) if claim.primary}
    found = [each for each in made.table.claims if each.claim in primary and each.base != ALL and each.difference]
    assert found
    for each in found:
        assert f"{signed(each.difference)} on `{each.base}`" in text


def test_what_was_seen_of_a_figure_follows_its_cells(tmp_path):
    peak, flat = (a_figure(tmp_path, effects) for effects in ({"gcpo_kappa_06": 0.3}, {}))
    best = peak.figure.decision("kappa = 0.06 is best", FIGURE_BASE)
    assert best.verdict == "supported"
    assert f"{best.measured} on `{FIGURE_BASE}`, **supported**" in seen(peak)
    assert seen(peak) != seen(flat)
    asked, found, means, verdicts, not_means = paragraphs(peak)
    assert asked.startswith("*Asked.*") and found.startswith("*Seen.*\n\n- ")
    assert means.startswith("*What it means.*") and not_means.startswith("*What it does not mean.*")
    assert verdicts.startswith("| verdict | primary claims (2) | other claims (")
    assert row_of(verdicts, "**supported**: what is claimed holds here")[0] == "kappa = 0.06 is best"


def row_of(verdicts, first):
    """The other cells of the row of a table of verdicts that begins so."""
    (row,) = [line for line in verdicts.splitlines() if line.startswith(f"| {first}")]
    return row.strip("| ").split(" | ")[1:]


def a_table(effects, seeds=5):
    """Table 1 of these true gains, base -> arm -> gain; a base or an arm that is not named was not run."""
    cells = [
        make_cell(base, arm, seed, effect=effect, seed_sd=0.001, k=32)
        for base, arms in effects.items()
        for arm, effect in {"base": 0.0, **arms}.items()
        for seed in range(seeds)
    ]
    claims = tuple(
        ClaimRow(f"gcpo>{arm}", "", "gcpo_expected", arm, primary=arm == "grpo")
        for arm in ("grpo", "base", "gvpo", "drgrpo")
    )
    return build_table1(cells, spec(claims=claims), paper())


def verdicts_of(table, tmp_path):
    return paragraphs(Published("table1", "micro", tmp_path, tmp_path / "table1.md", table, None))[3]


def test_what_it_means_speaks_of_every_claim_the_primary_ones_first(tmp_path):
    gains = {"grpo": 0.1, "gvpo": 0.3, "gcpo_expected": 0.2}
    table = a_table(dict.fromkeys(BASES[1:], gains))
    text = verdicts_of(table, tmp_path)
    assert text.startswith("| verdict | primary claims (1) | other claims (3) |")
    assert row_of(text, "**supported**: what is claimed holds here") == ["GCPO > GRPO", "GCPO > base"]
    assert row_of(text, "**reversed**: the opposite was measured") == ["-", "GCPO > GVPO"]
    assert row_of(text, "**not tested**: too little was run") == ["-", "GCPO > Dr.GRPO"]
    assert all(claim_name(claim, table.head) in text for claim in overall(table))


def test_a_claim_of_which_bases_are_missing_says_what_was_found_on_the_others(tmp_path):
    table = a_table({"nano-s": {"grpo": 0.1, "gcpo_expected": 0.1}})
    where = "equivalent on `nano-s`; `nano-m` was not run, so there is no verdict over all bases"
    verdicts = verdicts_of(table, tmp_path)
    assert row_of(verdicts, where)[0] == "GCPO > GRPO" and row_of(verdicts, "**not tested**: too little")[0] == "-"
    made = Published("table1", "micro", tmp_path, tmp_path / "table1.md", table, None)
    assert "`nano-m` was not run, so there is no verdict over all bases" in seen(made)


def test_a_rate_that_is_not_the_picked_one_is_no_opposite():
    words = READINGS["rates"].says
    assert "opposite" not in "".join(words.values()) and words["reversed"].startswith("not trained at the rate")


def test_a_stamp_stands_in_front_of_what_it_means(tmp_path):
    made = a_figure(tmp_path, {})
    head = replace(made.figure.head, stamp="smoke: not a result")
    stamped = replace(made, figure=replace(made.figure, head=head))
    assert "**smoke: not a result.**" in paragraphs(stamped)[2] and "not a result" not in "".join(paragraphs(made))


def test_a_target_without_numbers_says_so(tmp_path):
    made = Published("gc2po", "micro", tmp_path, tmp_path / "gc2po.md", None, None)
    assert seen(made) == "Nothing that decides it was measured yet."


def test_the_premise_is_quoted_where_it_is_published_and_for_gc2po_alone(tmp_path):
    figures = {"rank correlation, R: GC2PO": [0.25, 0.125, 0.375]}
    claims = [{"text": "GC2PO rewards soundness", "figure": next(iter(figures)), "verdict": "supported"}]
    record = {"questions": 8, "n": 4, "base": "nano", "figures": figures, "claims": claims}
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "premise.json").write_text(json.dumps(record), encoding="utf-8")
    made = Published("gc2po", "micro", tmp_path, tmp_path / "gc2po.md", None, None)
    assert "GC2PO rewards soundness: +0.250 [+0.125, +0.375], **supported**" in seen(made)
    assert "soundness" not in seen(replace(made, target="table1"))


def test_the_page_of_results_has_three_paragraphs_for_everything_that_is_published():
    text = (REPO_ROOT / "results" / "README.md").read_text(encoding="utf-8")
    count = sum(len(published(name)) for name in profiles() if not stamp(name))
    for label in ("*Asked.*", "*Seen.*", "*What it means.*", "*What it does not mean.*"):
        assert text.count(label) == count


def test_a_finding_names_each_sentence_with_its_verdict_and_all_sentences_where_none_is_primary(tmp_path):
    decisions = a_figure(tmp_path, {}).figure.decisions
    plain = [
        replace(decisions[0], statement=name, verdict=word, primary=False)
        for name, word in (("a", "undecided"), ("b", "supported"), ("c", "undecided"))
    ]
    assert primary_words(plain) == "B: supported; a: undecided; c: undecided"
    assert primary_words([replace(plain[0], primary=True), *plain[1:]]) == "A: undecided"


@pytest.mark.parametrize("name", profiles())
def test_what_is_published_of_a_target_is_of_the_bases_that_the_target_has_in_that_profile(name):
    for made in published(name):
        experiment, profile = EXPERIMENTS[made.target], load_profile(name, target=made.target, all_targets=True)
        found = made.figure.head.bases if made.figure else {row.base for row in made.table.rows}
        assert set(found) <= set(experiment.in_profile(profile).bases(profile)), made.target


def test_where_bases_differ_every_verdict_is_named_those_on_a_size_too():
    directions = {"nano-s": "undecided", "nano-m": "contradicted", "nano-l": "consistent"}
    said = "consistent on `nano-l`, contradicted on `nano-m`, undecided on `nano-s`; over all bases contradicted"
    assert spoken(directions, "contradicted") == said
