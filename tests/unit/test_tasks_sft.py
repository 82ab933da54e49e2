"""Examples, batches, the vote and the optimiser behind the base models."""

import dataclasses
import hashlib
import itertools
import math
import random
import re
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.bases.muon import Muon, orthogonalise
from repro.bases.sft import (
    IGNORED,
    TOKEN_IDS,
    Mixture,
    Settings,
    Shape,
    batches,
    build_model,
    collate,
    draw_example,
    leading_answer,
    rate_factor,
    simulated_answers,
    train,
    voted_answer,
)
from repro.tasks.procedural import build_tokenizer, make_problem, split_of, verify
from repro.tasks.procedural.families import REWORDED, problem_key
from repro.tasks.procedural.tokenizer import EOS, PAD

MIXTURE = Mixture(("rec", "shop", "lin"), {"e": 1.0, "m": 1.0}, 0.1, 0.3, 0.3, 2.0, 0)
TINY = Shape(hidden=16, layers=2, heads=2, kv_heads=1, intermediate=24)


@pytest.mark.parametrize(
    ("answers", "own", "expected"),
    [
        (["4", "4", "4", "2", "1", "0", "3", "5"], "7", "4"),  # 3/8 against .3
        (["4", "4", "6", "2", "1", "0", "3", "5"], "7", "7"),  # 2/8 against .3
        (["4", "4", "4", "2", "7", "0", "3", "5"], "7", "7"),  # 3/8 against 1/8 + .3
        (["4"] * 8, "7", "4"),
        (["4"] * 3 + ["7"] * 5, "4", "4"),  # 5/8 against 3/8 + .3
        ([None, None, None], "7", "7"),
        ([], "7", "7"),
        ([None, None, "4", "4"], "7", "4"),  # empty views do not vote
    ],
)
def test_the_vote_follows_agreement_and_else_keeps_the_own_answer(answers, own, expected):
    assert voted_answer(answers, own, agreement=0.3) == expected


@given(st.lists(st.sampled_from(["1", "2", None]), max_size=9), st.sampled_from(["1", "2", "3"]), st.floats(0.05, 1))
def test_the_vote_ignores_the_candidates_order(answers, own, agreement):
    assert voted_answer(answers, own, agreement) == voted_answer(answers[::-1], own, agreement)


def test_simulated_candidates_cover_right_wrong_mixed_and_empty_sets():
    rng = random.Random(0)
    problem = make_problem("lin", "m", 0)
    kinds, sizes, empty = Counter(), Counter(), 0
    for _ in range(600):
        answers = simulated_answers(problem, rng)
        given_answers = [answer for answer in answers if answer is not None]
        empty += len(answers) - len(given_answers)
        right = sum(answer == problem.answer for answer in given_answers)
        kinds["wrong" if right == 0 else "right" if right == len(given_answers) else "mixed"] += 1
        sizes[len(answers)] += 1
    assert min(kinds[kind] for kind in ("wrong", "right", "mixed")) > 100
    assert set(sizes) == set(range(1, 10))
    assert 0.03 < empty / sum(size * count for size, count in sizes.items()) < 0.07


def test_the_fast_encoder_equals_the_tokenizer():
    tokenizer = build_tokenizer()
    for index in range(60):
        ids = draw_example(MIXTURE, index).ids
        assert tokenizer(tokenizer.decode(ids))["input_ids"] == ids


def test_examples_repeat_come_from_training_problems_and_have_verifiable_form():
    tokenizer = build_tokenizer()
    shares = Counter()
    for index in range(300):
        example = draw_example(MIXTURE, index)
        assert example == draw_example(MIXTURE, index)
        prompt, completion = (
            tokenizer.decode(example.ids[: example.start]),
            tokenizer.decode(example.ids[example.start :]),
        )
        bare = prompt.partition("|")[0]
        assert split_of(problem_key(bare)) == "train"
        assert verify(completion, "0")[1] in ("correct", "wrong")
        assert prompt == bare or prompt.endswith("|")
        shares[prompt != bare] += 1
        assert example.answer_weight == (2.0 if prompt != bare else 1.0)
    assert 0.2 < shares[True] / 300 < 0.4


