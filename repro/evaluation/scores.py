"""From graded samples of one suite to its summary: counts, scores, lengths and reasons.

Pure functions of stored samples; scores are fractions in [0, 1]. Intervals follow from the counts and are made where
they are shown (`repro.evaluation.report`, `repro.tables`).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from repro.errors import BadInput
from repro.evaluation.store import GREEDY, SAMPLED, Sample
from repro.stats.metrics import maj_at_k, mean_accuracy, pass_at_k
from repro.tasks.encoding import UNCLOSED_THOUGHT
from repro.tasks.protocol import Question

PASS_KS = (1, 4, 8, 16, 32, 64)
MAJORITY_K = 4  # the paper's appendix: "report maj@4 scores"
BINS = 24
Classes = Callable[[Sequence[str | None]], Sequence[Hashable | None]]


def by_question(samples: Sequence[Sample], questions: Sequence[Question], draw: str, k: int) -> list[list[Sample]]:
    """The first k samples of each question and draw, in the order of the questions.

    Raises BadInput if a question has fewer: a score labelled with a k that was not sampled is never made.
    """
    groups: dict[str, dict[int, Sample]] = {question.id: {} for question in questions}
    for sample in samples:
        if sample.draw == draw and sample.question_id in groups:
            groups[sample.question_id][sample.sample] = sample
    for name, group in groups.items():
        if any(number not in group for number in range(k)):
            raise BadInput(f"question {name} has {len(group)} {draw} samples; k is {k}, want at least as many")
    return [[group[number] for number in range(k)] for group in groups.values()]


def summarise(samples: Sequence[Sample], questions: Sequence[Question], k: int, classes: Classes) -> dict[str, Any]:
    """Everything that is stored of one suite. questions: those asked, in order; k: samples per question that count.

    `classes` says which answers of one question are equal, as they vote. A greedy pass is summed up where it is stored.
    maj_at_k is None for code, which has no votes.
    """
    groups = by_question(samples, questions, SAMPLED, k)
    drawn = [sample for group in groups for sample in group]
    correct = [sum(sample.correct for sample in group) for group in groups]
    votes = None if is_code(questions) else [_votes(group, classes) for group in groups]
    result = {
        "k": k,
        "n": len(groups),
        "question_ids": [question.id for question in questions],
        "correct": correct,
        "avg_at_k": mean_accuracy(correct, k),
        "pass_at_k": pass_at_k(k, correct, k),
        "maj_at_k": None if votes is None else _majority(votes, k, "share"),
        "reasons": _counted(sample.reason for sample in drawn),
        "truncated": _share(not sample.ended for sample in drawn),
        "mean_tokens": _mean_tokens(drawn),
        "pass_at": {str(size): pass_at_k(k, correct, size) for size in sorted({*PASS_KS, k}) if size <= k},
        "others": _others(groups, questions),
        "details": {} if is_code(questions) else _counted(sample.detail for sample in drawn if sample.detail),
        "no_box": _share(sample.reason == "no_box" for sample in drawn),
        "unclosed_thought": _share(sample.detail == UNCLOSED_THOUGHT for sample in drawn),
        "tokens": token_counts(drawn),
        "lengths": histogram(drawn),
    }
    if votes is not None:
        sizes = [size for size in sorted({MAJORITY_K, k}) if 1 < size <= k]
        result["maj_at"] = {str(n): {tie: _majority(votes, n, tie) for tie in ("share", "first")} for n in sizes}
    if any(sample.draw == GREEDY for sample in samples):
        passes = [group[0] for group in by_question(samples, questions, GREEDY, 1)]
        result["greedy"] = {
            "correct": [int(sample.correct) for sample in passes],
            "truncated": _share(not sample.ended for sample in passes),
            "mean_tokens": _mean_tokens(passes),
        }
    return result


def is_code(questions: Sequence[Question]) -> bool:
    """Whether the questions ask for functions."""
    return questions[0].code is not None


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found)


def _mean_tokens(samples: Sequence[Sample]) -> float:
    return sum(sample.tokens for sample in samples) / len(samples)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _others(groups: Sequence[Sequence[Sample]], questions: Sequence[Question]) -> dict[str, Any]:
    """Right answers under other golds and readings. A sample without such a verdict keeps its own."""
    names = {name for group in groups for sample in group for name in sample.others}
    result = {}
    for name in sorted(names):
        result[name] = {"correct": [sum(s.others.get(name, s.correct) for s in group) for group in groups]}
        rows = [q.id for q in questions if name in q.golds and q.golds[name] != (q.gold,)]
        if rows:
            result[name]["questions_with_another_gold"] = len(rows)
    return result


def _votes(group: Sequence[Sample], classes: Classes) -> tuple[list[Hashable | None], list[bool]]:
    """What each sample votes for, and its verdict.

    The verdict is part of the vote, so that a class never mixes right and wrong where equality is not transitive.
    """
    right = [sample.correct for sample in group]
    found = classes([sample.extracted for sample in group])
    return [None if each is None else (each, correct) for each, correct in zip(found, right, strict=True)], right


def _majority(votes: Sequence[tuple[Sequence[Hashable | None], Sequence[bool]]], size: int, tie: str) -> float:
    """maj@size. tie "share": pays the share of its classes that is right; "first": the class seen first wins."""
    return sum(maj_at_k(answers, right, size, tie=tie) for answers, right in votes) / len(votes)


def token_counts(samples: Sequence[Sample]) -> dict[str, float]:
    """Completion tokens: mean, median, largest, total; and prompt tokens in all, each prompt once per sample."""
    lengths = np.array([sample.tokens for sample in samples])
    return {
        "mean": float(lengths.mean()),
        "median": float(np.median(lengths)),
        "max": int(lengths.max()),
        "total": int(lengths.sum()),
        "prompt_total": sum(sample.prompt_tokens for sample in samples),
    }


def histogram(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Completion lengths in BINS equal bins, completions that ended and that were cut apart. edges: BINS + 1 tokens."""
    top = max(sample.tokens for sample in samples)
    edges = np.unique(np.linspace(0, top, BINS + 1).round().astype(int))
    counts = {}
    for name, ended in (("ended", True), ("cut", False)):
        lengths = [sample.tokens for sample in samples if sample.ended == ended]
        counts[name] = np.histogram(lengths, edges)[0].tolist()
    return {"edges": edges.tolist(), **counts}


def cost(samples: Sequence[Sample], device: str) -> dict[str, Any]:
    """Seconds of generation and grading, tokens per second and device-hours of all stored samples."""
    generation = sum(sample.seconds for sample in samples)
    tokens = sum(sample.tokens for sample in samples)
    return {
        "device": device,
        "samples": len(samples),
        "generation_seconds": round(generation, 3),
        "grading_seconds": round(sum(sample.grade_seconds for sample in samples), 3),
        "tokens_per_second": round(tokens / generation, 1) if generation else None,
        "device_hours": round(generation / 3600, 5),
    }
