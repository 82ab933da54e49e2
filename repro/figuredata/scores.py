"""What figures of scores share: their arms as measured, contrasts between arms, the rules for several, and notes."""

from collections.abc import Iterable, Sequence
from typing import Any

from repro import stats
from repro.cells.experiments import get_arm
from repro.cells.records import Experiment, Statement
from repro.config import Profile
from repro.figuredata.model import Decision, decide, trained_seeds
from repro.stats.verdicts import ALPHA, CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, direction_verdict
from repro.tables import answered_by, check_cells, table_spec
from repro.tables.measured import Measured
from repro.tables.model import Estimate, in_points
from repro.tables.words import points, signed

Term = tuple[float, str, str]  # weight, arm, suite
Contrast = tuple[Estimate, float | None]  # in points; p-value of its being within the margin of equivalence
Named = tuple[str, Estimate, float | None]  # a contrast behind its name


def measured_arms(profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], command: str) -> Measured:
    """The rows that summaries of finished cells answer for, in order; raises BadInput for what cannot be compared."""
    spec = table_spec(profile, experiment, command)
    rows = [each for cell in cells for each in answered_by(cell)]
    rows.sort(key=lambda cell: (cell["base"], cell["arm"], cell["seed"]))
    check_cells(rows)
    return Measured(rows, spec)


def on_common_seeds(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells of the seeds that every arm of their base has, and all of untrained bases.

    What is drawn side by side is then what the verdicts compare. Where no seed is common, all cells stay.
    """
    common: dict[str, set[int]] = {}
    for (base, _), own in trained_seeds(cells).items():
        common[base] = common.get(base, own) & own
    kept = {base: seeds for base, seeds in common.items() if seeds}
    return [each for each in cells if not each["method"] or each["seed"] in kept.get(each["base"], {each["seed"]})]


def contrast(measured: Measured, base: str, terms: Sequence[Term]) -> Contrast | None:
    """Sum of weight x score over arms, on the seeds that all of these have; None without common seeds.

    A term of the base model needs one other of weight 1: its evaluations are one checkpoint's.
    """
    spec = measured.spec
    arms = [(weight, arm, suite) for weight, arm, suite in terms if arm != spec.base_arm]
    zero = [(weight, suite) for weight, arm, suite in terms if arm == spec.base_arm]
    if not all(measured.group(base, arm) for _, arm, _ in terms):
        return None
    seeds = measured.seeds(base, *(arm for _, arm, _ in arms))
    if not seeds:
        return None
    counts = [(weight, measured.counts(base, arm, suite, seeds=seeds)) for weight, arm, suite in arms]
    if zero:
        ((weight, suite),) = zero
        return in_points(stats.contrast(counts, measured.counts(base, spec.base_arm, suite), weight)), None
    p, suites = None, {suite for _, _, suite in arms}
    if measured.group(base, spec.base_arm) and seeds <= measured.seeds(base, spec.reference) and len(suites) == 1:
        (suite,) = suites
        reference = measured.counts(base, spec.reference, suite, seeds=seeds)
        p = stats.contrast_equivalence_p(counts, reference, measured.counts(base, spec.base_arm, suite), spec.margin)
    return in_points(stats.contrast(counts)), p


def directed(statement: Statement, base: str, found: Contrast | None) -> Decision:
    """The direction of one contrast, by its interval and the margin."""
    if found is None:
        return decide(statement, base, NOT_TESTED, "not measured")
    estimate, p = found
    word = direction_verdict(estimate.low, estimate.high, p)
    return decide(statement, base, word, f"{signed(estimate)} points", estimate.p)


def all_within(statement: Statement, base: str, pairs: Sequence[Named]) -> Decision:
    """Supported if each pair is within the margin; contradicted if one that is not differs, Holm-corrected."""
    if not pairs:
        return decide(statement, base, NOT_TESTED, "not measured")
    holm = stats.holm([estimate.p for _, estimate, _ in pairs])
    within = [p is not None and p < ALPHA for *_, p in pairs]
    differ = any(p < ALPHA and not near for p, near in zip(holm, within, strict=True))
    word = SUPPORTED if all(within) else CONTRADICTED if differ else UNDECIDED
    return decide(statement, base, word, "; ".join(f"{name} {signed(e)}" for name, e, _ in pairs), min(holm))


def notes(experiment: Experiment, measured: Measured, arms: Iterable[str], *said: str) -> tuple[str, ...]:
    """How to read the scores: intervals, the margin in points, what a figure says besides, and which arms lack."""
    spec = measured.spec
    margins = [
        f"{points(abs(spec.margin * gain.value)).lstrip('+')} points on {base.id}"
        for base in spec.bases
        if (gain := measured.difference(base.id, spec.reference, spec.base_arm))
    ]
    share = f"{100 * spec.margin:g} % of {get_arm(spec.reference).title}'s gain over the base"
    missing = [arm for arm in dict.fromkeys(arms) if not any(measured.group(base.id, arm) for base in spec.bases)]
    return (
        "Intervals are 95 %, over seeds, questions and samples; with one seed, over questions and samples alone.",
        f"Margin of equivalence: {share}" + (f" ({', '.join(margins)})." if margins else "."),
        *said,
        *experiment.remarks,
        *([f"Not run: {'; '.join(get_arm(arm).title for arm in missing)}."] if missing else []),
    )
