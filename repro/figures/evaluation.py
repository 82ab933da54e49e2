"""The pictures of a stored evaluation: scores beside what others print, and how long the answers are."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from repro.evaluation.report import is_complete, model_name, reference_row, score
from repro.figures import BAND, FAINT, INK, PAPER, look, new_figure, save, style
from repro.paper.references import base_range, independent, printed

SOURCES = ("Sober", "CMU MRT v0.1", "DeepSeek card", "DeepScaleR blog", "Qwen card")
COLUMNS = 3
_RIGHT, _WRONG = ("correct", "passed"), ("wrong", "failed")
Entries = dict[str, dict[str, Any]]


def accuracy(entries: Entries) -> Figure:
    """avg@k of every suite with its 95 % interval, the paper's number and the independent ones on the same line.

    For a model that is none of the paper's, a band shows the range of the paper's untrained models instead.
    """
    beside = reference_row(entries)
    shown: dict[str, Any] = {}
    with style():
        figure = new_figure(9.0, 1.9 + 0.52 * len(entries))
        axes = figure.subplots()
        for y, (name, entry) in enumerate(entries.items()):
            if beside is None:
                _band(axes, y, base_range(name), shown)
            else:
                _references(axes, y, beside, name, shown)
            avg = {key: 100 * value for key, value in score(entry["correct"], entry["k"]).items()}
            reach = [[avg["value"] - avg["low"]], [avg["high"] - avg["value"]]]
            axes.errorbar(avg["value"], y, xerr=reach, ls="", ms=8, elinewidth=2, capsize=4, zorder=4, **look(0))
            axes.text(101.5, y, f"{avg['value']:.1f}", va="center", ha="left", size=9, clip_on=False)
        labels = [
            f"{entry['title']}, avg@{entry['k']}"
            + ("" if is_complete(entry) else f"\nfirst {entry['n']} of {entry['rows']}")
            for entry in entries.values()
        ]
        axes.set_yticks(range(len(entries)), labels)
        axes.set_ylim(len(entries) - 0.45, -0.55)
        axes.set_xlim(-1.5, 101)
        axes.set_xlabel("points")
        axes.grid(axis="y", visible=False)
        stands = "" if beside is None else f", beside {beside[0]} {beside[1]}"
        figure.suptitle(f"{model_name(entries)}{stands}", x=0.01, ha="left", weight="bold", size=12)
        ours = Line2D([], [], lw=2, ms=8, label="ours, 95 % interval", **look(0))
        figure.legend(handles=[ours, *shown.values()], loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def _band(axes: Any, y: int, ends: tuple[float, float] | None, shown: dict[str, Any]) -> None:
    if ends is None:
        return
    low, high = ends[0] - 0.4, ends[1] + 0.4  # one printed value is still seen
    axes.add_patch(Rectangle((low, y - 0.3), high - low, 0.6, facecolor=BAND, edgecolor=PAPER, lw=0.8, zorder=1))
    shown["band"] = Patch(facecolor=BAND, edgecolor=PAPER, label="paper: range of its untrained models")


def _references(axes: Any, y: int, beside: tuple[str, str], name: str, shown: dict[str, Any]) -> None:
    paper = printed(*beside, name)
    if paper is not None:
        mark = {"color": PAPER, "marker": "|", "ms": 18, "mew": 3, "ls": ""}
        axes.plot(paper.value, y, zorder=3, **mark)
        shown["paper"] = Line2D([], [], label="paper", **(mark | {"ms": 10}))
    for reference in independent(*beside, name):
        place = SOURCES.index(reference.source)
        looks = look(place + 1) | {"markerfacecolor": "none"}
        height = y + 0.13 * (place - 2)
        axes.errorbar(reference.value, height, xerr=reference.sd, ls="", ms=6, elinewidth=1, zorder=2, **looks)
        bars = " (bar: SD of one pass)" if reference.sd else ""
        if reference.source not in shown or bars:
            shown[reference.source] = Line2D([], [], ls="", ms=6, label=reference.source + bars, **looks)


def lengths(entries: Entries) -> Figure:
    """How many tokens the answers have, per suite; answers that were cut at the limit stand out in orange."""
    rows = -(-len(entries) // COLUMNS)
    with style():
        figure = new_figure(10.5, 0.9 + 2.5 * rows)
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat[len(entries) :]:
            axes.set_visible(False)
        for axes, entry in zip(grid.flat, entries.values(), strict=False):
            bins, limit = entry["lengths"], entry["config"]["protocol"]["max_new_tokens"]
            widths = [right - left for left, right in zip(bins["edges"], bins["edges"][1:], strict=False)]
            place = {"x": bins["edges"][:-1], "width": widths, "align": "edge", "edgecolor": "white", "lw": 0.4}
            axes.bar(height=bins["ended"], color=look(0)["color"], **place)
            axes.bar(height=bins["cut"], bottom=bins["ended"], color=PAPER, hatch="///", **place)
            if limit <= 1.15 * bins["edges"][-1]:
                axes.axvline(limit, ymax=0.8, color=INK, lw=1, ls=(0, (3, 2)))
            share = 100 * entry["truncated"]
            axes.set_title(entry["title"])
            axes.text(
                0.98, 0.95, f"mean {entry['tokens']['mean']:.0f}\ncut {share:.1f} %",
                transform=axes.transAxes, ha="right", va="top", size=9, color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}, zorder=3,
            )  # fmt: skip
            axes.set_xlim(0, None)
            highest = max(ended + cut for ended, cut in zip(bins["ended"], bins["cut"], strict=True))
            axes.set_ylim(0, 1.4 * highest)  # room for the words above the bars
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=5)
            axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
            axes.grid(axis="x", visible=False)
        for axes in grid[:, 0]:
            axes.set_ylabel("answers")
        for axes in grid.flat[max(0, len(entries) - COLUMNS) : len(entries)]:
            axes.set_xlabel("tokens of the answer")
        figure.suptitle(f"{model_name(entries)}: length of the answers", x=0.01, ha="left", weight="bold", size=12)
        handles = [
            Patch(facecolor=look(0)["color"], label="ended by itself"),
            Patch(facecolor=PAPER, hatch="///", edgecolor="white", label="cut at the limit"),
            Line2D([], [], color=INK, lw=1, ls=(0, (3, 2)), label="limit of new tokens"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def reasons(entries: Entries) -> Figure:
    """The verdicts' reasons, as shares of each suite's answers."""
    found = sorted({reason for entry in entries.values() for reason in entry["reasons"]}, key=_right_first)
    colours = _colours(found)
    with style():
        figure = new_figure(9.0, 1.6 + 0.42 * len(entries))
        axes = figure.subplots()
        for y, entry in enumerate(entries.values()):
            left, total = 0.0, sum(entry["reasons"].values())
            for reason in found:
                share = 100 * entry["reasons"].get(reason, 0) / total
                axes.barh(y, share, left=left, height=0.62, color=colours[reason], edgecolor="white", lw=0.8)
                if share >= 6:
                    axes.text(left + share / 2, y, f"{share:.0f}", ha="center", va="center", size=9, color="white")
                left += share
        axes.set_yticks(range(len(entries)), [entry["title"] for entry in entries.values()])
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("per cent of the answers")
        axes.grid(axis="y", visible=False)
        for spine in ("left", "bottom"):
            axes.spines[spine].set_color(FAINT)
        figure.suptitle(f"{model_name(entries)}: verdicts", x=0.01, ha="left", weight="bold", size=12)
        handles = [Patch(color=colours[reason], label=reason) for reason in found]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, columnspacing=1.0)
    return figure


def _right_first(reason: str) -> tuple[bool, bool, str]:
    return reason not in _RIGHT, reason not in _WRONG, reason


def _colours(reasons: list[str]) -> dict[str, str]:
    """Right answers are blue and wrong ones grey in every picture; other reasons take what the palette has left."""
    others = [reason for reason in reasons if reason not in (*_RIGHT, *_WRONG)]
    named = dict.fromkeys(_RIGHT, look(0)["color"]) | dict.fromkeys(_WRONG, FAINT)
    return named | {reason: look(2 + place)["color"] for place, reason in enumerate(others)}


def write_figures(entries: Entries, folder: Path) -> list[Path]:
    """Write all pictures of an evaluation as PNG and SVG; returns the paths."""
    pictures = {"accuracy": accuracy(entries), "lengths": lengths(entries), "reasons": reasons(entries)}
    return [path for name, figure in pictures.items() for path in save(figure, folder, name)]
