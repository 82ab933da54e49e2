"""The picture of cost: accuracy over the cost of training, cost over GRPO's beside the paper's, seconds by phase."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.bench.ratios import PHASES
from repro.figuredata.cost import RUN, STEP, printed_ratio
from repro.figuredata.model import FigureData, Value
from repro.figures import FAINT, INK, PAPER, heading, look, new_figure, settle, style

Row = dict[str, Value]


def draw(figure_data: FigureData) -> Figure:
    """One row per base: accuracy over cost with 95 % intervals; ratios to GRPO of whole runs (filled) and of steps
    (hollow), the paper's as an orange line; the seconds of a step by phase.
    """
    head = figure_data.head
    with style():
        figure = new_figure(14.0, 1.6 + 3.1 * len(head.bases))
        grid = figure.subplots(len(head.bases), 3, squeeze=False, gridspec_kw={"width_ratios": [1.1, 1.1, 1.2]})
        for line, base in zip(grid, head.bases, strict=True):
            own = [row for row in figure_data.rows if row["base"] == base]
            runs, steps = ([row for row in own if row["kind"] == kind] for kind in (RUN, STEP))
            _accuracy(line[0], runs)
            _ratios(line[1], [row for row in runs if row["ratio"] is not None], steps)
            _phases(line[2], steps)
            line[0].set_title(base)
            line[1].set_title("cost over GRPO's")
            line[2].set_title("one step by phase")
        grid[-1][1].set_xlabel(f"filled: whole runs; hollow: a step [95 %]\norange: the paper's {printed_ratio():g}")
        grid[-1][2].set_xlabel("wall seconds of a step, median")
        handles = {}
        for line in grid:
            for axes in (line[0], line[2]):
                handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
        heading(figure, f"{head.title}. {figure_data.finding} ({head.profile})", head.stamp)
        settle(figure)
    return figure


def _accuracy(axes: Axes, rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        if row["ours"] is None:
            continue
        if row["cost"] is None:  # the untrained base
            axes.axhline(row["ours"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)), label="base, untrained")
            continue
        looks = look(number - 1)
        axes.vlines(row["cost"], row["low"], row["high"], color=looks["color"], linewidth=2)
        axes.plot(row["cost"], row["ours"], linestyle="none", markersize=7, mec="white", label=row["title"], **looks)
    axes.set_xlabel(f"training cost of a run, {rows[0]['unit']}")
    axes.set_ylabel("avg@k, percent")
    axes.set_xlim(left=0)


def _ratios(axes: Axes, runs: list[Row], steps: list[Row]) -> None:
    axes.axvline(1, color=INK, linewidth=0.9)
    axes.axvline(printed_ratio(), color=PAPER, linewidth=1.3)
    rows = [*runs, *steps]
    for place, row in enumerate(rows):
        color = look(0)["color"]
        if row["ratio_low"] is not None:
            axes.plot([row["ratio_low"], row["ratio_high"]], [place, place], color=color, linewidth=2)
        face = color if row["kind"] == RUN else "white"
        axes.plot(row["ratio"], place, "o", color=color, markerfacecolor=face, markersize=6, zorder=4)
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=8.5)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    points = [row["ratio"] for row in rows] or [1.0]
    axes.set_xlim(0.9 * min(*points, 1.0), 1.25 * max(*points, printed_ratio()))  # two seeds' intervals reach beyond
    axes.grid(axis="y", visible=False)


def _phases(axes: Axes, steps: list[Row]) -> None:
    left = [0.0] * len(steps)
    for number, phase in enumerate(PHASES):
        seconds = [row[phase] for row in steps]
        color = look(number)["color"]
        hatch = "//" if "markerfacecolor" in look(number) else None  # a colour's second phase
        axes.barh(range(len(steps)), seconds, left=left, color=color, hatch=hatch, edgecolor="white", label=phase)
        left = [start + part for start, part in zip(left, seconds, strict=True)]
    axes.set_yticks(range(len(steps)), [row["title"] for row in steps], fontsize=8.5)
    axes.set_ylim(max(len(steps), 1) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
