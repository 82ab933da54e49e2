"""A built table as Markdown for people: averages, suites, claims, aggregates, notes."""

from collections import Counter

from repro.tables.claim_text import claims_markdown
from repro.tables.model import AVERAGE, Row, Table1
from repro.tables.spec import RATIO
from repro.tables.words import (
    DAGGER,
    NO_COUNTERPART,
    NOTHING,
    at_k,
    effort,
    independent,
    points,
    printed,
    readings,
    samples,
    score,
    signed,
    size,
)

STAND_IN = (
    "Our tasks are stand-ins, not the paper's benchmarks: they have the same positions and roles. Neither scores nor "
    "gaps are comparable with the paper's; the gain of one arm as a multiple of another's is what is compared."
)


def to_markdown(table: Table1) -> str:
    """The whole table: averages, suites, claims, aggregates, notes and provenance."""
    head = table.head
    lines = [f"# {head.title} ({head.profile})", "", headline_markdown(table)]
    lines += ["## Suites", "", *_suites(table), ""]
    if table.claims:
        lines += ["## Claims", "", *claims_markdown(table), ""]
    lines += ["## Beside the mean", "", *_aggregates(table), "", "## Notes", ""]
    lines += [f"* {note}" for note in notes(table)]
    return "\n".join(lines) + "\n"


def headline_markdown(table: Table1) -> str:
    """The averages alone, short enough for a README: stamp, what stands for what, one line per base and method, MDG."""
    head = table.head
    lines = [f"**{head.stamp}**", ""] if head.stamp else []
    lines += [f"> {STAND_IN}", ""] if head.stand_in else []
    return "\n".join([*lines, *_averages(table), "", *_detectable(table)]) + "\n"


def notes(table: Table1) -> list[str]:
    """Everything below the table that is not a number of it: method of the intervals, provenance, warnings."""
    head = table.head
    sizes = ", ".join(
        f"{name} {size}" + (f" x {head.k[name]} samples" if name in head.k else "")
        for name, size in head.questions.items()
    )
    reasons: Counter = Counter()
    for arm in table.arms:
        reasons.update(arm.reasons)
    lines = [
        f"Primary outcome: {head.outcome}, the plain mean over suites, fixed in the registry before the run. Greedy: "
        "one greedy answer per question, beside it and without a verdict.",
        "Brackets: 95 % interval over new training seeds, questions and samples, paired by seed and question "
        "(sqrt of the sum of t² x variance over the seed part and the question part; the seed part is never below the "
        "sampling noise measured in the table). Greedy: seeds and questions. One seed: sampling only. "
        "The base is one checkpoint; its evaluations are pooled.",
        f"Gain as a multiple of {head.arms.get(head.reference, head.reference)}'s: Fieller's 95 % interval on common "
        "seeds; no bounds where the gain below the line may be nothing. The paper's: from its averages / from its "
        "cells.",
        f"Questions: {sizes}.",
        f"Command: `{head.command}`",
        f"Runs: {len(head.cells)}; commit {', '.join(c[:12] for c in head.commits) or NOTHING}; "
        f"device {', '.join(head.devices) or NOTHING}; {head.hours:.2f} hours of work.",
    ]
    if head.base_weights:
        lines.append("Weights: " + ", ".join(f"{base} {sha[:12]}" for base, sha in head.base_weights.items()) + ".")
    if reasons:
        lines.append(
            "Verdicts of the grader: " + ", ".join(f"{name} {number}" for name, number in reasons.items()) + "."
        )
    if any(len(arm.seeds) == 2 for arm in table.arms if arm.arm in head.trained):
        lines.append(
            "Two seeds leave one degree of freedom for the spread between seeds: such intervals hold, but are "
            "wide and vary widely. Three seeds narrow them about threefold, five about fivefold (SEEDS=)."
        )
    if not head.p_values:
        lines.append("p-values are withheld: no passed A/A calibration is published for this profile.")
    if any(arm.dirty for arm in table.arms):
        lines.append(f"{DAGGER} made by a tree with uncommitted changes.")
    lines += [
        f"{arm.base}, {head.arms[arm.arm]}: every score with k > 1 is a multiple of 1/questions; check its samples."
        for arm in table.arms
        if arm.grid_flag
    ]
    return [*lines, *table.footnotes]


