"""The picture of the learning-rate grid: accuracy over the rate, one panel per base, one line per method."""

from matplotlib.figure import Figure

from repro.figuredata.model import FigureData
from repro.figures import FAINT, INK, finish, look_of, new_figure, not_run_yet, style


def draw(figure_data: FigureData) -> Figure:
    """Lines: mean over development seeds; bars: 95 % intervals; small marks: the lowest seed. Ring: picked."""
    if not figure_data.rows:
        return not_run_yet(figure_data)
    bases = list(dict.fromkeys(row["base"] for row in figure_data.rows))
    methods = list(dict.fromkeys(row["method"] for row in figure_data.rows))
    several = figure_data.head.seeds > 1
    with style():
        figure = new_figure(2.0 + 4.6 * len(bases), 4.4)
        panels = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
        for axes, base in zip(panels, bases, strict=True):
            for number, method in enumerate(methods):
                own = [row for row in figure_data.rows if (row["base"], row["method"]) == (base, method)]
                if not own:  # not run yet on this base
                    continue
                shift = 1 + 0.04 * (number - (len(methods) - 1) / 2)  # on a logarithmic axis
                x = [row["rate"] * shift for row in own]
                looks = look_of(own[0]["arm"].partition("_rate_")[0])
                axes.plot(x, [row["ours"] for row in own], markersize=6, mec="white", mew=0.7, linewidth=1.2,
                          label=method, **looks)  # fmt: skip
                axes.vlines(x, [row["low"] for row in own], [row["high"] for row in own], color=looks["color"])
                if several:
                    axes.plot(x, [row["lowest_seed"] for row in own], "_", color=looks["color"], markersize=8)
                for place, row in zip(x, own, strict=True):
                    if row["picked"]:
                        axes.plot(place, row["ours"], "o", markersize=12, mfc="none", mec=INK, mew=0.9)
            first = next(row for row in figure_data.rows if row["base"] == base)
            axes.axhline(first["ours"] - first["gain"], color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
            axes.set_xscale("log")
            rates = sorted({row["rate"] for row in figure_data.rows})
            axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
            axes.minorticks_off()
            axes.set_xlabel("learning rate")
            axes.set_title(base)
        panels[0].set_ylabel("avg@k, development\nquestions, percent")
        handles, labels = panels[0].get_legend_handles_labels()
        dash = "dash: the lowest seed; " if several else ""
        note = f"ring: picked by the rule; {dash}dashed line: base, untrained"
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=note)
        finish(figure, figure_data)
    return figure
