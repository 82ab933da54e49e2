"""GCPO through the real trainer: its reductions to GRPO, and its loss and gradient against loops from the paper."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded_gradients import Gradients
from transformers import AutoTokenizer
from trl import GRPOTrainer

import gcpo.estimators
import gcpo.trainers.gcpo as gcpo_trainer
from gcpo import GCPOConfig, GCPOTrainer, PaperGRPOConfig, PaperGRPOTrainer, trl_adapter

# the toy vocabulary has no "|"
TOY = {"candidate_separator": ";"}
MC = {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0}


def trained(make_trainer: Callable, trainer_class: type, config_class: type, **overrides: Any):
    gradients = Gradients()
    trainer = make_trainer(trainer_class, config_class, **overrides)
    trainer.add_callback(gradients)
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return trainer, logs, gradients.steps


class UnitUpsilonTrainer(GCPOTrainer):
    """Υ := 1 with everything else of the method running."""

    def _upsilon(self, evidence: Any, generators: list[torch.Generator], real: list[int]) -> torch.Tensor:
        return torch.ones_like(super()._upsilon(evidence, generators, real))


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
        {"gradient_accumulation_steps": 2, "num_iterations": 2},
        {"steps_per_generation": 2, "beta": 0.0},
    ],
    ids=["one micro-batch", "four micro-batches", "two iterations", "two updates per rollout"],
)
@pytest.mark.parametrize("form", ["off", "mc"])
def test_with_upsilon_one_and_kappa_zero_every_loss_and_gradient_is_that_of_stock_grpo(
    make_trainer: Callable, overrides: dict, form: str
) -> None:
    settings = {"max_steps": 3} | overrides
    _, stock_logs, stock_gradients = trained(make_trainer, GRPOTrainer, PaperGRPOConfig, **settings)
    if form == "off":
        ours = trained(make_trainer, GCPOTrainer, GCPOConfig, upsilon_control="one", kappa=0.0, **settings)
    else:
        ours = trained(make_trainer, UnitUpsilonTrainer, GCPOConfig, **(settings | TOY | MC | {"kappa": 0.0}))
    _, our_logs, our_gradients = ours
    assert len(our_gradients) == len(stock_gradients) == 3
    assert max(g.abs().max() for g in stock_gradients[0]) > 1e-3
    for step in range(3):
        assert our_logs[step]["loss"] == pytest.approx(stock_logs[step]["loss"], abs=1e-6)
        assert our_logs[step].get("reward") == stock_logs[step].get(
            "reward"
        )  # the same rollouts: extra sampling left no trace
        for a, b in zip(our_gradients[step], stock_gradients[step], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    if form == "mc":
        assert our_logs[0]["gcpo/tokens_sampled"] > 0


def test_with_the_default_form_the_trajectory_differs_from_grpo(make_trainer: Callable) -> None:
    _, grpo, _ = trained(make_trainer, GRPOTrainer, PaperGRPOConfig)
    _, gcpo_logs, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **TOY)
    assert gcpo_logs[0]["grad_norm"] != pytest.approx(grpo[0]["grad_norm"], rel=1e-2)


def test_alpha_zero_with_beta_and_kappa_zero_leaves_no_gradient(make_trainer: Callable) -> None:
    _, logs, gradients = trained(make_trainer, GCPOTrainer, GCPOConfig, alpha=0.0, beta=0.0, kappa=0.0, **TOY)
    assert logs[0]["reward_std"] > 0
    assert all(not g.any() for step in gradients for g in step)


def test_without_advantage_weighting_the_policy_term_is_that_of_grpo(make_trainer: Callable) -> None:
    """Υ := 1 with κ: the loss differs from GRPO's by the KL term alone."""
    _, grpo, _ = trained(make_trainer, GRPOTrainer, PaperGRPOConfig, max_steps=1)
    settings = TOY | {"upsilon_control": "one", "kappa_row_fraction": 1.0, "max_steps": 1}
    trainer, logs, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    kl = trainer.args.kappa * logs[0]["causal_kl/k3"] * logs[0]["gcpo/groups_used"]
    assert kl > 1e-3
    assert logs[0]["loss"] == pytest.approx(grpo[0]["loss"] + kl, abs=1e-6)


