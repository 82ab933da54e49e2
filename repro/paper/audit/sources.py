"""K5 and K8: which rows are older than the paper, which older rows it leaves out, and what others measured."""

from fractions import Fraction

import pandas as pd

from repro.paper import AVERAGE, BENCHMARKS, MODELS, exact, load_table, printed
from repro.paper.audit.arithmetic import mean
from repro.paper.audit.check import Check, half_up, text
from repro.paper.findings import FAILS, UNDECIDED, Finding, verdict

COPIED = ("MRT", "L2T")


def source_row(source: str, model: str, method: str) -> dict[str, Fraction]:
    """The cells of one row of an earlier paper, as far as it prints them, with its printed average."""
    frame = load_table("sources")
    rows = frame[(frame.source == source) & (frame.model == model) & (frame.method == method)]
    return {benchmark: exact(value) for benchmark, value in zip(rows.benchmark, rows.printed, strict=True)}


def copied_cells() -> pd.DataFrame:
    """Every cell of Table 1 that carries an older provenance, beside the older paper's."""
    frame = load_table("table1")
    rows = []
    for row in frame[frame.provenance.isin(COPIED)].itertuples():
        older = source_row(row.provenance, row.model, row.method)[row.benchmark]
        here = exact(row.printed)
        rows.append(
            {
                "model": row.model,
                "method": row.method,
                "benchmark": row.benchmark,
                "source": row.provenance,
                "here": here,
                "there": older,
                "equal": here == older,
            }
        )
    return pd.DataFrame(rows)


def omitted_rows() -> pd.DataFrame:
    """L2T and MRT rows that Table 1 leaves out, per column beside GCPO; the average is that of the cells."""
    rows = []
    for source, method in (("L2T", "L2T"), ("MRT", "MRT")):
        for model in MODELS:
            older = source_row(source, model, method)
            if not older:
                continue
            for benchmark in (*BENCHMARKS, AVERAGE):
                gcpo = [printed("table1", model, "GCPO", b) for b in BENCHMARKS]
                pair = (
                    (sum(gcpo) / 5, mean({b: older[b] for b in BENCHMARKS}))
                    if benchmark == AVERAGE
                    else (printed("table1", model, "GCPO", benchmark), older[benchmark])
                )
                rows.append(
                    {
                        "model": model,
                        "method": method,
                        "benchmark": benchmark,
                        "gcpo": pair[0],
                        "omitted": pair[1],
                        "omitted_is_higher": pair[1] > pair[0],
                    }
                )
    return pd.DataFrame(rows)


def k5() -> Check:
    """Copied rows, the rows left out, and Table 3 against L2T."""
    copied, omitted = copied_cells(), omitted_rows()
    differ = copied[~copied.equal]
    mismatch = ", ".join(
        f"{r.model} {r.method} {r.benchmark} {text(r.there)} -> {text(r.here)}" for r in differ.itertuples()
    )
    rows = copied[["model", "method"]].drop_duplicates()
    l2t = omitted[(omitted.method == "L2T") & (omitted.benchmark != AVERAGE)]
    mrt = omitted[(omitted.method == "MRT") & (omitted.benchmark != AVERAGE) & omitted.omitted_is_higher]
    averages = {m: source_row("L2T", m, "L2T") for m in MODELS}
    computed = {m: mean({b: row[b] for b in BENCHMARKS}) for m, row in averages.items()}
    gcpo = {m: mean({b: printed("table1", m, "GCPO", b) for b in BENCHMARKS}) for m in MODELS}
    search = source_row("L2T", MODELS[0], "GRPO + MCTS")
    here = {b: printed("table3", MODELS[0], "GRPO + MCTS", b) for b in search}
    gain = (
        source_row("L2T", "R1-Distill-1.5B", "ReST-MCTS")["AMC23"]
        - source_row("L2T", "R1-Distill-1.5B", "base")["AMC23"]
    )
    findings = [
        Finding(
            "P1",
            "Table 1",
            "all methods under one protocol (no other is named)",
            f"{len(rows)} of 18 rows are older: {int(copied.equal.sum())} of {len(copied)} cells equal MRT's or "
            "L2T's digit "
            f"for digit, the exception is {mismatch}",
            FAILS,
            "K5",
        ),
        Finding(
            "P1b",
            "Table 1, R1-Distill-1.5B ReST-MCTS, AMC",
            "71.1 (+1.2)",
            f"L2T prints 72.1 (+1.2), which its own cells make {text(gain, sign=True)}; here cell and gain agree, "
            "the average "
            "46.4 is that of 72.1",
            FAILS,
            "K5",
        ),
        Finding(
            "P2",
            "abstract, Performance Analysis",
            "consistently surpasses existing methods",
            "L2T's row, from the same group and on the same models, is left out: its cells average "
            + " / ".join(text(computed[m]) for m in MODELS)
            + " (printed "
            + " / ".join(text(averages[m][AVERAGE]) for m in MODELS)
            + ") against GCPO's "
            + " / ".join(text(gcpo[m]) for m in MODELS)
            + f", and are higher in {int(l2t.omitted_is_higher.sum())} of {len(l2t)} columns; MRT is higher in "
            f"{len(mrt)}: "
            + ", ".join(f"{r.model} {r.benchmark} {text(r.omitted)} vs {text(r.gcpo)}" for r in mrt.itertuples()),
            FAILS,
            "K5",
        ),
        Finding(
            "P3",
            "Table 3, GRPO + MCTS",
            ", ".join(f"{b} {text(v)}" for b, v in here.items()),
            "L2T, same model and same search by name: " + ", ".join(f"{b} {text(v)}" for b, v in search.items()),
            verdict(here == search),
            "K5",
        ),
        Finding(
            "I2",
            "Benchmark Datasets, Implementation Details",
            "AMC 975 items, MinervaMATH 12,500 problems, maj@4",
            "the same descriptions stand in L2T, Appendices E and F; the two sizes are those of other sets (D2, D3)",
            FAILS,
            "K5",
        ),
    ]
    outcome = (
        f"{int(copied.equal.sum())}/{len(copied)} copied cells equal, {mismatch}; L2T averages "
        + " / ".join(text(computed[m]) for m in MODELS)
        + f"; MCTS {', '.join(text(v) for v in search.values())} -> {', '.join(text(v) for v in here.values())}"
    )
    return Check("K5", outcome, findings, {"copied_cells": copied, "omitted_rows": omitted})


