"""A search cell's answers on a tiny random model of the tasks: no gold leaks in, interruption changes nothing."""

import json
from dataclasses import replace

import pytest
import torch
import zstandard

from repro.bases.sft import Shape, build_model
from repro.config import load_profile
from repro.errors import BadInput
from repro.methods.search import Searcher, search_suites
from repro.tables import answered_by, search_record
from repro.tasks.procedural import build_tokenizer
from repro.tasks.procedural.taskset import ProceduralTasks
from repro.tasks.protocol import Verdict

KINDS = ("mcts", "maj", "best")
CELL = {"seed": 0}


@pytest.fixture(scope="module")
def model():
    return build_model(Shape(hidden=32, layers=2, heads=2, kv_heads=1, intermediate=48), seed=3).eval()


@pytest.fixture(scope="module")
def profile():
    return load_profile("smoke", ["tasks.suites.modten-smoke=8", "search.questions_at_once=3"])


class Poisoned(ProceduralTasks):
    """The tasks with other answers, and a grader that calls everything right."""

    def questions(self, suite):
        return [replace(each, gold="poison") for each in super().questions(suite)]

    def grade(self, questions, responses):
        return [Verdict(True, "correct")] * len(responses)


def run(model, profile, folder, tasks_class=ProceduralTasks):
    tasks = tasks_class(profile.tasks)
    return search_suites(model, build_tokenizer(), tasks, profile, CELL, folder, lambda fraction, text: None)


def answers(samples):
    return {kind: [(s.question_id, s.text, s.tokens) for s in samples[kind]] for kind in KINDS}


def test_poisoned_answers_and_a_poisoned_grader_change_no_searched_answer(model, profile, tmp_path):
    clean, _ = run(model, profile, tmp_path / "a")
    poisoned, _ = run(model, profile, tmp_path / "b", Poisoned)
    assert answers(clean) == answers(poisoned)
    assert [s.correct for s in poisoned["mcts"]] == [True] * 8
    assert [s.correct for s in clean["mcts"]] != [True] * 8


class OtherReferences(ProceduralTasks):
    """The tasks with other answers to the suites' questions; training questions keep theirs, and all are right."""

    def __init__(self, spec, reference):
        super().__init__(spec)
        self.reference = reference

    def questions(self, suite):
        return [replace(each, gold=self.reference) for each in super().questions(suite)]

    def grade(self, questions, responses):
        return [Verdict(True, "correct")] * len(responses)


def test_a_value_model_is_fitted_without_the_suites_answers_and_leaves_the_policy_as_it_was(model, tmp_path):
    profile = load_profile("smoke", ["tasks.suites.modten-smoke=8", "search.value=value_model"])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = []
    for reference in ("1", "2"):
        tasks = OtherReferences(profile.tasks, reference)
        folder = tmp_path / reference
        cell = CELL | {"value_model": profile.arms["rest_mcts"]}
        searched, _ = search_suites(model, build_tokenizer(), tasks, profile, cell, folder, lambda fraction, text: None)
        found.append(answers(searched))
        (chunk,) = (json.loads(zstandard.decompress(path.read_bytes())) for path in folder.glob("*.zst"))
        values = [value for row in chunk for value in row["values"]]
        assert all(0.0 <= value <= 1.0 for value in values)
        assert sum(values) / len(values) > 0.5  # fitted on rollouts that were all right; 0.5 before any data
    assert found[0] == found[1]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_the_searcher_is_given_no_reference_and_no_grader(model, profile):
    tasks = Poisoned(profile.tasks)
    tasks.grade = None  # calling it would fail
    searcher = Searcher(model, build_tokenizer(), tasks, profile.search, profile.evaluate, 0, "here")
    questions = [replace(each, gold=None) for each in tasks.questions("modten-smoke")]
    assert len(searcher.trees(questions[:3])) == 3
    assert [len(each) for each in searcher.samples(questions[:2], [2, 3])] == [2, 3]


