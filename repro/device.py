"""The one place that decides where models run.

`GCPO_DEVICE` wins (cpu, cuda, cuda:1, ...); else the first GPU if there is one and the profile does not ask for a CPU.
"""

import os

import torch

# Asking whether there is a GPU must not start CUDA: the pool forks its workers afterwards.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
CHOICES = ("auto", "cpu")


def decide(wanted: str = "auto") -> torch.device:
    """The device of a run. wanted: `auto`, or `cpu` for models too small for a GPU to help."""
    named = os.environ.get("GCPO_DEVICE")
    if named:
        return torch.device(named)
    return torch.device("cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The GPU's model, or the device's type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
