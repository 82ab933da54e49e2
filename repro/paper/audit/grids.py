"""K6: which printed values can be a share of N graded answers, rounded to one decimal.

A mean over questions with k samples each is i/N with N = questions x k. A printed v fits if some i has
|v - 100 i/N| <= 0.05; the bound is inclusive, so that either way of rounding a half is allowed.
"""

from fractions import Fraction
from math import comb

import pandas as pd

from repro.paper import MODELS, exact, load_table
from repro.paper.audit.check import Check, text
from repro.paper.audit.sources import source_row
from repro.paper.findings import FAILS, Finding, verdict

HALF = Fraction(1, 20)
AIME = ("AIME24", "AIME25")
HUMAN_EVAL = 164


def fits(value: Fraction, total: int) -> bool:
    """Whether `value` per cent can be i/total rounded to one decimal."""
    nearest = round(value * total / 100)
    return any(abs(value - Fraction(100 * i, total)) <= HALF for i in (nearest - 1, nearest, nearest + 1))


def chance(total: int) -> Fraction:
    """Share of all one-decimal values from 0.0 to 99.9 that fit: the power of the test is one minus this."""
    return Fraction(sum(fits(Fraction(tenth, 10), total) for tenth in range(1000)), 1000)


def at_least(count: int, trials: int, p: Fraction) -> float:
    """P(at least `count` of `trials` independent values fit by chance)."""
    return float(sum(comb(trials, i) * p**i * (1 - p) ** (trials - i) for i in range(count, trials + 1)))


def aime_cells() -> pd.DataFrame:
    """AIME cells: those of Table 1 with their provenance, and the MRT-derived rows that the paper leaves out."""
    frame = load_table("table1")
    frame = frame[frame.benchmark.isin(AIME)][["model", "method", "benchmark", "printed", "provenance"]]
    rows = frame.assign(origin=frame.provenance.map({"MRT": "MRT"}).fillna("other")).to_dict("records")
    for model in MODELS[:2]:
        for method, source in (("MRT", "MRT"), ("length penalty", "L2T")):
            row = source_row(source, model, method)
            for benchmark in AIME:
                rows.append(
                    {
                        "model": model,
                        "method": method,
                        "benchmark": benchmark,
                        "printed": text(row[benchmark]),
                        "provenance": "not in the paper",
                        "origin": "MRT",
                    }
                )
    frame = pd.DataFrame(rows)
    for samples in (1, 16, 20, 32, 64):
        frame[f"fits_{samples}"] = [fits(exact(v), 30 * samples) for v in frame.printed]
    return frame


def k6() -> Check:
    """AIME at 1, 16 and 20 samples, MATH500 in one pass, HumanEval in one pass."""
    frame = aime_cells()
    table1 = load_table("table1")
    mine, mrt = frame[frame.origin == "other"], frame[frame.origin == "MRT"]
    off = {b: sorted(mine[(mine.benchmark == b) & ~mine.fits_20].printed, key=float) for b in AIME}
    off16 = sorted(mine[~mine.fits_20 & ~mine.fits_16].printed, key=float)
    mrt_off = list(mrt[~mrt.fits_20].printed)
    in_table = frame[frame.provenance != "not in the paper"]
    maj = {b: in_table[(in_table.benchmark == b) & in_table.fits_1].printed.tolist() for b in AIME}
    math = [exact(v) for v in table1[table1.benchmark == "MATH500"].printed]
    math_fit = sum(fits(v, 500) for v in math)
    luck = chance(600)
    code = {v: fits(exact(v), HUMAN_EVAL) for v in ("65.1", "62.2", "66.5", "72.0")}
    counts = {v: round(exact(v) * HUMAN_EVAL / 100) for v in code}
    k = next(k for k in range(1, 65) if fits(exact("65.1"), HUMAN_EVAL * k))
    fitting, total_mrt = int(mrt.fits_20.sum()), len(mrt)
    findings = [
        Finding(
            "M1",
            "Table 1 caption; Implementation Details",
            "pass@1; maj@4 across different models",
            f"one maj@4 answer per question puts AIME on a grid of 3.33: {len(maj['AIME24'])} of 18 AIME24 cells and "
            f"{len(maj['AIME25'])} of 18 AIME25 cells fit",
            FAILS,
            "K6",
        ),
        Finding(
            "M2",
            "Performance Analysis",
            "pass@1 following L2T, which states 20 samples per question",
            f"{len(off['AIME24']) + len(off['AIME25'])} of {len(mine)} AIME cells that do not stem from MRT are "
            "off the "
            f"1/600 grid ({' '.join(off['AIME24'])}; {' '.join(off['AIME25'])}); by chance {text(100 * luck, 0)} "
            "% fit, here "
            f"{text(Fraction(100 * int(mine.fits_20.sum()), len(mine)), 0)} %. MRT-derived cells: {fitting} of "
            f"{total_mrt} fit "
            f"(chance {at_least(fitting, total_mrt, luck):.4f}), off {' '.join(mrt_off)}. At 16 samples too: off "
            f"{' '.join(off16)}. A mean over several runs could be off the grid; none is mentioned",
            FAILS,
            "K6",
        ),
        Finding(
            "M2b",
            "Table 1, MATH500",
            "one pass per question (the number is not stated)",
            f"{math_fit} of {len(math)} cells fit one pass over 500 ({text(100 * chance(500), 0)} % do by chance)",
            FAILS,
            "K6",
        ),
        Finding(
            "M2c",
            "Table 1",
            "32 or more samples per question",
            f"no test: {text(100 * chance(30 * 32), 0)} % of all values fit 1/960, "
            f"{text(100 * chance(30 * 64), 0)} % fit "
            "1/1920",
            "cannot be decided",
            "K6",
        ),
        Finding(
            "H2",
            "Performance Analysis, HumanEval",
            "0-shot pass@1 65.1, base 62.2 (= 65.1 - 2.9)",
            "65.1 is no i/164 rounded (106/164 = 64.6, 107/164 = 65.2), the first number of passes it fits is "
            f"{k}; 62.2, 66.5 and 72.0 are {counts['62.2']}, {counts['66.5']} and {counts['72.0']} of 164. The base "
            "model's card says 79.9",
            verdict(all(code.values())),
            "K6",
        ),
    ]
    grid = {t: text(100 * chance(t), 0) for t in (30, 480, 500, 600, 960)}
    outcome = (
        f"off 1/600: AIME24 {' '.join(off['AIME24'])}; AIME25 {' '.join(off['AIME25'])}; MRT-derived "
        f"{len(mrt_off)}/{total_mrt}"
        f" {' '.join(mrt_off)}; off 1/480 too {' '.join(off16)}; maj@4 {len(maj['AIME24'])} and {len(maj['AIME25'])}; "
        f"MATH500 {math_fit}/{len(math)}; HumanEval off "
        + " ".join(v for v, ok in code.items() if not ok)
        + f"; chance {grid[600]} %"
    )
    return Check("K6", outcome, findings, {"aime_grid": frame})
