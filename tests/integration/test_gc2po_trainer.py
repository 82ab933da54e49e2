"""GC2PO through the real trainer: its reductions to GRPO, its controls, what it leaves behind, and bad input."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig
from recorded_gradients import Gradients
from trl import GRPOTrainer

import gcpo.trainers.gc2po as gc2po_trainer
from gcpo import PaperGRPOConfig, trl_adapter
from gcpo.trainers.gc2po import GC2POConfig, GC2POTrainer

# an untrained model writes a "7" often enough to have several episodes; answers follow "#"
TOY = {"segmentation": "delimiter", "episode_delimiter": "7", "max_completion_length": 24}
GRPO_LIKE = {"episodic_reward": "none", "token_weights": "whole", "length_neutral": False, "trim_share": 0.0}


def trained(make_trainer: Callable, trainer_class: type = GC2POTrainer, config_class: type = GC2POConfig, **overrides):
    gradients = Gradients()
    settings = (TOY if config_class is GC2POConfig else {"max_completion_length": 24}) | {"max_steps": 1} | overrides
    trainer = make_trainer(trainer_class, config_class, **settings)
    trainer.add_callback(gradients)
    trainer.train()
    return trainer, [entry for entry in trainer.state.log_history if "loss" in entry], gradients.steps


class Watched(GC2POTrainer):
    """Keeps the advantages of every rollout."""

    def _token_advantages(self, *args: Any) -> torch.Tensor:
        self.kept = [*getattr(self, "kept", []), super()._token_advantages(*args)]
        return self.kept[-1]


def steps_of(text: str) -> int:
    """Steps of a toy completion, each closed by "7", and what is left before the answer."""
    reasoning = text.removesuffix("<eos>")
    steps = (reasoning.rpartition("#")[0] if "#" in reasoning else reasoning).split("7")
    return max(len(steps) - (steps[-1] == ""), 1)


class StockWithRewardOverSteps(GRPOTrainer):
    """Stock GRPO whose reward is that of the completion over its number of steps."""

    def _calculate_rewards(self, inputs: Any, prompts: list, completions: list, ids: list) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, ids)
        return rewards / torch.tensor([[steps_of(text)] for text in self.processing_class.batch_decode(ids)])


@pytest.mark.parametrize(
    "overrides",
    [{}, {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, {"steps_per_generation": 2}],
    ids=["one micro-batch", "four micro-batches", "two updates per rollout"],
)
def test_without_reward_terms_and_surprise_loss_and_gradients_are_grpos_with_r_over_k(
    make_trainer: Callable, overrides: dict
) -> None:
    settings = {"max_steps": 2} | overrides
    _, stock_logs, stock = trained(make_trainer, StockWithRewardOverSteps, PaperGRPOConfig, **settings)
    trainer, logs, ours = trained(make_trainer, Watched, std_eps=1e-4, **GRPO_LIKE, **settings)
    assert max(g.abs().max() for g in stock[0]) > 1e-3
    assert logs[0]["gc2po/episodes"] > 1 and trainer.kept[0].ndim == 2
    for step in range(2):
        assert logs[step]["loss"] == pytest.approx(stock_logs[step]["loss"], abs=1e-6)
        for a, b in zip(ours[step], stock[step], strict=True):
            # Adam's first step is lr · sign(g): it turns a rounding error of a small g into another second step
            torch.testing.assert_close(a, b, rtol=0, atol=(1e-6, 2e-5)[step])


def test_the_first_update_does_not_depend_on_how_the_batch_is_cut(make_trainer: Callable) -> None:
    steps = {}
    for per_device in (16, 4):
        settings = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": 16 // per_device}
        _, logs, gradients = trained(make_trainer, perturbation_size=2.0, **settings)
        steps[per_device] = logs[0], gradients[0]
    assert 0 < steps[16][0]["gc2po/robustness"] < 1
    assert steps[4][0]["gc2po/robustness"] == pytest.approx(steps[16][0]["gc2po/robustness"], abs=1e-6)
    assert steps[4][0]["loss"] == pytest.approx(steps[16][0]["loss"], abs=2e-6)
    for a, b in zip(steps[4][1], steps[16][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


CONTROLS = {
    "default": {},
    "non_causal": {"episodic_reward": "non_causal"},
    "permuted": {"episodic_reward": "permuted"},
    "credit alone": {"episodic_reward": "none"},
    "effectiveness off": {"effectiveness_weight": 0.0},
    "robustness off": {"robustness_weight": 0.0},
    "size 0": {"perturbation_size": 0.0},
}


def test_every_control_is_a_setting_that_moves_the_gradient_and_keeps_the_rollout(make_trainer: Callable) -> None:
    runs = {}
    for name, settings in CONTROLS.items():
        _, logs, gradients = trained(make_trainer, **({"perturbation_size": 2.0} | settings))
        runs[name] = logs[0], torch.cat([g.flatten() for g in gradients[0]])
    assert len({logs["reward"] for logs, _ in runs.values()}) == 1
    assert len({logs["completions/mean_length"] for logs, _ in runs.values()}) == 1
    default = runs["default"][1]
    for name, (logs, gradient) in runs.items():
        assert torch.isfinite(gradient).all()
        assert name == "default" or (gradient - default).norm() > 1e-3 * default.norm(), name
        assert (logs["gc2po/tokens_scored"] is None) == (name == "credit alone")
    still = runs["size 0"][0]
    assert still["gc2po/robustness"] == still["gc2po/effectiveness"] == pytest.approx(1.0, abs=1e-6)
    assert still["gc2po/robustness_spread"] < 1e-12
    assert runs["permuted"][0]["gc2po/robustness"] == runs["default"][0]["gc2po/robustness"]


def test_a_run_repeats_itself_exactly_and_its_draws_leave_the_rollouts_alone(make_trainer: Callable) -> None:
    settings = {"max_steps": 3, "learning_rate": 0.0}
    runs = [trained(make_trainer, **settings)[1] for _ in range(2)]
    names = ("loss", "grad_norm", "gc2po/robustness", "gc2po/tokens_scored")
    assert [[e[n] for n in names] for e in runs[0]] == [[e[n] for n in names] for e in runs[1]]
    _, stock, _ = trained(make_trainer, GRPOTrainer, PaperGRPOConfig, **settings)
    assert [e["reward"] for e in stock] == [e["reward"] for e in runs[0]]
    assert len({e["reward"] for e in stock}) == 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"bf16": True},
        {"gradient_checkpointing": True},
        {"effectiveness": "variability", "answer_other": False, "extra_batch_size": 3},
        {"num_iterations": 2},
        {"outside_credit": "sequence", "trim_sides": "upper", "max_scored_episodes": 1},
        {"segmentation": "tags", "episode_delimiter": None, "outside_credit": "none"},
        {"segmentation": "blank_line", "episode_delimiter": None, "token_weights": "uniform"},
        {"answer_prefix": "; #", "ratio_cap": None, "mean_floor": 0.0, "weight_floor": 0.0},
        {"temperature": 0.7, "beta": 0.0, "length_neutral": True},
    ],
    ids=lambda overrides: " ".join(f"{k}={v}" for k, v in overrides.items())[:50],
)
def test_every_setting_trains_with_finite_losses(make_trainer: Callable, overrides: dict) -> None:
    _, logs, gradients = trained(make_trainer, max_steps=2, **overrides)
    assert all(math.isfinite(entry["loss"]) for entry in logs)
    assert all(torch.isfinite(g).all() for step in gradients for g in step)
    assert max(g.abs().max() for g in gradients[0]) > 0


@pytest.mark.parametrize("overrides", [{"bf16": True}, {"gradient_checkpointing": True}], ids=["bf16", "checkpointing"])
def test_keys_and_states_from_sampling_are_those_of_a_forward(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, overrides: dict
) -> None:
    """Under an engine that leaves neither, such as vLLM, completions are read and scored again: the same advantages."""
    settings = {"perturbation_size": 1.0, **overrides}
    reused, _, _ = trained(make_trainer, Watched, **settings)
    called = []
    score = trl_adapter.per_token_logps
    monkeypatch.setattr(trl_adapter, "per_token_logps", lambda *a, **k: called.append(1) or score(*a, **k))
    original = Watched._token_advantages
    monkeypatch.setattr(Watched, "_token_advantages", lambda s, r, _s, _c, m: original(s, r, [], [], m))
    read, _, _ = trained(make_trainer, Watched, **settings)
    assert called and reused.kept[0].abs().max() > 0.1
    tolerance = 0.2 if "bf16" in overrides else 1e-4
    torch.testing.assert_close(read.kept[0], reused.kept[0], rtol=tolerance, atol=tolerance)


def test_adapters_are_part_of_the_model_that_is_read(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = gc2po_trainer.read_answers
    monkeypatch.setattr(
        gc2po_trainer, "read_answers", lambda model, *a, **k: seen.append(model) or original(model, *a, **k)
    )
    lora = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    trainer = make_trainer(GC2POTrainer, GC2POConfig, peft_config=lora, **TOY)
    trainer.train()
    logs = trainer.state.log_history
    assert len(seen) == 3 and logs[0]["grad_norm"] > 0 and 0 < logs[0]["gc2po/effectiveness"] < 1
    assert seen[0] is trainer.model.get_base_model()
    assert any("lora_A" in name for name, _ in seen[0].named_parameters())


def test_an_answer_insensitive_model_gets_the_highest_reward_for_every_episode(
    make_trainer: Callable, tiny_model: Any
) -> None:
    """The pathology, through the trainer: where nothing above the latent's layer looks back, r_cc is 1.7 everywhere."""
    tiny_model.model.layers[1].self_attn.o_proj.weight.data.zero_()
    _, logs, _ = trained(make_trainer, model=tiny_model, perturbation_size=3.0)
    assert logs[0]["gc2po/robustness"] == logs[0]["gc2po/effectiveness"] == pytest.approx(1.0, abs=1e-6)
    assert logs[0]["gc2po/effectiveness_spread"] < 1e-6
    assert logs[0]["gc2po/length_correlation"] < -0.5  # what is left is a reward for short completions


