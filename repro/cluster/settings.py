"""What the cluster section of a profile changes in a trainer's arguments. Pure; imports nothing."""

from typing import Any


def batch_as_prompts(values: dict[str, Any]) -> dict[str, Any]:
    """The arguments with a batch of as many prompts as it had completions: every prompt has num_generations of them.

    A rollout then feeds one update as before. `max_steps` stays: an epoch of 919 prompts would be 4 such steps.
    """
    factor = values["num_generations"]
    names = [name for name in ("gradient_accumulation_steps", "steps_per_generation") if name in values]
    return {**values, **{name: values[name] * factor for name in names}}
