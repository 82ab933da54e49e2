"""A built table as Markdown for people, CSV for machines and LaTeX for papers. Only `write_table1` touches the disk."""

import csv
import io
from collections import Counter
from pathlib import Path

from repro.tables.model import AVERAGE, ArmSummary, ClaimResult, Estimate, Row, Table1, table_json
from repro.tables.spec import NOT_RUN_YET

DAGGER = "†"
_NOTHING = "-"
STAND_IN = (
    "Our tasks are stand-ins, not the paper's benchmarks: they have the same positions and roles. Scores are not "
    "comparable with the paper's; gains over the own base are what is compared."
)


def write_table1(table: Table1, folder: Path) -> list[Path]:
    """Write <id>.md, .csv, .tex and .json into `folder`; returns the paths. Equal tables give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, text in (
        ("md", to_markdown(table)),
        ("csv", to_csv(table)),
        ("tex", to_latex(table)),
        ("json", table_json(table)),
    ):
        path = folder / f"{table.head.id}.{suffix}"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def to_markdown(table: Table1) -> str:
    """The whole table: averages, suites, claims, aggregates, notes and provenance."""
    head = table.head
    lines = [f"# {head.title} ({head.profile})", "", headline_markdown(table)]
    lines += ["## Suites", "", *_suites(table), ""]
    if table.claims:
        lines += ["## Claims", "", *_claims(table), ""]
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
    sizes = ", ".join(f"{name} {size}" for name, size in head.questions.items())
    reasons: Counter = Counter()
    for arm in table.arms:
        reasons.update(arm.reasons)
    lines = [
        "Brackets: 95 % interval over new training seeds, questions and samples, paired by seed and question "
        "(sqrt of the sum of t² x variance over the seed part and the question part). One seed: sampling only. "
        "The base is one checkpoint; its evaluations are pooled.",
        "Verdict of a row: does the gain that the paper prints lie in the interval of our gain?",
        f"Questions: {sizes}.",
        f"Command: `{head.command}`",
        f"Runs: {len(head.cells)}; commit {', '.join(c[:12] for c in head.commits) or _NOTHING}; "
        f"device {', '.join(head.devices) or _NOTHING}; {head.hours:.2f} hours of work.",
    ]
    if head.base_weights:
        lines.append("Weights: " + ", ".join(f"{base} {sha[:12]}" for base, sha in head.base_weights.items()) + ".")
    if reasons:
        lines.append(
            "Verdicts of the grader: " + ", ".join(f"{name} {number}" for name, number in reasons.items()) + "."
        )
    if any(len(arm.seeds) == 2 for arm in table.arms if arm.arm != head.base_arm):
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


def to_csv(table: Table1) -> str:
    """Long form, one line per base, arm and suite, every number unrounded; nothing measured is an empty field."""
    head, buffer = table.head, io.StringIO()
    parts = ("value", "low", "high", "se", "mdg", "p", "seeds", "covers")
    columns = [
        "table", "profile", "stamp", "base", "paper_model", "arm", "title", "suite", "paper_benchmark", "printed",
        "printed_gain", "provenance", "independent", "independent_source", "k", "seeds", "dirty",
        *(f"{kind}_{part}" for kind in ("ours", "gain", "versus") for part in parts), "verdict",
    ]  # fmt: skip
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        arm = table.arm(row.base, row.arm)
        record = {
            "table": head.id,
            "profile": head.profile,
            "stamp": head.stamp,
            "base": row.base,
            "paper_model": head.bases[row.base],
            "arm": row.arm,
            "title": head.arms[row.arm],
            "suite": row.suite,
            "paper_benchmark": AVERAGE if row.suite == AVERAGE else head.suites[row.suite],
            "printed": row.printed,
            "printed_gain": row.printed_gain,
            "provenance": row.provenance,
            "independent": row.independent,
            "independent_source": row.independent_source,
            "k": head.k,
            "seeds": " ".join(map(str, arm.seeds)),
            "dirty": arm.dirty,
            "verdict": row.verdict,
        }
        for kind, estimate in (("ours", row.ours), ("gain", row.gain), ("versus", row.versus)):
            if estimate:
                record |= {f"{kind}_{part}": getattr(estimate, part) for part in parts}
        writer.writerow({key: "" if value is None else value for key, value in record.items()})
    return buffer.getvalue()


def to_latex(table: Table1) -> str:
    """The averages as a booktabs tabular, with the suites' scores; needs \\usepackage{booktabs}."""
    head = table.head
    columns = "ll" + "r" * len(head.suites) + "rrrrl"
    suites = [_tex(f"{name} {_at_k(table)}") for name in head.suites]
    lines = [
        f"% {head.command}",
        *([f"% {head.stamp}"] if head.stamp else []),
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(["base", "method", *suites, "average [95\\% CI]", "gain", f"vs {_tex(head.arms[head.reference])}"])
        + r" & paper gain & verdict \\",
    ]
    for base in head.bases:
        lines.append(r"\midrule")
        for arm in head.arms:
            row, summary = table.row(base, arm), table.arm(base, arm)
            if row.ours is None:
                cells = [_tex(summary.why_not)] + [_NOTHING] * (len(head.suites) + 2)
            else:
                cells = [f"{table.row(base, arm, suite).ours.value:.1f}" for suite in head.suites]
                cells += [_interval(row.ours), _signed(row.gain), _signed(row.versus)]
            title = head.arms[arm] + (r"$^\dagger$" if summary.dirty else "")
            printed = _NOTHING if row.printed_gain is None else f"{row.printed_gain:+.1f}"
            lines.append(
                " & ".join([_tex(base), title, *map(_math, cells), _math(printed), _tex(row.verdict or _NOTHING)])
                + r" \\"
            )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in notes(table))]) + "\n"


