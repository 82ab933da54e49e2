"""K1-K4 and K9: averages, gains, margins and ranks, from the printed cells alone, in exact fractions."""

from fractions import Fraction

import pandas as pd

from repro.paper import AVERAGE, BENCHMARKS, MODELS, TABLES, cells, exact, load_table, printed
from repro.paper.audit.check import Check, half_up, text
from repro.paper.findings import FAILS, HOLDS, Finding, verdict
from repro.paper.power import margins

HALF = Fraction(1, 20)  # a printed 56.8 stands for anything in [56.75, 56.85)
STATED_GAINS = {"DeepScaleR-1.5B": "2.3", "R1-Distill-1.5B": "2.5", "R1-Distill-7B": "2.2"}
HARD = ("AIME24", "AIME25", "Minerva")


def _rows(table: str) -> list[tuple[str, str]]:
    frame = load_table(table)
    return list(frame[["model", "method"]].drop_duplicates().itertuples(index=False, name=None))


def mean(row: dict[str, Fraction]) -> Fraction:
    """The plain mean of the five benchmarks."""
    return sum(row.values(), Fraction(0)) / len(BENCHMARKS)


def averages() -> pd.DataFrame:
    """Every printed average beside the mean of its cells.

    reachable: some unrounded cells that print as these do have a mean that prints as the average: |mean - printed|
    below 0.1, because the mean of five rounding errors is itself at most 0.05.
    """
    rows = []
    for table in TABLES:
        for model, method in _rows(table):
            stated, computed = printed(table, model, method, AVERAGE), mean(cells(table, model, method))
            rows.append(
                {
                    "table": table,
                    "model": model,
                    "method": method,
                    "printed": stated,
                    "from_cells": computed,
                    "holds": half_up(computed) == stated,
                    "reachable": abs(computed - stated) < 2 * HALF,
                }
            )
    return pd.DataFrame(rows)


def gains() -> pd.DataFrame:
    """Every printed gain of Table 1 beside the difference of the printed values; averages use the printed averages."""
    rows = []
    for model, method in _rows("table1"):
        if method == "base":
            continue
        for benchmark in (*BENCHMARKS, AVERAGE):
            gain = printed("table1", model, method, benchmark, "printed_gain")
            difference = printed("table1", model, method, benchmark) - printed("table1", model, "base", benchmark)
            rows.append(
                {
                    "model": model,
                    "method": method,
                    "benchmark": benchmark,
                    "printed": gain,
                    "from_cells": difference,
                    "holds": gain == difference,
                }
            )
    return pd.DataFrame(rows)


def ranks() -> pd.DataFrame:
    """Rank of every method in every column (1 is best; equal values share the better rank); averages from cells."""
    rows = []
    for table in TABLES:
        for model in dict.fromkeys(model for model, _ in _rows(table)):
            methods = [method for m, method in _rows(table) if m == model]
            for benchmark in (*BENCHMARKS, AVERAGE):
                score = {}
                for method in methods:
                    row = cells(table, model, method)
                    score[method] = mean(row) if benchmark == AVERAGE else row[benchmark]
                for method, value in score.items():
                    rank = 1 + sum(other > value for other in score.values())
                    rows.append(
                        {
                            "table": table,
                            "model": model,
                            "benchmark": benchmark,
                            "method": method,
                            "value": value,
                            "rank": rank,
                        }
                    )
    return pd.DataFrame(rows)


def k1() -> Check:
    """Averages, rounded half-up, and whether unrounded cells could give the printed one."""
    frame = averages()
    score = {t: f"{t} {int(f.holds.sum())}/{len(f)}" for t, f in frame.groupby("table")}
    lost = frame[~frame.reachable & (frame.table == "table1")]
    unreachable = ", ".join(f"{r.model} {r.method}" for r in lost.itertuples())
    rows = {(r.model, r.method): r for r in frame[frame.table == "table1"].itertuples()}

    def finding(id: str, where: str, key: tuple[str, str], note: str) -> Finding:
        row = rows[key]
        reach = "reachable" if row.reachable else "not reachable"
        return Finding(
            id,
            where,
            text(row.printed),
            f"mean of the cells {text(row.from_cells, 2)} -> {text(row.from_cells)}; {reach} from unrounded "
            f"cells{note}",
            verdict(row.holds),
            "K1",
        )

    gvpo, dr = rows["R1-Distill-1.5B", "GVPO"], rows["R1-Distill-1.5B", "Dr.GRPO"]
    order = "; the cells put GVPO above Dr.GRPO" if gvpo.from_cells > dr.from_cells else ""
    other = cells("table1", "R1-Distill-1.5B", "ReST-MCTS") | {"AMC23": exact("72.1")}
    findings = [
        finding("T1a", "Tables 1-3, DeepScaleR GCPO, average", ("DeepScaleR-1.5B", "GCPO"), ""),
        finding(
            "T1c",
            "Table 1, R1-Distill-1.5B ReST-MCTS, average",
            ("R1-Distill-1.5B", "ReST-MCTS"),
            f"; with L2T's AMC cell 72.1 instead of 71.1 it is {text(mean(other), 2)} -> {text(mean(other))}",
        ),
        finding("T1d", "Table 1, R1-Distill-1.5B GVPO, average", ("R1-Distill-1.5B", "GVPO"), ""),
        finding("T1e", "Table 1, R1-Distill-1.5B Dr.GRPO, average", ("R1-Distill-1.5B", "Dr.GRPO"), order),
        Finding(
            "T1f",
            "Tables 1-3, all other averages",
            f"{len(frame)} averages",
            "; ".join(score.values()) + " agree with their cells; the misses are T1a (in all three tables) and T1c-e",
            verdict(
                set(frame[~frame.holds].apply(lambda r: (r.model, r.method), axis=1))
                == {
                    ("DeepScaleR-1.5B", "GCPO"),
                    ("R1-Distill-1.5B", "ReST-MCTS"),
                    ("R1-Distill-1.5B", "GVPO"),
                    ("R1-Distill-1.5B", "Dr.GRPO"),
                }
            ),
            "K1",
        ),
    ]
    return Check("K1", f"{'; '.join(score.values())}; unreachable {unreachable}", findings, {"averages": frame})


