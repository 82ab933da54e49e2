"""What needs no worker: finding the answer, refusing what cannot be graded, and the plainest comparisons."""

import re
import time
from typing import NamedTuple

from repro.grading.extract import last_box, missing_braces
from repro.grading.parser import parse_answer
from repro.grading.verdict import CORRECT, NO_BOX, UNPARSEABLE_GOLD, UNPARSEABLE_PREDICTION, WRONG, Verdict

MAX_ANSWER = 1000  # characters; the longest gold of the benchmarks has 210
_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_CONTENT = re.compile(r"[^\W_]|\\[a-zA-Z]")
_SPACING = re.compile(r"\\[ ,;:!]|\\q?quad|[\s~$]|\\(?:text|mathrm|mbox)\s*\{\s*\}|[{}]")


class Task(NamedTuple):
    """An answer for a worker. tries: how often a worker already died on it."""

    index: int
    gold: str
    answer: str
    trailing_open_box: bool
    seconds: float
    tries: int = 0


def finish(task: Task, reason: str, detail: str, seconds: float = 0.0) -> Verdict:
    """The verdict on a task. An open box after the answer outranks the way a readable answer was decided."""
    if task.trailing_open_box and reason in (CORRECT, WRONG):
        detail = "trailing_open_box"
    return Verdict(reason == CORRECT, reason, detail, task.answer, task.seconds + seconds)


def usable_gold(gold: str) -> bool:
    """Whether a gold can be graded against: it says something, at bounded length, and can stand in a box."""
    return repaired_gold(gold) is not None


def repaired_gold(gold: str) -> str | None:
    """The gold without what its source left around it; None if it cannot be graded against.

    Closing braces lost at the end are put back; of a worked solution with the mark `#### `, its answer is the gold.
    """
    gold = gold.rpartition("####")[2]
    if len(gold) > MAX_ANSWER or not _CONTENT.search(gold):
        return None
    missing = missing_braces(gold)
    if missing == 0:
        return gold
    if missing < 0:
        return None
    whole = gold + "}" * missing
    try:
        parse_answer(whole)
    except ValueError:
        return None
    return whole


def quick_verdict(index: int, gold: str, prediction: str) -> Verdict | Task:
    """The verdict, if it needs no parsing, else the task for a worker. Linear in the length of the prediction."""
    if not isinstance(gold, str) or not isinstance(prediction, str):
        raise TypeError(f"gold is {type(gold).__name__}, prediction {type(prediction).__name__}; want two strings")
    start = time.perf_counter()
    box = last_box(prediction)

    def verdict(reason: str, detail: str) -> Verdict:
        return Verdict(reason == CORRECT, reason, detail, box.content, time.perf_counter() - start)

    whole_gold = repaired_gold(gold)
    if whole_gold is None:
        return verdict(UNPARSEABLE_GOLD, "empty_gold" if not gold.strip() else "unusable_gold")
    if whole_gold != gold and box.open_box and prediction.rfind(f"\\boxed{{{gold}}}") >= prediction.rfind("\\boxed"):
        return Verdict(True, CORRECT, "identical", gold, time.perf_counter() - start)  # a box as broken as the gold
    if box.content is None:
        return verdict(NO_BOX, "unclosed_box" if box.open_box else "no_box")
    if len(box.content) > MAX_ANSWER:
        return verdict(UNPARSEABLE_PREDICTION, "too_long")
    if not _SPACING.sub("", box.content):
        return verdict(UNPARSEABLE_PREDICTION, "empty_box")
    answer, plain_gold = box.content.strip(), whole_gold.strip()
    detail = "trailing_open_box" if box.open_box else ""
    if answer == plain_gold:
        return verdict(CORRECT, detail or "identical")
    if _INTEGER.fullmatch(answer) and _INTEGER.fullmatch(plain_gold):
        return verdict(CORRECT if int(answer) == int(plain_gold) else WRONG, detail or "value")
    return Task(index, whole_gold, box.content, box.open_box, time.perf_counter() - start)
