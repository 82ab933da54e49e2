"""Procedural tasks modulo 10: generators, tokenizer, verifier, suites."""

from repro.tasks.families import Problem, make_problem, problem_key, split_of, work
from repro.tasks.integration import integration_prompt
from repro.tasks.loading import load_tokenizer
from repro.tasks.suites import SUITES, load_suite, training_problems
from repro.tasks.tokenizer import build_tokenizer
from repro.tasks.verify import REASONS, final_answer, verify

__all__ = [
    "REASONS",
    "SUITES",
    "Problem",
    "build_tokenizer",
    "final_answer",
    "integration_prompt",
    "load_suite",
    "load_tokenizer",
    "make_problem",
    "problem_key",
    "split_of",
    "training_problems",
    "verify",
    "work",
]