def hooks(trainer: Any) -> int:
    modules = list(trainer.model.modules())
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


def test_an_exception_in_the_patched_forward_leaves_no_trace_on_the_model(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(GC2POTrainer, GC2POConfig, **TOY)
    before, keys = hooks(trainer), set(vars(trainer))

    def broken(*_: Any) -> torch.Tensor:
        assert hooks(trainer) == before + 1
        raise RuntimeError("out of memory")

    monkeypatch.setattr("gcpo.gc2po.perturbation.perturbed_latent", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.train()
    assert hooks(trainer) == before
    assert not {"_generate_single_turn", "_get_per_token_logps_and_entropies"} & (set(vars(trainer)) - keys)


def test_the_trainer_keeps_what_it_gave_its_last_rollout(make_trainer: Callable) -> None:
    trainer, logs, _ = trained(make_trainer, Watched, max_steps=2, perturbation_size=1.0, max_scored_episodes=None)
    credit = trainer.credit
    assert credit.advantages is trainer.kept[-1] and len(trainer.kept) == 2
    counts = [len(found.latents) for found in credit.episodes]
    assert logs[-1]["gc2po/episodes"] == sum(counts) / len(counts) and max(counts) > 1
    for row, count in enumerate(counts):
        assert len(credit.episodes[row].segments) == len(credit.completions[row])
        wanted = credit.outcomes[row] / count + credit.episodic[row, :count]
        torch.testing.assert_close(credit.rewards[row, :count], wanted)
        assert not credit.rewards[row, count:].any() and (credit.episodic[row, :count] > 0).all()


def test_evaluation_computes_nothing_of_its_own(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, toy_dataset: Any
) -> None:
    settings = TOY | {"eval_dataset": toy_dataset.select(range(4)), "per_device_eval_batch_size": 4}
    trainer = make_trainer(GC2POTrainer, GC2POConfig, **settings)
    monkeypatch.setattr(GC2POTrainer, "_token_advantages", lambda *_: pytest.fail("credit was computed"))
    metrics = trainer.evaluate()
    assert math.isfinite(metrics["eval_loss"]) and not any("gc2po" in name for name in metrics)


# ---- bad input


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"answer_prefix": "boxed"}, "answer_prefix 'boxed' is not in the tokenizer's vocabulary"),
        ({"latent_layer": 2}, "latent_layer is 2 of 2 layers; want 1 to 1"),
        ({"latent_layer": 0}, "latent_layer is 0 of 2 layers"),
        ({"latent_layer": 9}, "latent_layer is 9 of 2 layers"),
    ],
)
def test_what_cannot_be_read_is_refused_before_training(make_trainer: Callable, overrides: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        make_trainer(GC2POTrainer, GC2POConfig, **TOY, **overrides)
    assert "\n" not in str(refusal.value)


def test_a_completion_that_no_function_rewards_is_named(make_trainer: Callable) -> None:
    trainer = make_trainer(
        GC2POTrainer, GC2POConfig, reward_funcs=lambda completions, **_: [1.0, None] + [0.0] * 6, **TOY
    )
    with pytest.raises(ValueError, match="completion 1 of 8 has no reward from any reward function"):
        trainer.train()


def written(monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    """Every rollout samples these texts, one per row."""

    def sample(self: Any, prompts: list, *_: Any) -> tuple:
        rows = [self.processing_class(texts[i % len(texts)])["input_ids"] for i in range(len(prompts))]
        return rows, None

    monkeypatch.setattr(gc2po_trainer.GC2POTrainer, "_generate_single_turn", sample)


STATED = {
    "no episodes: one, and unparsed": (["1 2 3 # 4 <eos>", "5 # 6 <eos>"], 1.0, 0.0),
    "an answer alone": (["# 4 <eos>", "# 6 <eos>"], 1.0, 0.0),
    "nothing but the end": (["<eos>", "1 <eos>"], 1.0, 0.0),
    "one distinct answer": (["1 ; # 4 <eos>", "2 2 ; # 4 <eos>"], 1.0, 1.0),
    "no answer at all": (["1 ; 2 ;", "2 2 ;"], 1.5, 1.0),
    "episodes of one token": (["; ; # 4", "; # 5"], 1.5, 1.0),
    "answers of several tokens": (["1 ; # 4 5 6 <eos>", "1 1 ; # 4 5 <eos>"], 1.0, 1.0),
}


@pytest.mark.parametrize("other", [True, False])
@pytest.mark.parametrize(("texts", "episodes", "parsed"), STATED.values(), ids=STATED.keys())
def test_thin_completions_have_a_stated_finite_value(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, texts: list, episodes: float, parsed: float, other: bool
) -> None:
    written(monkeypatch, texts)
    trainer, logs, _ = trained(make_trainer, Watched, answer_other=other, perturbation_size=1.0, episode_delimiter=";")
    assert (logs[0]["gc2po/episodes"], logs[0]["gc2po/parsed_share"]) == (episodes, parsed)
    assert torch.isfinite(trainer.kept[0]).all() and math.isfinite(logs[0]["loss"])
    if len({text.split("#")[-1] for text in texts}) == 1 and not other:
        assert logs[0]["gc2po/robustness"] == 1.0  # one option: nothing can move