@pytest.mark.parametrize("overrides", [{}, MC, {"kappa_row_fraction": 0.5}], ids=["expected", "mc", "half the rows"])
def test_the_first_update_does_not_depend_on_how_the_batch_is_cut(make_trainer: Callable, overrides: dict) -> None:
    """Contexts, targets and weights stay with their rows through TRL's shuffle and split."""
    steps = {}
    for per_device in (16, 4):
        settings = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": 16 // per_device}
        _, logs, gradients = trained(make_trainer, GCPOTrainer, GCPOConfig, max_steps=1, **(TOY | overrides | settings))
        steps[per_device] = logs[0], gradients[0]
    assert steps[16][0]["causal_kl/k3"] > 0
    assert steps[4][0]["loss"] == pytest.approx(steps[16][0]["loss"], abs=2e-6)
    for a, b in zip(steps[4][1], steps[16][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    "overrides",
    [
        {"estimator": "literal", "eq13": "sum", "kappa_row_fraction": 1.0},
        {"estimator": "teacher_forced", "eq13": "mean"},
        {"estimator": "mc", "phi_sampling": "drop", "eq13": "mean"},
        {"estimator": "mc", "phi_sampling": "resample", "feature_input": "o", "feature_position": "answer_marker"},
        {"estimator": "mc", "x_has_yn": False, "phi_context": "append", "feature_input": "q_o"},
        {"estimator": "mc", "step2_slice": False, "phi_includes_l0": False, "eq13": "sum"},
        {"similarity": "gaussian", "sign_rule": "sign_aware", "upsilon_control": "shuffled", "match_cosine_mean": True},
        {"similarity": "euclidean", "upsilon_control": "constant", "candidate_order": "shuffled"},
        {"candidate_order": "agreement", "eq13": "mean", "kappa_row_fraction": 1.0},
        {"upsilon_control": "one", "eq13": "mean", "kappa_norm": "sum"},
        {"candidate_view": "full", "upsilon_min": 0.0, "skip_zero_std": False},
        {"candidate_view": "full", "context_overflow": "tails", "max_context_length": 24, "extra_batch_size": 3},
        {"integration_template": "{question} ; {candidates} =", "candidate_template": "{number} # {answer}"},
        {"bf16": True},
    ],
    ids=lambda overrides: " ".join(f"{k}={v}" for k, v in overrides.items())[:60],
)
def test_every_form_trains_with_finite_losses_and_several_updates_per_rollout(
    make_trainer: Callable, overrides: dict
) -> None:
    _, logs, gradients = trained(
        make_trainer, GCPOTrainer, GCPOConfig, max_steps=2, steps_per_generation=2, **(TOY | overrides)
    )
    assert all(math.isfinite(entry["loss"]) for entry in logs)
    assert all(torch.isfinite(g).all() for step in gradients for g in step)
    assert max(g.abs().max() for g in gradients[0]) > 0


@pytest.mark.parametrize("similarity", ["euclidean", "gaussian"])
def test_matched_weights_have_the_mean_of_the_cosines_and_another_shape(
    make_trainer: Callable, similarity: str
) -> None:
    logs = []
    for overrides in ({}, {"similarity": similarity}, {"similarity": similarity, "match_cosine_mean": True}):
        _, (log,), _ = trained(make_trainer, GCPOTrainer, GCPOConfig, max_steps=1, **(TOY | overrides))
        logs.append(log)
    cosine, plain, matched = logs
    assert plain["upsilon/mean"] != pytest.approx(cosine["upsilon/mean"], rel=0.01)
    assert matched["upsilon/mean"] == pytest.approx(cosine["upsilon/mean"], rel=1e-5)
    assert matched["upsilon/within_group_std"] != pytest.approx(cosine["upsilon/within_group_std"], rel=0.05)
    ratio = matched["upsilon/mean"] / plain["upsilon/mean"]
    assert matched["upsilon/within_group_std"] == pytest.approx(ratio * plain["upsilon/within_group_std"], rel=1e-4)


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an extra was computed")

    for name in names:
        monkeypatch.setattr(trl_adapter, name, refuse)


EXTRAS = ("generate_continuations", "hidden_states", "last_hidden_states", "per_token_logps")


def test_groups_of_equal_rewards_cost_nothing(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, *EXTRAS)
    _, logs, _ = trained(
        make_trainer,
        GCPOTrainer,
        GCPOConfig,
        reward_funcs=lambda completions, **_: [1.1] * len(completions),
        **TOY,
        **MC,
    )
    assert [entry["gcpo/groups_used"] for entry in logs] == [0.0] * 3
    assert [entry["gcpo/tokens_sampled"] for entry in logs] == [0.0] * 3


def test_evaluation_computes_no_extras(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, toy_dataset: Any
) -> None:
    trainer = make_trainer(
        GCPOTrainer, GCPOConfig, eval_dataset=toy_dataset.select(range(4)), per_device_eval_batch_size=4, **TOY
    )
    forbid(monkeypatch, *EXTRAS)
    metrics = trainer.evaluate()
    assert math.isfinite(metrics["eval_loss"])
    assert not any(name.startswith(("eval_gcpo", "eval_upsilon")) for name in metrics)


def test_with_gcpo_every_two_every_second_step_is_plain_grpo(make_trainer: Callable) -> None:
    _, logs, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, gcpo_every=2, **TOY)
    assert ["gcpo/groups_used" in entry for entry in logs] == [True, False, True]
    assert ["causal_kl/k3" in entry for entry in logs] == [True, False, True]