def test_a_share_of_all_examples_shows_the_answer_alone_whatever_the_question():
    tokenizer = build_tokenizer()
    mixture = dataclasses.replace(MIXTURE, slip=0.0, direct_share=0.5, reworded_share=0.25)
    kinds = Counter()
    for index in range(600):
        example = draw_example(mixture, index)
        prompt, text = (
            tokenizer.decode(ids) for ids in (example.ids[: example.start], example.ids[example.start : -1])
        )
        other, direct = prompt.split(" ")[0] in REWORDED.values(), re.fullmatch(r"#\d", text) is not None
        kinds[other, direct] += 1
        assert direct or ";#" in text
    assert abs(sum(kinds[other, True] for other in (True, False)) / 600 - 0.5) < 0.07
    assert abs(kinds[True, True] / (kinds[True, True] + kinds[True, False]) - 0.5) < 0.13
    assert abs((kinds[True, True] + kinds[True, False]) / 600 - 0.25) < 0.06


def test_an_integration_item_ends_in_the_consensus_whatever_was_worked_out():
    mixture = Mixture(("lin",), {"m": 1.0}, 0.9, 1.0, 0.01, 1.0, 0)  # nearly every step slips; votes decide
    tokenizer = build_tokenizer()
    followed = 0
    for index in range(100):
        example = draw_example(mixture, index)
        text = tokenizer.decode(example.ids)
        views = text.split("|")[1:-1]
        votes = Counter(view[1:] for view in views if view).most_common()
        if votes and (len(votes) == 1 or votes[0][1] > votes[1][1]):
            followed += 1
            assert verify(text.split("|")[-1], votes[0][0]) == (True, "correct")
    assert followed > 50


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["4", "4", "4", "7", "1", "2", "3", "5"], "4"),  # three of eight
        (["4", "4", "7", "1", "2", "3", "5", "6"], None),  # two of eight: too few
        (["4", "4", "7", "7", None], None),  # no sole leader
        (["4", None, None, None], "4"),  # shares are of those that answered
        ([None], None),
        ([], None),
    ],
)
def test_a_sole_leader_with_enough_votes_is_followed(answers, expected):
    assert leading_answer(answers, 0.3) == expected


def test_items_in_order_of_agreement_follow_the_first_answer_or_the_own_result():
    mixture = Mixture(("lin",), {"m": 1.0}, 0.5, 1.0, 0.3, 6.0, 0, "agreement", 0.3, 0.4, 6)
    tokenizer = build_tokenizer()
    followed = solved = 0
    for index in range(150):
        example = draw_example(mixture, index)
        views, solution = tokenizer.decode(example.ids).removesuffix(EOS).rsplit("|", 1)
        answers = [view[1:] for view in views.split("|")[1:]]
        given = [answer for answer in answers if answer]
        assert 6 <= len(answers) <= 9
        counts = [given.count(answer) for answer in given]
        assert counts == sorted(counts, reverse=True)
        assert answers == given + [""] * (len(answers) - len(given))
        worked, final = solution.rstrip(";").rsplit(";#", 1)
        votes = Counter(given).most_common(2)
        sole = votes and (len(votes) == 1 or votes[0][1] > votes[1][1]) and votes[0][1] / len(given) >= 0.3
        followed, solved = followed + bool(sole), solved + (not sole)
        assert final == (given[0] if sole else worked[-1])
        assert example.answer_weight == (6.0 if sole else 1.0)
    assert followed > 40
    assert solved > 20


def test_without_the_new_switches_an_example_is_what_it_was():
    """The published bases were trained on these examples: one digest over a few hundred of them."""
    text = repr([(e.ids, e.start, e.answer_weight) for e in (draw_example(MIXTURE, index) for index in range(300))])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "27514ce462b7de3e"


