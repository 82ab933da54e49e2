"""The picture of training curves: held-out accuracy over compute, points and fitted sigmoids."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.cells.records import CURVE
from repro.figuredata.curves import FIT, POINT
from repro.figuredata.model import FigureData
from repro.figures import FAINT, INK, finish, look_of, new_figure, not_run_yet, style
from repro.stats.curves import sigmoid
from repro.tables.finding import seeds_in_words


def draw(figure_data: FigureData) -> Figure:
    """One row of panels per base, one panel per unit of compute. Lines: fitted sigmoids; dots: avg@k, mean of seeds."""
    if not figure_data.rows:
        return not_run_yet(figure_data)
    units = list(dict.fromkeys(row["unit"] for row in figure_data.rows))
    bases = list(dict.fromkeys(row["base"] for row in figure_data.rows))
    arms = list(dict.fromkeys(row["arm"] for row in figure_data.rows))
    with style():
        figure = new_figure(1.6 + 4.2 * len(units), 1.2 + 3.2 * len(bases))
        grid = figure.subplots(len(bases), len(units), sharey=True, squeeze=False)
        for line, base in zip(grid, bases, strict=True):
            for axes, unit in zip(line, units, strict=True):
                for arm in arms:
                    own = [r for r in figure_data.rows if (r["base"], r["unit"], r["arm"]) == (base, unit, arm)]
                    points = [row for row in own if row["kind"] == POINT]
                    looks = look_of(arm.removesuffix(CURVE))
                    axes.plot(
                        [row["compute"] for row in points], [row["accuracy"] for row in points], linestyle="none",
                        markersize=5, mec="white", mew=0.6, label=points[0]["title"] if points else None, **looks,
                    )  # fmt: skip
                    for row in own:
                        if row["kind"] == FIT:
                            x = np.linspace(0, max(point["compute"] for point in points), 200)
                            values = (row["start"], row["ceiling"], row["midpoint"], row["steepness"])
                            axes.plot(x, sigmoid(x, *values), color=looks["color"], linewidth=1.3)
                            if row["midpoint"] <= x[-1]:
                                axes.axvline(row["midpoint"], color=looks["color"], linewidth=0.8, linestyle=":")
                axes.axhline(points[0]["accuracy"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
                axes.set_xlabel(unit)
            seeds = seeds_in_words({row["seeds"] for row in figure_data.rows if row["base"] == base})
            line[0].set_title(f"{base}, {seeds}")
            line[0].set_ylabel("avg@k, held-out questions, percent")
        handles, labels = grid[0][0].get_legend_handles_labels()
        marks = {
            "mean over seeds": Line2D([], [], color=INK, marker="o", markersize=5, linestyle="none"),
            "fitted sigmoid": Line2D([], [], color=INK, linewidth=1.3),
            "its midpoint": Line2D([], [], color=INK, linewidth=0.8, linestyle=":"),
            "untrained base": Line2D([], [], color=FAINT, linewidth=1, linestyle=(0, (3, 2))),
        }
        figure.legend([*handles, *marks.values()], [*labels, *marks], loc="outside lower center", ncols=4)
        finish(figure, figure_data)
    return figure