def test_gcpo_every_counts_rollouts_where_one_serves_several_updates(make_trainer: Callable) -> None:
    settings = TOY | {"gcpo_every": 2, "steps_per_generation": 3, "max_steps": 9, "num_generations": 2}
    _, logs, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    drawn = [entry["step"] for entry in logs if "gcpo/groups_used" in entry]
    assert drawn == [1, 7]  # rollouts 0 and 2 of 0, 1, 2
    scored = [entry["step"] for entry in logs if "causal_kl/k3" in entry]
    assert scored == [1, 2, 3, 7, 8, 9]


def test_which_token_pads_and_how_the_process_hashes_changes_no_draw(
    tiny_model_dir: Path, tiny_tokenizer: Any, make_trainer: Callable
) -> None:
    runs = []
    for pad in ("<pad>", "<eos>"):
        tiny_tokenizer.pad_token = pad
        runs.append(trained(make_trainer, GCPOTrainer, GCPOConfig, max_steps=2, **TOY, **MC)[1])
    tiny_tokenizer.pad_token = "<pad>"
    names = ("loss", "grad_norm", "upsilon/mean", "causal_kl/k3", "gcpo/tokens_sampled")
    assert [[entry[n] for n in names] for entry in runs[0]] == [[entry[n] for n in names] for entry in runs[1]]


def test_a_psi_of_zero_makes_mc_the_centroid(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"max_steps": 1, "kappa": 0.0} | TOY
    _, centroid, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    _, sampled, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, estimator="mc", **settings)
    original = gcpo.estimators.projection_means

    def no_projection(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        x_mean, _ = original(*args, **kwargs)
        return x_mean, x_mean

    monkeypatch.setattr(gcpo.estimators, "projection_means", no_projection)
    _, mc, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, estimator="mc", **settings)
    assert mc[0]["upsilon/mean"] == pytest.approx(centroid[0]["upsilon/mean"], abs=1e-6)
    assert mc[0]["grad_norm"] == pytest.approx(centroid[0]["grad_norm"], rel=1e-5)
    assert sampled[0]["upsilon/mean"] != pytest.approx(centroid[0]["upsilon/mean"], abs=1e-3)


def test_a_run_repeats_itself_exactly(make_trainer: Callable) -> None:
    runs = [trained(make_trainer, GCPOTrainer, GCPOConfig, **TOY, **MC)[1] for _ in range(2)]
    names = ("loss", "grad_norm", "upsilon/mean", "causal_kl/k3", "gcpo/tokens_sampled")
    assert [[entry[n] for n in names] for entry in runs[0]] == [[entry[n] for n in names] for entry in runs[1]]


