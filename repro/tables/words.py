"""How numbers of a table are written: points with one decimal, intervals in brackets, `-` for nothing."""

import re
from collections.abc import Mapping, Sequence

from repro.tables.model import ArmSummary, Estimate, Head, Row, Size
from repro.tables.printed import COPIED, DERIVED
from repro.tables.spec import RATIO

NOTHING = "-"
DAGGER = "†"
NO_COUNTERPART = "no counterpart in the paper"


def target_name(target: str) -> str:
    """A target as the paper calls it: table1 is Table 1, figure4a is Figure 4a."""
    found = re.fullmatch(r"(table|figure)(\d\w*)", target)
    return f"{found[1].capitalize()} {found[2]}" if found else target


def points(value: float) -> str:
    """A signed number of points; never -0.0."""
    return f"{round(value, 1) + 0.0:+.1f}"


def score(estimate: Estimate | None) -> str:
    """A score with its interval."""
    if estimate is None:
        return NOTHING
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def signed(estimate: Estimate | None) -> str:
    """A difference with its interval."""
    if estimate is None:
        return NOTHING
    return f"{points(estimate.value)} [{points(estimate.low)}, {points(estimate.high)}]"


def size(value: Size | None) -> str:
    """A ratio, or a share in percent, with its interval; `no bounds` and no value where nothing is excluded."""
    if value is None:
        return NOTHING
    if value.low is None or value.high is None:
        return f"{NOTHING} [no bounds]"
    low, high = (_on_scale(value.scale, end) for end in (value.low, value.high))
    return f"{_on_scale(value.scale, value.value)} [{low}, {high}]"


def readings(scale: str, printed: Sequence[float]) -> str:
    """The paper's size from its averages, then from its cells."""
    return " / ".join(_on_scale(scale, each) for each in printed) or NOTHING


def _on_scale(scale: str, value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}" if scale == RATIO else f"{round(100 * value) + 0.0:.0f} %"


def at_k(k: Mapping[str, int], suite: str | None = None) -> str:
    """`avg@4`; over suites with several k, or before any is known, `avg@k`."""
    values = set(k.values()) if suite is None else {k[suite]} if suite in k else set()
    return f"avg@{values.pop()}" if len(values) == 1 else "avg@k"


def samples(k: Mapping[str, int]) -> str:
    """Samples per question and seed: `4`, or `8 to 64` where suites differ."""
    if not k:
        return "k"
    low, high = min(k.values()), max(k.values())
    return str(low) if low == high else f"{low} to {high}"


def effort(head: Head, arm: ArmSummary) -> str:
    """Seeds x samples of one arm."""
    k = samples(arm.k or head.k)
    if arm.arm in head.checkpoints:
        return f"1 checkpoint x {len(arm.seeds)} x {k}"
    return f"{len(arm.seeds)} x {k}" + (" (1 seed, sampling only)" if len(arm.seeds) == 1 else "")


def printed(row: Row) -> str:
    """The paper's score, its gain, and that it was not read there where that is so."""
    if row.printed is None:
        return NOTHING
    beside = [] if row.printed_gain is None else [points(row.printed_gain)]
    beside += [row.provenance] if row.provenance in (COPIED, DERIVED) else []
    return f"{row.printed:.1f}" + (f" ({', '.join(beside)})" if beside else "")


def independent(row: Row, counterpart: str) -> str:
    """Another group's measurement of the paper's model; `none` where nobody made one."""
    if not counterpart:
        return NOTHING
    return "none" if row.independent is None else f"{row.independent:.1f} ({row.independent_source})"
