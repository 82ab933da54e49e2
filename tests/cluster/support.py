"""What the cluster tests share: where the checkout is, and what this machine lacks for a test."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).parents[2]


def needs_deepspeed() -> pytest.MarkDecorator:
    """Skip with what is missing: DeepSpeed itself, or the compiler for its communicator on a CPU."""
    lacking = [name for name in ("g++", "ninja") if shutil.which(name) is None]
    if importlib.util.find_spec("deepspeed") is None:
        lacking.append("deepspeed")
    return pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}; see make test-cluster")


def alone() -> dict[str, str]:
    """The environment of a program that must not see a GPU, a network, or this run's folders."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GCPO_", "SLURM_", "HF_"))}
    return kept | {
        "PYTHONPATH": str(REPO_ROOT),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
