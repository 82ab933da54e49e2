"""Group Causal Policy Optimization (arXiv 2508.05428) and its baselines on TRL.

Names below are imported on first use, so that the pure modules do not pay for TRL's import.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "PaperGRPOConfig": "gcpo.trainers.grpo",
    "PaperGRPOTrainer": "gcpo.trainers.grpo",
    "DrGRPOConfig": "gcpo.trainers.drgrpo",
    "DrGRPOTrainer": "gcpo.trainers.drgrpo",
    "GVPOConfig": "gcpo.trainers.gvpo",
    "GVPOTrainer": "gcpo.trainers.gvpo",
    "GCPOConfig": "gcpo.trainers.gcpo",
    "GCPOTrainer": "gcpo.trainers.gcpo",
    "GC2POConfig": "gcpo.trainers.gc2po",
    "GC2POTrainer": "gcpo.trainers.gc2po",
    "form_name": "gcpo.trainers.gcpo",
    "gc2po_form_name": "gcpo.trainers.gc2po",
    "METHODS": "gcpo.trainers",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'gcpo' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
