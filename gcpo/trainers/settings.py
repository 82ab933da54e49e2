"""What every configuration refuses first: numbers of another type, not finite, or outside of what they can mean.

TRL and transformers check few of theirs; a learning rate of NaN trains, and `num_generations=0` divides by zero.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, get_args, get_type_hints

# (settings of TRL, transformers and ours, what a value must satisfy, in words); None always passes
_RANGES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("num_generations",), lambda v: v >= 2, "at least 2, since advantages are relative to a group"),
    (
        (
            "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
            "steps_per_generation", "generation_batch_size", "num_iterations", "max_completion_length",
            "vllm_tensor_parallel_size", "vllm_max_model_length", "extra_batch_size", "max_context_length",
            "save_total_limit", "max_length", "ref_model_sync_steps",
        ),
        lambda v: v >= 1,
        "at least 1",
    ),
    (("max_steps",), lambda v: v == -1 or v >= 1, "at least 1, or -1 to count num_train_epochs"),
    (
        ("num_train_epochs", "temperature", "repetition_penalty", "adam_epsilon", "value_rate", "save_steps",
         "logging_steps"),
        lambda v: v > 0,
        "a number above 0",
    ),
    (
        ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "epsilon", "epsilon_high", "beta",
         "neftune_noise_alpha", "seed", "data_seed"),
        lambda v: v >= 0,
        "a number of at least 0",
    ),
    (("top_k",), lambda v: v >= 0, "at least 0, 0 for no limit"),
    (("adam_beta1", "adam_beta2"), lambda v: 0 <= v < 1, "a share in [0, 1)"),
    (("top_p", "vllm_gpu_memory_utilization"), lambda v: 0 < v <= 1, "a share in (0, 1]"),
    (("min_p", "top_entropy_quantile"), lambda v: 0 <= v <= 1, "a share in [0, 1]"),
)  # fmt: skip
RANGES = {name: (holds, words) for names, holds, words in _RANGES for name in names}


def check_numbers(config: Any) -> None:
    """Raise ValueError naming the first number of a configuration that cannot be used, and what would be right.

    config: a dataclass of settings, before anything is computed from them. Looks at every field whose type has numbers,
    and for values that are not finite also inside lists and mappings.
    """
    for name, kinds in _numeric_fields(type(config)).items():  # type: ignore[arg-type]  # a class is hashable
        value = getattr(config, name)
        if value is None or (isinstance(value, str) and str in kinds):
            continue
        if list not in kinds:
            _check_number(name, value, whole=float not in kinds)
        elif not isinstance(value, (list, tuple)) or not all(_is_number(each) for each in value):
            raise ValueError(f"{name} is {value!r}; want a list of numbers")
        if name in RANGES and not RANGES[name][0](value):
            raise ValueError(f"{name} is {value}; want {RANGES[name][1]}")
    for field in dataclasses.fields(config):
        for number in _inside(getattr(config, field.name)):
            if not math.isfinite(number):
                raise ValueError(f"{field.name} holds {number}; want finite numbers")


def _check_number(name: str, value: Any, *, whole: bool) -> None:
    if not _is_number(value) or (whole and not isinstance(value, Integral)):
        raise ValueError(f"{name} is {value!r}; want a {'whole' if whole else 'finite'} number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; want a finite number")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _inside(value: Any) -> Iterator[float]:
    """The floats in a value that is a list or a mapping, at any depth."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _inside(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _inside(each)


@cache
def _numeric_fields(config_class: type) -> dict[str, frozenset[Any]]:
    """The fields whose type has numbers, with the plain types that theirs is made of."""
    hints = get_type_hints(config_class)
    kinds = {field.name: frozenset(_plain(hints[field.name])) for field in dataclasses.fields(config_class)}
    return {name: found for name, found in kinds.items() if found & {int, float}}


def _plain(hint: Any) -> Iterator[Any]:
    parts = get_args(hint)
    if not parts:
        yield hint
        return
    origin = getattr(hint, "__origin__", None)
    if isinstance(origin, type):
        yield origin
    for part in parts:
        yield from _plain(part)
