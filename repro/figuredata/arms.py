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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import stats
from repro.cells.experiments import get_arm
from repro.cells.records import Experiment, Panel, Statement
from repro.config import Profile
from repro.figuredata.model import Decision, FigureData, Value, decide, make_figure
from repro.figuredata.scores import (
    Contrast,
    Named,
    Term,
    all_within,
    contrast,
    directed,
    measured_arms,
    notes,
    on_common_seeds,
)
from repro.paper import AVERAGE, load_table
from repro.stats.verdicts import NOT_TESTED, SUPPORTED, above_each, direction_verdict
from repro.tables.measured import Measured
from repro.tables.words import signed


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """The score of every arm of the figure's panels, and the verdict on each sentence about them.

    cells: summaries of finished cells. Raises BadInput for cells that cannot be compared.
    """
    cells = on_common_seeds(cells)
    measured = measured_arms(profile, experiment, cells, command)
    rows, decisions = [], []
    for base in experiment.bases(profile):
        rows += [row for panel in experiment.panels for row in _panel(base, panel, experiment, measured)]
        about = _About(base, measured)
        decisions += [_TESTS[each.test.split()[0]](about, each) for each in experiment.statements]
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "panel": "panel", "label": "", "ours": "avg@k", "low": "low", "high": "high",
            "greedy": "greedy", "gain": "minus the base model", "paper": "paper", "tokens": "tokens a question",
            "seeds": "seeds",
        },
        decisions=decisions,
        notes=notes(experiment, measured, (arm for panel in experiment.panels for arm in panel.arms)),
        told_by=("base", "panel", "label"),
        p_values=measured.spec.p_values,
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

    def contrast(self, terms: Sequence[Term]) -> Contrast | None:
        """Sum of weight x score over arms and suites."""
        return contrast(self.measured, self.base, terms)

    def suite(self, test: str) -> str:
        """The suite that a test is about: the one whose place `@n` names, else the average."""
        place = next((word[1:] for word in test.split() if word.startswith("@")), None)
        return AVERAGE if place is None else self.measured.suites[int(place)]


def _all(about: _About, statement: Statement) -> Decision:
    """Several differences, each above 0."""
    suite = about.suite(statement.test)
    pairs = [word.split(">") for word in statement.test.split()[1:] if ">" in word]
    found = _named(about, ((_minus(better, worse), better, worse) for better, worse in pairs), suite)
    if not found:
        return decide(statement, about.base, NOT_TESTED, "not measured")
    text = "; ".join(f"{name} {signed(estimate)}" for name, estimate, _ in found)
    if len(pairs) == 1:
        ((_, estimate, p),) = found
        return decide(statement, about.base, direction_verdict(estimate.low, estimate.high, p), text, estimate.p)
    p_values = [estimate.p for _, estimate, _ in found]
    word = above_each([estimate.value for _, estimate, _ in found], p_values, [near for *_, near in found])
    if word == SUPPORTED and len(found) < len(pairs):
        word = NOT_TESTED
    return decide(statement, about.base, word, text, max(stats.holm(p_values)))


def _minus(one: str, other: str) -> str:
    return f"{get_arm(one).title} minus {get_arm(other).title}"


def _named(about: _About, pairs: Iterable[tuple[str, str, str]], suite: str) -> list[Named]:
    """(name, difference, equivalence p) of every measured pair (name, better, worse) on a suite."""
    compared = ((name, about.contrast([(1.0, a, suite), (-1.0, b, suite)])) for name, a, b in pairs)
    return [(name, *found) for name, found in compared if found is not None]


def _same(about: _About, statement: Statement) -> Decision:
    """Each pair of arms within the margin."""
    arms = [word for word in statement.test.split()[1:] if not word.startswith("@")]
    pairs = ((_minus(one, other), one, other) for one, other in itertools.combinations(arms, 2))
    return all_within(statement, about.base, _named(about, pairs, about.suite(statement.test)))


def _sum(about: _About, statement: Statement) -> Decision:
    """`plus a b minus c d`."""
    suite, weight, terms = about.suite(statement.test), 1.0, []
    for word in statement.test.split():
        if word in ("plus", "minus"):
            weight = 1.0 if word == "plus" else -1.0
        elif not word.startswith("@"):
            terms.append((weight, word, suite))
    return directed(statement, about.base, about.contrast(terms))


def _lead(about: _About, statement: Statement) -> Decision:
    """`lead a over b c`: between the second suite and the first."""
    words = statement.test.split()
    ours, others = words[1], words[3:]
    terms = []
    for sign, suite in zip((-1.0, 1.0), about.measured.suites[:2], strict=True):
        terms.append((sign, ours, suite))
        terms += [(-sign / len(others), each, suite) for each in others]
    return directed(statement, about.base, about.contrast(terms))


_TESTS = {"all": _all, "same": _same, "plus": _sum, "lead": _lead}
