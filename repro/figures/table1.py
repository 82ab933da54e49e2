"""The pictures of Table 1: gains and differences as a forest plot, scores per suite, training curves."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro.cells.state import read_metrics
from repro.figures import BAND, FAINT, INK, PAPER, look, new_figure, save, style
from repro.files import read_json
from repro.tables import AVERAGE, Estimate, Table1

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


def gains(table: Table1) -> Figure:
    """Forest plot, one column per base: gain over the own base (top) and paired difference to the reference (bottom).

    Dots with bars are ours with 95 % intervals, open diamonds the paper's printed numbers. Below, gaps inside the
    shaded band are too small for this table: its minimum detectable gap, the largest of the column.
    """
    head = table.head
    trained = [arm for arm in head.arms if arm != head.base_arm]
    rivals = [arm for arm in trained if arm != head.reference]
    heights = [len(trained) + 1, len(rivals) + 1]
    with style():
        figure = new_figure(3.0 + 3.1 * len(head.bases), (1.6 if len(head.bases) > 1 else 2.6) + 0.34 * sum(heights))
        grid = figure.subplots(
            2, len(head.bases), sharex="row", sharey="row", squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for column, base in enumerate(head.bases):
            top, bottom = grid[0][column], grid[1][column]
            rows = {arm: table.row(base, arm) for arm in trained}
            _forest(table, top, base, {arm: (rows[arm].gain, rows[arm].printed_gain) for arm in trained})
            printed = rows[head.reference].printed
            claimed = {
                arm: None if printed is None or rows[arm].printed is None else rows[arm].printed - printed
                for arm in rivals
            }
            found = [rows[arm].versus for arm in rivals if rows[arm].versus]
            if found:
                widest = max(estimate.mdg for estimate in found)
                bottom.axvspan(-widest, widest, color=BAND, zorder=0)
            _forest(table, bottom, base, {arm: (rows[arm].versus, claimed[arm]) for arm in rivals})
            top.set_title(base, pad=20)
            top.annotate(_sizes(table, base), (0, 1), xytext=(0, 7), xycoords="axes fraction", fontsize=9, color=FAINT,
                         textcoords="offset points")  # fmt: skip
            top.set_xlabel("gain over the own base, points")
            bottom.set_xlabel(f"difference to {head.arms[head.reference]}, points")
        for row, arms in enumerate((trained, rivals)):
            grid[row][0].set_yticks(range(len(arms)), [head.arms[arm] for arm in arms])
            grid[row][0].set_ylim(len(arms) - 0.4, -0.6)
        _limit(grid[1], [row.versus for row in table.rows if row.suite == AVERAGE])
        _headline(figure, table, "average over the suites")
        printed = any(table.row(base, arm).printed_gain is not None for base in head.bases for arm in trained)
        figure.legend(
            handles=_forest_legend(printed), loc="outside lower center", ncols=3 if len(head.bases) > 1 else 1
        )
    return figure


def suites(table: Table1) -> Figure:
    """Score of every arm on every suite with its 95 % interval: one row of panels per base, one column per suite."""
    head = table.head
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
                    estimate = table.row(base, arm, suite).ours
                    if estimate:
                        _bar(axes, estimate, place, _arm_look(table, arm))
                if line == 0:
                    axes.set_title(suite, fontsize=9.5)
            grid[line][0].set_ylabel(base, fontweight="bold")
        grid[0][0].set_yticks(range(len(shown)), [head.arms[arm] for arm in shown])
        grid[0][0].set_ylim(max(len(shown), 1) - 0.4, -0.6)
        figure.supxlabel(f"avg@{head.k or 'k'}, percent [95 % interval]; dashed: the base", fontsize=10)
        _headline(figure, table, "scores per suite")
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
                looks = _arm_look(table, arm)
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
        _headline(figure, table, "training")
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
        if key[1] != table.head.base_arm
    }


def _forest(table: Table1, axes: Axes, base: str, values: dict[str, tuple[Estimate | None, float | None]]) -> None:
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, (arm, (ours, printed)) in enumerate(values.items()):
        if ours:
            _bar(axes, ours, place - 0.12, _arm_look(table, arm))
        elif table.row(base, arm).ours is None:
            axes.annotate("not run", (0.99, place), xycoords=("axes fraction", "data"), ha="right", va="center",
                          color=FAINT, fontsize=8.5)  # fmt: skip
        if printed is not None:
            axes.plot(printed, place + 0.2, marker="D", markersize=6.5, markerfacecolor="none", markeredgecolor=PAPER,
                      markeredgewidth=1.4, linestyle="none", zorder=5)  # fmt: skip
    axes.grid(axis="y", visible=False)


def _bar(axes: Axes, estimate: Estimate, place: float, looks: dict[str, str]) -> None:
    axes.plot([estimate.low, estimate.high], [place, place], color=looks["color"], linewidth=2, solid_capstyle="butt")
    edge = {"mew": 1.5} if "markerfacecolor" in looks else {"mec": "white", "mew": 0.7}  # a hollow marker is its edge
    axes.plot(estimate.value, place, markersize=6, zorder=4, **edge, **looks)


def _limit(panels: Sequence[Axes], estimates: Sequence[Estimate | None]) -> None:
    """Frame the intervals, not the band: with two seeds the detectable gap would push everything else together."""
    ends = [abs(end) for estimate in estimates if estimate for end in (estimate.low, estimate.high)]
    if ends:
        panels[0].set_xlim(-1.15 * max([*ends, 2.5]), 1.15 * max([*ends, 2.5]))


def _arm_look(table: Table1, arm: str) -> dict[str, str]:
    if arm == table.head.base_arm:
        return {"color": FAINT, "marker": "o"}
    return look([name for name in table.head.arms if name != table.head.base_arm].index(arm))


def _sizes(table: Table1, base: str) -> str:
    paper = table.head.bases[base]
    seeds = {len(table.arm(base, arm).seeds) for arm in table.head.arms if arm != table.head.base_arm} - {0}
    span = "-".join(str(number) for number in sorted({min(seeds), max(seeds)})) if seeds else "0"
    beside = f", beside {paper}" if paper else ""
    return f"{span} seeds x {table.head.k or 'k'} samples{beside}"


def _headline(figure: Figure, table: Table1, what: str) -> None:
    letters = int(10.5 * figure.get_figwidth())  # what fits on a line at this size
    lines = textwrap.wrap(f"{table.head.title}: {what} ({table.head.profile})", letters)
    stamp = textwrap.wrap(table.head.stamp.upper(), letters)
    figure.suptitle("\n".join([*stamp, *lines]), x=0.01, ha="left", fontsize=12)


def _nothing(axes: Axes) -> None:
    axes.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=FAINT)


def _forest_legend(printed: bool) -> list:
    paper = {"color": PAPER, "marker": "D", "markerfacecolor": "none", "linestyle": "none"}
    return [
        Line2D([], [], color=INK, marker="o", linewidth=2, label="ours, 95 % interval"),
        *([Line2D([], [], **paper, label="printed in the paper (its own benchmarks)")] if printed else []),
        Patch(color=BAND, label="below the minimum detectable gap"),
    ]
