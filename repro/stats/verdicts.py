"""The closed lists of words that tables may use.

Cells: `within CI`, `outside CI`, `not run`, `cannot be run (reason)`.
Claims: `supported`, `contradicted`, `undecided (MDG x)`, `not tested`.
"""

from repro.errors import BadInput

WITHIN = "within CI"
OUTSIDE = "outside CI"
NOT_RUN = "not run"
SUPPORTED = "supported"
CONTRADICTED = "contradicted"
NOT_TESTED = "not tested"


def cannot_be_run(reason: str) -> str:
    """The cell verdict for what this project cannot run; the reason is part of it."""
    if not reason.strip():
        raise BadInput("verdict 'cannot be run': want a reason")
    return f"cannot be run ({reason})"


def cell_verdict(printed: float | None, low: float | None, high: float | None) -> str:
    """Does the printed value lie in our interval? `not run` when either side is missing. Same unit on both sides."""
    if printed is None or low is None or high is None:
        return NOT_RUN
    return WITHIN if low <= printed <= high else OUTSIDE


def claim_verdict(low: float | None, high: float | None, mdg: float | None, claimed_gap: float | None) -> str:
    """Verdict on "A is above B by about claimed_gap" from our interval of A - B and its minimum detectable gap
    (points).

    supported: the interval lies above 0. contradicted: it excludes the claimed gap (or, without one, every positive
    value) and the table could have seen that gap (MDG <= claimed gap). undecided otherwise, naming what could be seen.
    """
    if low is None or high is None or mdg is None:
        return NOT_TESTED
    if low > high or mdg < 0:
        raise BadInput(f"claim verdict: interval [{low}, {high}], MDG {mdg}; want low <= high and MDG >= 0")
    if low > 0:
        return SUPPORTED
    excluded = high < claimed_gap if claimed_gap is not None else high <= 0
    could_be_seen = claimed_gap is None or mdg <= claimed_gap
    if excluded and could_be_seen:
        return CONTRADICTED
    return f"undecided (MDG {mdg:.1f})"
