"""The picture of a sweep: accuracy over the setting, one line per series, one panel per base."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro.figuredata.model import FigureData, Value
from repro.figuredata.sweep import BASE, POINT, REFERENCE
from repro.figures import BAND, FAINT, INK, PAPER, heading, look, new_figure, settle, style

Row = dict[str, Value]


def draw(figure_data: FigureData) -> Figure:
    """avg@k with 95 % intervals over the setting.

    Dashed: the untrained base. Grey line and band: GRPO with its interval. Orange line: where the paper sees the best
    result. Rings: values of the grid searched first.
    """
    head, points = figure_data.head, [row for row in figure_data.rows if row["kind"] == POINT]
    series = list(dict.fromkeys(row["series"] for row in points))
    bases = list(dict.fromkeys(row["base"] for row in points))
    places = _places(points)
    with style():
        figure = new_figure(2.0 + 4.6 * len(bases), 4.4)
        panels = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
        for axes, base in zip(panels, bases, strict=True):
            own = [row for row in figure_data.rows if row["base"] == base and row["ours"] is not None]
            _beside(axes, own)
            for number, name in enumerate(series):
                line = [row for row in own if row["kind"] == POINT and row["series"] == name]
                _line(axes, line, places, number, len(series))
            axes.set_xticks(
                list(places.values()), [f"{value:g}" if isinstance(value, float) else value for value in places]
            )
            axes.set_xlabel(str(points[0]["setting"]))
            axes.set_title(base)
        panels[0].set_ylabel("avg@k, percent,\naverage of the suites")
        figure.legend(handles=_legend(points, series), loc="outside lower center", ncols=2)
        heading(figure, f"{head.title}. {figure_data.finding} ({head.profile})", head.stamp)
        settle(figure)
    return figure


def _places(rows: Sequence[Row]) -> dict[Value, float]:
    """Where each value stands on the axis: numbers at themselves, names one after the other."""
    values = list(dict.fromkeys(row["value"] for row in rows))
    named = any(isinstance(value, str) for value in values)
    return {value: float(place) if named else value for place, value in enumerate(values)}


def _beside(axes: Axes, rows: Sequence[Row]) -> None:
    """The arms that are no point of the curve, as lines across it, and where the paper sees the best result."""
    for row in rows:
        if row["kind"] == REFERENCE:
            axes.axhspan(row["low"], row["high"], color=BAND, zorder=0)
            axes.axhline(row["ours"], color=FAINT, linewidth=1)
        elif row["kind"] == BASE:
            axes.axhline(row["ours"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
        elif row["paper_best"]:
            axes.axvline(row["value"], color=PAPER, linewidth=1.1, linestyle=":", zorder=1)


def _line(axes: Axes, rows: Sequence[Row], places: dict[Value, float], number: int, count: int) -> None:
    width = (max(places.values()) - min(places.values())) or 1.0
    shift = 0.012 * width * (number - (count - 1) / 2)
    x = [places[row["value"]] + shift for row in rows]
    y = [row["ours"] for row in rows]
    looks = look(number)
    joined = "none" if any(isinstance(row["value"], str) for row in rows) else "-"
    axes.plot(x, y, linestyle=joined, linewidth=1.2, markersize=6, mec="white", mew=0.7, zorder=4, **looks)
    axes.vlines(x, [row["low"] for row in rows], [row["high"] for row in rows], color=looks["color"], linewidth=2)
    rings = [(place, row["ours"]) for place, row in zip(x, rows, strict=True) if row["searched_first"]]
    if rings:
        axes.plot(*zip(*rings, strict=True), "o", markersize=11, mfc="none", mec=INK, mew=0.8, zorder=3)


def _legend(points: Sequence[Row], series: Sequence[Value]) -> list:
    marks = [
        Line2D([], [], linewidth=2, markersize=6, label=f"{name}, 95 % interval", **look(number))
        for number, name in enumerate(series)
    ]
    marks += [
        Line2D([], [], color=FAINT, linewidth=1, linestyle=(0, (3, 2)), label="base, untrained"),
        Patch(color=BAND, label="GRPO, 95 % interval"),
    ]
    if any(row["paper_best"] for row in points):
        marks.append(Line2D([], [], color=PAPER, linewidth=1.1, linestyle=":", label="the paper's best"))
    if any(row["searched_first"] for row in points):
        ring = {"marker": "o", "mfc": "none", "mec": INK, "linestyle": "none", "markersize": 10}
        marks.append(Line2D([], [], label="the grid searched first", **ring))
    return marks
