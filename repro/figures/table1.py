"""The pictures of a table: gains and differences as a forest plot, the contrasts of an ablation, scores per suite,
training curves.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.cells.state import read_metrics
from repro.figures import FAINT, INK, bar, headline, look_of, new_figure, save, settle, style
from repro.figures.contrasts import contrasts, is_ablation
from repro.figures.forest import gains
from repro.files import read_json
from repro.tables import Table1
from repro.tables.words import at_k

Curves = Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, float]]]]


def write_figures(table: Table1, folder: Path, runs: Path | None = None) -> list[Path]:
    """Write all figures of the table as PNG and SVG. `runs`: folder of its cells, for the training curves.

    Returns the paths: <id>_gains.*, <id>_suites.*, <id>_contrasts.* of an ablation, and <id>_training.* where a cell of
    the table has metrics.
    """
    name = table.head.id
    paths = [*save(gains(table), folder, f"{name}_gains"), *save(suites(table), folder, f"{name}_suites")]
    if is_ablation(table):
        paths += save(contrasts(table), folder, f"{name}_contrasts")
    curves = load_curves(table, runs) if runs else {}
    if curves:
        paths += save(training(table, curves), folder, f"{name}_training")
    return paths


def suites(table: Table1) -> Figure:
    """Score of every arm on every suite with its 95 % interval: one row of panels per base, one column per suite.

    Greedy scores, where they were measured, are the second bar of an arm, with a stroke instead of its marker.
    """
    head = table.head
    greedy = any(row.greedy for row in table.rows)
    shown = [arm for arm in head.arms if any(table.row(base, arm).ours for base in head.bases)]
    with style():
        figure = new_figure(2.2 + 2.0 * len(head.suites), 1.5 + (0.6 + 0.27 * max(len(shown), 2)) * len(head.bases))
        grid = figure.subplots(len(head.bases), len(head.suites), sharex="col", sharey=True, squeeze=False)
        for line, base in enumerate(head.bases):
            for column, suite in enumerate(head.suites):
                axes = grid[line][column]
                reference = table.row(base, head.base_arm, suite).ours if head.base_arm in head.arms else None
                if reference:
                    axes.axvline(reference.value, color=FAINT, linewidth=1, linestyle=(0, (3, 2)))
                for place, arm in enumerate(shown):
                    row, looks = table.row(base, arm, suite), look_of(arm)
                    if row.ours:
                        bar(axes, row.ours, place - (0.12 if greedy else 0), looks)
                    if row.greedy:
                        bar(axes, row.greedy, place + 0.22, {**looks, "marker": "|"})
                if line == 0:
                    axes.set_title(suite if len(set(head.k.values())) < 2 else f"{suite}\n{at_k(head.k, suite)}",
                                   fontsize=9.5)  # fmt: skip
            grid[line][0].set_ylabel(base, fontweight="bold")
        grid[0][0].set_yticks(range(len(shown)), [head.arms[arm] for arm in shown])
        grid[0][0].set_ylim(max(len(shown), 1) - 0.4, -0.6)
        for axes in grid[-1]:
            axes.set_xlabel(f"{at_k(head.k)}, percent", fontsize=9)
        headline(figure, table, _where_gained(table))
        ours = {"color": INK, "linewidth": 2}
        handles = [
            Line2D([], [], **ours, marker="o", label="sampled, 95 % interval; colour: the method"),
            *([Line2D([], [], **ours, marker="|", mew=1.5, label="greedy, 95 % interval")] if greedy else []),
            Line2D([], [], color=FAINT, linewidth=1, linestyle=(0, (3, 2)), label="the base, sampled"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        if not shown:
            _nothing(grid[0][0])
    return figure


def _where_gained(table: Table1) -> str:
    """Which suites the reference gains most and least on, over the bases: where there is anything to learn."""
    head = table.head
    gained = {
        suite: np.mean([row.gain.value for row in found])
        for suite in head.suites
        if (found := [r for r in table.rows if r.suite == suite and r.arm == head.reference and r.gain])
    }
    if not gained:
        return "scores per suite"
    most, least = max(gained, key=gained.get), min(gained, key=gained.get)
    return (
        f"{head.arms[head.reference]} gains most on {most} ({gained[most]:+.1f}) and least on {least} "
        f"({gained[least]:+.1f})"
    )


def training(table: Table1, curves: Curves, key: str = "reward", window: int = 5) -> Figure:
    """Training reward over steps, one panel per arm and base: every seed thin, their mean thick, the reference's mean
    dashed beside it. Values are running means over `window` steps.

    curves: (base, arm) -> one list of metrics rows per seed. Steps that not all seeds reached are left out.
    """
    head = table.head
    means = {pair: found for pair, runs in curves.items() if (found := _seeds(runs, key, window)).size}
    bases = [base for base in head.bases if any(owner == base for owner, _ in means)]
    arms = [arm for arm in head.arms if any(trained == arm for _, trained in means)]
    columns = min(len(arms), 6) if len(bases) > 1 else min(len(arms), 4)
    lines = -(-len(arms) // max(columns, 1))
    with style():
        figure = new_figure(1.0 + 2.1 * max(columns, 1), 1.4 + 1.75 * max(lines, 1) * max(len(bases), 1))
        grid = figure.subplots(max(lines * len(bases), 1), max(columns, 1), sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for place, base in enumerate(bases):
            for number, arm in enumerate(arms):
                axes = grid[place * lines + number // columns][number % columns]
                axes.set_visible(True)
                axes.tick_params(labelbottom=True, labelleft=number % columns == 0)
                title = "\n".join(textwrap.wrap(head.arms[arm], 24))
                axes.set_title(title + (f"\n{base}" if len(bases) > 1 else ""), fontsize=8.5)
                if (base, head.reference) in means and arm != head.reference:
                    own = means[base, head.reference].mean(axis=0)
                    axes.plot(window + np.arange(own.size), own, color=FAINT, linewidth=1.2, linestyle="--")
                if (base, arm) in means:
                    runs, color = means[base, arm], look_of(arm)["color"]
                    steps = window + np.arange(runs.shape[1])
                    axes.plot(steps, runs.T, color=color, linewidth=0.6, alpha=0.5)
                    axes.plot(steps, runs.mean(axis=0), color=color, linewidth=2)
        grid[-1][0].set_xlabel("optimizer step")
        grid[-1][0].set_ylabel(f"{key}, mean of {window} steps")
        reference = head.arms.get(head.reference, head.reference)
        handles = [
            Line2D([], [], color=INK, linewidth=2, label="mean over seeds"),
            Line2D([], [], color=INK, linewidth=0.6, alpha=0.5, label="one seed"),
            Line2D([], [], color=FAINT, linewidth=1.2, linestyle="--", label=f"{reference}, mean over seeds"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        headline(figure, table, _learnt(means, key))
        settle(figure)
    return figure


def _seeds(runs: Sequence[Sequence[Mapping[str, float]]], key: str, window: int) -> np.ndarray:
    """[seeds, steps]: the running mean of every seed, as far as all of them reach."""
    smoothed = [smooth([row[key] for row in rows if key in row], window) for rows in runs]
    smoothed = [run for run in smoothed if run.size]
    length = min((run.size for run in smoothed), default=0)
    return np.stack([run[:length] for run in smoothed]) if length else np.empty((0, 0))


def _learnt(means: Mapping[tuple[str, str], np.ndarray], key: str) -> str:
    """How many arms end above where they began."""
    rising = sum(bool(runs[:, -1].mean() > runs[:, 0].mean()) for runs in means.values())
    return f"The training {key} ends above its start for {rising} of {len(means)} methods on their bases"


def smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Running mean of `window` values, only where the window is full; shorter input gives an empty array."""
    if len(values) < window:
        return np.empty(0)
    return np.convolve(np.asarray(values, dtype=float), np.full(window, 1 / window), mode="valid")


def load_curves(table: Table1, runs: Path) -> dict[tuple[str, str], list[list[dict]]]:
    """Metrics of the table's trained cells found under `runs`, per base and arm in order of seeds.

    Published cells have no metrics, but the rewards of their steps in the summary.
    """
    found: dict[tuple[str, str], list[tuple[int, list[dict]]]] = {}
    for cell in table.head.cells:
        folder = runs / cell
        if not (folder / "summary.json").exists():
            continue
        summary = read_json(folder / "summary.json", "summary")
        rows = read_metrics(folder) or [{"reward": each} for each in summary.get("training", {}).get("reward", ())]
        if rows:
            found.setdefault((summary["base"], summary["arm"]), []).append((summary["seed"], rows))
    return {
        key: [rows for _, rows in sorted(entries, key=lambda entry: entry[0])]
        for key, entries in found.items()
        if key[1] in table.head.trained
    }


def _nothing(axes: Axes) -> None:
    axes.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=FAINT)