def k2() -> Check:
    """Printed gains against differences of printed values."""
    frame = gains()
    of_cells, of_averages = frame[frame.benchmark != AVERAGE], frame[frame.benchmark == AVERAGE]
    misses = ", ".join(f"{r.model} {r.method} {r.benchmark}" for r in of_cells[~of_cells.holds].itertuples())
    miss = of_cells[~of_cells.holds].iloc[0]
    reachable = abs(miss.from_cells - miss.printed) < 3 * HALF  # two rounded cells and a rounded gain
    outcome = (
        f"cells {int(of_cells.holds.sum())}/{len(of_cells)}, miss {misses}; "
        f"averages {int(of_averages.holds.sum())}/{len(of_averages)}"
    )
    findings = [
        Finding(
            "T1b",
            "Table 1, DeepScaleR GCPO, Minerva gain",
            text(miss.printed, sign=True),
            f"{text(miss.from_cells, sign=True)} from the printed cells"
            + (" (the printed gain is reachable from unrounded ones)" if reachable else ""),
            verdict(miss.holds),
            "K2",
        ),
        Finding(
            "T1f-gains",
            "Table 1, all gains",
            "75 cell gains, 15 average gains",
            outcome,
            verdict(len(of_cells[~of_cells.holds]) == 1 and of_averages.holds.all()),
            "K2",
        ),
    ]
    return Check("K2", outcome, findings, {"gains": frame})


def k3() -> Check:
    """The average gains named in the text."""
    findings, numbers = [], []
    for model, stated in STATED_GAINS.items():
        from_cells = mean(cells("table1", model, "GCPO")) - mean(cells("table1", model, "base"))
        table = printed("table1", model, "GCPO", AVERAGE, "printed_gain")
        numbers.append(text(from_cells, 2))
        id = "T1g" if model == "R1-Distill-7B" else f"T1g-{model}"
        findings.append(
            Finding(
                id,
                f"Performance Analysis, gain over the base, {model}",
                f"{stated} %",
                f"{text(from_cells, 2)} points from the cells; Table 1 prints {text(table, sign=True)}",
                verdict(half_up(from_cells) == exact(stated)),
                "K3",
            )
        )
    return Check("K3", " / ".join(numbers), findings)


