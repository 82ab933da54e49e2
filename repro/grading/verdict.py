"""What a grading returns: one reason code per verdict and a finer detail."""

from dataclasses import dataclass

CORRECT = "correct"
WRONG = "wrong"
NO_BOX = "no_box"
UNPARSEABLE_GOLD = "unparseable_gold"
UNPARSEABLE_PREDICTION = "unparseable_prediction"
TIMEOUT = "timeout"
REASONS = (CORRECT, WRONG, NO_BOX, UNPARSEABLE_GOLD, UNPARSEABLE_PREDICTION, TIMEOUT)


@dataclass(frozen=True)
class Verdict:
    """Outcome of one grading.

    correct: the last box equals the gold. reason: one of `REASONS`; `correct` is true exactly when it is "correct".
    detail: how the verdict was reached ("identical", "exact", "numeric", "text", "structure", "math_verify", ...) or
    what was wrong with the text ("unclosed_box", "empty_box", "too_long", "crash", "trailing_open_box", ...).
    extracted: content of the last complete box, None without one. seconds: time from the start of this grading.
    """

    correct: bool
    reason: str
    detail: str
    extracted: str | None
    seconds: float
