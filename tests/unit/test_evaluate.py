"""Cells' evaluation: counts from samples, storage, and answers that depend on nothing but seed, suite and question."""

import dataclasses

import pytest
import torch

from repro.bases import sft
from repro.config import EvaluateSpec, TaskSpec
from repro.errors import BadInput
from repro.evaluation import draw
from repro.evaluation.policy import evaluate_policy
from repro.evaluation.scores import summarise
from repro.evaluation.store import GREEDY, SAMPLED, Sample, read_samples
from repro.seeds import derive_seed
from repro.tasks.procedural import build_tokenizer
from repro.tasks.procedural.taskset import ProceduralTasks
from repro.tasks.protocol import Question, Response


def sample(question, index, text, correct, reason="correct", ended=True):
    read = text.removeprefix("#") if text.startswith("#") else None
    reason = reason if correct else "wrong"
    return Sample("s", question, SAMPLED, index, 0, text, 3, len(text), ended, False, correct, reason, "", read)


def test_counts_and_scores_follow_from_the_samples():
    texts = ["#7", "#7", "#3", "#7", "#3", "#3", "#3", "5"]
    samples = [sample(f"q{i // 4}", i % 4, text, text == "#7") for i, text in enumerate(texts)]
    entry = summarise(samples, [Question("q0", "?", "7"), Question("q1", "?", "7")], 4, lambda answers: answers)
    assert entry["correct"] == [3, 0] and entry["k"] == 4 and entry["n"] == 2
    assert entry["avg_at_k"] == 3 / 8 and entry["pass_at_k"] == 0.5
    assert entry["maj_at_k"] == 0.5  # 7 wins the first question; the second elects 3
    assert entry["reasons"] == {"correct": 3, "wrong": 5} and "greedy" not in entry


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """The folder of a small untrained model."""
    folder = tmp_path_factory.mktemp("policy")
    shape = sft.Shape(hidden=16, layers=1, heads=2, kv_heads=1, intermediate=16)
    sft.build_model(shape, seed=0).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


PROTOCOL = EvaluateSpec(samples=2, temperature=1.0, top_p=1.0, max_new_tokens=6, batch_size=4, seeds="batch")
TASKS = ProceduralTasks(TaskSpec(kind="procedural", suites={"modten-easy": 5, "modten-smoke": 3}))


def evaluate(folder, path, suites, *, seed=0, tasks=TASKS, spec=PROTOCOL):
    return evaluate_policy(
        folder, tasks, suites, spec, seed=seed, path=path, device=torch.device("cpu"), report=lambda *_: None
    )


def timeless(path):
    return [dataclasses.replace(each, seconds=0.0, grade_seconds=0.0) for each in read_samples(path)]


@pytest.mark.parametrize("seeds", ["batch", "sample"])
def test_equal_seeds_give_equal_answers_whatever_ran_before(policy, tmp_path, seeds):
    spec = PROTOCOL.model_copy(update={"seeds": seeds})
    torch.manual_seed(1)
    first = evaluate(policy, tmp_path / "a", ["modten-easy"], seed=3, spec=spec)
    both = evaluate(policy, tmp_path / "b", ["modten-smoke", "modten-easy"], seed=3, spec=spec)
    assert both["modten-easy"] == first["modten-easy"]
    evaluate(policy, tmp_path / "c", ["modten-easy"], seed=4, spec=spec)
    texts = [[each.text for each in read_samples(tmp_path / name)] for name in "ac"]
    assert texts[0] != texts[1]


def test_every_question_has_every_sample_and_one_greedy_answer(policy, tmp_path):
    found = evaluate(policy, tmp_path / "samples", ["modten-easy"])["modten-easy"]
    ids = [question.id for question in TASKS.questions("modten-easy")]
    keys = {each.key[1:] for each in read_samples(tmp_path / "samples")}
    assert keys == {(name, SAMPLED, n) for name in ids for n in range(2)} | {(name, GREEDY, 0) for name in ids}
    assert found["question_ids"] == ids and len(found["greedy"]["correct"]) == 5 and found["k"] == 2


