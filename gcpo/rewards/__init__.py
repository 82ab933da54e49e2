"""Rewards: the grader of mathematical answers, and the sandbox for generated code."""

from gcpo.rewards.grader import grade
from gcpo.rewards.pool import GraderPool
from gcpo.rewards.quick import usable_gold
from gcpo.rewards.verdict import REASONS, Verdict

__all__ = ["REASONS", "GraderPool", "Verdict", "grade", "usable_gold"]
