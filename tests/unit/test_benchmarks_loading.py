"""What is loaded is what it should be, or a line says what differs."""

import json

import pytest

from repro.errors import BadInput
from repro.paths import benchmark_dir
from repro.tasks.benchmarks import loading
from repro.tasks.benchmarks.loading import SUITES, check_copy, get_suites, load_benchmark

FOLDER = benchmark_dir()
needs_data = pytest.mark.skipif(FOLDER is None, reason="no benchmark files (GCPO_DATA)")


def rows_of(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def test_names_are_found_whatever_their_case_and_hyphens_and_only_once():
    assert [suite.name for suite in get_suites("aime-24, MATH500,HumanEval 5shot,AIME24")] == [
        "AIME24",
        "MATH500",
        "HumanEval-5shot",
    ]
    assert [suite.name for suite in get_suites("paper")] == ["AIME24", "AIME25", "AMC23", "MATH500", "Minerva"]
    assert len(get_suites("all")) == 9


@pytest.mark.parametrize(("word", "near"), [("MATH50", "MATH500"), ("amie24", "AIME24"), ("minerva-math", "Minerva")])
def test_an_unknown_suite_is_answered_with_the_nearest_one(word, near):
    with pytest.raises(BadInput, match=rf"unknown suite '{word}' \(did you mean {near}\?\); want some of AIME24"):
        get_suites(word)


@needs_data
@pytest.mark.parametrize("name", sorted(SUITES))
def test_every_suite_loads_with_its_rows_distinct_ids_and_a_gold_or_a_check(name):
    suite = SUITES[name]
    problems = load_benchmark(suite.benchmark).problems
    assert len(problems) == len({problem.id for problem in problems}) == suite.benchmark.rows
    assert all(bool(problem.gold) != (problem.code is not None) for problem in problems)
    assert all(problem.text.strip() for problem in problems)


@needs_data
def test_both_golds_are_loaded_where_the_distributed_one_is_wrong():
    minerva = {problem.id: problem for problem in load_benchmark(SUITES["Minerva"].benchmark).problems}
    amc = load_benchmark(SUITES["AMC83"].benchmark).problems
    corrected = [p for p in minerva.values() if p.golds["answer_corrected"] != (p.gold,)]
    assert len(corrected) == 7
    assert minerva["minerva-154"].gold == "0.264"
    assert minerva["minerva-154"].golds["answer_corrected"] == ("0.265",)
    assert "\\arcsin{\\frac{1}{1.3}}" in minerva["minerva-5"].golds["deepscaler_gold"]
    assert [(p.id, p.gold, p.golds["answer_corrected"]) for p in amc if p.golds["answer_corrected"] != (p.gold,)] == [
        ("amc2022-12B-13", "5", ("125",))
    ]


@needs_data
def test_the_math500_problems_left_out_of_math492_are_those_the_training_set_marks():
    marked = {
        name.removeprefix("math500:")
        for row in rows_of("train_aime_1983_2023.jsonl")
        for name in row.get("overlaps_eval", [])
    }
    assert marked == set(loading.MATH500_IN_AIME)
    assert marked <= {problem.id for problem in load_benchmark(SUITES["MATH500"].benchmark).problems}


def test_without_a_folder_nothing_is_downloaded_and_the_variable_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_DATA", str(tmp_path / "none"))
    wanted = r"AIME24: no folder of benchmark files \(GCPO_DATA is .*\); set GCPO_DATA .* --hub-data"
    with pytest.raises(BadInput, match=wanted):
        load_benchmark(SUITES["AIME24"].benchmark)


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"amc23\.jsonl is missing; want its 40 problems"):
        load_benchmark(SUITES["AMC23"].benchmark)


@needs_data
@pytest.mark.parametrize("change", ["digit", "row", "newline"])
def test_a_changed_file_is_refused(monkeypatch, tmp_path, change):
    text = (FOLDER / "aime24.jsonl").read_text(encoding="utf-8")
    changed = {
        "digit": text.replace('"answer": "204"', '"answer": "205"'),
        "row": text.split("\n", 1)[1],
        "newline": text + "\n",
    }[change]
    assert changed != text
    (tmp_path / "aime24.jsonl").write_text(changed, encoding="utf-8")
    monkeypatch.setenv("GCPO_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"aime24\.jsonl has \d+ rows and sha256 .* want 30 rows and 2909d6c37568"):
        load_benchmark(SUITES["AIME24"].benchmark)


@needs_data
def test_a_hub_copy_is_accepted_by_its_golds_and_refused_with_one_changed():
    benchmark = SUITES["AMC83"].benchmark
    copy = [{"problem": row["problem"], "answer": row["answer_raw"]} for row in rows_of(benchmark.file)]
    loaded = check_copy(benchmark, "f" * 40, copy[::-1])  # another order
    assert len(loaded.problems) == 83 and loaded.source["revision"] == "f" * 40
    assert loaded.problems[0].golds == {}  # a copy knows no corrections
    copy[3]["answer"] = "0"
    with pytest.raises(BadInput, match=r"AI-MO/aimo-validation-amc at ffffffffffff has 83 rows and golds"):
        check_copy(benchmark, "f" * 40, copy)
    with pytest.raises(BadInput, match="has 82 rows"):
        check_copy(benchmark, "f" * 40, copy[1:])
    with pytest.raises(BadInput, match="has no column 'answer'"):
        check_copy(benchmark, "f" * 40, [{"problem": "x"}])


def test_a_copy_without_a_pinned_revision_asks_for_one(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_DATA", str(tmp_path / "none"))
    with pytest.raises(BadInput, match=r"no revision of knoveleng/Minerva-Math is pinned here; .*pass --data-revision"):
        load_benchmark(SUITES["Minerva"].benchmark, hub=True)
