"""Two policies' answers to the same questions, side by side: who is right where, and samples drawn by a stated rule.

Every question counts, whatever its outcome. Which ones are *shown* depends on their ids alone: the smallest sha256 of
suite and id, suites in turn. Steps are marked where they hold an equation of two numbers that can be checked; that says
nothing about whether a step was the right one to take. Does: samples in, pairs, counts and text out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from repro import stats
from repro.errors import BadInput
from repro.evaluation.store import GREEDY, Sample
from repro.files import sha256_text
from repro.tasks.protocol import Question

RIGHT, WRONG, UNMARKED = "✓", "✗", "·"
RULE = "shown: the questions with the smallest sha256 of suite and id, suites in turn, whatever their outcome"
# A step ends at a line's end, at a semicolon, or at a full stop before a space
_STEP = re.compile(r"\n+|(?<=;)|(?<=\.)\s+")
_NUMBER = r"-?\d+(?:\.\d+)?"
# two numbers and a result; no further operation on either side, or the equation would be another one
_EQUATION = re.compile(
    rf"(?<![\w.)+*/×·-])(?<![+*/×-] )({_NUMBER}) ?([-+*/×]) ?({_NUMBER}) ?= ?({_NUMBER})(?![\w(]|\.\d| ?[-+*/×])"
)


@dataclass(frozen=True)
class Pair:
    """One question with the answers of two policies."""

    suite: str
    question: Question
    left: Sample
    right: Sample

    @property
    def case(self) -> str:
        """Who is right: both, left, right or neither."""
        words = {(True, True): "both", (True, False): "left", (False, True): "right", (False, False): "neither"}
        return words[self.left.correct, self.right.correct]


@dataclass(frozen=True)
class Cases:
    """How many questions both, one or neither answers rightly.

    story: the share of questions that only the right policy answers, mirror: only the left, each with Wilson's 95 %
    interval. share: of the questions that one alone answers, those that are the right policy's, with the exact
    interval that belongs to McNemar's p (None where both policies agree everywhere).
    """

    both: int
    left: int
    right: int
    neither: int
    story: tuple[float, float, float]
    mirror: tuple[float, float, float]
    share: tuple[float, float, float] | None
    p: float

    @property
    def questions(self) -> int:
        return self.both + self.left + self.right + self.neither


def pair_up(
    suite: str, questions: Sequence[Question], left: Sequence[Sample], right: Sequence[Sample], *, draw: str = GREEDY
) -> list[Pair]:
    """The answers to a suite's questions: of each policy the greedy one, or with another `draw` the first sample.

    Raises BadInput for a question that one of them did not answer.
    """
    found = [
        {each.question_id: each for each in samples if (each.suite, each.draw, each.sample) == (suite, draw, 0)}
        for samples in (left, right)
    ]
    for side, answers in zip(("first", "second"), found, strict=True):
        missing = next((question.id for question in questions if question.id not in answers), None)
        if missing is not None:
            raise BadInput(f"suite {suite}: the {side} policy has no {draw} answer to {missing}; want both on all")
    return [Pair(suite, question, *(answers[question.id] for answers in found)) for question in questions]


def count_cases(pairs: Sequence[Pair]) -> Cases:
    """The four counts with their intervals. Raises BadInput without a pair."""
    if not pairs:
        raise BadInput("side by side: no question that both policies answered")
    counts = {name: sum(pair.case == name for pair in pairs) for name in ("both", "left", "right", "neither")}
    only, n = counts["left"] + counts["right"], len(pairs)
    return Cases(
        **counts,
        story=(counts["right"] / n, *stats.wilson_interval(counts["right"], n)),
        mirror=(counts["left"] / n, *stats.wilson_interval(counts["left"], n)),
        share=(counts["right"] / only, *stats.exact_interval(counts["right"], only)) if only else None,
        p=stats.mcnemar_exact([pair.left.correct for pair in pairs], [pair.right.correct for pair in pairs]),
    )


def chosen(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """`count` pairs by RULE: never by what was answered."""
    by_suite: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda each: sha256_text(f"{each.suite}\0{each.question.id}")):
        by_suite.setdefault(pair.suite, []).append(pair)
    order = list(dict.fromkeys(pair.suite for pair in pairs))
    turns = range(max(map(len, by_suite.values()), default=0))
    return [by_suite[suite][turn] for turn in turns for suite in order if turn < len(by_suite[suite])][:count]


def marked_steps(text: str, modulus: int | None = None) -> list[tuple[str, str]]:
    """(step, mark) of an answer: RIGHT or WRONG where its equations can be checked, else UNMARKED.

    modulus: of the arithmetic, None for plain numbers.
    """
    steps = [step.strip() for step in _STEP.split(text)]
    return [(step, _mark(step, modulus)) for step in steps if step]


def _mark(step: str, modulus: int | None) -> str:
    verdicts = [_holds(*found.groups(), modulus) for found in _EQUATION.finditer(step)]
    if not verdicts:
        return UNMARKED
    return RIGHT if all(verdicts) else WRONG


def _holds(left: str, operation: str, right: str, result: str, modulus: int | None) -> bool:
    a, b, c = Decimal(left), Decimal(right), Decimal(result)
    try:
        value = {"+": a + b, "-": a - b, "*": a * b, "×": a * b}[operation] if operation != "/" else a / b
    except (InvalidOperation, ZeroDivisionError):
        return False
    if modulus is not None:
        return (value - c) % modulus == 0
    places = -c.as_tuple().exponent  # a rounded quotient is right to the places that it shows
    return value == c or (operation == "/" and places > 0 and round(value, places) == c)


def examples(pairs: Sequence[Pair], count: int, modulus: int | None) -> tuple[dict[str, str], ...]:
    """The shown pairs as plain texts: suite, question, gold, case, and for either side the verdict and its steps."""
    shown = []
    for pair in chosen(pairs, count):
        sides = {
            f"{side}{suffix}": text
            for side, sample in (("left", pair.left), ("right", pair.right))
            for suffix, text in (
                ("", RIGHT if sample.correct else f"{WRONG} ({sample.reason})"),
                ("_steps", "\n".join(f"{mark} {step}" for step, mark in marked_steps(sample.text, modulus))),
            )
        }
        shown.append({"suite": pair.suite, "question": pair.question.text, "case": pair.case, **sides})
    return tuple(shown)


def examples_markdown(shown: Sequence[Mapping[str, str]], left: str, right: str) -> str:
    """The shown pairs as Markdown: question, then both answers in two columns."""
    parts = [f"{RULE}. {RIGHT} {WRONG}: an equation in the step that holds, or does not; {UNMARKED}: none."]
    for number, each in enumerate(shown, start=1):
        answers = [_cell(f"{each[side]}\n{each[f'{side}_steps']}") for side in ("left", "right")]
        parts.append(
            f"**{number}.** {each['suite']}: {_cell(each['question'])}\n\n"
            f"| {left} | {right} |\n|---|---|\n| {answers[0]} | {answers[1]} |"
        )
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    escaped = text.strip().replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return escaped.replace("\n", "<br>")


def cases_text(cases: Cases, left: str, right: str) -> str:
    """The four counts in words, with the share and its test."""
    lines = [
        f"{cases.questions} questions: both right {cases.both}, only {right} {cases.right}, only {left} {cases.left}, "
        f"neither {cases.neither}.",
        f"Only {right} right: {_percent(cases.story)} of the questions; only {left} right: {_percent(cases.mirror)}.",
    ]
    if cases.share is None:
        lines.append("The two policies are right on the same questions.")
    else:
        lines.append(
            f"Of the {cases.left + cases.right} questions that one alone answers, {right} has {_percent(cases.share)}; "
            f"McNemar's exact p {cases.p:.3f}."
        )
    return "\n".join(lines)


def _percent(value: tuple[float, float, float]) -> str:
    share, low, high = (100 * each for each in value)
    return f"{share:.1f} % [{low:.1f}, {high:.1f}]"
