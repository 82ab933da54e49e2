"""Claims with their numbers and two verdicts each: on the direction, and on the size against the paper."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from repro import stats
from repro.errors import BadInput
from repro.stats.verdicts import CONSISTENT, CONTRADICTED, EQUIVALENT, REVERSED, SUPPORTED
from repro.tables.measured import Measured
from repro.tables.model import AVERAGE, ClaimResult, Size, as_size
from repro.tables.printed import Printed
from repro.tables.spec import RATIO, BaseRow, ClaimRow, TableSpec

ALL = "all"


def judge(spec: TableSpec, measured: Measured, printed: Printed) -> list[ClaimResult]:
    """Every claim of the table on every base, then over all bases. Raises BadInput for a claim on unknown arms.

    Over all bases a claim is `supported` or `equivalent` if it is so on every base, and `reversed` if it is on one;
    its size is `consistent` if it is so on every base that has a counterpart in the paper, `contradicted` if on one.
    """
    arms = {arm.id for arm in spec.arms}
    results: list[ClaimResult] = []
    for claim in spec.claims:
        if claim.better not in arms or claim.worse not in arms:
            raise BadInput(f"claim {claim.id}: {claim.better} > {claim.worse} names an arm outside {spec.id}")
        own = [_on_base(claim, base, spec, measured, printed) for base in spec.bases]
        results += [*own, _over_all(own)]
    return _with_holm(results)


def _on_base(claim: ClaimRow, base: BaseRow, spec: TableSpec, measured: Measured, printed: Printed) -> ClaimResult:
    pair, on = (base.id, claim.better, claim.worse), AVERAGE if claim.suites is None else claim.suites
    difference, p_equivalent = measured.difference(*pair, on), measured.equivalence(*pair, on)
    gain = measured.difference(base.id, spec.reference, spec.base_arm, on)
    methods = {arm.id: arm.paper_method for arm in spec.arms}
    high, low = (claim.better, claim.worse) if claim.scale == RATIO else (claim.worse, claim.better)
    ratio, readings = measured.ratio(base.id, high, low), printed.ratios(base.paper_model, methods[high], methods[low])
    size = None if ratio is None or claim.suites is not None else as_size(claim.scale, ratio, readings)
    tests = {
        "difference": None if difference is None else difference.p,
        "equivalence": p_equivalent,
        "size": max((measured.ratio_p(base.id, high, low, each) for each in readings), default=None) if size else None,
    }
    limits = (difference.low, difference.high) if difference else (None, None)
    return ClaimResult(
        claim=claim.id,
        text=claim.text,
        base=base.id,
        better=claim.better,
        worse=claim.worse,
        primary=claim.primary,
        suites=claim.suites,
        difference=difference,
        greedy=measured.difference(*pair, on, greedy=True),
        margin=None if gain is None or p_equivalent is None else spec.margin * gain.value,
        size=size,
        p={name: p for name, p in tests.items() if p is not None},
        holm={},
        direction=stats.direction_verdict(*limits, p_equivalent),
        size_verdict=_size_verdict(size, measured, pair),
    )


def _size_verdict(size: Size | None, measured: Measured, pair: tuple[str, str, str]) -> str | None:
    if size is None:
        return None
    per_seed = measured.per_seed(*pair)
    agree = all(bool(np.all(per_seed * (each - size.nothing) > 0)) for each in size.printed)
    return stats.size_verdict(size.low, size.high, size.printed, size.nothing, agree)


def _over_all(results: Sequence[ClaimResult]) -> ClaimResult:
    sizes = [result.size_verdict for result in results if result.size_verdict is not None]
    return replace(
        results[0],
        base=ALL,
        difference=None,
        greedy=None,
        margin=None,
        size=None,
        p={},
        direction=stats.over_bases(
            [result.direction for result in results], everywhere=(SUPPORTED, EQUIVALENT), anywhere=REVERSED
        ),
        size_verdict=stats.over_bases(sizes, everywhere=(CONSISTENT,), anywhere=CONTRADICTED) if sizes else None,
    )


def _with_holm(results: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Holm's correction of each kind of test over all primary claims of the table, bases together."""
    made = list(results)
    for kind in ("difference", "equivalence", "size"):
        places = [place for place, result in enumerate(made) if result.primary and kind in result.p]
        for place, p in zip(places, stats.holm([made[place].p[kind] for place in places]), strict=True):
            made[place] = replace(made[place], holm={**made[place].holm, kind: p})
    return made
