"""One file per method. `METHODS` maps a method's id in tables to its configuration and trainer.

Names are imported on first use, so that one trainer's module does not import the others.
"""

from importlib import import_module
from typing import Any

# id in tables: (module, configuration, trainer)
_METHODS = {
    "grpo": ("grpo", "PaperGRPOConfig", "PaperGRPOTrainer"),
    "drgrpo": ("drgrpo", "DrGRPOConfig", "DrGRPOTrainer"),
    "gvpo": ("gvpo", "GVPOConfig", "GVPOTrainer"),
    "gcpo": ("gcpo", "GCPOConfig", "GCPOTrainer"),
    "gc2po": ("gc2po", "GC2POConfig", "GC2POTrainer"),
}
_EXPORTS = {name: module for module, *names in _METHODS.values() for name in names}

__all__ = ["METHODS", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    if name == "METHODS":
        found: Any = {
            key: (__getattr__(config), __getattr__(trainer)) for key, (_, config, trainer) in _METHODS.items()
        }
    elif name in _EXPORTS:
        found = getattr(import_module(f"gcpo.trainers.{_EXPORTS[name]}"), name)
    else:
        raise AttributeError(f"module 'gcpo.trainers' has no attribute {name!r}")
    globals()[name] = found  # METHODS is one object, however often it is asked for
    return found
