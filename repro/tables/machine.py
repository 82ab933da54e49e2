"""A built table as CSV for machines and as LaTeX for papers."""

import csv
import io

from repro.tables.markdown import notes
from repro.tables.model import AVERAGE, Table1
from repro.tables.spec import NOT_RUN_YET, RATIO
from repro.tables.words import NOTHING, at_k, readings, score, signed, size

_ESTIMATE = ("value", "low", "high", "se", "mdg", "p", "seeds", "covers")
_SIZE = ("value", "low", "high", "seeds", "covers")


def to_csv(table: Table1) -> str:
    """Long form, one line per base, arm and suite, every number unrounded; nothing measured is an empty field."""
    head, buffer = table.head, io.StringIO()
    kinds = ("ours", "greedy", "gain", "greedy_gain", "versus")
    columns = [
        "table", "profile", "stamp", "base", "paper_model", "arm", "title", "suite", "paper_benchmark", "printed",
        "printed_gain", "provenance", "independent", "independent_source", "k", "seeds", "dirty", "status",
        *(f"{kind}_{part}" for kind in kinds for part in _ESTIMATE), *(f"gain_ratio_{part}" for part in _SIZE),
        "printed_gain_ratio_from_averages", "printed_gain_ratio_from_cells",
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
            "k": arm.k.get(row.suite) or (next(iter(set(arm.k.values()))) if len(set(arm.k.values())) == 1 else None),
            "seeds": " ".join(map(str, arm.seeds)),
            "dirty": arm.dirty,
            "status": arm.status,
        }
        names = ("printed_gain_ratio_from_averages", "printed_gain_ratio_from_cells")
        record |= dict(zip(names, row.printed_multiples, strict=False))
        for kind in kinds:
            estimate = getattr(row, kind)
            if estimate:
                record |= {f"{kind}_{part}": getattr(estimate, part) for part in _ESTIMATE}
        if row.size:
            record |= {f"gain_ratio_{part}": getattr(row.size, part) for part in _SIZE}
        writer.writerow({key: "" if value is None else value for key, value in record.items()})
    return buffer.getvalue()


def to_latex(table: Table1) -> str:
    """The averages as a booktabs tabular, with the suites' scores; needs \\usepackage{booktabs}."""
    head = table.head
    columns = "ll" + "r" * len(head.suites) + "rrrrrr"
    suites = [_tex(f"{name} {at_k(head.k, name)}") for name in head.suites]
    reference = _tex(head.arms.get(head.reference, head.reference))
    lines = [
        f"% {head.command}",
        *([f"% {head.stamp}"] if head.stamp else []),
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(["base", "method", *suites, "average [95\\% CI]", "greedy", "gain", f"vs {reference}"])
        + rf" & gain / {reference}'s & the paper's \\",
    ]
    for base in head.bases:
        lines.append(r"\midrule")
        for arm in head.arms:
            row, summary = table.row(base, arm), table.arm(base, arm)
            if row.ours is None:
                cells = [_tex(summary.status)] + [NOTHING] * (len(head.suites) + 4)
            else:
                cells = [f"{table.row(base, arm, suite).ours.value:.1f}" for suite in head.suites]
                cells += [score(row.ours), NOTHING if row.greedy is None else f"{row.greedy.value:.1f}"]
                cells += [signed(row.gain), signed(row.versus), size(row.size)]
            title = head.arms[arm] + (r"$^\dagger$" if summary.dirty else "")
            lines.append(
                " & ".join([_tex(base), _tex(title), *map(_math, cells), _math(readings(RATIO, row.printed_multiples))])
                + r" \\"
            )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in notes(table))]) + "\n"


def _tex(text: str) -> str:
    for mark in "&%#_":
        text = text.replace(mark, f"\\{mark}")
    return text


def _math(text: str) -> str:
    return text.replace("-", "$-$") if text not in (NOTHING, NOT_RUN_YET) else text
