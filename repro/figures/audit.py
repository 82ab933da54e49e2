"""The pictures of the audit: provenance of Table 1, margins against noise, base rows, cost, and the price of power."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from repro.figures import BAND, FAINT, INK, PAPER, look, new_figure, save, style
from repro.paper import AVERAGE, BENCHMARKS, MODELS, load_table
from repro.paper.audit.arithmetic import averages
from repro.paper.audit.check import text
from repro.paper.audit.formulas import STATED_COST, generations
from repro.paper.audit.sources import base_rows, copied_cells
from repro.paper.power import (
    STANDARD_PASSES,
    STATED_PASSES,
    difference_se,
    margins,
    pass_sd,
    requirements,
    seeds_needed,
)

TITLES = {"AMC23": "AMC 23", "AIME24": "AIME 24", "AIME25": "AIME 25", AVERAGE: "average"}
FILLS = {"MRT": "#f6d5b8", "L2T": "#f9ecc2", "new": "white"}
COLUMNS = (*BENCHMARKS, AVERAGE)


def _title(benchmark: str) -> str:
    return TITLES.get(benchmark, benchmark)


def _headline(figure: Figure, message: str) -> None:
    figure.suptitle(message, x=0.01, ha="left", weight="bold", size=12)


def provenance() -> Figure:
    """Table 1, every cell coloured by where it was first printed; averages that their cells contradict are marked."""
    frame = load_table("table1")
    wrong = averages().query("table == 'table1' and not holds").set_index(["model", "method"])["from_cells"]
    changed = {(r.model, r.method, r.benchmark) for r in copied_cells().itertuples() if not r.equal}
    rows = list(frame[["model", "method"]].drop_duplicates().itertuples(index=False, name=None))
    with style():
        figure = new_figure(8.6, 6.6)
        axes = figure.subplots()
        y, ticks = 0.0, []
        for model, method in rows:
            if method == "base":
                y += 0.75
                axes.text(-2.1, y - 0.62, model, weight="bold", ha="left", va="center")
            part = frame[(frame.model == model) & (frame.method == method)].set_index("benchmark")
            for x, benchmark in enumerate(COLUMNS):
                fill = FILLS[part.provenance[benchmark]]
                box = {"xy": (x - 0.48, y - 0.45), "width": 0.96, "height": 0.9}
                axes.add_patch(Rectangle(**box, facecolor=fill, edgecolor="#cccccc", lw=0.6))
                number = {"ha": "center", "va": "center", "weight": "bold" if method == "GCPO" else "normal"}
                if (model, method, benchmark) in changed:
                    axes.add_patch(Rectangle(**box, fill=False, edgecolor=INK, hatch="////", lw=1))
                    number["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                if benchmark == AVERAGE and (model, method) in wrong.index:
                    number |= {"color": PAPER, "weight": "bold"}
                    note = f"cells: {text(wrong[model, method], 2)}"
                    axes.text(x + 0.55, y, note, ha="left", va="center", color=PAPER, size=9)
                axes.text(x, y, part.printed[benchmark], **number)
            ticks.append((y, method))
            y += 1
        axes.set_yticks([t for t, _ in ticks], [m for _, m in ticks])
        axes.set_xticks(range(len(COLUMNS)), [_title(b) for b in COLUMNS])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.set_xlim(-0.6, 6.8)
        axes.set_ylim(y - 0.4, -0.1)
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        counts = frame.drop_duplicates(["model", "method"]).provenance.value_counts()
        older = counts["MRT"] + counts["L2T"]
        _headline(
            figure,
            f"Table 1: {older} of {len(rows)} rows were printed before, {len(wrong)} averages differ from their cells",
        )
        handles = [
            Patch(facecolor=FILLS["MRT"], edgecolor="#cccccc", label="first printed by MRT (arXiv 2503.07572)"),
            Patch(facecolor=FILLS["L2T"], edgecolor="#cccccc", label="first printed by L2T (arXiv 2505.10425)"),
            Patch(facecolor="white", edgecolor="#cccccc", label="new"),
            Patch(facecolor="white", edgecolor=INK, hatch="////", label="72.1 in L2T"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def margin_band() -> Figure:
    """GCPO minus the best baseline per benchmark, over the 95 % band of a difference of two 20-sample evaluations."""
    frame = margins()
    best = frame[frame.against == "best baseline"]
    bands = {
        source: {b: 1.96 * difference_se(sd, STATED_PASSES) for b, sd in pass_sd(source=source).items()}
        for source in ("Sober Table 3", "Sober Table 5")
    }
    inside = {s: sum(float(r.gap) < band[r.benchmark] for r in best.itertuples()) for s, band in bands.items()}
    with style():
        figure = new_figure(9.6, 4.4)
        axes = figure.subplots()
        for y, benchmark in enumerate(COLUMNS):
            wide, dashed = (bands[s][benchmark] for s in ("Sober Table 5", "Sober Table 3"))
            axes.add_patch(Rectangle((-wide, y - 0.36), 2 * wide, 0.72, facecolor=BAND, edgecolor="none", zorder=1))
            for edge in (-dashed, dashed):
                axes.plot([edge, edge], [y - 0.36, y + 0.36], color=FAINT, lw=1.2, ls=(0, (3, 2)), zorder=2)
            for index, model in enumerate(MODELS):
                gap = float(best[(best.model == model) & (best.benchmark == benchmark)].gap.item())
                axes.plot(gap, y + (index - 1) * 0.2, ls="", ms=7, zorder=3, **look(index))
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_yticks(range(len(COLUMNS)), [_title(b) for b in COLUMNS])
        axes.set_ylim(len(COLUMNS) - 0.4, -0.6)
        axes.set_xlim(-4.2, 4.2)
        axes.set_xlabel("GCPO minus the best baseline, points (printed cells)")
        axes.grid(axis="y", visible=False)
        _headline(
            figure,
            f"{inside['Sober Table 5']} of {len(best)} margins lie inside the noise of one 20-sample "
            f"evaluation ({inside['Sober Table 3']} with the smaller SDs)",
        )
        handles = [
            *(Line2D([], [], ls="", ms=7, label=m, **look(i)) for i, m in enumerate(MODELS)),
            Patch(facecolor=BAND, label="95 % band, Sober's Table 5 SDs"),
            Line2D([], [], color=FAINT, ls=(0, (3, 2)), lw=1.2, label="its Table 3 SDs"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.0, handletextpad=0.4)
    return figure


def base_comparison() -> Figure:
    """Independent measurements of the untrained models, minus what the paper prints for them."""
    frame = base_rows()
    labels = {
        "Sober": "A Sober Look (32k tokens, bars: SD of one pass)",
        "CMU MRT v0.1": "CMU MRT v0.1 (16k, 64 samples)",
        "DeepScaleR blog": "DeepScaleR blog (32k; AMC: 83 problems)",
        "DeepSeek card": "DeepSeek card (32k, 64 samples)",
    }
    printed = load_table("table1").query("method == 'base'").set_index(["model", "benchmark"])["value"]
    with style():
        figure = new_figure(10.5, 4.3)
        grid = figure.subplots(1, len(MODELS), sharey=True, sharex=True)
        for axes, model in zip(grid, MODELS, strict=True):
            part = frame[frame.model == model]
            five = part[(part.source == "Sober") & part.benchmark.isin(BENCHMARKS)]
            mean = {"benchmark": AVERAGE, "source": "Sober", "value": five.value.mean(), "sd": np.nan}
            part = pd.concat([part[list(mean)], pd.DataFrame([mean])])
            for row in part.itertuples():
                index = list(labels).index(row.source)
                y = COLUMNS.index(row.benchmark) + 0.2 * (index - 1.5)
                x = row.value - printed[model, row.benchmark]
                axes.errorbar(
                    x, y, xerr=None if pd.isna(row.sd) else row.sd, ls="", ms=6, elinewidth=1.2, **look(index)
                )
            axes.axvline(0, color=PAPER, lw=2, zorder=1)
            axes.set_title(model)
            axes.set_xlabel("measured minus printed, points")
            axes.grid(axis="y", visible=False)
            for y in range(0, len(COLUMNS), 2):
                axes.axhspan(y - 0.5, y + 0.5, color="#f5f6f8", zorder=0)
        grid[0].set_yticks(range(len(COLUMNS)), [_title(b) for b in COLUMNS])
        grid[0].set_ylim(len(COLUMNS) - 0.5, -0.5)
        grid[0].set_xlim(-18, 13)
        _headline(figure, "Untrained models: other groups' measurements against the printed base rows (orange line)")
        handles = [Line2D([], [], ls="", ms=6, label=label, **look(i)) for i, label in enumerate(labels.values())]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.2, handletextpad=0.4)
    return figure


def cost() -> Figure:
    """Sequences generated per prompt, as a multiple of GRPO's, over the group size n."""
    sizes = np.array([2, 4, 6, 8, 12, 16])
    literal = np.array([generations(int(n)) / n for n in sizes])
    separate = np.array([generations(int(n), shared=False) / n for n in sizes])
    with style():
        figure = new_figure(7.6, 4.2)
        axes = figure.subplots()
        axes.plot(sizes, literal, ms=6, label="Steps 1-3 as printed: n + n + n³", **look(0))
        axes.plot(sizes, separate, ms=5, ls=(0, (3, 2)), label="Step 2 drawn separately: n² more", **look(3))
        axes.plot(sizes, np.full(len(sizes), 2.0), ms=6, label="Algorithm 1 alone: n + n", **look(1))
        axes.axhline(STATED_COST, color=PAPER, lw=2)
        stated = {"color": PAPER, "ha": "right", "va": "bottom", "weight": "bold", "size": 9}
        axes.text(16, STATED_COST * 1.05, f"stated: {STATED_COST}x GPU hours", **stated)
        axes.axhline(1, color=INK, lw=0.8)
        axes.text(16, 0.94, "GRPO: n", ha="right", va="top", size=9)
        for n in (4, 8):
            ratio = generations(n) / n
            note = f"n = {n}: {generations(n)} sequences\nagainst {n}, {ratio:.0f}x"
            axes.annotate(note, (n, ratio), xytext=(12, -16), textcoords="offset points", size=9, va="top")
        axes.set_yscale("log")
        axes.set_yticks([1, 2, 5, 10, 20, 50, 100, 200], ["1x", "2x", "5x", "10x", "20x", "50x", "100x", "200x"])
        axes.minorticks_off()
        axes.set_ylim(0.75, 400)
        axes.set_xticks(sizes)
        axes.set_xlabel("group size n")
        axes.set_ylabel("sequences generated, GRPO = 1")
        _headline(figure, "The printed steps generate n² + 2 times as much as GRPO")
        axes.legend(loc="upper left")
    return figure


