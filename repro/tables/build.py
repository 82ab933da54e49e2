"""From summaries of finished cells to a built table: pure, deterministic, no reading or writing of results."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from repro import stats
from repro.tables.checks import check_cells, lint_grid
from repro.tables.claims import judge
from repro.tables.measured import Measured
from repro.tables.model import AVERAGE, ArmSummary, Estimate, Head, Row, Table1, as_size
from repro.tables.printed import Printed, number
from repro.tables.spec import MEASURED, NOT_RUN_YET, RATIO, ArmRow, BaseRow, SuiteColumn, TableSpec

_REPLICATES = 2_000


def build_table1(cells: Sequence[dict[str, Any]], spec: TableSpec, paper: pd.DataFrame) -> Table1:
    """The built table of `spec` from summaries and the paper's frame (`repro.paper.load_table("table1")`).

    cells: summaries in any order; those of bases or arms outside the spec are refused. Missing ones show as not run.
    Raises BadInput for cells that cannot be compared (see `check_cells`) or that the spec does not know.
    """
    cells = sorted(cells, key=lambda cell: (cell["base"], cell["arm"], cell["seed"]))
    check_cells(cells)
    measured, printed = Measured(cells, spec), Printed(paper)
    models = [base.paper_model for base in spec.bases]
    columns = (*spec.suites, SuiteColumn(AVERAGE, AVERAGE, all(s.same_task for s in spec.suites)))
    table = Table1(
        head=_head(cells, spec),
        rows=tuple(
            _row(base, arm, suite, spec, measured, printed)
            for base in spec.bases
            for arm in spec.arms
            for suite in columns
        ),
        arms=tuple(_summary(base, arm, spec, measured) for base in spec.bases for arm in spec.arms),
        claims=tuple(judge(spec, measured, printed)),
        footnotes=(
            *printed.misprints(models, [arm.paper_method for arm in spec.arms]),
            *printed.second_hand(models),
        ),
    )
    return table if spec.p_values else _withheld(table)


def _row(base: BaseRow, arm: ArmRow, suite: SuiteColumn, spec: TableSpec, measured: Measured, printed: Printed) -> Row:
    found = printed.row(base.paper_model, arm.paper_method, suite.paper_benchmark)
    value, gain = (number(getattr(found, name, None)) for name in ("printed", "printed_gain"))
    pair = base.id, arm.id, spec.base_arm
    ratio, multiples = None, ()
    if suite.id == AVERAGE and arm.id not in (spec.reference, *spec.checkpoints):
        reference = next((each.paper_method for each in spec.arms if each.id == spec.reference), None)
        ratio = measured.ratio(base.id, arm.id, spec.reference)
        multiples = printed.ratios(base.paper_model, arm.paper_method, reference)
    return Row(
        base=base.id,
        arm=arm.id,
        suite=suite.id,
        printed=value,
        printed_gain=gain,
        provenance=str(getattr(found, "provenance", "")),
        independent=number(getattr(found, "independent", None)),
        independent_source=str(getattr(found, "independent_source", "")),
        ours=measured.score(base.id, arm.id, suite.id),
        greedy=measured.score(base.id, arm.id, suite.id, greedy=True),
        gain=measured.difference(*pair, suite.id),
        greedy_gain=measured.difference(*pair, suite.id, greedy=True),
        versus=measured.difference(base.id, arm.id, spec.reference, suite.id),
        size=ratio and as_size(RATIO, ratio, multiples),
        printed_multiples=multiples,
    )


def _summary(base: BaseRow, arm: ArmRow, spec: TableSpec, measured: Measured) -> ArmSummary:
    cells = measured.group(base.id, arm.id)
    if not cells:
        empty = dict.fromkeys(
            ("iqm", "improvement", "pass_at_k", "maj_at_k", "truncated", "mean_tokens", "seed_sd"), None
        )
        status = NOT_RUN_YET if arm.why_not in ("", NOT_RUN_YET) else stats.cannot_be_run(arm.why_not)
        return ArmSummary(base.id, arm.id, (), False, status, **empty, reasons={}, grid_flag=False, k={})
    scores = measured.scores(base.id, arm.id)
    trained = arm.id not in spec.checkpoints
    improvement = None
    if trained and arm.id != spec.reference and measured.group(base.id, spec.reference):
        rival = measured.scores(base.id, spec.reference)
        improvement = _with_interval(stats.probability_of_improvement, scores, rival, scale=1)
    reasons = Counter()
    for cell in cells:
        for suite in cell["suites"].values():
            reasons.update(suite["reasons"])
    entries = [suite for cell in cells for suite in cell["suites"].values()]
    means = {
        key: float(np.mean(found)) if (found := [each[key] for each in entries if each[key] is not None]) else None
        for key in ("pass_at_k", "maj_at_k", "truncated", "mean_tokens")  # code has no votes
    }
    return ArmSummary(
        base=base.id,
        arm=arm.id,
        seeds=tuple(cell["seed"] for cell in cells),
        dirty=any(cell["dirty"] for cell in cells),
        status=MEASURED,
        iqm=_with_interval(stats.iqm, scores, scale=100),
        improvement=improvement,
        pass_at_k=100 * means["pass_at_k"],
        maj_at_k=None if means["maj_at_k"] is None else 100 * means["maj_at_k"],
        truncated=100 * means["truncated"],
        mean_tokens=means["mean_tokens"],
        reasons=dict(sorted(reasons.items())),
        seed_sd=100 * float(scores.mean(axis=1).std(ddof=1)) if trained and len(cells) > 1 else None,
        grid_flag=lint_grid(cells),
        k={name: cells[0]["suites"][name]["k"] for name in measured.suites},
    )


def _head(cells: Sequence[dict[str, Any]], spec: TableSpec) -> Head:
    first = cells[0] if cells else None
    sampled = next((cell for cell in cells if "search" not in cell), None)
    names = [suite.id for suite in spec.suites]
    return Head(
        id=spec.id,
        title=spec.title,
        profile=spec.profile,
        stamp=spec.stamp,
        command=spec.command,
        base_arm=spec.base_arm,
        checkpoints=spec.checkpoints,
        reference=spec.reference,
        outcome=spec.outcome,
        margin=spec.margin,
        p_values=spec.p_values,
        k={name: sampled["suites"][name]["k"] for name in names} if sampled else {},
        questions={name: first["suites"][name]["n"] if first else 0 for name in names},
        bases={base.id: base.paper_model or "" for base in spec.bases},
        arms={arm.id: arm.title for arm in spec.arms},
        suites={suite.id: suite.paper_benchmark or "" for suite in spec.suites},
        stand_in=not all(suite.same_task for suite in spec.suites),
        commits=tuple(sorted({cell["commit"] for cell in cells})),
        devices=tuple(sorted({str(cell["device"]) for cell in cells if "device" in cell})),
        cells=tuple(cell["cell_id"] for cell in cells),
        base_weights={c["base"]: str(c["base_weights"]) for c in cells if "base_weights" in c},
        hours=sum(sum(cell["seconds"].values()) for cell in cells if "seconds" in cell) / 3600,
    )


def _with_interval(statistic, *arms: np.ndarray, scale: float) -> tuple[float, float, float]:
    low, high = stats.seed_bootstrap(statistic, *arms, rng=np.random.default_rng(0), replicates=_REPLICATES)
    return scale * float(statistic(*arms)), scale * low, scale * high


def _withheld(table: Table1) -> Table1:
    """The table without any p-value."""

    def bare(record):
        estimates = {name: each for name, each in vars(record).items() if isinstance(each, Estimate)}
        return replace(record, **{name: replace(each, p=None) for name, each in estimates.items()})

    claims = tuple(replace(bare(claim), p={}, holm={}) for claim in table.claims)
    return replace(table, rows=tuple(bare(row) for row in table.rows), claims=claims)
