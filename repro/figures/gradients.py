"""The picture of gradient norms: one small panel per arm and base, and every arm's spread with its interval."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from repro.figuredata.gradients import ARM, CONSTANT_BELOW, STEP
from repro.figuredata.model import FigureData, Value
from repro.figures import BAND, FAINT, INK, finish, look_of, new_figure, style

Row = dict[str, Value]
_FLOOR = 0.05  # of the mean: what lies lower leaves the picture


def draw(figure_data: FigureData) -> Figure:
    """Norms over the run's own mean, one line per seed, over the rollouts; at the right the spread of every arm.

    Colours: the methods. Filled: of the norm; hollow: of the norm over the mean Upsilon. Band: within 10 % of the mean,
    nearly constant.
    """
    head = figure_data.head
    arms = list(dict.fromkeys(row["arm"] for row in figure_data.rows if row["kind"] == ARM))
    widest = _widest(figure_data.rows)
    with style():
        figure = new_figure(4.6 + 1.25 * len(arms), 1.7 + 2.2 * len(head.bases))
        ratios = {"width_ratios": [1.0] * len(arms) + [2.4]}
        grid = figure.subplots(len(head.bases), len(arms) + 1, squeeze=False, gridspec_kw=ratios)
        for line, base in zip(grid, head.bases, strict=True):
            own = [row for row in figure_data.rows if row["base"] == base]
            for number, (axes, arm) in enumerate(zip(line, arms, strict=False)):
                _norms(axes, [row for row in own if row["arm"] == arm], look_of(arm)["color"])
                axes.sharey(line[0])
                axes.tick_params(labelleft=number == 0)
            lowest, highest = _ends(own)
            line[0].set_yscale("log")  # one arm's spikes would flatten the others
            line[0].set_ylim(0.8 * max(lowest, _FLOOR), 2.5 * highest)  # room for the means above the lines
            line[0].yaxis.set_major_formatter("{x:g}")
            line[0].set_ylabel(f"{base}\nnorm over its mean")
            _spreads(line[-1], [row for row in own if row["kind"] == ARM], widest)
        for axes, arm in zip(grid[0], arms, strict=False):
            title = next(row["title"] for row in figure_data.rows if row["arm"] == arm)
            axes.set_title(textwrap.fill(title, 16), fontsize=8)
        for axes in grid[-1][:-1]:
            axes.set_xlabel("rollouts", fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        grid[-1][-1].set_xlabel("spread / mean [95 %]", fontsize=9)
        figure.legend(handles=_legend(), loc="outside lower center", ncols=2)
        finish(figure, figure_data)
    return figure


def _norms(axes: Axes, rows: list[Row], color: str) -> None:
    axes.axhspan(1 - CONSTANT_BELOW, 1 + CONSTANT_BELOW, color=BAND, zorder=0)
    steps = [row for row in rows if row["kind"] == STEP]
    for seed in dict.fromkeys(row["seed"] for row in steps):
        run = [row for row in steps if row["seed"] == seed]
        mean = sum(row["norm"] for row in run) / len(run) or 1.0  # a run without any reward has no gradient
        drawn = [row for row in run if row["norm"] > 0]  # the scale is logarithmic
        axes.plot([row["place"] for row in drawn], [row["norm"] / mean for row in drawn], color=color, linewidth=1)
    mean = next((row["norm"] for row in rows if row["kind"] == ARM), None)
    if mean is not None:
        axes.annotate(f"mean {mean:.2g}", (0.97, 0.96), xycoords="axes fraction", ha="right", va="top", fontsize=8,
                      color=FAINT)  # fmt: skip


def _ends(rows: list[Row]) -> tuple[float, float]:
    """The lowest norm above 0 and the highest, over the mean of their runs."""
    runs: dict[tuple[Value, Value], list[float]] = {}
    for row in rows:
        if row["kind"] == STEP:
            runs.setdefault((row["arm"], row["seed"]), []).append(row["norm"])
    scaled = [norm * len(norms) / sum(norms) for norms in runs.values() if sum(norms) for norm in norms if norm > 0]
    return min([0.5, *scaled]), max([1.5, *scaled])


def _widest(rows: Sequence[Row]) -> float:
    """Where the scale of spreads ends, the same for every base."""
    keys = ("spread", "spread_rescaled")  # of a run without any reward there is none, of a single one no interval
    found = [row[key] for row in rows for key in keys if row.get(key) is not None]
    ends = [row[f"{key}_high"] for row in rows for key in keys if row.get(f"{key}_high") is not None]
    reach = 2.5 * max([*found, 2 * CONSTANT_BELOW])  # with two seeds an interval reaches far beyond
    return min(reach, 1.1 * max([*ends, 2 * CONSTANT_BELOW]))


def _spreads(axes: Axes, rows: list[Row], widest: float) -> None:
    axes.axvspan(0.5 * CONSTANT_BELOW, CONSTANT_BELOW, color=BAND, zorder=0)
    for place, row in enumerate(rows):
        color = look_of(row["arm"])["color"]
        for key, shift, face in (("spread", -0.12, color), ("spread_rescaled", 0.18, "white")):
            if row[key] is None:
                continue
            axes.plot([row[f"{key}_low"], row[f"{key}_high"]], [place + shift] * 2, color=color, linewidth=2)
            axes.plot(row[key], place + shift, "o", color=color, markerfacecolor=face, markersize=5.5, zorder=4)
    axes.set_xscale("log")
    axes.set_xlim(0.5 * CONSTANT_BELOW, widest)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(rows)), [textwrap.fill(row["title"], 16) for row in rows], fontsize=7.5)
    axes.yaxis.tick_right()  # away from the panels of norms
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _legend() -> list:
    dot = {"color": INK, "marker": "o", "linewidth": 2, "markersize": 5.5}
    return [
        Line2D([], [], color=INK, linewidth=1, label=f"one seed (cut off below {_FLOOR:g} of the mean)"),
        Patch(color=BAND, label=f"nearly constant: within {100 * CONSTANT_BELOW:g} % of the mean"),
        Line2D([], [], label="spread of the norm, 95 % interval", **dot),
        Line2D([], [], label="spread of the norm over the mean Upsilon, 95 % interval", markerfacecolor="white", **dot),
    ]
