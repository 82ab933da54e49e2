"""GC2PO's premise in two panels: does its reward follow sound steps, and what do sound steps get whatever the end?"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.bench.premise_figures import ARMS, GAP, RANK, RANK_CC, RANK_STEP
from repro.figures import INK, bar, heading, look_of, new_figure, style

_TITLES = {RANK: "R", RANK_CC: "r_cc alone", RANK_STEP: "r_cc, steps of one number"}


def premise(result: Mapping[str, Any]) -> Figure:
    """result: what `repro.bench.premise.measure_premise` gives, or its JSON. Figures without a value are left out."""
    figures = result["figures"]
    left = [(f"{title}: {arm}", figures.get(f"{name}: {arm}"), arm) for name, title in _TITLES.items() for arm in ARMS]
    right = [(arm, figures.get(f"{GAP}: {arm}"), arm) for arm in ARMS]
    with style():
        figure = new_figure(11.0, 4.4)
        panels = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
        _bars(panels[0], [row for row in left if row[1]])
        _bars(panels[1], [row for row in right if row[1]])
        panels[0].set_xlabel("rank correlation with the step's soundness")
        panels[1].set_xlabel("credit of sound steps with a wrong end\nminus that of a lucky end")
        measured = {name: figures[f"{RANK_CC}: {name}"] for name in ARMS if figures.get(f"{RANK_CC}: {name}")}
        found = [f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in measured.items()]
        title = (
            f"How far r_cc alone follows a step's soundness: {', '.join(found)} ({result['base']}, {result['profile']})"
        )
        heading(figure, title)
    return figure


def _bars(axes: Axes, rows: Sequence[tuple[str, Sequence[float], str]]) -> None:
    axes.axvline(0.0, color=INK, lw=0.8)
    for place, (_, (value, low, high), arm) in enumerate(rows):
        bar(axes, SimpleNamespace(value=value, low=low, high=high), place, look_of(ARMS[arm]))
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
