"""Shared keys and cached text through the real trainer: equal to the packed row, to re-encoding, and to plain text."""

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import pytest
import torch
from recorded_gradients import Gradients

import gcpo.trainers.gcpo as gcpo_trainer
from gcpo import GCPOConfig, GCPOTrainer
from gcpo.shared_kv.context import readable
from gcpo.shared_kv.keys import packed_forward, token_logps
from gcpo.shared_kv.packing import graph
from gcpo.trainers import pooled_policy
from gcpo.trainers.gcpo_policy import TrainerPolicy
from gcpo.trainers.pooled_policy import CachedTextPolicy

TOY = {"candidate_separator": ";"}
SHARED = TOY | {"context_encoding": "shared_kv", "candidate_view": "full"}
MC = {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0}


def trained(make_trainer: Callable, trainer_class: type = GCPOTrainer, **overrides: Any):
    gradients = Gradients()
    trainer = make_trainer(trainer_class, GCPOConfig, **overrides)
    trainer.add_callback(gradients)
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry], gradients.steps


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        MC,
        {"context_grad": True, "kappa_row_fraction": 1.0},
        {"estimator": "literal", "eq13": "sum"},
        {"estimator": "teacher_forced", "eq13": "mean"},
        {"estimator": "mc", "phi_sampling": "drop", "eq13": "mean"},
        {"estimator": "mc", "phi_sampling": "resample", "eq13": "mean", "context_grad": True},
        {"estimator": "mc", "feature_input": "o", "candidate_view": "final_answer", "temperature": 0.8, "top_k": 5},
        {"estimator": "mc", "x_has_yn": False, "extra_batch_size": 3, "top_p": 0.9, "min_p": 0.01},
        {"candidate_order": "shuffled", "skip_zero_std": False, "gcpo_every": 2},
        {"context_encoding": "cached_text", **MC},
        {"context_encoding": "cached_text", "estimator": "mc", "phi_sampling": "resample", "extra_batch_size": 5},
    ],
    ids=lambda overrides: " ".join(f"{k}={v}" for k, v in overrides.items())[:60] or "expected",
)
def test_every_form_trains_over_shared_keys(make_trainer: Callable, overrides: dict) -> None:
    logs, gradients = trained(make_trainer, max_steps=2, steps_per_generation=2, **(SHARED | overrides))
    assert all(math.isfinite(entry["loss"]) for entry in logs)
    assert all(torch.isfinite(g).all() for step in gradients for g in step)
    assert logs[0]["causal_kl/k3"] > 0


class Watched(GCPOTrainer):
    """Keeps what the loss pass of Eq. 12 was given and returned."""

    def _context_logps(self, model: Any, context_ids: Any, context_mask: Any, ids: Any, mask: Any) -> torch.Tensor:
        logps = super()._context_logps(model, context_ids, context_mask, ids, mask)
        context, readings = self._shared
        self.seen = context.lead, [readings[k] for k in context_ids[:, -1].tolist()], ids, mask, logps.detach()
        # at the first update π_θ is π_old: the packed row can be run with the same weights
        self.packed = [packed_logps(self, reading, row[real.bool()].tolist())
                       for reading, row, real in zip(self.seen[1], ids, mask, strict=True)]  # fmt: skip
        return logps


@torch.no_grad()
def packed_logps(trainer: Any, reading: Any, y_i: list[int]) -> torch.Tensor:
    layout, group = trainer.layout, reading.group
    integrated = list(reading.integrated)
    i = next(k for k in range(len(group.candidates)) if k not in reading.candidates)
    lead = layout.closing_ids
    drawn = integrated[:1]
    nodes = graph(len(group.candidates), len(drawn), [(i, 0 if drawn else None)])
    tokens = [group.prompt_ids, *group.candidates, *([*lead, *y] for y in drawn), [*lead, *y_i]]

    def seen(ids: list[int], before: int = 0) -> torch.Tensor:
        flags = torch.zeros(before + len(ids), dtype=torch.bool)
        part = readable(ids, view=layout.view, marker_ids=layout.marker_ids, eos_ids=layout.eos_ids)
        flags[before : before + len(part)] = part
        return flags

    masks = [torch.ones(len(group.prompt_ids), dtype=torch.bool), *map(seen, group.candidates)]
    masks += [seen(y, len(lead)) for y in drawn] + [torch.zeros(len(lead) + len(y_i), dtype=torch.bool)]
    states = packed_forward(trainer.model, nodes, tokens, masks)[-len(y_i) - 1 : -1]
    return token_logps(trainer.model, states, torch.tensor(y_i), trainer.args.temperature)


