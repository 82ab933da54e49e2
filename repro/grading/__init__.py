"""Rewards: the grader of mathematical answers, and the sandbox for generated code."""

from repro.grading.code_score import CodeAnswer, CodeProblem, score_answers
from repro.grading.grader import answer_classes, grade
from repro.grading.pool import GraderPool
from repro.grading.quick import usable_gold
from repro.grading.verdict import REASONS, Verdict
from repro.sandbox import SandboxPool, find_isolation

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
