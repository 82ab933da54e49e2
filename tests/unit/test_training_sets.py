"""Training sets: which rows are trained on, where they come from, and which test problems they repeat."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.cli import main
from repro.errors import BadInput
from repro.paths import benchmark_dir
from repro.studies import training_sets as training_report
from repro.tasks.benchmarks import training_sets
from repro.tasks.benchmarks.overlap import EXACT, MIN_NGRAMS, NEAR, NGRAM, Pair, ProblemIndex, ngrams, words
from repro.tasks.benchmarks.training_sets import (
    OVERLAP,
    Row,
    aime_rows,
    committed_exclusions,
    draw_subset,
    drawing_order,
    find_exclusion,
    load_training_set,
    rows_digest,
)

FOLDER = benchmark_dir()
needs_files = pytest.mark.skipif(FOLDER is None, reason="no folder of benchmark files (GCPO_DATA)")
# sha256 of "3:" and the place, smallest first; by the command line tool sha256sum
ORDER_OF_SIX = [5, 4, 1, 2, 3, 0]
TEN = "one two three four five six seven eight nine ten"  # six 5-grams


def kinds(training: str, test: str, threshold: float = 0.5) -> list[tuple[str, float]]:
    return [(pair.kind, pair.share) for pair in ProblemIndex({"t": test}).pairs("a", training, threshold=threshold)]


def test_layout_does_not_hide_a_copy():
    assert kinds(r"Find $\dfrac{1}{2} \,x$ .", r"find \( \frac{1}{2}x \)".replace("2}x", "2} x")) == [(EXACT, 1.0)]


def test_another_number_is_no_exact_copy():
    assert kinds(f"{TEN} 12", f"{TEN} 13") == [(NEAR, 6 / 7)]


def test_the_share_is_of_the_problem_with_fewer_ngrams():
    # "one .. nine" has five 5-grams, all in TEN; TEN continued has more of its own
    assert kinds("one two three four five six seven eight nine", f"{TEN} a b c d e f g") == [(NEAR, 1.0)]


def test_half_of_the_ngrams_is_near_and_less_is_not():
    # six 5-grams each; a break after the eighth word leaves four, after the seventh three, after the sixth two
    assert kinds("one two three four five six seven eight X Y", TEN) == [(NEAR, 4 / 6)]
    assert kinds("one two three four five six seven W X Y", TEN) == [(NEAR, 3 / 6)]
    assert kinds("one two three four five six V W X Y", TEN) == []


def test_a_short_problem_counts_by_equality_alone():
    short = " ".join(TEN.split()[: NGRAM + MIN_NGRAMS - 2])
    assert len(ngrams(short)) == MIN_NGRAMS - 1
    assert kinds(short, TEN) == []
    assert kinds(short, short) == [(EXACT, 1.0)]


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01])
def test_a_threshold_outside_its_range_is_an_error(threshold):
    with pytest.raises(ValueError, match="threshold"):
        ProblemIndex({}).pairs("a", TEN, threshold=threshold)


@given(st.text(max_size=200), st.text(max_size=60))
def test_a_problem_repeats_itself_whatever_stands_beside_it(problem, other):
    pairs = ProblemIndex({"self": problem, "other": other}).pairs("a", problem)
    assert Pair("a", "self", EXACT, 1.0) in pairs
    assert all(0 < pair.share <= 1 for pair in pairs)


@given(st.text(max_size=200))
def test_words_are_stable_under_a_second_normalisation(text):
    assert words(" ".join(words(text))) == words(text)


def test_the_drawing_order_is_a_permutation_that_the_seed_fixes():
    assert sorted(drawing_order(1000, 3)) == list(range(1000))
    assert drawing_order(1000, 3) != drawing_order(1000, 4)
    assert drawing_order(6, 3) == ORDER_OF_SIX


def numina(*rows: tuple[str, str]) -> list[dict[str, str]]:
    return [{"problem": problem, "solution": solution} for problem, solution in rows]


def test_a_subset_skips_rows_without_a_gradeable_gold_and_copies_of_test_problems():
    rows = numina(
        ("good one", r"so \boxed{1} and then \boxed{2}"),
        ("a proof", "QED"),
        ("empty", r"\boxed{ }"),
        ("nothing said", r"\boxed{?}"),
        (TEN, r"\boxed{3}"),
        ("good two", r"\boxed{4}"),
    )
    drawn, excluded = draw_subset(rows, 2, 3, ProblemIndex({"suite:7": TEN}))
    assert {row.id: row.answer for row in drawn} == {"numina-0": "2", "numina-5": "4"}
    reasons = {row.id: (row.reason, row.detail) for row in excluded}
    expected = {
        "numina-1": ("no_box", ""),
        "numina-2": ("empty_gold", ""),
        "numina-3": ("unusable_gold", ""),
        "numina-4": (OVERLAP, "suite:7"),
    }
    assert reasons.items() <= expected.items()
    assert [row.id for row in drawn] == [f"numina-{place}" for place in ORDER_OF_SIX if place in (0, 5)]


def test_a_longer_subset_begins_with_the_shorter_one():
    rows = numina(*((f"problem {place}", rf"\boxed{{{place}}}") for place in range(50)))
    short, long = draw_subset(rows, 10, 1, None)[0], draw_subset(rows, 30, 1, None)[0]
    assert long[:10] == short
    assert rows_digest(long) != rows_digest(short)


def test_too_few_rows_for_a_subset_are_an_error():
    with pytest.raises(BadInput, match="only 1 of 2"):
        draw_subset(numina(("a", r"\boxed{1}"), ("b", "none")), 2, 0, None)


def test_rows_of_2024_are_no_training_rows():
    rows = [{"ID": f"{year}-1", "Year": year, "Question": "q", "Answer": " 7 "} for year in (1983, 2023, 2024)]
    assert aime_rows(rows) == [Row("aime1983-1", "q", "7"), Row("aime2023-1", "q", "7")]


def test_the_gold_decides_before_the_overlap():
    index = ProblemIndex({"suite:7": TEN})
    assert find_exclusion(Row("a", TEN, ""), index).reason == "empty_gold"
    assert find_exclusion(Row("a", TEN, "5"), index).reason == OVERLAP
    assert find_exclusion(Row("a", TEN, "5"), None) is None


@pytest.fixture
def hub(monkeypatch):
    """A hub of our own: (repository, revision, split) of every call; serves `rows`."""
    import datasets
    import huggingface_hub

    calls, rows = [], []

    def snapshot_download(repo, *, repo_type, revision):
        assert repo_type == "dataset"
        return f"{repo}@{revision}"

    def load_dataset(folder, config=None, *, split):
        calls.append((*folder.split("@"), split))
        return rows

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls, rows


@pytest.fixture
def no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_DATA", str(tmp_path / "none"))


@pytest.mark.parametrize("name", ["train_aime_1983_2023", "train_numina_4000", "train_math_7474"])
def test_nothing_is_fetched_unless_asked(hub, no_files, name):
    with pytest.raises(BadInput, match=name):
        load_training_set(name)
    assert hub[0] == []


def test_a_hub_copy_is_fetched_at_the_pinned_revision_and_counted(hub, no_files, monkeypatch):
    calls, rows = hub
    rows.extend({"ID": f"1990-{n}", "Year": 1990, "Question": f"q{n}", "Answer": str(n)} for n in range(3))
    with pytest.raises(BadInput, match="has 3 rows; want 933"):
        load_training_set("train_aime_1983_2023", hub=True)
    assert calls == [("gneubig/aime-1983-2024", "5d610df981dec508dd93d0a16333a029ac1739d8", "train")]
    loaded = load_training_set("train_aime_1983_2023", hub=True, revision="f" * 40)
    assert [row.answer for row in loaded.rows] == ["0", "1", "2"]
    assert loaded.source["revision"] == "f" * 40 and loaded.source["rows_sha256"] == rows_digest(loaded.rows)


@needs_files
def test_the_real_subset_is_drawn_from_the_hub_and_screened_against_the_suites(hub, monkeypatch):
    test_id, problem = next(iter(training_sets.evaluation_problems().items()))
    hub[1].extend(numina((problem, r"\boxed{1}"), ("a new problem", r"\boxed{2}")))
    monkeypatch.setitem(
        training_sets.SETS, "tiny", training_sets.TrainingSet("tiny", "t", hub=training_sets._NUMINA_HUB, subset=1)
    )
    loaded = load_training_set("tiny", hub=True, revision="e" * 40)
    assert [row.problem for row in loaded.rows] == ["a new problem"]
    assert all(row.detail == test_id for row in loaded.excluded)


@needs_files
@pytest.mark.parametrize(
    ("name", "rows", "left_out"),
    [
        ("train_aime_1983_2023", 918, set()),
        ("train_aime_1989_2023", 885, set()),
        ("train_aime_all", 975, set()),
        ("train_numina_SUBSTITUTE_4000", 4000, set()),
        ("train_deepscaler_sub_1209", 1208, {"dsrsub-265"}),
        ("train_math_7474", 7470, {"mathtrain-886", "mathtrain-1009", "mathtrain-5328", "mathtrain-5330"}),
    ],
)
def test_a_file_gives_every_row_with_a_gradeable_gold(name, rows, left_out):
    loaded = load_training_set(name)
    assert len(loaded.rows) == loaded.source["rows"] == rows
    assert {row.id for row in loaded.excluded} == left_out
    clean = load_training_set(name, drop_overlaps=True)
    assert len(clean.rows) == rows - len([row for row in clean.excluded if row.reason == OVERLAP]) < rows


@needs_files
def test_the_substitute_says_so_wherever_it_is_named():
    source = load_training_set("train_numina_SUBSTITUTE_4000").source
    assert "SUBSTITUTE" in source["set"] and "SUBSTITUTE" in source["title"] and "SUBSTITUTE" in source["file"]
    assert source["substitute_for"] == "NuminaMath"
    assert load_training_set("train_aime_all").source["substitute_for"] == ""


@needs_files
def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    name = training_sets.SETS["train_deepscaler_sub_1209"].file
    content = (FOLDER / name).read_text("utf-8")
    (tmp_path / name).write_text(content.replace('"124"', '"125"', 1), encoding="utf-8")
    monkeypatch.setenv("GCPO_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"1209 rows.*sha256"):
        load_training_set("train_deepscaler_sub_1209")
    (tmp_path / name).unlink()
    with pytest.raises(BadInput, match="missing"):
        load_training_set("train_deepscaler_sub_1209")


@needs_files
def test_an_unusable_gold_that_is_not_on_the_list_stops_the_load(monkeypatch, tmp_path):
    shorter = tmp_path / "exclusions.csv"
    shorter.write_text("set,id,reason,detail\n", encoding="utf-8")
    monkeypatch.setattr(training_sets, "EXCLUSIONS", shorter)
    with pytest.raises(BadInput, match="dsrsub-265 cannot be graded"):
        load_training_set("train_deepscaler_sub_1209")


def test_an_unknown_set_is_named():
    with pytest.raises(BadInput, match="unknown training set 'numina'"):
        load_training_set("numina")


@pytest.fixture(scope="module")
def measured():
    return training_report.measure()


@needs_files
def test_the_committed_lists_are_those_that_the_data_give(measured, tmp_path):
    fresh = training_report.write_exclusions(measured, tmp_path / "exclusions.csv")
    assert fresh.read_text() == training_sets.EXCLUSIONS.read_text()
    for path in training_report.write_overlap(measured, tmp_path):
        assert path.read_text() == (training_report.PUBLISHED / path.name).read_text()


@needs_files
def test_every_pair_that_the_files_mark_is_found(measured):
    assert measured.marks == {"near_dup_of_aime": (467, 467), "overlaps_eval": (8, 8)}


@needs_files
def test_seven_of_the_marked_aime_problems_are_among_the_default_rows():
    listed = [row.id for row in committed_exclusions("train_aime_1983_2023", overlaps=True)]
    data = [json.loads(line) for line in (FOLDER / "train_aime_1983_2023.jsonl").read_text("utf-8").splitlines()]
    marked = {row["id"] for row in data if row.get("overlaps_eval")}
    assert len(marked & set(listed)) == 7 and len(marked) == 8


def test_the_published_lists_hold_no_text_of_a_problem():
    with (training_report.PUBLISHED / "overlap.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows and {" ".join(row["sets"].split()) for row in rows} >= {"train_math_7474"}
    assert all(" " not in row["train_id"] + row["problem_id"] + row["share"] for row in rows)
    assert all(row["kind"] in (EXACT, NEAR) and row["same_gold"] in ("yes", "no", "") for row in rows)


@needs_files
def test_the_verb_counts_every_set(capsys):
    assert main(["training-sets", "--json"]) == 0
    rows = {row["set"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["train_math_7474"]["left_out"] == {"empty_gold": 4}
    assert rows["train_aime_1983_2023"]["overlap"]["MATH500"] == {"exact": 5, "near": 4}
    assert rows["train_numina_SUBSTITUTE_4000"]["substitute_for"] == "NuminaMath"


def test_the_verb_without_files_says_what_is_missing(no_files, capsys):
    assert main(["training-sets"]) == 2
    assert "GCPO_DATA" in capsys.readouterr().err
