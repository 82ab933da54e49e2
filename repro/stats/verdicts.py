"""The closed lists of words that tables may use.

Direction of a claim "a is above b": `supported`, `reversed`, `equivalent`, `undecided`, `not tested`.
Size against the paper: `consistent`, `contradicted`, `undecided`; None where the paper prints no size.
A score beside another measurement of the same thing: `within CI`, `outside CI`, `not run`, `cannot be run (reason)`.
"""

from collections.abc import Sequence

from repro.errors import BadInput
from repro.stats.hypotheses import holm

WITHIN = "within CI"
OUTSIDE = "outside CI"
NOT_RUN = "not run"
SUPPORTED = "supported"
REVERSED = "reversed"
EQUIVALENT = "equivalent"
CONSISTENT = "consistent"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
NOT_TESTED = "not tested"
DIRECTIONS = (SUPPORTED, REVERSED, EQUIVALENT, UNDECIDED, NOT_TESTED)
SIZES = (CONSISTENT, CONTRADICTED, UNDECIDED)
IN_ORDER = (SUPPORTED, CONSISTENT, REVERSED, CONTRADICTED, EQUIVALENT, UNDECIDED, NOT_TESTED)  # as texts name them
ALPHA = 0.05


def cannot_be_run(reason: str) -> str:
    """The word for what this project cannot run; the reason is part of it."""
    if not reason.strip():
        raise BadInput("verdict 'cannot be run': want a reason")
    return f"cannot be run ({reason})"


def cell_verdict(printed: float | None, low: float | None, high: float | None) -> str:
    """Does the other measurement lie in our interval? `not run` when either side is missing. Same unit on both."""
    if printed is None or low is None or high is None:
        return NOT_RUN
    return WITHIN if low <= printed <= high else OUTSIDE


def direction_verdict(low: float | None, high: float | None, p_equivalent: float | None) -> str:
    """Verdict on "a is above b" from the interval of a - b and the p-value of two one-sided tests (None: no margin).

    The interval decides first: above 0 is `supported` and below 0 `reversed`, however small the difference.
    """
    if low is None or high is None:
        return NOT_TESTED
    if low > high:
        raise BadInput(f"direction: interval [{low}, {high}]; want low <= high")
    if low > 0:
        return SUPPORTED
    if high < 0:
        return REVERSED
    return EQUIVALENT if p_equivalent is not None and p_equivalent < ALPHA else UNDECIDED


def above_each(leads: Sequence[float], p_values: Sequence[float], p_equivalent: Sequence[float | None]) -> str:
    """Verdict on "one is above each of several", from its leads over them and two-sided p-values, Holm-corrected here.

    `supported` if it is above every one, `reversed` if it is below one, else `equivalent` if every p-value of two
    one-sided tests says so, else `undecided`; `not tested` without others.
    """
    if not leads:
        return NOT_TESTED
    told = [p < ALPHA for p in holm(p_values)]
    if all(lead > 0 and sure for lead, sure in zip(leads, told, strict=True)):
        return SUPPORTED
    if any(lead < 0 and sure for lead, sure in zip(leads, told, strict=True)):
        return REVERSED
    return EQUIVALENT if all(p is not None and p < ALPHA for p in p_equivalent) else UNDECIDED


def size_verdict(
    low: float | None, high: float | None, printed: Sequence[float], nothing: float, all_seeds_agree: bool
) -> str | None:
    """Verdict on a size that the paper prints, from the interval of ours on the same scale.

    printed: the paper's size, once from each way to read it (its averages, its cells); none: no verdict. nothing: the
    value that means "no difference". low, high: None where no value is excluded.

    contradicted: the interval excludes every reading, and not all seeds go the paper's way. consistent: it holds a
    reading and excludes "no difference". undecided: it holds both, or excludes every reading while all seeds go
    the paper's way.
    """
    if not printed:
        return None
    if low is None or high is None:
        return UNDECIDED
    if any(low <= value <= high for value in printed):
        return UNDECIDED if low <= nothing <= high else CONSISTENT
    return UNDECIDED if all_seeds_agree else CONTRADICTED


def over_bases(verdicts: Sequence[str], *, everywhere: Sequence[str], anywhere: str) -> str:
    """One verdict on a claim about every base: a word of `everywhere` if all say it, `anywhere` if one does.

    Otherwise `undecided`; `not tested` if no base was tested, or all that were say `everywhere` and one is missing.
    """
    tested = [verdict for verdict in verdicts if verdict != NOT_TESTED]
    if not tested:
        return NOT_TESTED
    if anywhere in tested:
        return anywhere
    if len(set(tested)) == 1 and tested[0] in everywhere:
        return tested[0] if len(tested) == len(verdicts) else NOT_TESTED
    return UNDECIDED