def base_rows() -> pd.DataFrame:
    """Every independent measurement of a base model beside the printed one: value, difference, source and setting."""
    frame = load_table("independent")
    frame = frame[frame.method == "base"].merge(
        load_table("table1")[["model", "method", "benchmark", "value"]].rename(columns={"value": "printed"}),
        on=["model", "method", "benchmark"],
    )
    frame["difference"] = (frame.printed - frame.value).round(2)
    return frame[["model", "benchmark", "printed", "value", "sd", "difference", "source", "setting"]]


def k8() -> Check:
    """The printed base rows against independent runs of the same checkpoints."""
    frame = base_rows()
    shift, gcpo_gain = {}, {}
    for model in MODELS:
        part = frame[(frame.model == model) & (frame.source == "Sober") & frame.benchmark.isin(BENCHMARKS)]
        sober = sum((exact(f"{v:.1f}") for v in part.value), Fraction(0)) / 5
        base = mean({b: printed("table1", model, "base", b) for b in BENCHMARKS})
        shift[model] = half_up(base - sober)
        gcpo_gain[model] = mean({b: printed("table1", model, "GCPO", b) for b in BENCHMARKS}) - base

    def spread(benchmark: str, models: tuple[str, ...]) -> str:
        part = frame[(frame.benchmark == benchmark) & frame.model.isin(models)]
        return f"{part.difference.max():+.1f} to {part.difference.min():+.1f}"

    small = MODELS[:2]
    seven = frame[(frame.model == "R1-Distill-7B") & (frame.benchmark == "AIME25")].difference.iloc[0]
    outcome = " / ".join(text(shift[m], sign=True) for m in ("R1-Distill-1.5B", "DeepScaleR-1.5B", "R1-Distill-7B"))
    findings = [
        Finding(
            "M4",
            "Table 1, base rows",
            "scores of the untrained models",
            f"printed minus independent: Minerva {spread('Minerva', small)} (1.5B models), MATH500 "
            f"{spread('MATH500', MODELS)}, R1-Distill-7B AIME25 {seven:+.1f}; settings differ (most others allow 32k "
            "tokens, the paper 16k)",
            UNDECIDED,
            "K8",
        ),
        Finding(
            "M4b",
            "Table 1, gains over the base",
            "GCPO gains " + " / ".join(text(gcpo_gain[m]) for m in MODELS),
            "the base averages alone move by "
            + " / ".join(text(shift[m], sign=True) for m in MODELS)
            + " (paper minus Sober, 32k): protocol shifts are as large as the gains",
            UNDECIDED,
            "K8",
        ),
    ]
    return Check("K8", outcome, findings, {"base_rows": frame})
