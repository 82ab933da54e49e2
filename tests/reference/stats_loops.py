"""Statistics written as loops from their definitions: enumeration of subsets and sums, nothing from `repro`."""

from collections import Counter
from fractions import Fraction
from itertools import combinations, product


def avg_by_enumeration(rows: list[list[bool]], k: int) -> Fraction:
    """Mean over questions of the share of right ones among the first k."""
    total = Fraction(0)
    for row in rows:
        total += Fraction(sum(1 for right in row[:k] if right), k)
    return total / len(rows)


def pass_by_enumeration(n: int, c: int, k: int) -> Fraction:
    """Share of all k-subsets of n samples, c of them right, that hold a right one."""
    subsets = list(combinations(range(n), k))
    return Fraction(sum(1 for subset in subsets if any(sample < c for sample in subset)), len(subsets))


def maj_by_loops(answers: list[str | None], gold: str, k: int, tie: str) -> Fraction:
    """Majority vote over disjoint k-tuples in order; `gold` is the right class."""
    paid = []
    for start in range(0, len(answers) - k + 1, k):
        votes = [answer for answer in answers[start : start + k] if answer is not None]
        if not votes:
            paid.append(Fraction(0))
            continue
        top = max(Counter(votes).values())
        tied = []
        for answer in votes:
            if votes.count(answer) == top and answer not in tied:
                tied.append(answer)
        paid.append(Fraction(int(tied[0] == gold)) if tie == "first" else Fraction(int(gold in tied), len(tied)))
    return sum(paid, Fraction(0)) / len(paid)


def sign_flip_by_enumeration(differences: list[Fraction]) -> Fraction:
    """Share of the 2^n sign patterns whose absolute sum is at least the observed one."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return Fraction(sum(1 for value in sums if value >= observed), len(sums))


def improvement_by_loops(a: list[list[float]], b: list[list[float]]) -> float:
    """Pairs of seeds won by a, ties half, averaged over suites; a and b are [seeds][suites]."""
    per_suite = []
    for suite in range(len(a[0])):
        won = [1.0 if x[suite] > y[suite] else 0.5 if x[suite] == y[suite] else 0.0 for x in a for y in b]
        per_suite.append(sum(won) / len(won))
    return sum(per_suite) / len(per_suite)


def two_way_parts(table: list[list[float]]) -> tuple[float, float, float, float]:
    """Mean, seed part, question part (unclipped) and noise of the variance of one [seeds][questions] table."""
    seeds, questions = len(table), len(table[0])
    mean = sum(sum(row) for row in table) / (seeds * questions)
    by_seed = [sum(row) / questions for row in table]
    by_question = [sum(row[q] for row in table) / seeds for q in range(questions)]
    seed_part = sum((x - mean) ** 2 for x in by_seed) / (seeds - 1) / seeds
    question_square = sum((x - mean) ** 2 for x in by_question) * seeds / (questions - 1)
    residual = 0.0
    for s in range(seeds):
        for q in range(questions):
            residual += (table[s][q] - by_seed[s] - by_question[q] + mean) ** 2
    residual /= (seeds - 1) * (questions - 1)
    noise = residual / (seeds * questions)
    return mean, seed_part, (question_square - residual) / (seeds * questions), noise
