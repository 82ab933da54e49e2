"""What one check returns: its outcome in one line, the statements it decides, and the tables behind them."""

from dataclasses import dataclass, field
from fractions import Fraction

import pandas as pd

from repro.paper.findings import Finding

NO_DATA = "cannot be decided (no data folder)"


@dataclass(frozen=True)
class Check:
    """id: K1..K15 or `read`. outcome: one line, compared with repro/paper/expected.csv. tables: name -> frame."""

    id: str
    outcome: str
    findings: list[Finding]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def half_up(value: Fraction, places: int = 1) -> Fraction:
    """Round half away from zero, exactly: 46.75 -> 46.8 and -0.25 -> -0.3 at one place."""
    scale = 10**places
    magnitude = int(abs(value) * scale + Fraction(1, 2))
    return Fraction(magnitude if value >= 0 else -magnitude, scale)


def text(value: Fraction, places: int = 1, sign: bool = False) -> str:
    """The exact value in decimals, half-up: text(Fraction(2833, 50), 2) = '56.66'."""
    return f"{float(half_up(value, places)):{'+' if sign else ''}.{places}f}"
