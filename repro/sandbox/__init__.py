"""Runs model-written programs and gives verdicts they cannot forge; see `judge.py` for how, `README.md` for limits.

Imports the standard library alone: its workers load this package by itself, without the rest of `gcpo`.
"""

from .isolation import SandboxUnavailable, find_isolation
from .judge import REASONS, Job, Outcome, SandboxBroken
from .launch import Isolation, Limits
from .pool import SandboxPool

__all__ = [
    "REASONS",
    "Isolation",
    "Job",
    "Limits",
    "Outcome",
    "SandboxBroken",
    "SandboxPool",
    "SandboxUnavailable",
    "find_isolation",
]
