"""Everything the paper's own numbers, equations and descriptions can decide, recomputed.

`run` writes audit.csv and audit.md (id, place, stated, recomputed, verdict) and one table per check under audit/.
Fifteen checks have an expected outcome in repro/paper/expected.csv; `unexpected` names those that differ, which means a
wrong transcription or a wrong list. Nothing is claimed about why a number is what it is.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from repro.paper import load_table
from repro.paper.audit import arithmetic, formulas, grids, protocol, reading, sources
from repro.paper.audit.check import NO_DATA, Check
from repro.paper.findings import Finding, as_rows, counts, markdown_table, write_findings, write_text

PREFACE = """\
Group Causal Policy Optimization, arXiv 2508.05428. Transcription: repro/paper/, every row with its provenance. All
arithmetic is exact; averages round half-up. "holds" and "does not hold" are said of the statement as printed, "cannot
be decided" where the paper's own numbers leave it open. A statement that does not hold may still be true of the runs
behind it; why a number is what it is cannot be seen from here. Weight: high changes what may be concluded, medium is a
number or a sentence that is off, low is a slip. Tables behind each check: the folder audit/ beside this file."""


def checks() -> list[Check]:
    """All checks in order: K1-K15, then what is decided by reading."""
    return [
        arithmetic.k1(),
        arithmetic.k2(),
        arithmetic.k3(),
        arithmetic.k4(),
        sources.k5(),
        grids.k6(),
        protocol.k7(),
        sources.k8(),
        arithmetic.k9(),
        protocol.k10(),
        protocol.k11(),
        formulas.k12(),
        formulas.k13(),
        formulas.k14(),
        formulas.k15(),
        reading.read(),
    ]


def outcomes(done: list[Check]) -> pd.DataFrame:
    """check, outcome, expected, as_expected. A check without its data counts as expected: it decided nothing."""
    expected = load_table("expected").set_index("check")["outcome"]
    rows = []
    for check in done:
        if check.id == "read":
            continue
        same = check.outcome in (expected[check.id], NO_DATA)
        rows.append({"check": check.id, "outcome": check.outcome, "expected": expected[check.id], "as_expected": same})
    return pd.DataFrame(rows)


def unexpected(done: list[Check]) -> list[str]:
    """One line per check whose outcome is not the expected one; empty when the audit passes."""
    frame = outcomes(done)
    wrong = frame[~frame.as_expected]
    return [f"{row.check}: got {row.outcome!r}, expected {row.expected!r}" for row in wrong.itertuples()]


def run(out_dir: Path) -> list[Finding]:
    """Run all checks, write their results under `out_dir` (results/paper), and return every finding.

    Raises BadInput only for a broken transcription; an outcome that differs is in outcomes.csv and in `unexpected`.
    """
    return _write(Path(out_dir), checks())


def summary(out_dir: Path) -> dict[str, Any]:
    """`run` for programs: statements, counts per verdict, outcomes, and unexpected, empty when the audit passes."""
    done = checks()
    findings = _write(Path(out_dir), done)
    return {
        "statements": as_rows(findings),
        "counts": counts(findings),
        "outcomes": outcomes(done).to_dict("records"),
        "unexpected": unexpected(done),
    }


def _write(out_dir: Path, done: list[Check]) -> list[Finding]:
    weights = load_table("weights").set_index("id")["weight"]
    findings = [replace(f, weight=weights.get(f.id, "")) for check in done for f in check.findings]
    ended = outcomes(done)
    table = markdown_table(ended[["check", "outcome", "as_expected"]].replace({True: "yes", False: "NO"}))
    preface = f"{PREFACE}\n\n## Outcomes\n\n{table}\n\n## Statements"
    write_findings(findings, out_dir, "audit", title="Audit of the paper's numbers and formulas", preface=preface)
    write_text(out_dir / "audit" / "outcomes.csv", ended.to_csv(index=False, lineterminator="\n"))
    for check in done:
        for name, frame in check.tables.items():
            plain = frame.map(lambda value: float(value) if hasattr(value, "numerator") else value)
            write_text(out_dir / "audit" / f"{name}.csv", plain.round(6).to_csv(index=False, lineterminator="\n"))
    return findings
