"""The pictures of the theory: the graph, the same graph as an attention mask, and what the projection gains.

The drawings are our own, made from the paper's definitions (Figures 1 and 2 there show the same objects).
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Polygon

from gcpo.shared_kv.packing import CANDIDATE, INTEGRATED, QUERY, Node, graph, packed_mask
from repro.figures import FAINT, INK, PAPER, look, new_figure, save, style
from repro.paper.theory import estimation_table, weight_table
from repro.paper.theory.gaps import break_even_share

FORK, COLLIDER, DIRECT = look(0)["color"], PAPER, FAINT
HELD = "#f9ecc2"  # a node that is conditioned on
OWN, SEES_QUERY, SEES_CANDIDATES, SEES_INTEGRATED = 1, 2, 3, 4


def _node(axes: Axes, x: float, y: float, label: str, *, held: bool = False, size: float = 0.36) -> None:
    axes.add_patch(Circle((x, y), size, facecolor=HELD if held else "white", edgecolor=INK, lw=1.4, zorder=3))
    axes.text(x, y, label, ha="center", va="center", zorder=4, size=12)


def _arrow(axes: Axes, start: tuple, end: tuple, color: str, *, bend: float = 0.0, dashed: bool = False) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, color=color, lw=1.8, zorder=2, shrinkA=21, shrinkB=21, mutation_scale=14,
            arrowstyle="-" if dashed else "-|>", linestyle=(0, (3, 2)) if dashed else "-",
            connectionstyle=f"arc3,rad={bend}",
        )
    )  # fmt: skip


def _graph(axes: Axes, *, condition_on_output: bool) -> None:
    query, output = (0.0, 0.0), (6.0, 0.0)
    candidates = {r"$y_0$": 1.6, r"$y_1$": 0.55, r"$y_{n-1}$": -1.6}
    for label, y in candidates.items():
        _arrow(axes, query, (3.0, y), FORK)
        _arrow(axes, (3.0, y), output, COLLIDER)
        _node(axes, 3.0, y, label)
    axes.text(3.0, -0.52, r"$\vdots$", ha="center", va="center", size=15)
    _arrow(axes, query, output, DIRECT, bend=0.9)
    _node(axes, *query, r"$q$", held=True)
    _node(axes, *output, r"$y_n$", held=condition_on_output)
    if condition_on_output:
        heights = list(candidates.values())
        for a, b in ((0, 1), (1, 2), (0, 2)):
            bend = -0.75 if b - a == 2 else -0.45
            _arrow(axes, (3.0, heights[a]), (3.0, heights[b]), PAPER, bend=bend, dashed=True)
    axes.set_xlim(-0.7, 6.7)
    axes.set_ylim(-2.95, 2.1)
    axes.set_aspect("equal")
    axes.axis("off")


def scm() -> Figure:
    """The structural causal model: fork, collider, and what conditioning on y_n does to the candidates."""
    with style():
        figure = new_figure(10.4, 4.2)
        left, right = figure.subplots(1, 2)
        _graph(left, condition_on_output=False)
        left.set_title(r"given $q$: the candidates are independent")
        _graph(right, condition_on_output=True)
        right.set_title(r"given $q$ and $y_n$: they are not")
        handles = [
            Line2D([], [], color=FORK, lw=2, label=r"fork: each $y_i$ is drawn from $q$ alone"),
            Line2D([], [], color=COLLIDER, lw=2, label=r"collider: $y_n$ is drawn from $q$ and all $y_i$"),
            Line2D([], [], color=DIRECT, lw=2, label=r"$q \to y_n$"),
            Line2D([], [], color=COLLIDER, lw=2, ls=(0, (3, 2)), label="dependence"),
            Patch(facecolor=HELD, edgecolor=INK, label="conditioned on"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.0, handlelength=1.6)
    return figure


def _headline(figure: Figure, message: str) -> None:
    figure.suptitle(message, x=0.01, ha="left", weight="bold", size=12)


_KINDS = {QUERY: SEES_QUERY, CANDIDATE: SEES_CANDIDATES, INTEGRATED: SEES_INTEGRATED}


def mask_of(nodes: list[Node], lengths: list[int]) -> np.ndarray:
    """[length, length] int: the mask that shared keys run with; 0 hidden, otherwise the kind of edge."""
    owner = np.repeat(np.arange(len(nodes)), lengths)
    kinds = np.array([_KINDS.get(node.kind, 0) for node in nodes])[owner]
    inside = owner[:, None] == owner[None, :]
    return packed_mask(nodes, lengths).numpy() * np.where(inside, OWN, kinds[None, :])


def _label(node: Node) -> str:
    names = {QUERY: "$q$", CANDIDATE: f"$y_{node.candidate}$", INTEGRATED: f"$y_{{n,{node.draw}}}$"}
    return names.get(node.kind, f"$y_{node.candidate}|x_{{{node.candidate},{node.draw}}}$")


def attention_mask(n: int = 3, m: int = 2) -> Figure:
    """The graph as the attention mask of one packed row: rows read columns."""
    nodes = graph(n, m)
    lengths = [2] * len(nodes)
    mask = mask_of(nodes, lengths)
    colours = ["white", "#5b6770", FORK, COLLIDER, look(1)["color"]]
    starts = np.cumsum([0, *lengths])
    centres = (starts[:-1] + starts[1:]) / 2 - 0.5
    with style():
        figure = new_figure(8.2, 7.2)
        axes = figure.subplots()
        axes.imshow(mask, cmap=ListedColormap(colours), vmin=0, vmax=4, interpolation="nearest")
        for edge in starts[1:-1]:
            thick = edge in (starts[1], starts[1 + n], starts[1 + n + m])
            for line in (axes.axhline, axes.axvline):
                line(edge - 0.5, color=INK if thick else "#d5d5d5", lw=1.1 if thick else 0.6)
        labels = [_label(node) for node in nodes]
        axes.set_yticks(centres, labels)
        axes.set_xticks(centres, labels, rotation=90)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.grid(False)
        axes.set_xlabel("keys: what is read")
        axes.set_ylabel("queries: who reads")
        _headline(figure, f"The graph as an attention mask: {n} candidates and {m} integrated outputs in one row")
        handles = [
            Patch(color=colours[OWN], label="itself, causally"),
            Patch(color=colours[SEES_QUERY], label=r"$q$ (fork)"),
            Patch(color=colours[SEES_CANDIDATES], label=r"candidates (collider; $x_i$ leaves $y_i$ out)"),
            Patch(color=colours[SEES_INTEGRATED], label=r"its own $y_{n,l}$"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.0, handlelength=1.2)
    return figure


CHAINS = {
    "supportive: three ways to one answer": (
        ("Pythagoras", "√(25 + 144)", "13"),
        ("by area", "side of a square of 169", "13"),
        ("known triple", "5, 12, 13", "13"),
    ),
    "conflicting: three slips, three answers": (
        ("subtracts the legs", "12 − 5", "7"),
        ("forgets the root", "25 + 144", "169"),
        ("adds the legs", "5 + 12", "17"),
    ),
}


def _chain_panel(axes: Axes, candidates: tuple[tuple[str, str, str], ...]) -> None:
    answers = {value for _, _, value in candidates}
    agree = len(answers) == 1
    color = look(1)["color"] if agree else PAPER
    axes.add_patch(Polygon([(0.1, -0.5), (1.5, -0.5), (0.1, 0.3)], fill=False, edgecolor=INK, lw=1.5))
    for x, y, label in ((0.75, -0.75, "12"), (-0.1, -0.1, "5"), (0.95, 0.1, "?"), (0.7, 0.75, r"$q$")):
        axes.text(x, y, label, ha="center", va="center", size=11)
    arrow = {"lw": 1.6, "arrowstyle": "-|>", "mutation_scale": 12}
    for index, (name, step, value) in enumerate(candidates):
        y = 1.5 - 1.5 * index
        box = {"boxstyle": "round,pad=0.05", "facecolor": "white", "edgecolor": INK}
        axes.add_patch(FancyBboxPatch((2.5, y - 0.5), 3.4, 1.0, **box))
        axes.text(2.6, y + 0.2, rf"$y_{index}$  {name}", va="center", size=10)
        axes.text(2.6, y - 0.23, step, va="center", size=9.5, color="#555555")
        axes.text(5.8, y, value, va="center", ha="right", weight="bold", size=13, color=color)
        axes.add_patch(FancyArrowPatch((1.75, 0.0), (2.43, y), color=FORK, **arrow))
        axes.add_patch(FancyArrowPatch((5.97, y), (7.0, 0.1 * y), color=COLLIDER, **arrow))
    axes.add_patch(Circle((7.5, 0), 0.5, facecolor=HELD, edgecolor=INK, lw=1.4))
    axes.text(7.5, 0, answers.pop() if agree else "?", ha="center", va="center", weight="bold", size=13)
    axes.text(7.5, 0.75, r"$y_n$", ha="center", va="center", size=12)
    axes.set_xlim(-0.3, 8.1)
    axes.set_ylim(-2.15, 2.15)
    axes.set_aspect("equal")
    axes.axis("off")


def chains() -> Figure:
    """Supportive and conflicting candidates for one question: legs 5 and 12, what is the hypotenuse?"""
    with style():
        figure = new_figure(10.4, 3.6)
        for axes, (title, candidates) in zip(figure.subplots(1, 2), CHAINS.items(), strict=True):
            _chain_panel(axes, candidates)
            axes.set_title(title)
        _headline(figure, "Legs 5 and 12: candidates that support each other, and candidates that do not")
    return figure


def gain() -> Figure:
    """Corollary 2's gain in the example: over how much y_n hears of y_0, and over the number of draws."""
    weights = np.linspace(0.0, 3.0, 61)
    over_weight, over_draws = weight_table(weights), estimation_table()
    names = {
        "exact Phi": "exact Φ",
        "y_0 drawn anew": r"Φ from draws, $y_0$ drawn anew",
        "printed Step 3": "printed Step 3",
    }
    colours = {"exact Phi": look(0)["color"], "y_0 drawn anew": look(1)["color"], "printed Step 3": PAPER}
    with style():
        figure = new_figure(10.4, 4.0)
        left, right = figure.subplots(1, 2, sharey=True)
        for key in ("exact Phi", "printed Step 3"):
            left.plot(over_weight.weight, over_weight[key], lw=2.2, color=colours[key])
        left.set_xlabel(r"weight $w$ of the candidates in $y_2 = w\,(y_0 + y_1) + e$")
        left.set_ylabel("gain over π*(q), share of Var(y₀)")
        left.set_title("many draws")
        for key, marker in (("exact Phi", ""), ("y_0 drawn anew", "s"), ("printed Step 3", "o")):
            style_of = {"marker": marker, "ms": 6} if marker else {"ls": (0, (4, 2))}
            right.plot(
                over_draws.draws, over_draws[key], lw=2, color=colours[key], label=names.get(key, key), **style_of
            )
        right.set_xscale("log", base=2)
        right.set_xticks(over_draws.draws, [str(m) for m in over_draws.draws])
        right.minorticks_off()
        right.set_xlabel("number m of draws of $y_n$ (w = 1)")
        right.set_title("few draws")
        for axes in (left, right):
            axes.axhline(0, color=INK, lw=0.9)
        _headline(figure, "Corollary 2 gains what the child reveals; the printed Step 3 subtracts that and keeps noise")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def break_even() -> Figure:
    """Share of Var(Y|q) that y_n must explain before sampled outputs break even, over the outputs per context."""
    outputs = np.array([1, 2, 4, 8, 16, 32, 64])
    with style():
        figure = new_figure(7.0, 4.0)
        axes = figure.subplots()
        for index, contexts in enumerate((2, 4, 8, 64)):
            shares = [break_even_share(contexts, r) for r in outputs]
            axes.plot(outputs, shares, ms=6, label=f"m = {contexts}", **look(index))
        axes.axhline(1.0, color=INK, lw=0.9)
        axes.text(64, 0.985, "m = 1 never", ha="right", va="top", size=9)
        note = {"textcoords": "offset points", "size": 9}
        axes.annotate("cheapest form, m = 2, R = 1: 75 %", (1, 0.75), xytext=(10, 4), **note)
        arrow = {"arrowstyle": "-", "color": FAINT}
        axes.annotate("m = R = 8: 14 %", (8, break_even_share(8, 8)), xytext=(30, 45), arrowprops=arrow, **note)
        axes.set_xscale("log", base=2)
        axes.set_xticks(outputs, [str(r) for r in outputs])
        axes.set_ylim(0, 1.05)
        axes.set_yticks(np.linspace(0, 1, 6), ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
        axes.set_xlabel("sampled outputs R per context")
        axes.set_ylabel(r"share of Var($y_0|q$) that $y_n$ must explain")
        axes.legend(title="contexts for Φ", alignment="left")
        _headline(figure, "Below a curve the estimated target is worse than the baseline")
    return figure


FIGURES = {
    "theory_scm": scm,
    "theory_mask": attention_mask,
    "theory_chains": chains,
    "theory_gain": gain,
    "theory_break_even": break_even,
}


def write_figures(folder: Path) -> list[Path]:
    """Write every picture of the theory as PNG and SVG; returns the paths."""
    return [path for name, make in FIGURES.items() for path in save(make(), folder, name)]
