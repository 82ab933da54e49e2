"""Word problems in English with exact answers, for language models that can read: families, suites, grader."""

from repro.tasks.words.drills import drill
from repro.tasks.words.grading import final_answer, grade
from repro.tasks.words.problem import WordProblem, chat_messages
from repro.tasks.words.suites import EVAL_ONLY, FAMILIES, SUITES, Suite, load_suite, make_question, training_problems

__all__ = [
    "EVAL_ONLY",
    "FAMILIES",
    "SUITES",
    "Suite",
    "WordProblem",
    "chat_messages",
    "drill",
    "final_answer",
    "grade",
    "load_suite",
    "make_question",
    "training_problems",
]
