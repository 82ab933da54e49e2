"""The picture of a sweep: accuracy over the setting, one line per series, one panel per base."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro.figuredata.model import FigureData, Value
from repro.figuredata.sweep import BASE, POINT, REFERENCE
from repro.figures import BAND, FAINT, INK, PAPER, finish, look, look_of, new_figure, style

Row = dict[str, Value]
_GRPO = look_of("grpo")["color"]


def draw(figure_data: FigureData) -> Figure:
    """avg@k with 95 % intervals over the setting, every line in the colour of its method, controls hollow.

    Dashed: the untrained base. Line across and band: GRPO with its interval. Orange line: where the paper sees the best
    result. Rings: values of the grid searched first.
    """
    points = [row for row in figure_data.rows if row["kind"] == POINT]
    series: dict[Value, Value] = {}  # with the first arm of each
    for row in points:
        series.setdefault(row["series"], row["arm"])
    looks = {name: _look(number, arm) for number, (name, arm) in enumerate(series.items())}
    bases = list(dict.fromkeys(row["base"] for row in points))
    places = _places(points)
    measured = [row for row in figure_data.rows if row["ours"] is not None]
    frame = _frame(measured)
    outside = [row for row in measured if row["kind"] == BASE and not frame[0] < row["ours"] < frame[1]]
    with style():
        figure = new_figure(2.0 + 4.6 * len(bases), 4.4)
        panels = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
        for axes, base in zip(panels, bases, strict=True):
            own = [row for row in measured if row["base"] == base]
            _beside(axes, own)
            _remark(axes, [row for row in outside if row["base"] == base], frame)
            for number, (name, own_look) in enumerate(looks.items()):
                line = [row for row in own if row["kind"] == POINT and row["series"] == name]
                _line(axes, line, places, number - (len(looks) - 1) / 2, own_look)
            axes.set_xticks(
                list(places.values()), [f"{value:g}" if isinstance(value, float) else value for value in places]
            )
            if any(isinstance(value, str) for value in places):
                axes.set_xlim(-0.5, len(places) - 0.5)
            axes.set_xlabel(str(points[0]["setting"]))
            axes.set_title(base)
        panels[0].set_ylim(frame)
        panels[0].set_ylabel("avg@k, percent,\naverage of the suites")
        framed = any(row["kind"] == BASE and row not in outside for row in measured)
        figure.legend(**_legend(points, looks, framed), loc="outside lower center", ncols=2)
        finish(figure, figure_data)
    return figure


def _look(number: int, arm: Value) -> dict[str, str]:
    """The method's colour; the first line filled, a control hollow and with a marker of its own."""
    mark = {"color": look_of(str(arm))["color"], "marker": look(number)["marker"]}
    return mark if number == 0 else mark | {"markerfacecolor": "white"}


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
            axes.axhline(row["ours"], color=_GRPO, linewidth=1)
        elif row["kind"] == BASE:
            axes.axhline(row["ours"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
        elif row["paper_best"]:
            axes.axvline(row["value"], color=PAPER, linewidth=1.1, linestyle=":", zorder=1)


def _frame(rows: Sequence[Row]) -> tuple[float, float]:
    """The ends of the axis: the curve, GRPO's interval, and a base that is not far from them."""
    drawn = [row for row in rows if row["kind"] != BASE] or rows  # a base alone frames itself
    ends = [row[end] for row in drawn for end in ("low", "high")] or [0.0, 100.0]
    room = 0.08 * (max(ends) - min(ends) or 1.0)
    near = [row["ours"] for row in rows if row["kind"] == BASE]
    near = [value for value in near if min(ends) - 4 * room < value < max(ends) + 4 * room]
    return min([*ends, *near]) - room, max([*ends, *near]) + room


def _remark(axes: Axes, rows: Sequence[Row], frame: tuple[float, float]) -> None:
    """Bases outside the frame, in words at its edge."""
    for row in rows:
        below = row["ours"] < frame[0]
        place = {"xy": (0.01, 0.02), "va": "bottom"} if below else {"xy": (0.01, 0.98), "va": "top"}
        text = f"base, untrained, off the scale: {row['ours']:.1f}"
        axes.annotate(text, **place, xycoords="axes fraction", color=FAINT, fontsize=8.5)


def _line(axes: Axes, rows: Sequence[Row], places: dict[Value, float], beside: float, looks: dict[str, str]) -> None:
    """One line of points; beside: how many widths of a mark it stands to the right of its place."""
    width = (max(places.values()) - min(places.values())) or 1.0
    x = [places[row["value"]] + 0.016 * width * beside for row in rows]
    y = [row["ours"] for row in rows]
    joined = "none" if any(isinstance(row["value"], str) for row in rows) else "-"
    axes.plot(x, y, linestyle=joined, linewidth=1.2, markersize=6, zorder=4, **_edge(looks), **looks)
    axes.vlines(x, [row["low"] for row in rows], [row["high"] for row in rows], color=looks["color"], linewidth=2)
    rings = [(place, row["ours"]) for place, row in zip(x, rows, strict=True) if row["searched_first"]]
    if rings:
        axes.plot(*zip(*rings, strict=True), "o", markersize=12, mfc="none", mec=INK, mew=0.8, zorder=5)


def _edge(looks: dict[str, str]) -> dict[str, Any]:
    return {"mew": 1.5} if "markerfacecolor" in looks else {"mec": "white", "mew": 0.7}


def _legend(points: Sequence[Row], looks: dict[Value, dict[str, str]], base: bool) -> dict[str, list]:
    """Handles and labels: one per kind of mark in the picture."""
    marks: list[tuple[Any, str]] = [
        (Line2D([], [], linewidth=2, markersize=6, **_edge(look), **look), f"{name}, 95 % interval")
        for name, look in looks.items()
    ]
    grpo = Patch(color=BAND), Line2D([], [], color=_GRPO, linewidth=1)
    dashes = Line2D([], [], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
    marks += [*([(dashes, "base, untrained")] if base else []), (grpo, "GRPO of the tables, 95 % interval")]
    if any(row["paper_best"] for row in points):
        marks.append((Line2D([], [], color=PAPER, linewidth=1.1, linestyle=":"), "the paper's best"))
    if any(row["searched_first"] for row in points):
        ring = {"marker": "o", "mfc": "none", "mec": INK, "linestyle": "none", "markersize": 10}
        marks.append((Line2D([], [], **ring), "the coarse grid that the paper searched first"))
    return dict(zip(("handles", "labels"), map(list, zip(*marks, strict=True)), strict=True))
