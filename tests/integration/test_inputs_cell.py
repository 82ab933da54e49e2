"""Answers from the three inputs on a tiny random model: every token against a loop without any cache."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gcpo.search.joint import decode_jointly
from gcpo.search.policy import Policy
from repro.bases.sft import Shape, build_model
from repro.cells.experiments import get_arm
from repro.cells.plan import training_values
from repro.config import load_profile
from repro.errors import BadInput
from repro.evaluation.store import GREEDY, SAMPLED, read_samples
from repro.methods import inputs
from repro.methods.inputs import KINDS, InputAnswers, answer_suites, settings_of
from repro.tasks.procedural import build_tokenizer, integration_prompt
from repro.tasks.procedural.taskset import ProceduralTasks
from repro.tasks.protocol import Verdict

SUITE = "modten-smoke"
VOCABULARY = 40


@pytest.fixture(scope="module")
def model():
    return build_model(Shape(hidden=32, layers=2, heads=2, kv_heads=1, intermediate=48), seed=3).eval()


@pytest.fixture(scope="module")
def profile():
    settings = [
        "tasks.suites.modten-smoke=5",
        "evaluate.samples=2",
        "evaluate.max_new_tokens=7",
        "evaluate.batch_size=6",
    ]
    return load_profile("smoke", settings)


def cell_of(profile, seed=0):
    values = training_values(profile, next(iter(profile.bases)), get_arm("gcpo_mc"))
    return {"seed": seed, "tasks": profile.tasks.model_dump(), "inputs": values}


def answered(model, profile, folder, tasks=None, report=lambda share, text: None):
    folder.mkdir(exist_ok=True)
    made = tasks or ProceduralTasks(profile.tasks)
    return answer_suites(model, build_tokenizer(), folder, made, profile, cell_of(profile), folder, report)


def texts(samples):
    return {kind: [(s.question_id, s.draw, s.sample, s.text, s.tokens) for s in samples[kind]] for kind in KINDS}


def plain_logits(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0, -1].double()


def written(model, contexts, combine, limit, eos, seed, temperature=1.0):
    """One output by a loop: a whole forward pass per context and token, a token drawn from the running sum."""
    draws = None if seed is None else np.random.default_rng(seed).random(limit)
    output = []
    while len(output) < limit:
        rows = [(plain_logits(model, [*ids, *output]) / temperature).tolist() for ids in contexts]
        probs = combine(rows)
        if draws is None:
            token = max(range(len(probs)), key=probs.__getitem__)
        else:
            passed = [place for place in range(len(probs)) if sum(probs[: place + 1]) > draws[len(output)]]
            token = passed[0]
        output.append(token)
        if token == eos:
            break
    return output


def softmax(row):
    powers = [np.exp(value - max(row)) for value in row]
    return [value / sum(powers) for value in powers]


def projected(rows):
    q, x, *_ = each = [softmax(row) for row in rows]
    raw = [x[t] - sum(other[t] for other in each[1:]) / (len(each) - 1) + q[t] for t in range(len(q))]
    kept = [min(max(value, 0.0), 1.0) for value in raw]
    return [value / sum(kept) for value in kept]


def features(rows):
    q, x, *_ = rows
    mean = [sum(other[t] for other in rows[1:]) / (len(rows) - 1) for t in range(len(q))]
    return softmax([x[t] - mean[t] + q[t] for t in range(len(q))])


LOOPS = {"x": lambda rows: softmax(rows[0]), "projected": projected, "features": features}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("greedy", [True, False])
def test_every_output_is_that_of_a_loop_without_a_cache(model, kind, greedy):
    rng = np.random.default_rng(5)
    count = 1 if kind == "x" else 4
    contexts = [[rng.integers(5, 30, size=rng.integers(2, 9)).tolist() for _ in range(count)] for _ in range(9)]
    seeds = None if greedy else list(range(9))
    policy = Policy(model, eos=2, temperature=0.7)
    found = decode_jointly(policy, contexts, inputs._COMBINE[kind], stop=frozenset([2]), limit=12, seeds=seeds)
    loop = [
        written(model, each, LOOPS[kind], 12, 2, None if greedy else seeds[place], 0.7)
        for place, each in enumerate(contexts)
    ]
    assert found == loop
    alone = decode_jointly(
        policy, contexts[:1], inputs._COMBINE[kind], stop=frozenset([2]), limit=12, seeds=seeds and seeds[:1]
    )
    assert alone == loop[:1]


def test_contexts_are_those_of_training_and_the_projection_reads_q_x_and_its_integrated_outputs(model, profile):
    tasks = ProceduralTasks(profile.tasks)
    answerer = InputAnswers(model, build_tokenizer(), None, tasks, profile.evaluate, cell_of(profile), "here")
    asked = list(tasks.questions(SUITE))[:2]
    seen, decode = [], inputs.decode_jointly

    def watched(policy, contexts, combine, **options):
        seen.append((combine, contexts))
        return decode(policy, contexts, combine, **options)

    inputs.decode_jointly = watched
    try:
        found = answerer.answers(SUITE, asked)
    finally:
        inputs.decode_jointly = decode
    tokenizer, n, m = build_tokenizer(), answerer.config.num_generations, answerer.config.num_integrated
    x = [ids for combine, contexts in seen if combine is inputs._softmax for (ids,) in contexts]
    many = [each for combine, contexts in seen if combine is inputs._projected for each in contexts]
    assert len(x) == len(many) == 2 * 2 + 2  # two answers of two questions, and a greedy one of each
    for (q, *others), ids in zip(many, x, strict=True):
        assert tokenizer.decode(q) in [question.text for question in asked]
        assert len(others) == m
        shown = tokenizer.decode(ids)
        assert shown.startswith(tokenizer.decode(q)) and shown.count("|") == n  # n - 1 candidates and the end
        for other in others:  # x with one more view before the closing separator
            assert tokenizer.decode(other)[: len(shown) - 1] == shown[:-1]
            assert tokenizer.decode(other).count("|") == n + 1
    assert integration_prompt("q", ["1"] * (n - 1)).count("|") == n
    assert {kind: sorted({s.draw for s in samples}) for kind, samples in found.items()} == {
        "x": [GREEDY, SAMPLED], "projected": [GREEDY, SAMPLED], "features": [GREEDY, SAMPLED], "vote": [SAMPLED]
    }  # fmt: skip
    for own in zip(found["x"], found["projected"], strict=True):
        assert own[0].tokens < own[1].tokens + 99 and min(each.tokens for each in own) > n - 1


class Poisoned(ProceduralTasks):
    """The tasks with other answers, and a grader that calls everything right."""

    def questions(self, suite):
        return [replace(each, gold="poison") for each in super().questions(suite)]

    def grade(self, questions, responses):
        return [Verdict(True, "correct")] * len(responses)


def test_no_reference_answer_moves_what_is_written(model, profile, tmp_path):
    clean = answered(model, profile, tmp_path / "a")
    poisoned = answered(model, profile, tmp_path / "b", Poisoned(profile.tasks))
    assert texts(clean) == texts(poisoned)
    assert all(sample.correct for sample in poisoned["vote"])


def test_an_interrupted_cell_goes_on_and_ends_the_same(model, profile, tmp_path, monkeypatch):
    whole = answered(model, profile, tmp_path / "whole")
    calls, answers = [], InputAnswers.answers

    def stop_at_the_second(self, suite, questions):
        calls.append(len(questions))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answers(self, suite, questions)

    monkeypatch.setattr(InputAnswers, "answers", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        answered(model, profile, tmp_path / "cut")
    path = tmp_path / "cut" / "samples_vote.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-3])  # the last kind of the first chunk was being written
    resumed = answered(model, profile, tmp_path / "cut")
    assert calls == [3, 2, 3, 2]  # questions of a chunk: the whole run's are not counted
    assert texts(resumed) == texts(whole)
    assert len(read_samples(tmp_path / "cut" / "samples_x.jsonl.zst")) == 5 * 2 + 5


def test_the_vote_is_that_of_the_candidates_which_x_shows(model, profile, monkeypatch):
    tasks = ProceduralTasks(profile.tasks)
    tokenizer = build_tokenizer()
    answerer = InputAnswers(model, tokenizer, None, tasks, profile.evaluate, cell_of(profile), "here")
    question = next(iter(tasks.questions(SUITE)))
    outputs = [[*tokenizer(text)["input_ids"], 2] for text in ("#3", "#7", "1+1=2;#3", "#7", "5")]
    chosen = answerer._voted(SUITE, question, 0, outputs)
    assert (chosen.text, chosen.tokens) == ("#3", sum(map(len, outputs)))  # a tie: seen first
    silent = answerer._voted(SUITE, question, 0, [[5, 2], [6, 2]])
    assert silent.text == tokenizer.decode([5])


def test_a_context_that_the_model_has_no_room_for_is_named(model, profile, tmp_path):
    long = profile.model_copy(update={"evaluate": profile.evaluate.model_copy(update={"max_new_tokens": 500})})
    with pytest.raises(BadInput, match=r"profile smoke, suite modten-smoke: .* context has 512"):
        answered(model, long, tmp_path)


def test_settings_without_contexts_are_refused(profile):
    values = cell_of(profile)["inputs"]
    with pytest.raises(BadInput, match="here: its contexts are none or no texts"):
        settings_of({**values, "kappa": 0.0, "upsilon_control": "one", "estimator": "centroid"}, "here")


def test_the_cell_specification_is_plain_json(profile):
    assert json.loads(json.dumps(cell_of(profile))) == cell_of(profile)
