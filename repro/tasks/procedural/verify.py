"""Exact verification of a completion: one `#`, one token after it, then the end."""

from repro.tasks.procedural.tokenizer import EOS, split_words

REASONS = ("correct", "wrong", "no_answer", "malformed", "truncated")


def verify(completion: str, answer: str, *, ended: bool = True) -> tuple[bool, str]:
    """Whether a completion ends in the right answer, and why not.

    completion: text with or without the end-of-sequence token; what follows that token is padding and is ignored.
    ended: whether the sampler stopped at the end-of-sequence token; only read when the text does not show it.
    Returns (correct, reason), reason one of REASONS: `truncated` never ended, `no_answer` has no `#`, `malformed` has
    several or not exactly one token after it, `wrong` and `correct` compare that token with `answer` exactly.
    """
    text, end, _ = completion.partition(EOS)
    if not end and not ended:
        return False, "truncated"
    marks = text.count("#")
    if marks == 0:
        return False, "no_answer"
    words = split_words(text.rpartition("#")[2])
    if marks > 1 or len(words) != 1:
        return False, "malformed"
    return (True, "correct") if words[0] == answer else (False, "wrong")


def final_answer(completion: str, *, ended: bool = True) -> str | None:
    """The single token after the single `#`, or None where `verify` would say truncated, no_answer or malformed."""
    text, end, _ = completion.partition(EOS)
    if (not end and not ended) or text.count("#") != 1:
        return None
    words = split_words(text.rpartition("#")[2])
    return words[0] if len(words) == 1 else None
