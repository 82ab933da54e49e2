"""The picture of cost: accuracy over the cost of training, cost over GRPO's beside the paper's, seconds by phase."""

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.bench.ratios import PHASES
from repro.figuredata.cost import FORM_OF, RUN, STEP, printed_ratio
from repro.figuredata.model import FigureData, Value
from repro.figures import FAINT, INK, PAPER, finish, look_of, new_figure, style

Row = dict[str, Value]
_ARMS = {form: arm for arm, form in FORM_OF.items()}  # a form of the bench is drawn in the colour of its arm
_STEPS = {  # form of the bench -> how it is called here
    "grpo": "GRPO",
    "centroid, kappa 0": "GCPO expected, no divergence",
    "expected": "GCPO expected",
    "mc m=2 R=1 f=1": "GCPO mc, divergence on all rows",
}


def draw(figure_data: FigureData) -> Figure:
    """One row per base: accuracy over cost with 95 % intervals, in the colours of the methods; ratios to GRPO of whole
    runs (filled) and of steps (hollow), the paper's as an orange line; the seconds of a step by phase.
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
        grid[-1][1].set_xlabel("times GRPO's")
        grid[-1][2].set_xlabel("wall seconds of a step, median")
        figure.legend(handles=_marks(grid[:, 0]), loc="outside lower left", ncols=3)
        phases = [axes.get_legend_handles_labels() for axes in grid[:, 2]]
        found = {label: handle for handles, labels in phases for handle, label in zip(handles, labels, strict=True)}
        figure.legend(found.values(), found.keys(), loc="outside lower right", ncols=3, title="phases of a step")
        finish(figure, figure_data)
    return figure


def _marks(panels: Sequence[Axes]) -> list:
    """One handle per method and kind of mark."""
    found = {}
    for axes in panels:
        found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    dot = {"color": INK, "marker": "o", "markersize": 6, "linewidth": 2}
    return [
        *found.values(),
        Line2D([], [], label="whole runs over GRPO's, 95 % interval (arrow: goes on)", **dot),
        Line2D([], [], label="a step over GRPO's, 95 % interval", markerfacecolor="white", **dot),
        Line2D([], [], color=PAPER, linewidth=1.3, label=f"the paper: {printed_ratio():g} times GRPO's"),
    ]


def _accuracy(axes: Axes, rows: list[Row]) -> None:
    for row in rows:
        if row["ours"] is None:
            continue
        if row["cost"] is None:  # the untrained base
            axes.axhline(row["ours"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)), label="base, untrained")
            continue
        looks = look_of(str(row["arm"]))
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
        color = _color(row)
        if row["ratio_low"] is not None:
            axes.plot([row["ratio_low"], row["ratio_high"]], [place, place], color=color, linewidth=2)
        face = color if row["kind"] == RUN else "white"
        axes.plot(row["ratio"], place, "o", color=color, markerfacecolor=face, markersize=6, zorder=4)
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=8.5)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    points = [row["ratio"] for row in rows] or [1.0]
    low, high = 0.9 * min(*points, 1.0), 1.25 * max(*points, printed_ratio())
    axes.set_xlim(low, high)
    inside = 0.012 * (high - low)
    for place, row in enumerate(rows):  # two seeds' intervals reach beyond: an arrow says so
        color = _color(row)
        if row["ratio_low"] is not None and row["ratio_low"] < low:
            axes.plot(low + inside, place, "<", color=color, markersize=7)
        if row["ratio_high"] is not None and row["ratio_high"] > high:
            axes.plot(high - inside, place, ">", color=color, markersize=7)
    axes.grid(axis="y", visible=False)


def _color(row: Row) -> str:
    arm = str(row["arm"])
    return look_of(_ARMS.get(arm, arm))["color"]


def _name(row: Row) -> str:
    return str(row["title"]) if row["kind"] == RUN else f"a step, {_step(row)}"


def _step(row: Row) -> str:
    return _STEPS.get(str(row["title"]), str(row["title"]))


def _phases(axes: Axes, steps: list[Row]) -> None:
    left = [0.0] * len(steps)
    for number, phase in enumerate(PHASES):
        seconds = [row[phase] for row in steps]
        color = colormaps["tab20b"]((4 * number + 2 * (number // 5)) % 20)  # no method's; neighbours differ
        axes.barh(range(len(steps)), seconds, left=left, color=color, edgecolor="white", label=phase)
        left = [start + part for start, part in zip(left, seconds, strict=True)]
    axes.set_yticks(range(len(steps)), [_step(row) for row in steps], fontsize=8.5)
    axes.set_ylim(max(len(steps), 1) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