def _averages(table: Table1) -> list[str]:
    head = table.head
    reference = head.arms.get(head.reference, head.reference)
    lines = [
        "| base (stands beside) | method | paper: average (gain) | independent (source) | "
        f"ours: {at_k(head.k)} [95 % CI] | ours: greedy [95 % CI]; its gain | gain over our base | "
        f"difference to {reference} | gain / {reference}'s [95 % CI] | "
        "the paper's, from its averages / from its cells | seeds x samples |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in table.rows:
        if row.suite != AVERAGE:
            continue
        summary, counterpart = table.arm(row.base, row.arm), head.bases[row.base]
        first = row.arm == next(iter(head.arms))
        base = f"{row.base} ({counterpart or NO_COUNTERPART})" if first else ""
        title = head.arms[row.arm] + (f" {DAGGER}" if summary.dirty else "")
        cells = [base, title, printed(row), independent(row, counterpart)]
        if row.ours is None:
            cells += [summary.status, *[NOTHING] * 4, readings(RATIO, row.printed_multiples), NOTHING]
        else:
            cells += [score(row.ours), _greedy(row), signed(row.gain), signed(row.versus)]
            cells += [size(row.size), readings(RATIO, row.printed_multiples), effort(head, summary)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _suites(table: Table1) -> list[str]:
    head = table.head
    names = [
        f"{name} {at_k(head.k, name)}" + (f" (paper: {paper})" if paper else "") for name, paper in head.suites.items()
    ]
    greedy = any(row.greedy for row in table.rows)
    lines = [
        "Score [95 % CI]; below it our gain, and the paper's in the column of the same position"
        + ("; then the greedy score [95 % CI] and its gain." if greedy else "."),
        "",
        f"| base | method | {' | '.join(names)} |",
        "|---|---|" + "---:|" * len(names),
    ]
    for base in head.bases:
        for arm, title in head.arms.items():
            rows = [table.row(base, arm, suite) for suite in head.suites]
            cells = [_suite_cell(row, table, greedy) for row in rows]
            lines.append(f"| {base} | {title} | {' | '.join(cells)} |")
    return lines


def _suite_cell(row: Row, table: Table1, greedy: bool) -> str:
    if row.ours is None:
        return table.arm(row.base, row.arm).status
    paper = "" if row.printed_gain is None else f"; paper {points(row.printed_gain)}"
    text = score(row.ours) + (f"<br>{signed(row.gain)}{paper}" if row.gain else "")
    return f"{text}<br>greedy {_greedy(row)}" if greedy else text


def _greedy(row: Row) -> str:
    return score(row.greedy) + (f"; {signed(row.greedy_gain)}" if row.greedy_gain else "")


def _aggregates(table: Table1) -> list[str]:
    head = table.head
    lines = [
        "IQM: mean of the middle half of seed x suite scores. P(better): chance that a seed beats one of "
        f"{head.arms.get(head.reference, head.reference)}. Their intervals resample seeds only and describe. Seed SD: "
        "between trained models, on the average.",
        "",
        "| base | method | IQM [95 %] | P(better) [95 %] | pass@k | maj@k | seed SD | cut off | mean tokens |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for arm in table.arms:
        if not arm.seeds:
            continue
        iqm = "{:.1f} [{:.1f}, {:.1f}]".format(*arm.iqm)
        better = NOTHING if arm.improvement is None else "{:.2f} [{:.2f}, {:.2f}]".format(*arm.improvement)
        spread = NOTHING if arm.seed_sd is None else f"{arm.seed_sd:.2f}"
        cells = [
            arm.base,
            head.arms[arm.arm],
            iqm,
            better,
            f"{arm.pass_at_k:.1f}",
            "-" if arm.maj_at_k is None else f"{arm.maj_at_k:.1f}",
            spread,
        ]
        lines.append(f"| {' | '.join([*cells, f'{arm.truncated:.1f} %', f'{arm.mean_tokens:.1f}'])} |")
    return lines


def _detectable(table: Table1) -> list[str]:
    """The minimum detectable gap of the differences to the reference on the average, per base."""
    lines = []
    for base in table.head.bases:
        found = [row.versus for row in table.rows if row.base == base and row.suite == AVERAGE and row.versus]
        if found:
            gaps = [estimate.mdg for estimate in found]
            seeds = sorted({estimate.seeds for estimate in found})
            span = f"{min(gaps):.1f}" if len(gaps) == 1 else f"{min(gaps):.1f} to {max(gaps):.1f}"
            lines.append(
                f"MDG ({base}): {span} points (5 % two-sided, power 80 %, {'/'.join(map(str, seeds))} seeds x "
                f"{samples(table.head.k)} samples).  "
            )
    return lines or ["MDG: nothing to compare yet."]
