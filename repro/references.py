"""Names of code as text, `module:name`: what is named so is imported when it is used, and not before."""

from importlib import import_module
from typing import Any


def resolve(reference: str) -> Any:
    """What `module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def module_of(reference: str) -> str:
    """The module of `module:name`."""
    return reference.partition(":")[0]