def test_an_interrupted_search_goes_on_with_its_stored_trees_and_ends_the_same(model, profile, tmp_path, monkeypatch):
    whole, record = run(model, profile, tmp_path / "whole")
    calls, trees = [], Searcher.trees

    def stop_at_the_third(self, questions):
        calls.append(len(questions))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return trees(self, questions)

    monkeypatch.setattr(Searcher, "trees", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(model, profile, tmp_path / "cut")
    resumed, again = run(model, profile, tmp_path / "cut")
    assert calls == [3, 3, 2, 2]  # the two finished chunks are not searched again
    assert answers(resumed) == answers(whole)
    assert again["curves"] == record["curves"]


def test_damaged_stored_trees_are_named(model, profile, tmp_path):
    run(model, profile, tmp_path)
    damaged = sorted(tmp_path.glob("*.zst"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"stored trees .* are damaged"):
        run(model, profile, tmp_path)


def test_votes_spend_no_more_than_the_search_did_by_the_length_of_its_plain_samples(model, profile, tmp_path):
    samples, record = run(model, profile, tmp_path)
    spent = {kind: sum(s.tokens for s in samples[kind]) for kind in KINDS}
    first = record["curves"]["mcts"]["modten-smoke"][0][0] * 8  # the first simulation is a plain sample
    assert record["k"]["modten-smoke"] == int(spent["mcts"] // round(first))
    assert spent["maj"] == spent["best"]
    assert record["smallest_batch"] >= 2


def test_curves_end_at_the_answers_that_are_graded(model, profile, tmp_path):
    samples, record = run(model, profile, tmp_path)
    for kind in KINDS:
        tokens, accuracy = record["curves"][kind]["modten-smoke"][-1]
        assert tokens == pytest.approx(sum(s.tokens for s in samples[kind]) / 8)
        assert accuracy == sum(s.correct for s in samples[kind]) / 8


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("search.simulations=0", "search.simulations: Input should be greater"),
        ("search.branch=0", "search.branch: Input should be greater"),
        ('search.delimiter="step"', "step delimiter 'step'"),
        ("search.value=p_true", "p_true needs"),
        ("evaluate.max_new_tokens=600", "the model's context has 512"),
    ],
)
def test_bad_input_is_one_line_that_names_it(model, tmp_path, override, what):
    with pytest.raises(BadInput, match=what):
        run(model, load_profile("smoke", ["tasks.suites.modten-smoke=8", override]), tmp_path)


def test_one_search_cell_gives_three_rows_and_other_cells_one():
    suite = {"k": 1, "n": 2, "correct": [1, 0]}
    kinds = {kind: {"s": suite} for kind in KINDS}
    cell = {"cell_id": "c", "arm": "grpo_mcts", "base": "b", "suites": kinds["mcts"], "kinds": kinds,
            "seconds": {"evaluate": 2.0}, "search": {}}  # fmt: skip
    rows = answered_by(cell)
    assert [(row["arm"], row["cell_id"]) for row in rows] == [
        ("grpo_mcts", "c"), ("grpo_maj", "c:maj"), ("grpo_best", "c:best")]  # fmt: skip
    assert [row["seconds"] for row in rows] == [{"evaluate": 2.0}, {}, {}]
    assert answered_by({"cell_id": "d"}) == [{"cell_id": "d"}]
    assert search_record([{"cell_id": "d"}]) is None


def test_the_record_of_pictures_is_the_mean_over_seeds_and_suites(model, profile, tmp_path):
    _, record = run(model, profile, tmp_path)
    cell = {"base": "b", "arm": "grpo_mcts", "kinds": {}, "search": record}
    found = search_record([cell, cell])
    line = record["curves"]["maj"]["modten-smoke"]
    assert found["curves"]["b"]["grpo"]["maj"] == [pytest.approx([x, *[100 * y] * 3]) for x, y in line]
    assert json.loads(json.dumps(found))["example"]["answer"] == record["example"]["answer"]
