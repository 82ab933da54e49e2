"""The exact verdict on an answer to a word problem: the content of the last balanced `\\boxed{}` against the gold.

Forgiven are spaces around the content, a dollar sign in front, a full stop behind and commas between thousands; nothing
else. A text that was cut off is wrong whatever stands in it.
"""

import re
from typing import Literal

Reason = Literal["correct", "wrong", "no_box", "truncated"]
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")


def last_box(text: str) -> str | None:
    """The content of the last `\\boxed{...}` whose braces balance, or None."""
    for match in reversed(list(re.finditer(r"\\boxed\{", text))):
        depth = 1
        for place in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                return text[match.end() : place]
    return None


def normalise(answer: str) -> str:
    """An answer without the spellings that are forgiven."""
    answer = answer.strip().removeprefix("\\$").removeprefix("$").strip().removesuffix(".").strip()
    return answer.replace(",", "") if _THOUSANDS.fullmatch(answer) else answer


def final_answer(text: str, ended: bool = True) -> str | None:
    """The answer a text gives, or None where it was cut off or has no box."""
    box = last_box(text) if ended else None
    return None if box is None else normalise(box)


def grade(text: str, gold: str, ended: bool) -> tuple[bool, Reason]:
    """(right or not, reason) of one completion; `ended` says whether the model ended it itself."""
    if not ended:
        return False, "truncated"
    answer = final_answer(text)
    if answer is None:
        return False, "no_box"
    return (True, "correct") if answer == normalise(gold) else (False, "wrong")
