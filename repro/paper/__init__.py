"""The paper's numbers, transcribed by hand: read here, never written by a program.

Does: load the CSV files beside it with their provenance and the independent measurements. Does not: correct anything. A
misprint of the paper stays a misprint here, and `repro.audit` says so.

table1, table2, table3   GCPO, arXiv 2508.05428; AAAI-26 prints the same Tables 1 and 2. `provenance` is where
                         the row was first printed: MRT (arXiv 2503.07572, Table 1), L2T (arXiv 2505.10425), or new.
gc2po                    GC2PO, arXiv 2602.06475, for the 7B model alone, as wizwand.com copies it: second-hand. Its
                         average is over six suites, GSM8K among them; MATH500 of GC2PO is derived from that average,
                         +-.3. Read with Table 1's base and GRPO beside it: what it copies of them is the same
figures                  every value of a figure that the paper states in words; `no label` where there is none
sources                  the rows of MRT and L2T that the tables repeat or leave out
independent              other groups' measurements of the same models
noise                    variance of one evaluation pass, from A Sober Look (arXiv 2504.07086), Table 5
weights                  how much hangs on each inconsistency: high, medium, low
expected                 what `repro.audit` must find; a difference means a wrong transcription or a wrong list
"""

from fractions import Fraction
from functools import cache
from pathlib import Path

import pandas as pd

from repro.errors import BadInput

PAPER_DIR = Path(__file__).resolve().parent
TABLES = ("table1", "table2", "table3")
SECOND_HAND = "gc2po"
FILES = (*TABLES, SECOND_HAND, "figures", "sources", "independent", "noise", "expected", "weights")
MODELS = ("DeepScaleR-1.5B", "R1-Distill-1.5B", "R1-Distill-7B")
BENCHMARKS = ("AIME24", "AIME25", "AMC23", "MATH500", "Minerva")
AVERAGE = "average"
NUMERIC = {"printed": "value", "printed_gain": "gain", "sd_one_pass": "sd", "variance_one_pass": "variance"}
PROVENANCE = ("MRT", "L2T", "new")
# One protocol over all five benchmarks comes first; the rest stay in independent.csv.
PREFERRED_SOURCES = ("Sober", "CMU MRT v0.1", "DeepSeek card", "DeepScaleR blog", "Qwen card")


def load_table(name: str) -> pd.DataFrame:
    """One transcribed file as a frame, text columns as printed.

    For table1-3 and gc2po: model, method, benchmark, printed, printed_gain, provenance (text), value and gain (float,
    NaN where nothing is printed), independent, independent_source and independent_sd (the preferred other measurement
    of the same model and method). Raises BadInput for an unknown name.
    """
    if name not in FILES:
        raise BadInput(f"no transcription named {name!r} in repro/paper; want one of {', '.join(FILES)}")
    return _read(name).copy()


@cache
def _read(name: str) -> pd.DataFrame:
    frame = pd.read_csv(PAPER_DIR / f"{name}.csv", dtype=str, keep_default_na=False)
    for text, number in NUMERIC.items():
        if text in frame and name != "figures":
            frame[number] = pd.to_numeric(frame[text])
    if name == "independent":
        frame["value"] = pd.to_numeric(frame["value"])
    if name == SECOND_HAND:
        first = _read("table1")
        frame = pd.concat([first[first.model.isin(frame.model) & first.method.isin(("base", "GRPO"))], frame])
        frame = frame.fillna({"independent_source": ""})
    if name in TABLES:
        frame = frame.merge(_preferred_independent(), on=["model", "method", "benchmark"], how="left")
        frame["independent_source"] = frame["independent_source"].fillna("")
    return frame


def exact(text: str) -> Fraction:
    """The printed decimal as an exact fraction, so that rounding has exact answers: exact('56.8') = 284/5."""
    return Fraction(text)


def printed(name: str, model: str, method: str, benchmark: str, column: str = "printed") -> Fraction:
    """One printed value (or, with column="printed_gain", gain) of table1-3, exact. Raises BadInput if it is missing."""
    text = _index(name, column).get((model, method, benchmark), "")
    if not text:
        raise BadInput(f"{name}.csv has no {column} of {benchmark} for {model} / {method}")
    return exact(text)


def cells(name: str, model: str, method: str) -> dict[str, Fraction]:
    """The five printed cells of one row, exact, keyed by benchmark. Raises BadInput if one is missing."""
    return {benchmark: printed(name, model, method, benchmark) for benchmark in BENCHMARKS}


@cache
def _index(name: str, column: str) -> dict[tuple[str, str, str], str]:
    frame = load_table(name)
    return dict(zip(zip(frame.model, frame.method, frame.benchmark, strict=True), frame[column], strict=True))


def _preferred_independent() -> pd.DataFrame:
    """The first of `PREFERRED_SOURCES` for each model, method, benchmark; Sober's average is that of its five cells."""
    frame = load_table("independent")
    sober = frame[(frame.source == "Sober") & frame.benchmark.isin(BENCHMARKS)]
    averages = sober.groupby(["model", "method", "source"], as_index=False)["value"].mean().assign(benchmark=AVERAGE)
    frame = pd.concat([frame, averages], ignore_index=True)
    frame["rank"] = frame["source"].map(PREFERRED_SOURCES.index)
    first = frame.sort_values("rank", kind="stable").drop_duplicates(["model", "method", "benchmark"])
    columns = {"value": "independent", "source": "independent_source", "sd": "independent_sd"}
    return first[["model", "method", "benchmark", *columns]].rename(columns=columns)
