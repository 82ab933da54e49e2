"""Our GRPO trainer against stock TRL, and what stays equal when only the mechanics of a step change."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from gcpo.trainers import METHODS, PaperGRPOConfig, PaperGRPOTrainer

RECORDED = ("loss", "grad_norm", "reward", "kl", "entropy", "clip_ratio/region_mean", "completions/mean_length")


def trajectory(trainer: Any) -> list[dict[str, float]]:
    trainer.train()
    return [{k: entry[k] for k in RECORDED if k in entry} for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"gradient_accumulation_steps": 2, "num_iterations": 2},
        {"steps_per_generation": 2, "beta": 0.0, "weight_decay": 0.1},
    ],
)
def test_paper_grpo_is_bit_equal_to_stock_trl_under_the_same_arguments(make_trainer: Callable, overrides: dict) -> None:
    ours = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, max_steps=4, **overrides)
    ours_steps = trajectory(ours)  # before the other is built: the constructor sets the generators
    stock = make_trainer(GRPOTrainer, PaperGRPOConfig, max_steps=4, **overrides)
    stock_steps = trajectory(stock)
    assert ours_steps == stock_steps
    assert len(ours_steps) == 4
    assert any(step["loss"] != 0 for step in ours_steps)
    assert len({step["grad_norm"] for step in ours_steps}) == 4
    for (name, a), (_, b) in zip(ours.model.named_parameters(), stock.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_trajectory_of_grpo_differs_from_stock_trl_defaults(make_trainer: Callable) -> None:
    paper = trajectory(make_trainer(PaperGRPOTrainer, PaperGRPOConfig, max_steps=3))
    kl_corrected = make_trainer(GRPOTrainer, PaperGRPOConfig, max_steps=3)
    kl_corrected.args.use_bias_correction_kl = True
    assert trajectory(kl_corrected) != paper


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_the_first_update_does_not_depend_on_how_the_batch_is_cut_into_micro_batches(
    make_trainer: Callable, method: str
) -> None:
    config_class, trainer_class = METHODS[method]
    steps = {}
    for per_device in (16, 8, 4):
        trainer = make_trainer(
            trainer_class,
            config_class,
            per_device_train_batch_size=per_device,
            gradient_accumulation_steps=16 // per_device,
            max_steps=1,
        )
        trainer.train()
        steps[per_device] = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert steps[16]["grad_norm"] > 1e-3
    for per_device in (8, 4):
        assert steps[per_device]["reward"] == steps[16]["reward"]
        assert steps[per_device]["grad_norm"] == pytest.approx(steps[16]["grad_norm"], rel=1e-4)
        assert steps[per_device]["loss"] == pytest.approx(steps[16]["loss"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_gradient_checkpointing_leaves_the_trajectory_equal(make_trainer: Callable, method: str) -> None:
    config_class, trainer_class = METHODS[method]
    plain = trajectory(make_trainer(trainer_class, config_class))
    checkpointed = trajectory(make_trainer(trainer_class, config_class, gradient_checkpointing=True))
    for a, b in zip(plain, checkpointed, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_bf16_trains_with_finite_numbers_and_fp32_weights(make_trainer: Callable, method: str) -> None:
    config_class, trainer_class = METHODS[method]
    trainer = make_trainer(trainer_class, config_class, bf16=True)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    steps = trajectory(trainer)
    assert len(steps) == 3
    assert any(step["grad_norm"] > 1e-3 for step in steps)
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_an_adapter_is_trained_and_its_base_is_left_alone(make_trainer: Callable, method: str) -> None:
    from peft import LoraConfig

    config_class, trainer_class = METHODS[method]
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer(trainer_class, config_class, peft_config=adapter, gradient_checkpointing=True)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trajectory(trainer)
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_evaluation_gives_a_finite_loss_and_leaves_training_groups_alone(
    make_trainer: Callable, toy_dataset, method
) -> None:
    config_class, trainer_class = METHODS[method]
    trainer = make_trainer(
        trainer_class, config_class, eval_dataset=toy_dataset.select(range(4)), eval_strategy="steps", eval_steps=1
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(losses) == 3
    assert all(abs(loss) < 1e3 for loss in losses)
