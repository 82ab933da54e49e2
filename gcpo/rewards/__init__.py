"""Rewards: the grader of mathematical answers, and the sandbox for generated code."""

from gcpo.rewards.code_score import CodeAnswer, CodeProblem, score_answers
from gcpo.rewards.grader import answer_classes, grade
from gcpo.rewards.pool import GraderPool
from gcpo.rewards.quick import usable_gold
from gcpo.rewards.sandbox import SandboxPool, find_isolation
from gcpo.rewards.verdict import REASONS, Verdict

__all__ = [
    "REASONS",
    "CodeAnswer",
    "CodeProblem",
    "GraderPool",
    "SandboxPool",
    "Verdict",
    "answer_classes",
    "find_isolation",
    "grade",
    "score_answers",
    "usable_gold",
]