@pytest.mark.parametrize("view", ["full", "final_answer"])
def test_the_loss_reads_what_the_packed_row_reads_without_y_n(make_trainer: Callable, view: str) -> None:
    settings = SHARED | {"candidate_view": view, "kappa_row_fraction": 1.0, "max_steps": 1, "temperature": 0.7}
    trainer = make_trainer(Watched, GCPOConfig, **settings)
    trainer.train()
    _, readings, _, mask, logps = trainer.seen
    assert len(readings) > 4
    for row, real, want in zip(logps, mask, trainer.packed, strict=True):
        torch.testing.assert_close(row[real.bool()], want, rtol=1e-5, atol=1e-5)


def test_the_loss_reads_what_the_packed_row_reads_with_the_longest_y_n(make_trainer: Callable) -> None:
    """The packed row holds one integrated output; with m = 2 it has the same T' where that one is the longer."""
    trainer = make_trainer(Watched, GCPOConfig, **(SHARED | MC | {"max_steps": 1}))
    trainer.train()
    _, readings, _, mask, logps = trainer.seen
    widths: dict[int, int] = {}
    for reading in trainer._shared[1]:
        widths[id(reading.group)] = trainer._shared[0]._groups[id(reading.group)].width
    compared = 0
    for reading, row, real, want in zip(readings, logps, mask, trainer.packed, strict=True):
        if len(reading.integrated[0]) + 1 == widths[id(reading.group)]:
            torch.testing.assert_close(row[real.bool()], want, rtol=1e-5, atol=1e-5)
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("overrides", [{"kappa_row_fraction": 1.0}, MC], ids=["expected", "mc"])
def test_keys_left_by_sampling_and_keys_encoded_anew_train_alike(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, overrides: dict
) -> None:
    left, gradients = trained(make_trainer, max_steps=1, **(SHARED | overrides))
    original = pooled_policy.SharedPolicy.__init__

    def anew(self: Any, *args: Any, **kwargs: Any) -> None:
        assert kwargs["recorded"] is not None
        original(self, *args, **(kwargs | {"recorded": None}))

    monkeypatch.setattr(pooled_policy.SharedPolicy, "__init__", anew)
    encoded, other = trained(make_trainer, max_steps=1, **(SHARED | overrides))
    assert encoded[0]["gcpo/tokens_scored"] > left[0]["gcpo/tokens_scored"]
    assert left[0]["loss"] == pytest.approx(encoded[0]["loss"], abs=1e-5)
    for a, b in zip(gradients[0], other[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("overrides", [{"kappa_row_fraction": 0.5}, MC], ids=["expected", "mc"])
def test_the_first_update_does_not_depend_on_how_the_batch_is_cut(make_trainer: Callable, overrides: dict) -> None:
    steps = {}
    for per_device in (16, 4):
        settings = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": 16 // per_device}
        logs, gradients = trained(make_trainer, max_steps=1, **(SHARED | overrides | settings))
        steps[per_device] = logs[0], gradients[0]
    assert steps[4][0]["loss"] == pytest.approx(steps[16][0]["loss"], abs=2e-6)
    for a, b in zip(steps[4][1], steps[16][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)


def test_the_gradient_through_the_context_is_another_one(make_trainer: Callable) -> None:
    settings = SHARED | {"kappa_row_fraction": 1.0, "max_steps": 1, "kappa": 5.0}
    frozen, without = trained(make_trainer, **settings)
    whole, through = trained(make_trainer, **(settings | {"context_grad": True}))
    assert whole[0]["loss"] == pytest.approx(frozen[0]["loss"], abs=1e-5)
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(without[0], through[0], strict=True))


def policies(make_trainer: Callable, **overrides: Any) -> tuple[Any, TrainerPolicy, CachedTextPolicy, list]:
    trainer = make_trainer(GCPOTrainer, GCPOConfig, **(TOY | {"context_encoding": "cached_text"} | overrides))
    groups = [
        gcpo_trainer.Group([3, 13, 4], [[5, 17, 6, 1], [7, 17, 8, 1], [9, 9]]),
        gcpo_trainer.Group([3, 13], [[4, 17, 4, 1], [17, 5, 1], [6, 17, 6, 1]]),
    ]
    plain = TrainerPolicy(trainer, trainer.layout, seed=1)
    return trainer, plain, CachedTextPolicy(trainer, trainer.layout, seed=1, groups=groups), groups


@pytest.mark.parametrize("features", [True, False])
def test_cached_text_scores_like_text_and_reads_less(make_trainer: Callable, features: bool) -> None:
    trainer, plain, cached, groups = policies(make_trainer, candidate_view="full", extra_batch_size=4)
    contexts = [trainer.layout.collider(group) for group in groups]
    contexts += [trainer.layout.without(group, i, [[4, 4]]) for group in groups for i in range(3) for _ in range(2)]
    outputs = [[5, 6, 17, 1][: 1 + k % 4] for k in range(len(contexts))]
    want, states = plain.score(contexts, outputs, features=features)
    probs, other = cached.score(contexts, outputs, features=features)
    torch.testing.assert_close(probs, want, rtol=1e-5, atol=1e-6)
    assert (states is None) == (other is None) == (not features)
    if features:
        torch.testing.assert_close(other, states, rtol=1e-4, atol=1e-5)
    assert cached.tokens["scored"] < 0.7 * plain.tokens["scored"]


def test_contexts_that_go_on_together_are_read_once_up_to_where_they_part(make_trainer: Callable) -> None:
    trainer, _, cached, (group, _) = policies(make_trainer, candidate_view="full")

    def left(context: list[int], before: list[int]) -> int:
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(context[:-1], before[:-1], strict=False))
        return len(context) - 1 - len(list(shared))

    trunk = trainer.layout.collider(group)
    pairs = [[trainer.layout.without(group, i, [y]) for y in ([4, 4], [6, 6, 6])] for i in range(3)]
    contexts = [trunk, *(context for pair in pairs for context in pair)]
    cached.score(contexts, [[5]] * len(contexts), features=False)
    read = left(trunk, []) + sum(left(first, trunk) + left(second, first) for first, second in pairs)
    assert cached.tokens["scored"] == read + 2 * len(contexts)
    before = cached.tokens["scored"]
    later = trainer.layout.without(group, 1, [[7, 7]])  # goes on with what an earlier call has read
    cached.score([later], [[5]], features=False)
    assert cached.tokens["scored"] - before == left(later, pairs[1][0]) + 2 < left(later, trunk)


def test_cached_text_samples_what_the_engine_samples_where_one_token_has_all_the_mass(make_trainer: Callable) -> None:
    trainer, plain, cached, groups = policies(make_trainer, temperature=1e-4, feature_input="context")
    contexts = [trainer.layout.without(group, i) for group in groups for i in range(3)] * 2
    assert cached.sample(contexts) == plain.sample(contexts)
    prompts = [group.prompt_ids for group in groups for _ in range(3)] * 2
    torch.testing.assert_close(
        cached.sample_features(prompts, contexts), plain.sample_features(prompts, contexts), rtol=1e-4, atol=1e-5
    )


def test_cached_text_leaves_kappa_s_own_pass_as_it_was(make_trainer: Callable) -> None:
    """Without sampling the two encodings train on the same numbers."""
    text, one = trained(make_trainer, **TOY)
    cached, two = trained(make_trainer, **TOY, context_encoding="cached_text")
    assert [entry["loss"] for entry in text] == [entry["loss"] for entry in cached]
    assert all(torch.equal(a, b) for a, b in zip(one[-1], two[-1], strict=True))


def test_groups_of_equal_rewards_encode_nothing(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcpo_trainer, "policy_for", None)  # calling it would fail
    settings = {"reward_funcs": lambda completions, **_: [1.1] * len(completions)}
    logs, _ = trained(make_trainer, **settings, **SHARED, **MC)
    assert [entry["gcpo/tokens_scored"] for entry in logs] == [0.0] * 3


def test_a_run_over_shared_keys_repeats_itself_exactly(make_trainer: Callable) -> None:
    runs = [trained(make_trainer, **SHARED, **MC)[0] for _ in range(2)]
    names = ("loss", "grad_norm", "upsilon/mean", "causal_kl/k3", "gcpo/tokens_sampled")
    assert [[entry[n] for n in names] for entry in runs[0]] == [[entry[n] for n in names] for entry in runs[1]]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"context_encoding": "packed"}, "context_encoding is 'packed'"),
        ({"gradient_checkpointing": True}, "keeps keys, which gradient checkpointing drops"),
        ({"integration_template": "{question}{candidates}"}, "renders no integration_template"),
        ({"context_overflow": "tails"}, "cuts no candidates"),
        ({"candidate_order": "agreement"}, "lays candidates side by side, not in order"),
        ({"repetition_penalty": 1.1}, "knows no repetition_penalty"),
        ({"generation_kwargs": {"num_beams": 2}}, "knows no generation_kwargs"),
        ({"use_vllm": True}, "runs the trainer's own model"),
        ({"context_encoding": "text", "context_grad": True}, "text contexts always have it"),
        ({"context_encoding": "cached_text", "context_grad": True}, "context_grad=True is for"),
        ({"max_completion_length": 120}, "put x_i at positions up to 241 and a prompt, over the budget of 136"),
    ],
)
def test_what_shared_keys_cannot_do_is_refused_before_training(
    make_trainer: Callable, overrides: dict, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        make_trainer(GCPOTrainer, GCPOConfig, **(SHARED | overrides))


def test_attention_that_takes_no_mask_is_refused_before_training(make_trainer: Callable, tiny_model: Any) -> None:
    tiny_model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="takes no explicit mask"):
        make_trainer(GCPOTrainer, GCPOConfig, model=tiny_model, **(SHARED | {"beta": 0.0}))


