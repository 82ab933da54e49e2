"""The picture of an ablation: full minus without, and the share of the gain that is lost, the paper's beside ours."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro.cells.records import RATIO
from repro.figures import BAND, INK, bar, headline, look_of, new_figure, note, settle, style
from repro.figures.forest import diamond, paper_marks, too_small
from repro.tables import Table1
from repro.tables.bases import joined
from repro.tables.claims import ALL
from repro.tables.finding import finding, seeds_in_words


def is_ablation(table: Table1) -> bool:
    """Whether a claim of the table asks what is lost without a part."""
    return any(claim.size is not None and claim.size.scale != RATIO for claim in table.claims)


def contrasts(table: Table1) -> Figure:
    """One row per claim and base: the difference in points, and the share of the gain that is lost.

    The difference is full minus without, with its 95 % interval, the margin of equivalence (dotted) and the gap that
    the row could not find (shaded). The share is drawn where the claim asks for one, with what the paper prints as
    open diamonds: its losses in points are of other tasks and are not on one axis with ours.
    """
    head = table.head
    rows = [claim for claim in table.claims if claim.base != ALL]
    with style():
        figure = new_figure(12.0, 2.2 + 0.42 * len(rows))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes in (left, right):
            axes.axvline(0, color=INK, linewidth=0.9)
            axes.grid(axis="y", visible=False)
        for place, claim in enumerate(rows):
            if claim.difference is None:
                note(left, place, "not run")
                continue
            too_small(left, claim.difference, place)
            looks = look_of(claim.worse if claim.better == "gcpo_expected" else claim.better)
            bar(left, claim.difference, place, looks)
            if claim.margin is not None:
                for sign in (-1, 1):
                    at = sign * abs(claim.margin)
                    left.plot([at, at], [place - 0.42, place + 0.42], color=INK, linewidth=0.9, linestyle=":")
            if claim.size is None or claim.size.scale == RATIO:
                note(right, place, "no part is left out")
                continue
            if claim.size.low is None:
                note(right, place, "no bounds")
            else:
                bar(right, claim.size, place - 0.1, looks)
            for printed, width in zip(claim.size.printed, (6.5, 4.0), strict=False):
                diamond(right, printed, place + 0.2, width)
        several = len(head.bases) > 1
        names = [f"{head.arms[each.better]}\nminus {head.arms[each.worse]}" for each in rows]
        names = [f"{name}, {each.base}" if several else name for name, each in zip(names, rows, strict=True)]
        seeds = {len(table.arm(each.base, arm).seeds) for each in rows for arm in (each.better, each.worse)} - {0}
        left.set_title(f"{joined(list(head.bases))}, {seeds_in_words(seeds or {0})}")
        left.set_yticks(range(len(rows)), names, fontsize=8.5)
        left.set_ylim(max(len(rows), 1) - 0.4, -0.6)
        left.set_xlabel(f"difference of {head.outcome} on the average, points")
        right.set_xlabel("share of the gain that is lost")
        right.xaxis.set_major_formatter("{x:.0%}")
        headline(figure, table, finding(table))
        handles = [
            Line2D([], [], color=INK, marker="o", linewidth=2, label="ours, 95 % interval; colour: the method"),
            Line2D([], [], color=INK, linewidth=0.9, label="no difference, nothing lost"),
            Line2D([], [], color=INK, linewidth=0.9, linestyle=":", label="margin of equivalence"),
            Patch(color=BAND, label="minimum detectable gap, found four times in five"),
            *paper_marks(any(claim.size and claim.size.printed for claim in rows)),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        settle(figure)
    return figure