def _averages(table: Table1) -> list[str]:
    head = table.head
    reference = head.arms[head.reference]
    lines = [
        "| base (stands beside) | method | paper: average (gain) | independent (source) | "
        f"ours: {_at_k(table)} [95 % CI] | "
        f"gain over our base | difference to {reference} | seeds x samples | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in table.rows:
        if row.suite != AVERAGE:
            continue
        summary = table.arm(row.base, row.arm)
        first = row.arm == next(iter(head.arms))
        base = f"{row.base} ({head.bases[row.base] or 'no row of the paper'})" if first else ""
        mark = DAGGER if summary.dirty else ""
        cells = [base, head.arms[row.arm] + mark, _printed(row), _independent(row)]
        if row.ours is None:
            cells += [summary.why_not, _NOTHING, _NOTHING, _NOTHING]
        else:
            cells += [_interval(row.ours), _signed(row.gain), _signed(row.versus), _effort(table, summary)]
        lines.append(f"| {' | '.join([*cells, row.verdict or _NOTHING])} |")
    return lines


def _suites(table: Table1) -> list[str]:
    head = table.head
    names = [f"{name} {_at_k(table)}" + (f" (paper: {paper})" if paper else "") for name, paper in head.suites.items()]
    lines = [
        "Score [95 % CI]; below it our gain, and the paper's in the column of the same position.",
        "",
        f"| base | method | {' | '.join(names)} |",
        "|---|---|" + "---:|" * len(names),
    ]
    for base in head.bases:
        for arm, title in head.arms.items():
            rows = [table.row(base, arm, suite) for suite in head.suites]
            lines.append(f"| {base} | {title} | {' | '.join(_suite_cell(row, table) for row in rows)} |")
    return lines


def _suite_cell(row: Row, table: Table1) -> str:
    if row.ours is None:
        return table.arm(row.base, row.arm).why_not
    text = _interval(row.ours)
    paper = "" if row.printed_gain is None else f"; paper {_points(row.printed_gain)}"
    return text + (f"<br>{_signed(row.gain)}{paper}" if row.gain else "")


def _claims(table: Table1) -> list[str]:
    head, by_claim = table.head, {}
    for result in table.claims:
        by_claim.setdefault(result.claim, {})[result.base] = result
    lines = [
        "Our difference on the average [95 % CI]; the paper's; what this table can see (MDG); verdict.",
        "",
        f"| claim | {' | '.join(head.bases)} | verdict |",
        "|---|" + "---|" * (len(head.bases) + 1),
    ]
    for results in by_claim.values():
        overall = results["all"]
        name = f"{head.arms[overall.better]} > {head.arms.get(overall.worse, 'best other baseline')}"
        name += " (primary)" if overall.primary else ""
        cells = [_claim_cell(results[base], overall, head.arms) for base in head.bases]
        lines.append(f"| {name} | {' | '.join(cells)} | **{overall.verdict}** |")
    tail = "Holm p: corrected over the primary contrasts of this table. The other claims are exploratory."
    if any(_lost_unseen(result) for result in table.claims):
        tail += (
            " Where an interval lies below 0 and the verdict is undecided, the arm is worse here, but the gap claimed "
            "is smaller than what this table could have seen."
        )
    return [*lines, "", tail]


def _claim_cell(result: ClaimResult, overall: ClaimResult, titles: dict[str, str]) -> str:
    if result.difference is None:
        return result.verdict
    paper = "" if result.claimed_gap is None else f"paper {_points(result.claimed_gap)}; "
    rival = "" if result.worse == overall.worse else f"{titles[result.worse]}: "
    holm = "" if result.holm_p is None else f"; Holm p {result.holm_p:.3f}"
    return f"{rival}{_signed(result.difference)}<br>{paper}MDG {result.difference.mdg:.1f}{holm}<br>{result.verdict}"


def _lost_unseen(result: ClaimResult) -> bool:
    return result.difference is not None and result.difference.high < 0 and result.verdict.startswith("undecided")


def _aggregates(table: Table1) -> list[str]:
    head = table.head
    lines = [
        "IQM: mean of the middle half of seed x suite scores. P(better): chance that a seed beats one of "
        f"{head.arms[head.reference]}. Their intervals resample seeds only and describe. Seed SD: between trained "
        "models, on the average.",
        "",
        "| base | method | IQM [95 %] | P(better) [95 %] | pass@k | maj@k | seed SD | cut off | mean tokens |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for arm in table.arms:
        if not arm.seeds:
            continue
        iqm = "{:.1f} [{:.1f}, {:.1f}]".format(*arm.iqm)
        better = _NOTHING if arm.improvement is None else "{:.2f} [{:.2f}, {:.2f}]".format(*arm.improvement)
        spread = _NOTHING if arm.seed_sd is None else f"{arm.seed_sd:.2f}"
        cells = [arm.base, head.arms[arm.arm], iqm, better, f"{arm.pass_at_k:.1f}", f"{arm.maj_at_k:.1f}", spread]
        lines.append(f"| {' | '.join([*cells, f'{arm.truncated:.1f} %', f'{arm.mean_tokens:.1f}'])} |")
    return lines


def _detectable(table: Table1) -> list[str]:
    """The minimum detectable gap of the differences to the reference on the average, per base."""
    lines = []
    for base in table.head.bases:
        found = [
            (row.versus, table.arm(base, row.arm))
            for row in table.rows
            if row.base == base and row.suite == AVERAGE and row.versus
        ]
        if found:
            gaps = [estimate.mdg for estimate, _ in found]
            seeds = sorted({estimate.seeds for estimate, _ in found})
            span = f"{min(gaps):.1f}" if len(gaps) == 1 else f"{min(gaps):.1f} to {max(gaps):.1f}"
            lines.append(
                f"MDG ({base}): {span} points (5 % two-sided, power 80 %, {'/'.join(map(str, seeds))} seeds x "
                f"{table.head.k or 'k'} samples).  "
            )
    return lines or ["MDG: nothing to compare yet."]


def _effort(table: Table1, arm: ArmSummary) -> str:
    k = arm.k or table.head.k or "k"
    if arm.arm == table.head.base_arm:
        return f"1 checkpoint x {len(arm.seeds)} x {k}"
    note = " (1 seed, sampling only)" if len(arm.seeds) == 1 else ""
    return f"{len(arm.seeds)} x {k}{note}"


def _at_k(table: Table1) -> str:
    return f"avg@{table.head.k or 'k'}"


def _printed(row: Row) -> str:
    if row.printed is None:
        return _NOTHING
    return f"{row.printed:.1f}" + ("" if row.printed_gain is None else f" ({_points(row.printed_gain)})")


def _independent(row: Row) -> str:
    return "none" if row.independent is None else f"{row.independent:.1f} ({row.independent_source})"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def _points(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}"  # + 0.0 turns -0.0 into 0.0


def _signed(estimate: Estimate | None) -> str:
    if estimate is None:
        return _NOTHING
    return f"{_points(estimate.value)} [{estimate.low:+.1f}, {estimate.high:+.1f}]"


def _tex(text: str) -> str:
    for mark in "&%$#_":
        text = text.replace(mark, f"\\{mark}")
    return text


def _math(text: str) -> str:
    return text.replace("-", "$-$") if text not in (_NOTHING, NOT_RUN_YET) else text
