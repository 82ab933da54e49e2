"""The picture of Figure 5: who is right where, and the two policies' answers to the shown questions."""

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from repro.evaluation.sides import RIGHT, RULE
from repro.figuredata.model import FigureData
from repro.figures import BAND, FAINT, INK, finish, look_of, new_figure, style
from repro.paper import AVERAGE

_CASES = {"both": ("both right", "#c9d6e5"), "right": ("only GCPO", look_of("gcpo_expected")["color"]),
          "left": ("only GRPO", look_of("grpo")["color"]), "neither": ("neither", "#eeeeee")}  # fmt: skip
_TITLES = {"left": "GRPO", "right": "GCPO expected"}
_LETTERS, _LINES = 58, 11  # of one answer in the picture; the text beside it holds all of it


def draw(figure_data: FigureData) -> Figure:
    """Bars: shares of the questions by who answers them rightly, seeds added up. Below: the answers side by side."""
    shown = figure_data.examples
    bars = [row for row in figure_data.rows if row["suite"] != AVERAGE]
    places = list(dict.fromkeys((row["base"], row["suite"]) for row in bars))
    heights = [0.5 + 0.34 * len(places), *(_height(each) for each in shown)]
    with style():
        figure = new_figure(11.0, 1.4 + sum(heights) + 0.12 * len(shown))
        panels = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
        _bars(panels[0], bars, places)
        for number, (axes, each) in enumerate(zip(panels[1:], shown, strict=True), start=1):
            _example(axes, number, each)
        marks = [Patch(color=color, label=title) for title, color in _CASES.values()]
        figure.legend(handles=marks, loc="outside lower center", ncols=4, title=RULE, title_fontsize=8)
        finish(figure, figure_data)
    return figure


def _bars(axes: Axes, rows: list, places: list) -> None:
    for place, key in enumerate(places):
        own = [row for row in rows if (row["base"], row["suite"]) == key]
        asked, start = sum(row["questions"] for row in own), 0.0
        for case, (_, color) in _CASES.items():
            share = 100 * sum(row[case] for row in own) / asked
            axes.barh(place, share, left=start, color=color, height=0.7, edgecolor="white", linewidth=0.8)
            if share >= 3:
                ink = "white" if case in ("left", "right") else INK  # on a method's own colour
                axes.text(start + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=8, color=ink)
            start += share
    alone = len({base for base, _ in places}) == 1
    axes.set_yticks(range(len(places)), [suite if alone else f"{suite}, {base}" for base, suite in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.grid(visible=False)
    axes.set_title("percent of the questions")


def _lines(text: str) -> list[str]:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _LETTERS) or [""]]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "..."]


def _height(each: Mapping[str, str]) -> float:
    longest = max(len(_lines(each[f"{side}_steps"])) for side in ("left", "right"))
    return 0.25 + 0.14 * (1 + longest)


def _example(axes: Axes, number: int, each: Mapping[str, str]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    title = textwrap.shorten(
        f"{number}. {each['suite']}: {' '.join(each['question'].split())}", 118, placeholder=" ..."
    )
    axes.set_title(title, fontsize=9, color=INK, parse_math=False)
    for start, side in ((0.0, "left"), (0.5, "right")):
        right = each[side] == RIGHT
        text = "\n".join([f"{_TITLES[side]} {each[side]}", *_lines(each[f"{side}_steps"])])
        box = {"facecolor": BAND if right else "white", "edgecolor": FAINT, "linewidth": 0.6, "pad": 3}
        axes.text(start, 0.98, text, va="top", fontsize=8, family="DejaVu Sans Mono", parse_math=False, bbox=box)