@pytest.mark.parametrize("encoding", ["text", "cached_text", "shared_kv"])
def test_drawing_psi_again_is_logged_and_changes_nothing_else(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    settings = TOY | MC | {"max_steps": 3, "context_encoding": encoding}
    _, plain, gradients = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    _, retested, same = trained(make_trainer, GCPOTrainer, GCPOConfig, retest_every=2, **settings)
    names = ("loss", "grad_norm", "upsilon/mean", "causal_kl/k3", "gcpo/tokens_sampled", "gcpo/tokens_featured")
    assert [[entry[n] for n in names] for entry in plain] == [[entry[n] for n in names] for entry in retested]
    assert all(
        torch.equal(a, b) for one, two in zip(gradients, same, strict=True) for a, b in zip(one, two, strict=True)
    )
    for name in ("upsilon/psi_retest_cosine", "upsilon/psi_retest_correlation"):
        assert all(entry[name] is None for entry in [*plain, retested[1]])
        assert all(-1 <= entry[name] < 0.999 for entry in retested[::2])  # another draw
    monkeypatch.setattr(gcpo_trainer, "_RETEST", 0)  # the same seed: the same draw
    _, repeated, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, retest_every=1, **settings | {"max_steps": 1})
    assert repeated[0]["upsilon/psi_retest_cosine"] == pytest.approx(1.0, abs=1e-5)
    assert repeated[0]["upsilon/psi_retest_correlation"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"candidate_separator": "|"}, r"candidate_separator '\|' is not in the tokenizer's vocabulary"),
        ({"closing_separator": "@"}, "closing_separator '@'"),
        ({"answer_marker": "boxed"}, "answer_marker 'boxed'"),
        ({"candidate_view": "full", "max_context_length": 20}, "candidate_view='full' may put 36 tokens"),
    ],
)
def test_what_cannot_work_is_refused_before_training(make_trainer: Callable, overrides: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make_trainer(GCPOTrainer, GCPOConfig, **(TOY | overrides))


def test_a_context_over_the_budget_stops_the_step_with_its_length(make_trainer: Callable) -> None:
    trainer = make_trainer(GCPOTrainer, GCPOConfig, max_context_length=6, **TOY)
    with pytest.raises(ValueError, match="over the budget of 6"):
        trainer.train()


def test_a_chat_context_holds_the_question_the_numbered_candidates_and_the_request(
    tiny_model_dir: Path, toy_dataset: Any, digit_reward: Callable, tiny_args: dict
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = "{% for m in messages %}# {{ m['content'] }} {% endfor %}="
    config = GCPOConfig(
        **tiny_args,
        integration_template="{question} ; {candidates} ; 9",
        candidate_template="{number} + {answer}",
        candidate_view="full",
    )
    trainer = GCPOTrainer(
        str(tiny_model_dir), digit_reward, config, train_dataset=toy_dataset, processing_class=tokenizer
    )
    group = gcpo_trainer.Group(
        [3], [tokenizer("7 7")["input_ids"], tokenizer("8")["input_ids"]], [{"role": "user", "content": "1 * 2"}]
    )
    text = tokenizer.decode(trainer.layout.collider(group))
    assert text.replace(" ", "") == "#1*2;1+772+8;9="


@pytest.mark.parametrize("position", ["eos", "last_content", "answer_marker"])
@pytest.mark.parametrize("largest", [None, 3])
def test_no_call_of_the_sampler_is_larger_than_asked_and_its_states_are_those_of_a_forward_pass(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, position: str, largest: int | None
) -> None:
    sizes: list[int] = []
    original = trl_adapter.generate_continuations

    def counting(trainer: Any, contexts: list, **kwargs: Any) -> list[list[int]]:
        sizes.append(min(len(contexts), kwargs["batch_size"] or len(contexts)))
        return original(trainer, contexts, **kwargs)

    monkeypatch.setattr(trl_adapter, "generate_continuations", counting)
    settings = {"max_steps": 1, "feature_position": position, "extra_batch_size": largest} | TOY | MC
    _, recorded, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    assert max(sizes) == 3 if largest else max(sizes) > 3
    features = gcpo_trainer.TrainerPolicy.recorded_features
    monkeypatch.setattr(
        gcpo_trainer.TrainerPolicy, "recorded_features", lambda self, _states, *rest: features(self, None, *rest)
    )
    _, computed, _ = trained(make_trainer, GCPOTrainer, GCPOConfig, **settings)
    assert computed[0]["gcpo/tokens_featured"] > recorded[0]["gcpo/tokens_featured"]
    for name in ("upsilon/mean", "upsilon/within_group_std", "upsilon/psi_norm_ratio", "loss"):
        assert recorded[0][name] == pytest.approx(computed[0][name], abs=1e-5)


@pytest.mark.parametrize("eq13", ["p_q", "mean", "sum"])
@pytest.mark.parametrize("updates", [1, 2])
def test_over_the_whole_vocabulary_the_target_is_a_distribution(
    make_trainer: Callable, eq13: str, updates: int
) -> None:
    """Σ_v of the clamped target, by plain forwards on unpadded rows, is the mass that the loss divides by."""
    seen: dict[str, Any] = {}

    class Watched(GCPOTrainer):
        def _store_masses(self, rollout: dict, policy: Any, groups: list, used: list[int], rows: list) -> None:
            super()._store_masses(rollout, policy, groups, used, rows)
            model = type(self.model)(self.model.config).eval()  # TRL's forward would stay bound to the trained one
            model.load_state_dict(copy.deepcopy(self.model.state_dict()))
            seen.update(rollout=rollout, groups=groups, used=used, rows=rows, model=model)

    settings = TOY | {"eq13": eq13, "eq13_full_vocab": True, "kappa_row_fraction": 0.5, "temperature": 0.8}
    settings |= {
        "max_steps": updates,
        "steps_per_generation": updates,
        "causal_ref_floor": 1e-2,
        "candidate_view": "full",
    }
    trainer = make_trainer(Watched, GCPOConfig, **settings)
    trainer.train()
    assert seen["rows"]

    def probs(context: list[int], y: list[int]) -> torch.Tensor:
        with torch.no_grad():
            logits = seen["model"](torch.tensor([context + y])).logits[0, len(context) - 1 : -1]
        return (logits / 0.8).softmax(-1)

    for (g, i), terms in seen["rows"]:
        group, y = seen["groups"][g], seen["groups"][g].candidates[i]
        raw = probs(group.prompt_ids, y)
        if eq13 != "p_q":
            after = [probs(context, y) for context in terms]
            raw = raw + after[0] - sum(after) * (0.5 if eq13 == "mean" else 2.0)  # m = 2, n = 4
        mass = raw.clamp(1e-2, 1).sum(-1)
        found = seen["rollout"]["causal_target_mass"][seen["used"][g] * 4 + i, : len(y)]
        torch.testing.assert_close(found, mass, rtol=1e-4, atol=1e-4)
        assert (mass - 1).abs().max() > 1e-3
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)


def test_the_old_policy_as_reference_has_no_divergence_at_the_first_update_and_some_later(
    make_trainer: Callable,
) -> None:
    settings = {"max_steps": 4, "steps_per_generation": 2}
    _, old, _ = trained(make_trainer, PaperGRPOTrainer, PaperGRPOConfig, ref_policy="old", **settings)
    _, initial, _ = trained(make_trainer, PaperGRPOTrainer, PaperGRPOConfig, **settings)
    assert [abs(entry["kl"]) < 1e-6 for entry in old] == [True, False, True, False]
    assert [abs(entry["kl"]) < 1e-6 for entry in initial] == [True, False, False, False]
    with pytest.raises(ValueError, match=r"ref_policy='old' with beta 0.04 and one update per rollout has no KL term"):
        make_trainer(PaperGRPOTrainer, PaperGRPOConfig, ref_policy="old")
