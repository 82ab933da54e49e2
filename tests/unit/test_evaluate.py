"""Evaluation: counts from samples, storage, and answers that depend on nothing but seed, suite and question."""

import dataclasses

import pytest
import torch

from repro.bases import sft
from repro.config import EvaluateSpec, TaskSpec
from repro.errors import BadInput
from repro.evaluation.local import Sample, evaluate_suite, read_samples, summarise, write_samples
from repro.seeds import derive_seed
from repro.tasks.procedural import build_tokenizer, final_answer
from repro.tasks.protocol import ProceduralTasks


def vote(text, ended):
    return final_answer(text, ended=ended)


def sample(question, index, text, correct, reason="correct", ended=True):
    return Sample("s", question, index, text, "7", correct, reason if correct else "wrong", len(text), ended)


def test_counts_and_scores_follow_from_the_samples():
    texts = ["#7", "#7", "#3", "#7", "#3", "#3", "#3", "5"]
    samples = [sample(f"q{i // 4}", i % 4, text, text == "#7") for i, text in enumerate(texts)]
    entry = summarise(samples, vote)
    assert entry["correct"] == [3, 0] and entry["k"] == 4 and entry["n"] == 2
    assert entry["avg_at_k"] == 3 / 8 and entry["pass_at_k"] == 0.5
    assert entry["maj_at_k"] == 0.5  # 7 wins the first question; the second elects 3
    assert entry["reasons"] == {"correct": 3, "wrong": 5}


def test_a_question_with_missing_samples_is_refused():
    samples = [sample("a", 0, "#7", True), sample("a", 1, "#7", True), sample("b", 0, "#7", True)]
    with pytest.raises(BadInput, match=r"questions have \[1, 2\] samples"):
        summarise(samples, vote)


def test_stored_samples_come_back_and_damage_is_named(tmp_path):
    path = tmp_path / "samples.jsonl.zst"
    samples = [sample("a", i, "#7;", i % 2 == 0) for i in range(50)]
    write_samples(path, samples)
    assert read_samples(path) == samples
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BadInput, match="are damaged"):
        read_samples(path)
    with pytest.raises(BadInput, match="do not exist"):
        read_samples(tmp_path / "none.zst")


@pytest.fixture(scope="module")
def policy():
    shape = sft.Shape(hidden=16, layers=1, heads=2, kv_heads=1, intermediate=16)
    return sft.build_model(shape, seed=0).eval(), build_tokenizer()


PROTOCOL = EvaluateSpec(samples=2, temperature=1.0, top_p=1.0, max_new_tokens=6, batch_size=4)
TASKS = ProceduralTasks(TaskSpec(kind="procedural", suites={"modten-easy": 5, "modten-smoke": 3}))


def test_equal_seeds_give_equal_answers_whatever_ran_before(policy):
    torch.manual_seed(1)
    first = evaluate_suite(*policy, TASKS, "modten-easy", PROTOCOL, seed=3)
    evaluate_suite(*policy, TASKS, "modten-smoke", PROTOCOL, seed=3)
    assert evaluate_suite(*policy, TASKS, "modten-easy", PROTOCOL, seed=3) == first
    other = evaluate_suite(*policy, TASKS, "modten-easy", PROTOCOL, seed=4)
    assert [s.text for s in other] != [s.text for s in first]


def test_samples_stand_in_question_order_with_every_index(policy):
    samples = evaluate_suite(*policy, TASKS, "modten-easy", PROTOCOL, seed=0)
    ids = [question.id for question in TASKS.questions("modten-easy")]
    assert [(s.question_id, s.sample) for s in samples] == [(name, index) for name in ids for index in range(2)]


def test_the_gold_answer_never_reaches_the_policy(policy):
    class Poisoned(ProceduralTasks):
        def questions(self, suite):
            return [dataclasses.replace(question, answer="poison") for question in super().questions(suite)]

    clean = evaluate_suite(*policy, TASKS, "modten-easy", PROTOCOL, seed=0)
    poisoned = evaluate_suite(*policy, Poisoned(TASKS.spec), "modten-easy", PROTOCOL, seed=0)
    assert [s.text for s in poisoned] == [s.text for s in clean]


def test_training_and_evaluation_questions_are_disjoint():
    seen = {row["prompt"] for row in training_rows(400)}
    asked = {q.prompt for suite in ("modten-easy", "modten-medium") for q in bigger().questions(suite)}
    assert len(seen) > 300 and not seen & asked


def bigger():
    spec = {"train_levels": ["e", "m"], "train_families": ["rec", "shop", "lin"]}
    return ProceduralTasks(TaskSpec(kind="procedural", suites={"modten-easy": 200, "modten-medium": 200}, **spec))


def training_rows(count):
    return bigger().training_rows("nano-s", 0, count)


def test_derived_seeds_depend_on_every_part_and_not_on_the_process():
    assert derive_seed(0, "modten-easy", 1) == derive_seed(0, "modten-easy", 1)
    assert len({derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}) == 4
    assert derive_seed("a") == 7299139317422481125  # half of the first eight bytes of sha256(b"a")