@pytest.mark.parametrize(
    "overrides",
    [{}, {"temperature": 0.6}, {"top_k": 4}, {"top_p": 0.7}, {"min_p": 0.2}, {"temperature": 1.3, "top_p": 0.8}],
    ids=str,
)  # fmt: skip
def test_both_engines_of_extra_sampling_draw_from_the_same_probabilities(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, overrides: dict
) -> None:
    """At every step, given the same tokens so far: the two engines' outputs are equal in distribution."""
    trainer, plain, cached, groups = policies(make_trainer, candidate_view="full", **overrides)
    contexts = [trainer.layout.without(group, i) for group in groups for i in range(3)]
    forced = [[5, 6, 9, 4, 7, 8, 9, 10][k:] + [5] * k for k in range(6)]
    seen: list[torch.Tensor] = []

    def drawn(probs: torch.Tensor, num_samples: int) -> torch.Tensor:
        seen.append(probs)
        step = len(seen) - 1
        return torch.tensor([[row[step]] for row in forced])

    monkeypatch.setattr(torch, "multinomial", drawn)
    steps = []
    for policy in (plain, cached):
        seen.clear()
        assert policy.sample(contexts) == forced
        steps.append(torch.stack(seen))
    assert steps[0].shape == (8, 6, 19)
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-4, atol=1e-6)
    if "top_k" in overrides:
        assert (steps[0] > 0).sum(dim=-1).max() <= overrides["top_k"]
