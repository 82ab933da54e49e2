"""The forest plot of a table: gains over the own base, differences to the reference, gains as multiples of its gain."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from repro.figures import BAND, FAINT, INK, PAPER, bar, headline, look_of, new_figure, note, settle, style
from repro.tables import AVERAGE, Estimate, Row, Table1
from repro.tables.finding import finding
from repro.tables.words import samples

_PAPER = {"color": PAPER, "marker": "D", "markerfacecolor": "none", "linestyle": "none"}
_WIDEST_RATIO = 4.0  # the axis follows intervals up to here; longer ones are cut, and said to be


def gains(table: Table1) -> Figure:
    """Forest plot: gain over the own base, difference to the reference, gain as a multiple of the reference's.

    One column per base; a single base has the three panels side by side.

    Dots with bars are ours with 95 % intervals. Only the multiple has the paper beside it, as open diamonds, from its
    averages (large) and its cells (small): scores and gaps of other tasks are not on one axis with ours. Where the
    tasks are the paper's own, the gains have diamonds too. Dotted: the margin of equivalence. Shaded: gaps too small
    for this table to find, per row.
    """
    head = table.head
    trained = head.trained
    rivals = [arm for arm in trained if arm != head.reference]
    alone = len(head.bases) == 1
    arms = [trained, trained if alone else rivals, trained if alone else rivals]
    heights = [len(each) + 1 for each in arms]
    with style():
        if alone:  # one base: the three panels side by side, on common rows
            figure = new_figure(12.0, 2.4 + 0.34 * heights[0])
            grid = figure.subplots(1, 3, sharey=True, squeeze=False).T
        else:
            figure = new_figure(3.0 + 3.1 * len(head.bases), 2.0 + 0.34 * sum(heights))
            grid = figure.subplots(
                3, len(head.bases), sharex="row", sharey="row", squeeze=False, gridspec_kw={"height_ratios": heights}
            )
        reference = head.arms.get(head.reference, head.reference)
        for (top, middle, bottom), base in zip(grid.T, head.bases, strict=True):
            rows = [[table.row(base, arm) for arm in each] for each in arms]
            _gains(table, top, rows[0])
            _differences(table, middle, rows[1], next((row for row in rows[0] if row.arm == head.reference), None))
            _multiples(table, bottom, rows[2])
            top.set_title(base, pad=20)
            top.annotate(_sizes(table, base), (0, 1), xytext=(0, 7), xycoords="axes fraction", fontsize=9, color=FAINT,
                         textcoords="offset points")  # fmt: skip
            top.set_xlabel("gain over the own base, points")
            middle.set_xlabel(f"difference to {reference}, points")
            bottom.set_xlabel(f"gain as a multiple of {reference}'s")
        for line, each in zip(grid, arms, strict=True):
            line[0].set_yticks(range(len(each)), [head.arms[arm] for arm in each])
            line[0].set_ylim(len(each) - 0.4, -0.6)
        _limit(grid[1], [row.versus for row in table.rows if row.suite == AVERAGE])
        _limit_ratios(grid[2], table)
        headline(figure, table, finding(table))
        figure.legend(handles=_legend(table), loc="outside lower center", ncols=3 if len(head.bases) != 2 else 2)
        settle(figure)
    return figure


def _gains(table: Table1, axes: Axes, rows: Sequence[Row]) -> None:
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, row in enumerate(rows):
        if row.gain:
            bar(axes, row.gain, place - 0.1, look_of(row.arm))
        elif row.ours is None:
            note(axes, place, "not run")
        if row.printed_gain is not None and not table.head.stand_in:
            diamond(axes, row.printed_gain, place + 0.2, 6.5)
    axes.grid(axis="y", visible=False)


def _differences(table: Table1, axes: Axes, rows: Sequence[Row], reference: Row | None) -> None:
    found = [row.versus for row in rows if row.versus]
    axes.axvline(0, color=INK, linewidth=0.9)
    if found and reference is not None and reference.gain:
        for sign in (-1, 1):
            axes.axvline(sign * table.head.margin * reference.gain.value, color=INK, linewidth=0.9, linestyle=":")
    for place, row in enumerate(rows):
        if row.versus:
            too_small(axes, row.versus, place)
            bar(axes, row.versus, place, look_of(row.arm))
        elif row.ours is None:
            note(axes, place, "not run")
    axes.grid(axis="y", visible=False)


def _multiples(table: Table1, axes: Axes, rows: Sequence[Row]) -> None:
    axes.axvline(1, color=INK, linewidth=0.9)
    for place, row in enumerate(rows):
        if row.size and row.size.low is not None:
            bar(axes, row.size, place - 0.1, look_of(row.arm))
        elif row.size:
            note(axes, place, "no bounds")
        elif row.ours is None:
            note(axes, place, "not run")
        for printed, width in zip(row.printed_multiples, (6.5, 4.0), strict=False):
            diamond(axes, printed, place + 0.2, width)
    axes.grid(axis="y", visible=False)


def too_small(axes: Axes, estimate: Estimate, place: float) -> None:
    """The band of differences that this row could not find: its minimum detectable gap on both sides of 0."""
    box = Rectangle((-estimate.mdg, place - 0.42), 2 * estimate.mdg, 0.84, facecolor=BAND, edgecolor="none", zorder=0)
    axes.add_patch(box)


def diamond(axes: Axes, value: float, place: float, width: float) -> None:
    """What the paper prints."""
    axes.plot(value, place, **_PAPER, markersize=width, markeredgewidth=1.3, zorder=5)


def _limit(panels: Sequence[Axes], estimates: Sequence[Estimate | None]) -> None:
    """Frame the intervals, not the band: with two seeds the detectable gap would push everything else together."""
    ends = [abs(end) for estimate in estimates if estimate for end in (estimate.low, estimate.high)]
    if ends:
        panels[0].set_xlim(-1.15 * max([*ends, 2.5]), 1.15 * max([*ends, 2.5]))


def _limit_ratios(panels: Sequence[Axes], table: Table1) -> None:
    """Show every value and every printed multiple, and intervals up to a fixed length beyond them."""
    sizes = [row.size for row in table.rows if row.size and row.size.low is not None]
    points = [1.0, *(size.value for size in sizes), *(each for row in table.rows for each in row.printed_multiples)]
    low, high = min([0.8, *points]), max([1.2, *points])
    low = min([low, *(max(size.low, low - _WIDEST_RATIO) for size in sizes)])
    high = max([high, *(min(size.high, high + _WIDEST_RATIO) for size in sizes)])
    panels[0].set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _sizes(table: Table1, base: str) -> str:
    paper = table.head.bases[base]
    seeds = {len(table.arm(base, arm).seeds) for arm in table.head.trained} - {0}
    span = "-".join(str(number) for number in sorted({min(seeds), max(seeds)})) if seeds else "0"
    beside = f", beside {paper}" if paper else ""
    return f"{span} seed{'' if span == '1' else 's'} x {samples(table.head.k)} samples{beside}"


def _legend(table: Table1) -> list:
    share = f"{100 * table.head.margin:g} %"
    reference = table.head.arms.get(table.head.reference, "the reference")
    hollow = {"color": INK, "marker": "o", "linewidth": 2, "markerfacecolor": "white"}
    varied = any("markerfacecolor" in look_of(arm) for arm in table.head.trained)
    return [
        Line2D([], [], color=INK, marker="o", linewidth=2, label="ours, 95 % interval; colour: the method"),
        *([Line2D([], [], **hollow, label="hollow: varied, or searched with")] if varied else []),
        Line2D([], [], color=INK, linewidth=0.9, label=f"no gain, no difference, as much as {reference}"),
        Line2D([], [], color=INK, linewidth=0.9, linestyle=":", label=f"equivalence: {share} of {reference}'s gain"),
        Patch(color=BAND, label="minimum detectable gap, found four times in five"),
        *paper_marks(any(row.printed_multiples for row in table.rows)),
    ]


def paper_marks(shown: bool) -> list[Line2D]:
    """The legend of the paper's diamonds, where there are any."""
    large = Line2D([], [], **_PAPER, markersize=6.5, label="printed in the paper, from its averages")
    small = Line2D([], [], **_PAPER, markersize=4.0, label="printed in the paper, from its cells")
    return [large, small] if shown else []
