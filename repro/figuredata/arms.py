"""Scores of arms side by side: Figures 3 and 6. Every sentence about them is a contrast of arms, or several.

Every bar is an arm of a table and is measured as one (`repro.tables.measured`). A statement's `test` names its rule and
what it is about, `@0` or `@1` the suite in place of the average over suites:

all a>b c>d      each difference is above 0; supported if Holm's correction over them leaves each, reversed if one is
                 below 0 by it, equivalent if each is within the margin
same a b c       each pair is within the margin; contradicted if one that is not differs, Holm-corrected
plus a b minus c d   the sum of the first minus the sum of the others is above 0; `a@1` is arm a on the suite at place 1
lead a over b c  a's lead over the mean of the others on the second suite minus that on the first is above 0
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import stats
from repro.cells.experiments import get_arm
from repro.cells.records import Experiment, Panel, Statement
from repro.config import Profile
from repro.figuredata.model import Decision, FigureData, Value, decide, figure_head, settled, withheld
from repro.paper import AVERAGE, load_table
from repro.stats.verdicts import (
    ALPHA,
    CONTRADICTED,
    EQUIVALENT,
    NOT_TESTED,
    REVERSED,
    SUPPORTED,
    UNDECIDED,
    direction_verdict,
)
from repro.tables import answered_by, check_cells, table_spec
from repro.tables.measured import Measured
from repro.tables.model import Estimate, in_points
from repro.tables.words import points, signed

Term = tuple[float, str, str]  # weight, arm, suite


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """The score of every arm of the figure's panels, and the verdict on each sentence about them.

    cells: summaries of finished cells. Raises BadInput for cells that cannot be compared.
    """
    spec = table_spec(profile, experiment, command)
    rows = sorted(
        (each for cell in cells for each in answered_by(cell)),
        key=lambda cell: (cell["base"], cell["arm"], cell["seed"]),
    )
    check_cells(rows)
    measured = Measured(rows, spec)
    points_of, decisions = [], []
    for base in experiment.bases(profile):
        points_of += [row for panel in experiment.panels for row in _panel(base, panel, experiment, measured)]
        about = _About(base, measured)
        decisions += [_TESTS[each.test.split()[0]](about, each) for each in experiment.statements]
    decisions = settled(decisions)
    if not spec.p_values:
        decisions = withheld(decisions, ())
    return FigureData(
        head=figure_head(profile, experiment, cells, command),
        rows=tuple(points_of),
        shown={
            "base": "base", "panel": "panel", "label": "", "ours": "avg@k", "low": "low", "high": "high",
            "greedy": "greedy", "gain": "minus the base model", "paper": "paper", "tokens": "tokens a question",
            "seeds": "seeds",
        },
        finding="; ".join(f"{each.statement}: {each.verdict}" for each in decisions if each.primary),
        decisions=decisions,
        notes=_notes(experiment, measured),
    )  # fmt: skip


def _panel(base: str, panel: Panel, experiment: Experiment, measured: Measured) -> list[dict[str, Value]]:
    spec, rows = measured.spec, []
    suite = AVERAGE if panel.suite is None else measured.suites[panel.suite]
    for arm, label in panel.arms.items():
        ours, greedy = measured.score(base, arm, suite), measured.score(base, arm, suite, greedy=True)
        gain = measured.difference(base, arm, spec.base_arm, suite)
        cells = measured.group(base, arm)
        tokens = [
            entry["mean_tokens"] for cell in cells for name, entry in cell["suites"].items() if suite in (AVERAGE, name)
        ]
        rows.append(
            {
                "base": base,
                "panel": panel.title if panel.suite is None else f"{panel.title} ({suite})",
                "suite": suite,
                "arm": arm,
                "label": label,
                "ours": ours and ours.value,
                "low": ours and ours.low,
                "high": ours and ours.high,
                "greedy": greedy and greedy.value,
                "greedy_low": greedy and greedy.low,
                "greedy_high": greedy and greedy.high,
                "gain": gain and gain.value,
                "gain_low": gain and gain.low,
                "gain_high": gain and gain.high,
                "paper": _printed(experiment, panel, arm),
                "tokens": sum(tokens) / len(tokens) if tokens else None,
                "seeds": len(cells),
            }
        )
    return rows


def _printed(experiment: Experiment, panel: Panel, arm: str) -> float | None:
    """The paper's value of a bar, None where the figure has no label for it."""
    frame = load_table("figures")
    found = frame[
        (frame.figure == experiment.id.removeprefix("figure"))
        & (frame.series == (get_arm(arm).paper_method or ""))
        & (frame.quantity == panel.paper)
        & (frame.printed != "")
    ]
    return float(found.printed.iloc[0]) if len(found) else None