def test_batches_respect_the_token_limit_and_use_every_example_once():
    drawn = list(itertools.islice(batches(MIXTURE, 600), 70))  # more than one pool of 64
    assert all(len(batch) * max(len(example.ids) for example in batch) <= 600 for batch in drawn)
    used = Counter(tuple(example.ids) for batch in drawn for example in batch)
    available = Counter(tuple(draw_example(MIXTURE, index).ids) for index in range(2000))
    assert not used - available


def test_collated_labels_are_the_next_tokens_of_completions_only():
    batch = [draw_example(MIXTURE, index) for index in range(12)]
    ids, labels, weights = collate(batch, TOKEN_IDS[PAD])
    for row, example in enumerate(batch):
        end = len(example.ids)
        assert ids[row, :end].tolist() == example.ids
        assert labels[row, example.start - 1 : end - 1].tolist() == example.ids[example.start :]
        assert (labels[row, : example.start - 1] == IGNORED).all()
        assert (labels[row, end - 1 :] == IGNORED).all()
        weighted = (weights[row] != 1).nonzero().flatten().tolist()
        if example.answer_weight != 1:
            assert [labels[row, position].item() for position in weighted] == [example.ids[-2]]


def test_orthogonalised_matrices_have_singular_values_near_one():
    matrices = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(0))
    for x in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalise(x, 5))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_muon_equals_the_library_up_to_its_bfloat16():
    generator = torch.Generator().manual_seed(1)
    shapes = [(24, 16), (16, 24), (24, 16)]
    starts = [torch.randn(shape, generator=generator) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    pairs = (
        (ours, Muon(ours, lr=0.02, momentum=0.95, steps=4)),
        (theirs, torch.optim.Muon(theirs, lr=0.02, momentum=0.95, ns_steps=4, weight_decay=0.0)),
    )
    for _ in range(3):
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        for parameters, optimizer in pairs:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for our, their, start in zip(ours, theirs, starts, strict=True):
        moved = (their - start).norm()
        assert (our - their).norm() < 0.02 * moved
        assert moved > 0.01


def test_muon_refuses_a_vector():
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test_learning_rate_warms_up_stays_and_falls_to_its_last_value():
    settings = Settings(tokens=1000, warmup_steps=10, flat_share=0.3, final_rate=0.02)
    assert rate_factor(0.0, 0, settings) == pytest.approx(0.1)
    assert rate_factor(0.3, 100, settings) == pytest.approx(1.0)
    assert rate_factor(0.65, 100, settings) == pytest.approx(0.51)
    assert rate_factor(1.0, 100, settings) == pytest.approx(0.02)


def test_initial_matrices_have_the_stated_spread():
    model = build_model(Shape(64, 4, 4, 2, 96), 0)
    weights = dict(model.named_parameters())
    assert weights["model.layers.0.mlp.gate_proj.weight"].std().item() == pytest.approx(64**-0.5, rel=0.05)
    assert weights["model.layers.0.mlp.down_proj.weight"].std().item() == pytest.approx((96 * 8) ** -0.5, rel=0.05)
    assert weights["model.embed_tokens.weight"].std().item() == pytest.approx(0.05, rel=0.05)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_training_lowers_the_loss_and_reports_its_progress():
    seen = []
    settings = Settings(tokens=40_000, batch_tokens=400, warmup_steps=5)
    log = train(build_model(TINY, 0), MIXTURE, settings, lambda share, text: seen.append((share, text)))
    assert log.tokens >= 40_000
    assert log.loss < 0.75 * math.log(len(TOKEN_IDS))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert "loss" in seen[0][1]


def test_a_diverging_training_stops_with_the_step():
    settings = Settings(tokens=40_000, batch_tokens=400, warmup_steps=1, adamw_lr=math.inf)
    with pytest.raises(FloatingPointError, match="step"):
        train(build_model(TINY, 0), MIXTURE, settings)
