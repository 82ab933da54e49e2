"""What the trainers refuse before training, and what stops them during it."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GenerationConfig
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


CONTENT_PARTS = [{"role": "user", "content": [{"type": "text", "text": "1 + 1"}]}]


@pytest.mark.parametrize("method", ["grpo", "gvpo", "gcpo"])
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "train_dataset has no rows"),
        ([{"question": "1 + 1"}] * 8, r"train_dataset has the columns \['question'\]; want a column 'prompt'"),
        ([{"prompt": CONTENT_PARTS}] * 8, "messages whose content is a text"),
        ([{"prompt": "1 + 1 ="}], r"has 1 rows, too few for one step: a rollout reads \d prompts"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_before_training(
    make_trainer: Callable, method: str, rows: list, reason: str
) -> None:
    config_class, trainer_class = METHODS[method]
    with pytest.raises(ValueError, match=reason) as refusal:
        make_trainer(trainer_class, config_class, train_dataset=Dataset.from_list(rows))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, "1"])
def test_a_reward_that_is_not_finite_stops_the_step_with_its_function_and_value(
    make_trainer: Callable, value: float
) -> None:
    def odd_reward(completions: list[str], trainer_state: Any, **_: Any) -> list[float]:
        return [float(k) for k in range(len(completions) - 1)] + [value if trainer_state.global_step else 1.0]

    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, reward_funcs=odd_reward)
    with pytest.raises(
        ValueError, match=re.escape(f"'odd_reward' returned {value!r} for completion 7 of 8; want finite")
    ):
        trainer.train()
    assert trainer.state.global_step == 1


def test_none_is_a_reward_that_does_not_apply_and_a_coroutine_is_checked_too(make_trainer: Callable) -> None:
    async def sometimes(completions: list[str], **_: Any) -> list[float | None]:
        return [None if k % 2 else float(k) for k in range(len(completions))]

    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, reward_funcs=sometimes, max_steps=1)
    trainer.train()
    assert trainer.state.log_history[0]["rewards/sometimes/mean"] == 3.0


def test_generation_settings_of_a_model_folder_change_no_rollout(
    make_trainer: Callable, tiny_model: Any, tmp_path: Path
) -> None:
    runs = []
    for extra in ({}, {"min_new_tokens": 6, "no_repeat_ngram_size": 1, "suppress_tokens": [5, 6, 7], "top_k": 2}):
        tiny_model.generation_config = GenerationConfig(eos_token_id=[1, 9], pad_token_id=0, do_sample=True, **extra)
        tiny_model.save_pretrained(tmp_path)
        seen: list[list[int]] = []

        def reward(completion_ids: list[list[int]], seen: list = seen, **_: Any) -> list[float]:
            seen.extend(completion_ids)
            return [float(len(ids)) for ids in completion_ids]

        trainer = make_trainer(
            PaperGRPOTrainer, PaperGRPOConfig, model=str(tmp_path), reward_funcs=reward, max_steps=2, beta=0.0
        )
        assert trainer.eos_token_ids == [1, 9]
        trainer.train()
        runs.append(seen)
    assert runs[0] == runs[1] and any(len(ids) < 6 for ids in runs[0]) and any(ids[-1] == 9 for ids in runs[0])


def test_bf16_means_float32_weights_under_autocast(make_trainer: Callable, tiny_model: Any) -> None:
    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, model=tiny_model.bfloat16(), bf16=True, max_steps=1)
    assert {p.dtype for p in trainer.model.parameters()} == {p.dtype for p in trainer.ref_model.parameters()}
    seen = []
    hook = trainer.model.model.layers[0].mlp.register_forward_hook(lambda _m, _a, output: seen.append(output.dtype))
    trainer.train()
    hook.remove()
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert torch.bfloat16 in seen


FORMS = {
    "gvpo": {},
    "grpo": {"steps_per_generation": 2, "num_iterations": 2},
    "gcpo": {"steps_per_generation": 4, "estimator": "mc", "eq13": "mean", "candidate_separator": ";"},
}


@pytest.mark.parametrize("method", FORMS)
def test_a_checkpoint_waits_for_the_end_of_its_rollout_and_going_on_from_it_is_exact(
    make_trainer: Callable, tmp_path: Path, method: str
) -> None:
    config_class, trainer_class = METHODS[method]
    settings = FORMS[method] | {"max_steps": 10, "save_strategy": "steps", "save_steps": 3}
    whole = make_trainer(trainer_class, config_class, **(settings | {"output_dir": str(tmp_path / "whole")}))
    whole.train()
    saved = sorted(int(path.name.split("-")[1]) for path in (tmp_path / "whole").glob("checkpoint-*"))
    assert saved == [4, 8, 10]  # due at 3, 6, 9; a rollout serves four updates; the run ends at 10
    resumed = make_trainer(trainer_class, config_class, **(settings | {"output_dir": str(tmp_path / "resumed")}))
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    losses = [[(e["step"], e["loss"]) for e in t.state.log_history if "loss" in e] for t in (whole, resumed)]
    assert losses[0] == losses[1]
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_going_on_from_inside_a_rollout_says_that_it_is_not_exact(make_trainer: Callable, tmp_path: Path) -> None:
    settings = {"steps_per_generation": 4, "save_strategy": "steps", "save_steps": 2, "output_dir": str(tmp_path)}
    make_trainer(PaperGRPOTrainer, PaperGRPOConfig, max_steps=2, **settings).train()
    longer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, max_steps=3, **settings)
    with pytest.warns(UserWarning, match="step 2 stands inside a rollout, which it does not hold"):
        longer.train(resume_from_checkpoint=True)
