"""What the trainers refuse before training, and what stops them during it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from gcpo.trainers import METHODS, GVPOConfig, GVPOTrainer, PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.checks import check_whole_groups


def test_a_batch_that_would_split_a_group_over_ranks_is_refused_although_trl_accepts_it(
    make_trainer: Callable, tiny_args: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PaperGRPOConfig, "world_size", property(lambda self: 2))
    args = PaperGRPOConfig(**(tiny_args | {"per_device_train_batch_size": 2}))  # 2 x 2 ranks = one group of 4
    with pytest.raises(
        ValueError, match=r"= 2 completions per rank would split a group over ranks; want a multiple of"
    ):
        check_whole_groups(args)
    with pytest.raises(ValueError, match="split a group over ranks"):
        make_trainer(PaperGRPOTrainer, PaperGRPOConfig, per_device_train_batch_size=2)


def test_a_configuration_built_for_another_number_of_ranks_is_refused(
    tiny_args: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = PaperGRPOConfig(**tiny_args)
    monkeypatch.setattr(PaperGRPOConfig, "world_size", property(lambda self: 2))
    with pytest.raises(ValueError, match="generation_batch_size 8 is not 8 completions on each of 2 ranks"):
        check_whole_groups(args)


def test_gvpo_refuses_a_micro_batch_that_would_split_a_group_and_grpo_does_not(make_trainer: Callable) -> None:
    overrides = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    make_trainer(PaperGRPOTrainer, PaperGRPOConfig, **overrides)
    with pytest.raises(ValueError, match="per_device_train_batch_size 2 would split a group over micro-batches"):
        make_trainer(GVPOTrainer, GVPOConfig, **overrides)


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_a_bare_grpo_config_is_refused(make_trainer: Callable, method: str) -> None:
    config_class, trainer_class = METHODS[method]
    with pytest.raises(
        ValueError, match=rf"args is a GRPOConfig; {trainer_class.__name__} needs a {config_class.__name__}"
    ):
        make_trainer(trainer_class, GRPOConfig)


class Wrecked(PaperGRPOTrainer):
    """Spoils the loss of the second step."""

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        return loss * float("nan") if self.state.global_step == 1 else loss


@pytest.mark.parametrize("nan_filter", [False, True])
def test_a_nan_loss_stops_training_with_its_step_before_the_weights_change(
    make_trainer: Callable, nan_filter: bool
) -> None:
    trainer = make_trainer(Wrecked, PaperGRPOConfig, logging_nan_inf_filter=nan_filter)
    with pytest.raises(FloatingPointError, match="loss is nan at step 2; want a finite number") as error:
        trainer.train()
    assert "\n" not in str(error.value)
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_a_nan_gradient_under_a_finite_loss_stops_training_with_its_step(make_trainer: Callable, method: str) -> None:
    config_class, trainer_class = METHODS[method]
    trainer = make_trainer(trainer_class, config_class)
    next(trainer.model.parameters()).register_hook(lambda grad: grad * float("nan"))
    with pytest.raises(FloatingPointError, match="grad_norm is nan at step 1; want a finite number"):
        trainer.train()
