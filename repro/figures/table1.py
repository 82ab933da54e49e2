"""The pictures of a table: gains and differences as a forest plot, scores per suite, training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.cells.state import read_metrics
from repro.figures import FAINT, arm_look, bar, headline, new_figure, save, style
from repro.figures.forest import gains
from repro.files import read_json
from repro.tables import Table1
from repro.tables.words import at_k

Curves = Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, float]]]]


def write_figures(table: Table1, folder: Path, runs: Path | None = None) -> list[Path]:
    """Write all figures of the table as PNG and SVG. `runs`: folder of its cells, for the training curves.

    Returns the paths: <id>_gains.*, <id>_suites.*, and <id>_training.* where a cell of the table has metrics.
    """
    name = table.head.id
    paths = [*save(gains(table), folder, f"{name}_gains"), *save(suites(table), folder, f"{name}_suites")]
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
                    row, looks = table.row(base, arm, suite), arm_look(table, arm)
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
        second = "; below it, with a stroke, greedy" if greedy else ""
        figure.supxlabel(f"{at_k(head.k)}, percent [95 % interval]{second}; dashed: the base", fontsize=10)
        headline(figure, table, "scores per suite")
        if not shown:
            _nothing(grid[0][0])
    return figure


def training(table: Table1, curves: Curves, key: str = "reward", window: int = 5) -> Figure:
    """Training reward over steps per base: running mean over `window` steps, mean over seeds, their range shaded.

    curves: (base, arm) -> one list of metrics rows per seed. Steps that not all seeds reached are left out.
    """
    head = table.head
    bases = [base for base in head.bases if any(owner == base for owner, _ in curves)]
    with style():
        beside = len(bases) == 1  # a single narrow panel has its legend at its side
        figure = new_figure(1.2 + 3.6 * len(bases) + 3.4 * beside, 3.6)
        panels = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
        for axes, base in zip(panels, bases, strict=True):
            for arm in head.arms:
                runs = [
                    smooth([row[key] for row in rows if key in row], window) for rows in curves.get((base, arm), ())
                ]
                runs = [run for run in runs if run.size]
                if not runs:
                    continue
                length = min(run.size for run in runs)
                stacked = np.stack([run[:length] for run in runs])
                steps = np.arange(window, window + length)
                looks = arm_look(table, arm)
                color, dashes = looks["color"], "--" if "markerfacecolor" in looks else "-"  # a colour's second arm
                axes.fill_between(steps, stacked.min(axis=0), stacked.max(axis=0), color=color, alpha=0.15, linewidth=0)
                axes.plot(steps, stacked.mean(axis=0), dashes, color=color, linewidth=1.6, label=head.arms[arm])
            axes.set_title(base)
            axes.set_xlabel("optimizer step")
        panels[0].set_ylabel(f"training {key}\n(mean of {window} steps)")
        handles = {}
        for axes in panels:
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        place = {"loc": "outside right center"} if beside else {"loc": "outside lower center", "ncols": 4}
        figure.legend(handles.values(), handles.keys(), **place)
        headline(figure, table, "training")
    return figure


def smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Running mean of `window` values, only where the window is full; shorter input gives an empty array."""
    if len(values) < window:
        return np.empty(0)
    return np.convolve(np.asarray(values, dtype=float), np.full(window, 1 / window), mode="valid")


def load_curves(table: Table1, runs: Path) -> dict[tuple[str, str], list[list[dict]]]:
    """Metrics of the table's trained cells found under `runs`, per base and arm in order of seeds."""
    found: dict[tuple[str, str], list[tuple[int, list[dict]]]] = {}
    for cell in table.head.cells:
        folder = runs / cell
        if (folder / "summary.json").exists() and (folder / "metrics.jsonl").exists():
            summary = read_json(folder / "summary.json", "summary")
            entry = (summary["seed"], read_metrics(folder))
            found.setdefault((summary["base"], summary["arm"]), []).append(entry)
    return {
        key: [rows for _, rows in sorted(entries, key=lambda entry: entry[0])]
        for key, entries in found.items()
        if key[1] in table.head.trained
    }


def _nothing(axes: Axes) -> None:
    axes.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=FAINT)
