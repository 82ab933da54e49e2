"""What every trainer checks: data, groups and weights before training; rewards, loss and checkpoints during it."""

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, PreTrainedModel, TrainerCallback
from trl import GRPOConfig

# The square of a larger reward overflows float32, in which a group's standard deviation is computed: its advantages
# would all be 0 without a word.
MAX_REWARD = 1e18

if TYPE_CHECKING:  # what a mixin stands in front of
    from transformers import Trainer as _Trainer
else:
    _Trainer = object


def check_whole_groups(args: GRPOConfig, *, per_micro_batch: bool = False) -> None:
    """Raise ValueError unless each rank generates whole groups, and with `per_micro_batch` trains on whole groups.

    TRL checks only the sum over ranks, where a group may be split between two of them: anything computed per group on
    a rank would then mix prompts without an error.
    """
    n, per_device = args.num_generations, args.per_device_train_batch_size
    rows = per_device * args.steps_per_generation
    if rows % n:
        raise ValueError(
            f"per_device_train_batch_size {per_device} x steps_per_generation {args.steps_per_generation} = {rows} "
            f"completions per rank would split a group over ranks; want a multiple of num_generations {n}"
        )
    if rows * args.world_size != args.generation_batch_size:
        raise ValueError(
            f"generation_batch_size {args.generation_batch_size} is not {rows} completions on each of "
            f"{args.world_size} ranks; build the configuration after the process group has started"
        )
    if per_micro_batch and per_device % n:
        raise ValueError(
            f"per_device_train_batch_size {per_device} would split a group over micro-batches; "
            f"want a multiple of num_generations {n}"
        )


def check_data(dataset: Any, args: GRPOConfig) -> None:
    """Raise ValueError unless the training set has prompts that can be read, and enough of them for one rollout.

    Of a streamed set only the first row is looked at.
    """
    row = next(iter(dataset), None) if dataset is not None else None
    if row is None:
        raise ValueError("train_dataset has no rows; want one prompt per row, in a column 'prompt'")
    if "prompt" not in row:
        raise ValueError(f"train_dataset has the columns {sorted(row)}; want a column 'prompt'")
    prompt = row["prompt"]
    messages = isinstance(prompt, list) and bool(prompt) and all(isinstance(m, dict) for m in prompt)
    if not isinstance(prompt, str) and not (messages and all(isinstance(m.get("content"), str) for m in prompt)):
        raise ValueError(
            f"the first prompt is {str(prompt)[:80]!r}; want a text, or messages whose content is a text (parts are "
            "for images, which this trainer does not read)"
        )
    wanted = args.generation_batch_size // args.num_generations
    if hasattr(dataset, "__len__") and len(dataset) < wanted:
        raise ValueError(
            f"train_dataset has {len(dataset)} rows, too few for one step: a rollout reads {wanted} prompts "
            f"(generation_batch_size {args.generation_batch_size} / num_generations {args.num_generations})"
        )


def keep_full_precision(model: Any, args: GRPOConfig) -> Any:
    """The model with float32 weights where `bf16` asks for mixed precision: updates of 1e-6 vanish in bf16 weights."""
    quantized = getattr(model, "is_quantized", False)
    if args.bf16 and isinstance(model, PreTrainedModel) and model.dtype == torch.bfloat16 and not quantized:
        return model.float()
    return model


def drop_generation_defaults(model: Any) -> None:
    """Leave of a model folder's generation settings only the ids that begin, pad and end a text.

    `generate` takes from them whatever a sampler's own settings leave open: min_new_tokens, suppress_tokens, ...
    """
    old = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=old.bos_token_id, pad_token_id=old.pad_token_id, eos_token_id=old.eos_token_id
    )


def checked_reward(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The reward function, stopping the step with one line where what it returns is no number that can be compared:
    no number at all, NaN, an infinity, or larger than MAX_REWARD. None is allowed.
    """

    def check(rewards: Any) -> list[Any]:
        if not isinstance(rewards, Iterable):
            raise ValueError(f"reward function {name!r} returned {rewards!r}; want a list, one reward per completion")
        found = list(rewards)
        for place, value in enumerate(found):
            if value is not None and not (_is_real(value) and abs(value) <= MAX_REWARD):
                raise ValueError(
                    f"reward function {name!r} returned {value!r} for completion {place} of {len(found)}; want "
                    f"finite numbers up to {MAX_REWARD:g} in size, or None where it does not apply"
                )
        return found

    @functools.wraps(function)
    async def later(*args: Any, **kwargs: Any) -> Any:
        return check(await function(*args, **kwargs))

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        return check(function(*args, **kwargs))

    return later if inspect.iscoroutinefunction(function) else now


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, torch.Tensor) and value.numel() == 1)


class CheckpointsBetweenRollouts(TrainerCallback):
    """Moves a checkpoint that is due inside a rollout to the rollout's end, where going on from it is exact.

    A rollout that serves several updates is not part of a checkpoint. The last step of a run is saved where it stands.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.owed = trainer, False

    def _inside(self, state: Any) -> bool:
        args = self.trainer.args
        micro_steps = state.global_step * args.gradient_accumulation_steps
        return micro_steps % (args.steps_per_generation * args.num_iterations) > 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._inside(state):
            warnings.warn(
                f"the checkpoint of step {state.global_step} stands inside a rollout, which it does not hold: a new "
                "one is drawn, and the run goes on otherwise than without the break",
                stacklevel=2,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        due = control.should_save or self.owed
        self.owed = due and self._inside(state) and not control.should_training_stop
        control.should_save = due and not self.owed

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.on_step_end(args, state, control)


class FiniteTrainingMixin(_Trainer):
    """Stops at the first loss or gradient norm that is not finite; goes in front of `GRPOTrainer` in the bases.

    The loss is checked before the optimizer can use it; the gradient norm where it is logged, before a checkpoint of
    that step. Raises FloatingPointError naming step and quantity.
    """

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss.item()} at step {self.state.global_step + 1}; want a finite number: "
                "lower the learning rate, or check rewards and precision"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        grad_norm = logs.get("grad_norm", 0.0)
        if not math.isfinite(grad_norm):
            raise FloatingPointError(
                f"grad_norm is {grad_norm} at step {self.state.global_step}; want a finite number: "
                "lower the learning rate, or check rewards and precision"
            )
        super().log(logs, start_time)
