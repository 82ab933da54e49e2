"""Procedural tasks modulo 10: generators, tokenizer, verifier, suites."""

from repro.tasks.procedural.families import Problem, make_problem, problem_key, split_of, work
from repro.tasks.procedural.integration import integration_prompt
from repro.tasks.procedural.suites import SUITES, load_suite, training_problems
from repro.tasks.procedural.tokenizer import build_tokenizer
from repro.tasks.procedural.verify import REASONS, final_answer, verify

__all__ = [
    "REASONS",
    "SUITES",
    "Problem",
    "build_tokenizer",
    "final_answer",
    "integration_prompt",
    "load_suite",
    "make_problem",
    "problem_key",
    "split_of",
    "training_problems",
    "verify",
    "work",
]
