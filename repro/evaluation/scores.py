"""From graded samples of one suite to its summary: counts, scores with intervals, lengths, reasons and cost.

Pure functions of stored samples; scores are fractions in [0, 1]. An interval covers the questions and the samples of
one checkpoint ("1 seed, sampling only"): what another training seed would have given is not in it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from repro.errors import BadInput
from repro.evaluation.grading import UNCLOSED_THOUGHT
from repro.evaluation.store import GREEDY, SAMPLED, Sample
from repro.grading.audit_grader import opinion
from repro.stats import Counts, arm_interval, maj_at_k, minimum_detectable_gap, pass_at_k, wilson_interval
from repro.tasks.benchmarks.loading import MATH500_IN_AIME, Problem

PASS_KS = (1, 4, 8, 16, 32, 64)
MAJORITY_K = 4  # the paper's appendix: "report maj@4 scores"
BINS = 24
Classes = Callable[[Sequence[Sample]], Sequence[tuple[int, bool] | None]]


def score(correct: Sequence[int], k: int) -> dict[str, Any]:
    """avg@k from right answers per question, with its 95 % interval. One question: Wilson's interval of its samples."""
    if len(correct) == 1:
        low, high = wilson_interval(correct[0], k)
        return {"value": correct[0] / k, "low": low, "high": high, "correct": list(correct)}
    result = arm_interval([Counts(np.array([correct]), k)])
    return {"value": result.value, "low": result.low, "high": result.high, "correct": list(correct)}


def by_question(samples: Sequence[Sample], problems: Sequence[Problem], draw: str, k: int) -> list[list[Sample]]:
    """The first k samples of each question and draw, in the order of the problems.

    Raises BadInput if a question has fewer: a score labelled with a k that was not sampled is never made.
    """
    groups: dict[str, dict[int, Sample]] = {problem.id: {} for problem in problems}
    for sample in samples:
        if sample.draw == draw and sample.question_id in groups:
            groups[sample.question_id][sample.sample] = sample
    for name, group in groups.items():
        if any(number not in group for number in range(k)):
            raise BadInput(f"question {name} has {len(group)} {draw} samples; k is {k}, want at least as many")
    return [[group[number] for number in range(k)] for group in groups.values()]


def summarise(samples: Sequence[Sample], problems: Sequence[Problem], k: int, classes: Classes) -> dict[str, Any]:
    """Everything that is reported of one suite. problems: those asked, in order; k: samples per question that count.

    `classes` says what each sample of one question votes for. A greedy pass is summed up where it is stored.
    """
    groups = by_question(samples, problems, SAMPLED, k)
    drawn = [sample for group in groups for sample in group]
    correct = [sum(sample.correct for sample in group) for group in groups]
    result = {
        "k": k,
        "questions": len(groups),
        "question_ids": [problem.id for problem in problems],
        "avg": score(correct, k),
        "pass_at": {str(size): pass_at_k(k, correct, size) for size in sorted({*PASS_KS, k}) if size <= k},
        "others": _others(groups, problems, k),
        "reasons": _counted(sample.reason for sample in drawn),
        "details": _counted(sample.detail for sample in drawn if not _is_code(problems)),
        "rates": rates(drawn),
        "tokens": token_counts(drawn),
        "lengths": histogram(drawn),
        "mdg_sampling": sampling_gap(correct, k),
    }
    if not _is_code(problems):
        result["maj_at"] = _majorities(groups, k, classes)
        result["audit"] = _audit(drawn, problems)
    kept = [place for place, problem in enumerate(problems) if problem.id not in MATH500_IN_AIME]
    if 0 < len(kept) < len(problems):
        result["without_training_overlap"] = {"questions": len(kept), **score([correct[place] for place in kept], k)}
    if any(sample.draw == GREEDY for sample in samples):
        passes = [group[0] for group in by_question(samples, problems, GREEDY, 1)]
        result["greedy"] = score([int(sample.correct) for sample in passes], 1) | {"rates": rates(passes)}
    return result


def _is_code(problems: Sequence[Problem]) -> bool:
    return problems[0].code is not None


def _counted(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _others(groups: Sequence[Sequence[Sample]], problems: Sequence[Problem], k: int) -> dict[str, Any]:
    """Scores under other golds and readings. A sample without such a verdict keeps its own."""
    names = {name for group in groups for sample in group for name in sample.others}
    result = {}
    for name in sorted(names):
        counts = [sum(sample.others.get(name, sample.correct) for sample in group) for group in groups]
        result[name] = score(counts, k)
        rows = [p.id for p in problems if name in p.golds and p.golds[name] != (p.gold,)]
        if rows:
            result[name]["questions_with_another_gold"] = len(rows)
    return result


def _majorities(groups: Sequence[Sequence[Sample]], k: int, classes: Classes) -> dict[str, Any]:
    """maj@4 and maj@k. share: a tie pays the share of its classes that is right; first: the class seen first wins."""
    sizes = [size for size in sorted({MAJORITY_K, k}) if 1 < size <= k]
    if not sizes:
        return {}
    votes = [(classes(group), [sample.correct for sample in group]) for group in groups]
    return {
        str(size): {
            tie: float(np.mean([maj_at_k(answers, right, size, tie=tie) for answers, right in votes]))
            for tie in ("share", "first")
        }
        for size in sizes
    }


def _audit(drawn: Sequence[Sample], problems: Sequence[Problem]) -> dict[str, Any]:
    """How often a second, simpler grader is sure of the opposite, on the answers that the first one read."""
    golds = {problem.id: problem.gold for problem in problems}
    judged, disagreements = 0, []
    for sample in drawn:
        box = "" if sample.extracted is None else f"\\boxed{{{sample.extracted}}}"
        other = opinion(gold=golds[sample.question_id], prediction=box)
        judged += other is not None
        if other is not None and other != sample.correct:
            disagreements.append([sample.question_id, sample.sample])
    return {"judged": judged, "samples": len(drawn), "disagreements": disagreements}


def rates(samples: Sequence[Sample]) -> dict[str, float]:
    """Shares of samples: cut at the limit, without a box, with a thought that was never closed."""
    total = len(samples)
    return {
        "truncated": sum(not sample.ended for sample in samples) / total,
        "no_box": sum(sample.reason == "no_box" for sample in samples) / total,
        "unclosed_thought": sum(sample.detail == UNCLOSED_THOUGHT for sample in samples) / total,
    }


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


def sampling_gap(correct: Sequence[int], k: int) -> float | None:
    """The gap between two such evaluations that sampling noise alone lets be seen (5 %, power 80 %); None for k = 1."""
    if k < 2:
        return None
    share = np.array(correct) / k
    variance = float((share * (1 - share)).sum()) / (k - 1) / len(share) ** 2
    return minimum_detectable_gap(float(np.sqrt(2 * variance)), np.inf)


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


def is_disguised(entry: Mapping[str, Any]) -> bool:
    """Whether every question is answered all right or all wrong although k > 1: one pass in the dress of avg@k."""
    k = entry["k"]
    return k > 1 and all(count in (0, k) for count in entry["avg"]["correct"])
