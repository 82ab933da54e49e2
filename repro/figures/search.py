"""The pictures of a search at test time: accuracy over tokens per question, and one tree."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from repro.figures import FAINT, INK, KINDS, PAPER, heading, new_figure, save, style

_TITLES = {"mcts": "MCTS", "maj": "majority vote", "best": "best-of-N"}


def write_search_figures(record: Mapping[str, Any], titles: Mapping[str, str], folder: Path, name: str) -> list[Path]:
    """Write <name>_tokens.* and <name>_tree.* as PNG and SVG; returns the paths."""
    return [
        *save(tokens(record, titles), folder, f"{name}_tokens"),
        *save(tree(record["example"]), folder, f"{name}_tree"),
    ]


def tokens(record: Mapping[str, Any], titles: Mapping[str, str]) -> Figure:
    """Accuracy over generated tokens per question: one row per base, one panel per policy, one line per kind.

    Shaded: 95 % intervals over seeds, where there are several.
    """
    curves = record["curves"]
    found = dict.fromkeys(policy for each in curves.values() for policy in each)
    policies = sorted(found, key=list(titles).index)
    with style():
        figure = new_figure(1.2 + 2.6 * len(policies), 1.4 + 2.5 * len(curves))
        grid = figure.subplots(len(curves), len(policies), sharex=True, sharey="row", squeeze=False)
        for row, (base, each) in zip(grid, curves.items(), strict=True):
            for axes, policy in zip(row, policies, strict=True):
                for kind, title in _TITLES.items():
                    points = each.get(policy, {}).get(kind, [])
                    color, marker = KINDS[kind]
                    x, y, low, high = ([point[column] for point in points] for column in range(4))
                    if points and None not in low:
                        axes.fill_between(x, low, high, color=color, alpha=0.13, linewidth=0)
                    axes.plot(x, y, markersize=3.5, linewidth=1.5, label=title, color=color, marker=marker)
                axes.set_title(titles.get(policy, policy))
            row[0].set_ylabel(f"{base}\naccuracy, percent")
        for axes in grid[-1]:
            axes.set_xlabel("tokens per question")
        handles, labels = grid[0][0].get_legend_handles_labels()
        band = Patch(color=FAINT, alpha=0.3, linewidth=0, label="95 % interval over seeds")
        figure.legend([*handles, band], [*labels, band.get_label()], loc="outside lower center", ncols=len(_TITLES) + 1)
        heading(figure, _bought(curves))
    return figure


def _bought(curves: Mapping[str, Mapping[str, Mapping[str, Sequence[Sequence[float]]]]]) -> str:
    """At the end of the budget: for how many policies the search is above the votes."""
    ends = [(kinds["mcts"][-1][1], kinds["maj"][-1][1]) for each in curves.values() for kinds in each.values()
            if kinds.get("mcts") and kinds.get("maj")]  # fmt: skip
    above = sum(search > votes for search, votes in ends)
    return f"At the end of the budget the search is above the majority vote for {above} of {len(ends)} policies"


def tree(example: Mapping[str, Any]) -> Figure:
    """One search tree from left to right: a node's size is its visits, its shade its value, thick lines lead to the
    answer.
    """
    parents, values, visits = example["parents"], example["values"], example["visits"]
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    places = _places(children)
    votes: dict[int, int] = {}
    for leaf in example["leaves"]:
        votes[leaf] = votes.get(leaf, 0) + 1
    answers = dict(zip(example["leaves"], example["answers"], strict=True))
    chosen = _chosen(parents, values, [leaf for leaf, answer in answers.items() if answer == example["answer"]])
    deepest, rows = max(x for x, _ in places), sum(not each for each in children)
    with style():
        figure = new_figure(2.2 + 1.35 * deepest, 1.5 + 0.36 * rows)
        axes = figure.subplots()
        for node, parent in enumerate(parents):
            if parent < 0:
                continue
            (x0, y0), (x1, y1) = places[parent], places[node]
            thick = node in chosen
            axes.plot([x0, x0 + 0.25, x1], [y0, y1, y1], color=PAPER if thick else FAINT, zorder=1,
                      linewidth=2.4 if thick else 0.9)  # fmt: skip
            axes.annotate(_step(example["steps"][node]), ((x0 + 0.25 + x1) / 2, y1), xytext=(0, 2), ha="center",
                          textcoords="offset points", fontsize=7.5, family="DejaVu Sans Mono")  # fmt: skip
        sizes = [24 + 16 * number for number in visits]
        dots = axes.scatter(
            *zip(*places, strict=True),
            c=values,
            cmap="Blues",
            vmin=0,
            vmax=1,
            s=sizes,
            edgecolors=INK,
            linewidths=0.7,
            zorder=3,
        )
        for leaf, answer in answers.items():
            _note(axes, places[leaf], answer, votes[leaf], values[leaf], leaf in chosen)
        figure.colorbar(dots, ax=axes, label="value", shrink=0.6, pad=0.01)
        axes.set_axis_off()
        axes.set_xlim(-0.3, deepest + 1.5)
        axes.invert_yaxis()
        figure.suptitle(
            f"A search on {example['prompt']!r}: answer {example['answer']}. Size: visits. Thick: the chosen path.",
            x=0.01, ha="left", fontsize=11,
        )  # fmt: skip
    return figure


def _places(children: Sequence[Sequence[int]]) -> list[tuple[float, float]]:
    """(depth, row) of every node: leaves on rows of their own, parents on the middle of their children."""
    places: list[tuple[float, float]] = [(0.0, 0.0)] * len(children)
    row = 0.0

    def place(node: int, depth: int) -> float:
        nonlocal row
        if children[node]:
            rows = [place(child, depth + 1) for child in children[node]]
            at = (rows[0] + rows[-1]) / 2
        else:
            at, row = row, row + 1
        places[node] = float(depth), at
        return at

    place(0, 0)
    return places


def _chosen(parents: Sequence[int], values: Sequence[float], leaves: Sequence[int]) -> set[int]:
    """The path to the best-valued of the leaves that give the answer; empty without one."""
    path: set[int] = set()
    node = max(leaves, key=lambda leaf: values[leaf], default=-1)
    while node != -1:
        path.add(node)
        node = parents[node]
    return path


def _step(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 14 else text[:13] + "…"


def _note(axes: Axes, at: tuple[float, float], answer: str | None, votes: int, value: float, chosen: bool) -> None:
    text = f"{'no answer' if answer is None else answer}   value {value:.2f}" + (f", {votes} x" if votes > 1 else "")
    axes.annotate(text, at, xytext=(9, 0), textcoords="offset points", va="center", fontsize=8,
                  fontweight="bold" if chosen else "normal", color=PAPER if chosen else INK)  # fmt: skip