def power() -> Figure:
    """Left: samples per question for 80 % power, per benchmark. Right: training seeds over an assumed seed SD."""
    frames = {s: requirements(source=s) for s in ("Sober Table 3", "Sober Table 5")}
    seed_sds = np.linspace(0.05, 1.5, 30)
    sd = pass_sd()[AVERAGE]
    gaps = (("best baseline, 1.5B models", 0.58), ("best baseline, 7B", 0.82), ("GRPO, 7B", 1.48))
    with style():
        figure = new_figure(10.5, 4.3)
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        for source, hollow in (("Sober Table 3", False), ("Sober Table 5", True)):
            frame = frames[source]
            for index, model in enumerate(MODELS):
                part = frame[(frame.against == "best baseline") & (frame.model == model)].set_index("benchmark")
                y = np.arange(len(COLUMNS)) + (index - 1) * 0.22
                fill = {"markerfacecolor": "none"} if hollow else {}
                left.plot([part.passes[b] for b in COLUMNS], y, ls="", ms=6, **look(index), **fill)
        for value, label in ((STATED_PASSES, "20 (L2T)"), (STANDARD_PASSES, "64 (ours)")):
            colour = PAPER if value == STATED_PASSES else FAINT
            left.axvline(value, color=colour, lw=1.2)
            left.text(value, -0.62, label, ha="center", va="bottom", size=8.5, color=colour)
        left.set_xscale("log")
        left.set_xticks([1, 10, 100, 1000, 5000], ["1", "10", "100", "1,000", "5,000"])
        left.minorticks_off()
        left.set_yticks(range(len(COLUMNS)), [_title(b) for b in COLUMNS])
        left.set_ylim(len(COLUMNS) - 0.4, -0.6)
        left.set_xlabel("samples per question and arm")
        left.set_title("sampling noise alone", pad=16)
        for index, (label, gap) in enumerate(gaps):
            seeds = [seeds_needed(gap, seed_sd=s, sd=sd) for s in seed_sds]
            right.plot(seed_sds, seeds, label=f"{gap} over {label}", color=look(index + 4)["color"], lw=2)
        right.set_yscale("log")
        right.set_yticks([2, 3, 5, 10, 20, 50, 100], ["2", "3", "5", "10", "20", "50", "100"])
        right.minorticks_off()
        right.set_xlabel("assumed SD between training seeds, points of the average")
        right.set_ylabel("training seeds per arm (64 samples)")
        right.set_title("training seeds on top", pad=16)
        right.legend(loc="upper left", title="gap in points", alignment="left")
        _headline(figure, "What 80 % power at 5 % would need for the printed margins")
        handles = [Line2D([], [], ls="", ms=6, label=m, **look(i)) for i, m in enumerate(MODELS)]
        dot = {"ls": "", "marker": "o", "color": INK, "ms": 6}
        handles += [
            Line2D([], [], label="SDs of Sober's Table 3", **dot),
            Line2D([], [], label="of its Table 5", markerfacecolor="none", **dot),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2)
    return figure


FIGURES = {
    "audit_provenance": provenance,
    "audit_margins": margin_band,
    "audit_base_rows": base_comparison,
    "audit_cost": cost,
    "audit_power": power,
}


def write_figures(folder: Path) -> list[Path]:
    """Write every picture of the audit as PNG and SVG; returns the paths."""
    return [path for name, make in FIGURES.items() for path in save(make(), folder, name)]
