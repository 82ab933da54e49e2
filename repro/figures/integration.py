"""Integrated accuracy over the number of right candidates: a picture of tables/acceptance.csv."""

import pandas as pd
from matplotlib.figure import Figure

from repro.figures import look, new_figure, style

_LINES = {"integrated": "integrated", "majority": "majority vote", "one_sample": "one sample, nothing shown"}


def accuracy_by_right(table: pd.DataFrame, shown: int) -> Figure:
    """One panel per base: accuracy over how many of the `shown` candidates are right.

    table: rows of `repro.studies.integration.measure`, of which those named "0 right", "1 right", ... are drawn.
    """
    bases = list(dict.fromkeys(table["base"]))
    with style():
        figure = new_figure(1.0 + 4.2 * len(bases), 4.2)
        for axes, base in zip(figure.subplots(1, len(bases), sharey=True, squeeze=False)[0], bases, strict=True):
            part = table[table["base"] == base].set_index("candidates")
            points = [count for count in range(shown + 1) if part["questions"].get(f"{count} right", 0) > 0]
            rows = part.loc[[f"{count} right" for count in points]]
            for place, (column, label) in enumerate(_LINES.items()):
                axes.plot(points, 100 * rows[column], lw=1.5, ms=6, label=label, **look(place))
            axes.set_title(base)
            axes.set_xlabel(f"right answers among the {shown} shown")
        figure.axes[0].set_ylabel("accuracy, percent")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(_LINES))
        figure.suptitle("Does the base use what the others answered?", x=0.01, ha="left", weight="bold", size=12)
    return figure