@dataclass(frozen=True)
class _About:
    """The arms of one base, and contrasts between them on the seeds that all of these have."""

    base: str
    measured: Measured

    def contrast(self, terms: Sequence[Term]) -> tuple[Estimate, float | None] | None:
        """Σ weight x score, in points, and the p-value of its being within the margin; None without common seeds.

        A term of the base model needs one other of weight 1: its evaluations are one checkpoint's.
        """
        measured, base, spec = self.measured, self.base, self.measured.spec
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
            p = stats.contrast_equivalence_p(
                counts, reference, measured.counts(base, spec.base_arm, suite), spec.margin
            )
        return in_points(stats.contrast(counts)), p

    def suite(self, test: str) -> str:
        """The suite that a test is about: the one whose place `@n` names, else the average."""
        place = next((word[1:] for word in test.split() if word.startswith("@")), None)
        return AVERAGE if place is None else self.measured.suites[int(place)]


Found = list[tuple[str, Estimate, float | None]]


def _all(about: _About, statement: Statement) -> Decision:
    """Several differences, each above 0."""
    suite = about.suite(statement.test)
    pairs = [word.split(">") for word in statement.test.split()[1:] if ">" in word]
    found: Found = []
    for better, worse in pairs:
        compared = about.contrast([(1.0, better, suite), (-1.0, worse, suite)])
        if compared is not None:
            found.append((f"{better} - {worse}", *compared))
    if not found:
        return decide(statement, about.base, NOT_TESTED, "not measured")
    text = ", ".join(f"{name} {signed(estimate)}" for name, estimate, _ in found)
    if len(pairs) == 1:
        ((_, estimate, p),) = found
        return decide(statement, about.base, direction_verdict(estimate.low, estimate.high, p), text, estimate.p)
    holm = stats.holm([estimate.p for _, estimate, _ in found])
    told = [(estimate.value, p < ALPHA) for (_, estimate, _), p in zip(found, holm, strict=True)]
    if any(value < 0 and clear for value, clear in told):
        word = REVERSED
    elif all(value > 0 and clear for value, clear in told):
        word = SUPPORTED if len(found) == len(pairs) else NOT_TESTED
    else:
        word = EQUIVALENT if all(p is not None and p < ALPHA for *_, p in found) else UNDECIDED
    return decide(statement, about.base, word, text, max(holm))


def _same(about: _About, statement: Statement) -> Decision:
    """Each pair of arms within the margin."""
    suite = about.suite(statement.test)
    arms = [word for word in statement.test.split()[1:] if not word.startswith("@")]
    found: Found = []
    for one, other in itertools.combinations(arms, 2):
        compared = about.contrast([(1.0, one, suite), (-1.0, other, suite)])
        if compared is not None:
            found.append((f"{one} - {other}", *compared))
    if not found:
        return decide(statement, about.base, NOT_TESTED, "not measured")
    holm = stats.holm([estimate.p for _, estimate, _ in found])
    within = [p is not None and p < ALPHA for *_, p in found]
    if all(within):
        word = SUPPORTED
    else:
        differ = any(p < ALPHA and not near for p, near in zip(holm, within, strict=True))
        word = CONTRADICTED if differ else UNDECIDED
    return decide(statement, about.base, word, ", ".join(f"{name} {signed(e)}" for name, e, _ in found), min(holm))


def _decided(about: _About, statement: Statement, terms: Sequence[Term]) -> Decision:
    found = about.contrast(terms)
    if found is None:
        return decide(statement, about.base, NOT_TESTED, "not measured")
    estimate, p = found
    word = direction_verdict(estimate.low, estimate.high, p)
    return decide(statement, about.base, word, f"{signed(estimate)} points", estimate.p)


def _sum(about: _About, statement: Statement) -> Decision:
    """`plus a b minus c d`."""
    suite, weight, terms = about.suite(statement.test), 1.0, []
    for word in statement.test.split():
        if word in ("plus", "minus"):
            weight = 1.0 if word == "plus" else -1.0
        elif not word.startswith("@"):
            terms.append((weight, word, suite))
    return _decided(about, statement, terms)


def _lead(about: _About, statement: Statement) -> Decision:
    """`lead a over b c`: between the second suite and the first."""
    words = statement.test.split()
    ours, others = words[1], words[3:]
    terms = []
    for sign, suite in zip((-1.0, 1.0), about.measured.suites[:2], strict=True):
        terms.append((sign, ours, suite))
        terms += [(-sign / len(others), each, suite) for each in others]
    return _decided(about, statement, terms)


_TESTS = {"all": _all, "same": _same, "plus": _sum, "lead": _lead}


def _notes(experiment: Experiment, measured: Measured) -> tuple[str, ...]:
    spec = measured.spec
    margins = [
        f"{points(spec.margin * gain.value)} on {base.id}"
        for base in spec.bases
        if (gain := measured.difference(base.id, spec.reference, spec.base_arm))
    ]
    share = f"{100 * spec.margin:g} % of {spec.reference}'s gain over the base"
    notes = [
        "Intervals are 95 %, over seeds, questions and samples.",
        f"Margin of equivalence: {share}" + (f" ({', '.join(margins)} points)." if margins else "."),
        *experiment.remarks,
    ]
    arms = dict.fromkeys(arm for panel in experiment.panels for arm in panel.arms)
    missing = [arm for arm in arms if not any(measured.group(base.id, arm) for base in spec.bases)]
    return (*notes, f"Not run: {', '.join(missing)}.") if missing else tuple(notes)
