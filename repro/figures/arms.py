"""The picture of arms beside each other: one panel per suite or policy, one row per arm."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.figuredata.model import FigureData
from repro.figures import INK, PAPER, finish, look_of, new_figure, note, style
from repro.tables.finding import seeds_in_words


def draw(figure_data: FigureData) -> Figure:
    """avg@k with 95 % intervals in the colour of the method. Hollow: the greedy pass. Orange number: the paper's own
    value, of its models and tasks, which another scale would need.
    """
    rows = figure_data.rows
    bases = list(dict.fromkeys(row["base"] for row in rows))
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    labels = list(dict.fromkeys(row["label"] for row in rows))
    with style():
        figure = new_figure(2.2 + 4.2 * len(panels), 1.6 + 0.42 * len(labels) * len(bases))
        grid = figure.subplots(len(bases), len(panels), sharex=True, squeeze=False)
        for line, base in zip(grid, bases, strict=True):
            for axes, panel in zip(line, panels, strict=True):
                own = [row for row in rows if (row["base"], row["panel"]) == (base, panel)]
                for place, row in enumerate(own):
                    if row["ours"] is not None:
                        color = look_of(row["arm"])["color"]
                        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2)
                        axes.plot(row["ours"], place, "o", markersize=7, mec="white", mew=0.7, zorder=4, color=color)
                    else:
                        note(axes, place, "not run")
                    if row["greedy"] is not None:
                        axes.plot(row["greedy"], place, "o", markersize=6, mfc="none", mec=INK, mew=0.9, zorder=3)
                    if row["paper"] is not None:
                        axes.text(
                            1.0, place - 0.3, f"{row['paper']:.1f}", transform=axes.get_yaxis_transform(), ha="right",
                            va="center", color=PAPER,
                        )  # fmt: skip
                axes.set_yticks(range(len(own)), [row["label"] for row in own])
                axes.set_ylim(len(own) - 0.5, -0.5)
                seeds = {row["seeds"] for row in own if row["seeds"] and row["gain"] is not None}
                axes.set_title(f"{panel}: {base}" + (f", {seeds_in_words(seeds)}" if seeds else ""))
        for axes in grid[-1]:
            axes.set_xlabel("right answers, percent")
        figure.legend(handles=_legend(figure_data), loc="outside lower center", ncols=3)
        finish(figure, figure_data)
    return figure


def _legend(figure_data: FigureData) -> list[Line2D]:
    marks = [
        Line2D(
            [], [], color=INK, marker="o", linewidth=2, markersize=7, label="avg@k, 95 % interval; colour: the method"
        ),
        Line2D([], [], color=INK, marker="o", mfc="none", linestyle="none", markersize=6, label="greedy pass"),
    ]
    if any(row["paper"] is not None for row in figure_data.rows):
        marks.append(
            Line2D([], [], color=PAPER, marker="$12.3$", linestyle="none", markersize=24, mew=0.3,
                   label="the paper's value, its own models and tasks")
        )  # fmt: skip
    return marks