def k4() -> Check:
    """Margins over the best baseline and the sentences about them."""
    frame = margins()
    best = frame[frame.against == "best baseline"].drop(columns="against")
    lines, average, stated, largest = [], [], [], {}
    for model in MODELS:
        part = best[best.model == model].set_index("benchmark")["gap"]
        lines.append(" ".join(text(part[b]) for b in BENCHMARKS))
        average.append(text(part[AVERAGE], 2))
        others = [printed("table1", model, m, AVERAGE) for m in ("GRPO", "ReST-MCTS", "GVPO", "Dr.GRPO")]
        stated.append(text(printed("table1", model, "GCPO", AVERAGE) - max(others)))
        base = cells("table1", model, "base")
        top = max(part[b] for b in BENCHMARKS)
        largest[model] = ([b for b in BENCHMARKS if part[b] == top], min(BENCHMARKS, key=base.__getitem__))
    over = {}
    for other in ("GVPO", "GRPO"):
        pairs = [(cells("table1", m, "GCPO")[b] - cells("table1", m, other)[b], m, b) for m in MODELS for b in HARD]
        over[other] = sorted(pairs)
    exactly = ", ".join(f"{m} {b}" for gap, m, b in over["GRPO"] if gap == 1)
    claim = all(gap > 1 for pairs in over.values() for gap, _, _ in pairs)
    where = "; ".join(f"{m} {'/'.join(b)} (hardest: {hard})" for m, (b, hard) in largest.items())
    everywhere = all(hard in names and len(names) == 1 for names, hard in largest.values())
    order = ranks()
    first = order[(order.table == "table1") & (order.method == "GCPO")]
    full = order[(order.table == "table2") & (order.method == "GCPO")]
    lost = [
        text(mean(cells("table2", MODELS[0], "GCPO")) - mean(cells("table2", MODELS[0], method)), 2)
        for method in ("w/o Adv. Weighting", "w/o KL Term")
    ]
    findings = [
        Finding(
            "T1h",
            "Performance Analysis",
            "over 1 % over GRPO and GVPO on AIME and MinervaMATH",
            f"over GVPO {text(over['GVPO'][0][0])} to {text(over['GVPO'][-1][0])} points, never above 1; over GRPO "
            f"{text(over['GRPO'][0][0])} to {text(over['GRPO'][-1][0])}, exactly 1.0 on {exactly}",
            verdict(claim),
            "K4",
        ),
        Finding(
            "T1i",
            "Performance Analysis",
            "margins over the strongest baseline are largest on the hardest benchmarks",
            f"largest on {where}; hardest = lowest base score",
            verdict(everywhere),
            "K4",
        ),
        Finding(
            "T1j",
            "Performance Analysis",
            "GCPO has the best average in all settings of Table 1",
            f"first in {int((first['rank'] == 1).sum())} of {len(first)} columns, averages included",
            verdict((first["rank"] == 1).all()),
            "K4",
        ),
        Finding(
            "T1k",
            "Performance Analysis",
            "margin over the best baseline, average: " + " / ".join(stated),
            "from the cells " + " / ".join(average),
            FAILS,
            "K4",
        ),
        Finding(
            "T2",
            "Table 2",
            "removing either term degrades overall performance",
            f"full GCPO is first in {int((full['rank'] == 1).sum())} of {len(full)} columns, by "
            f"{' and '.join(lost)} on the "
            "average of the cells; one run each, so noise is not excluded (K7)",
            verdict((full["rank"] == 1).all()),
            "K4",
        ),
    ]
    outcome = f"{'; '.join(lines)}; average {' / '.join(average)}; printed {' / '.join(stated)}"
    return Check("K4", outcome, findings, {"margins": best, "ranks": order})


def k9() -> Check:
    """Table 3: does a baseline with MCTS pass GCPO without it?"""
    model = MODELS[0]
    gcpo = cells("table3", model, "GCPO")
    beaten, average = [], []
    for method in ("GRPO + MCTS", "GVPO + MCTS", "Dr.GRPO + MCTS"):
        row = cells("table3", model, method)
        beaten += [f"{method} {b} {text(row[b])} > {text(gcpo[b])}" for b in BENCHMARKS if row[b] > gcpo[b]]
        average.append((mean(row), method))
    top, method = max(average)
    with_search = [
        mean(cells("table3", model, f"{m} + MCTS")) - mean(cells("table3", model, m))
        for m in ("GRPO", "GVPO", "Dr.GRPO", "GCPO")
    ]
    cell_gains = [
        cells("table3", model, f"{m} + MCTS")[b] - cells("table3", model, m)[b]
        for m in ("GRPO", "GVPO", "Dr.GRPO", "GCPO")
        for b in BENCHMARKS
    ]
    order = ranks()
    both = order[(order.table == "table3") & (order.method == "GCPO + MCTS")]
    findings = [
        Finding(
            "T3a",
            "Full Results of Comparison",
            "baselines with MCTS still fail to surpass GCPO",
            f"{'; '.join(beaten)}; on the average {method} {text(top, 2)} against {text(mean(gcpo), 2)}",
            verdict(not beaten),
            "K9",
        ),
        Finding(
            "T3b",
            "Full Results of Comparison",
            "MCTS is added to GRPO, Dr.GRPO and GCPO",
            "Table 3 adds GVPO",
            FAILS,
            "K9",
        ),
        Finding(
            "T3d",
            "Table 3",
            "GCPO with MCTS is best",
            f"first in {int((both['rank'] == 1).sum())} of {len(both)} columns",
            verdict((both["rank"] == 1).all()),
            "K9",
        ),
        Finding(
            "T3e",
            "Table 3",
            "MCTS provides certain performance improvements",
            f"{text(min(cell_gains), sign=True)} to {text(max(cell_gains), sign=True)} points per cell, "
            f"{text(min(with_search), 2)} to {text(max(with_search), 2)} on the average",
            HOLDS if min(cell_gains) > 0 else FAILS,
            "K9",
        ),
    ]
    return Check("K9", f"{len(beaten)} cells exceed GCPO: " + "; ".join(beaten), findings)
