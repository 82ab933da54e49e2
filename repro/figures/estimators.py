"""Fidelity of the estimators of Upsilon over their cost: a picture of tables/estimators.csv."""

import pandas as pd
from matplotlib.figure import Figure

from repro.figures import FAINT, INK, look, new_figure, style

_PANELS = {
    "gradient_cosine": "cosine with the reference's policy gradient",
    "spearman_within": "rank correlation within a group",
}


def fidelity_over_cost(table: pd.DataFrame) -> Figure:
    """Each estimator at its cost (a GRPO step = 1) and its agreement with the literal form's mean over redraws.

    table: columns estimator, cost, gradient_cosine with its 5 % and 95 % quantiles, spearman_within.
    """
    with style():
        figure = new_figure(11.0, 4.8)
        for axes, (column, label) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
            for index, row in enumerate(table.itertuples()):
                value = getattr(row, column)
                if pd.isna(value):
                    continue
                if column == "gradient_cosine":
                    axes.plot([row.cost] * 2, [row.gradient_cosine_5, row.gradient_cosine_95], color=FAINT, lw=1.2)
                axes.plot([row.cost], [value], ls="", ms=8, mew=1.8, label=row.estimator, **look(index))
            axes.axhline(1.0 if column == "gradient_cosine" else 0.0, color=INK, lw=0.8)
            axes.set_xscale("log", base=2)
            ticks = [1, 2, 4, 8, 16, 32]
            axes.set_xticks(
                [t for t in ticks if t <= 2 * table.cost.max()], [str(t) for t in ticks if t <= 2 * table.cost.max()]
            )
            axes.minorticks_off()
            axes.set_xlabel("cost of a step, GRPO = 1 (kappa = 0)")
            axes.set_title(label)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        figure.suptitle(
            "One draw of each estimator against the literal form's mean: what sampling adds is noise",
            x=0.01, ha="left", weight="bold", size=12,
        )  # fmt: skip
    return figure