def test_a_greedy_answer_is_the_same_for_every_seed(policy, tmp_path):
    for seed in (0, 1):
        evaluate(policy, tmp_path / str(seed), ["modten-easy"], seed=seed)
    texts = [{e.question_id: e.text for e in read_samples(tmp_path / n) if e.draw == GREEDY} for n in "01"]
    assert texts[0] == texts[1] and len(texts[0]) == 5


@pytest.mark.parametrize("seeds", ["batch", "sample"])
def test_an_evaluation_that_dies_after_any_batch_goes_on_and_ends_the_same(policy, tmp_path, monkeypatch, seeds):
    spec = PROTOCOL.model_copy(update={"seeds": seeds})
    suites = ["modten-easy", "modten-smoke"]
    whole = evaluate(policy, tmp_path / "whole", suites, spec=spec)
    append, left = draw.append_samples, [0]

    def dying(path, samples):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        append(path, samples)

    batches = 0
    for survived in range(12):
        left[0] = survived
        path = tmp_path / f"cut{survived}"
        monkeypatch.setattr(draw, "append_samples", dying)
        try:
            evaluate(policy, path, suites, spec=spec)
        except KeyboardInterrupt:
            batches += 1
            assert len(read_samples(path)) <= survived * PROTOCOL.batch_size  # nothing is kept back
        monkeypatch.setattr(draw, "append_samples", append)
        assert evaluate(policy, path, suites, spec=spec) == whole
        assert sorted(timeless(path), key=str) == sorted(timeless(tmp_path / "whole"), key=str)
    assert batches >= 6


def test_the_gold_answer_never_reaches_the_policy(policy, tmp_path):
    class Poisoned(ProceduralTasks):
        def questions(self, suite):
            return [dataclasses.replace(question, gold="poison") for question in super().questions(suite)]

    evaluate(policy, tmp_path / "clean", ["modten-easy"])
    evaluate(policy, tmp_path / "poisoned", ["modten-easy"], tasks=Poisoned(TASKS.spec))
    texts = [[each.text for each in read_samples(tmp_path / name)] for name in ("clean", "poisoned")]
    assert texts[0] == texts[1]


def test_a_reward_is_the_verdict_of_an_evaluation():
    question = TASKS.questions("modten-easy")[0]
    right, wrong = f"steps;#{question.gold}", f"steps;#{(int(question.gold) + 1) % 10}"
    verdicts = TASKS.grade([question] * 3, [Response(right, True), Response(wrong, True), Response(right, False)])
    assert [(each.correct, each.reason, each.extracted) for each in verdicts] == [
        (True, "correct", question.gold),
        (False, "wrong", wrong[-1]),
        (False, "truncated", None),
    ]


def test_samples_may_be_counted_by_suite_and_a_suite_without_a_number_is_named():
    spec = PROTOCOL.model_copy(update={"samples": {"modten-easy": 3}})
    assert spec.samples_of("modten-easy") == 3 and PROTOCOL.samples_of("any") == 2
    with pytest.raises(BadInput, match="no number for suite 'modten-far'"):
        spec.samples_of("modten-far")


def test_training_and_evaluation_questions_are_disjoint():
    seen = {question.text for question in bigger().training_questions("nano-s", 0, 400)}
    asked = {q.text for suite in ("modten-easy", "modten-medium") for q in bigger().questions(suite)}
    assert len(seen) > 300 and not seen & asked


def bigger():
    spec = {"train_levels": ["e", "m"], "train_families": ["rec", "shop", "lin"]}
    return ProceduralTasks(TaskSpec(kind="procedural", suites={"modten-easy": 200, "modten-medium": 200}, **spec))


def test_derived_seeds_depend_on_every_part_and_not_on_the_process():
    assert derive_seed(0, "modten-easy", 1) == derive_seed(0, "modten-easy", 1)
    assert len({derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}) == 4
    assert derive_seed("a") == 7299139317422481125  # half of the first eight bytes of sha256(b"a")
