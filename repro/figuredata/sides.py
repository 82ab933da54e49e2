"""Figure 5: the answers of GRPO and GCPO to the same questions, and how often the paper's story and its mirror occur.

The paper shows questions that GRPO gets wrong and GCPO right. Here every question counts: the greedy answers of both
policies, seed by seed. Which are shown depends on their ids alone (`repro.evaluation.sides`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repro import stats
from repro.cells.records import Experiment, Statement
from repro.config import Profile
from repro.evaluation.sides import RULE, WRONG, Pair, count_cases, examples, marked_steps, pair_up
from repro.evaluation.store import GREEDY, SAMPLED, SAMPLES, Sample, read_samples
from repro.figuredata.model import Decision, FigureData, Value, decide, make_figure
from repro.figuredata.scores import measured_arms, on_common_seeds
from repro.paper import AVERAGE
from repro.stats.verdicts import ALPHA, CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, direction_verdict
from repro.tables.measured import Measured
from repro.tables.words import signed
from repro.tasks.build import make_taskset

LEFT, RIGHT = "grpo", "gcpo_expected"
SHOWN = 6  # as many as the paper's panels (a) to (f)
PANELS = 6
_MODULUS = {"procedural": 10}  # of a task set's arithmetic
_STEP_MARGIN = 0.1  # not stated: step budgets this share apart count as identical


def measure(
    profile: Profile, experiment: Experiment, cells: Sequence[dict[str, Any]], folder: Path, command: str
) -> FigureData:
    """Counts per base, seed and suite, the shown answers, and the verdict on each sentence.

    cells: summaries; folder: where their samples lie, by cell id. Raises BadInput for cells that cannot be compared, or
    whose samples are not there.
    """
    cells = on_common_seeds(cells)
    measured = measured_arms(profile, experiment, cells, command)
    rows, decisions, shown = [], [], ()
    draw = GREEDY if profile.evaluate.greedy else SAMPLED
    with make_taskset(profile.tasks) as tasks:
        questions = {suite: list(tasks.questions(suite)) for suite in profile.tasks.suites}
    for base in experiment.bases(profile):
        paired: dict[int, list[Pair]] = {}
        for seed in sorted(_common(measured, base)):
            left, right = (_samples(measured, base, arm, seed, folder) for arm in (LEFT, RIGHT))
            paired[seed] = [
                pair for suite, asked in questions.items() for pair in pair_up(suite, asked, left, right, draw=draw)
            ]
            for suite in (*questions, AVERAGE):
                own = [pair for pair in paired[seed] if suite in (AVERAGE, pair.suite)]
                rows.append(_row(base, seed, suite, own))
        if paired and not shown:
            shown = examples(paired[min(paired)], SHOWN, _MODULUS.get(profile.tasks.kind))
        about = _About(base, paired, measured, _MODULUS.get(profile.tasks.kind))
        decisions += [
            _TESTS[each.test](about, each) if paired else decide(each, base, NOT_TESTED, "not measured")
            for each in experiment.statements
        ]
    return make_figure(
        profile,
        experiment,
        cells,
        command,
        rows=rows,
        shown={
            "base": "base", "seed": "seed", "suite": "suite", "questions": "questions", "both": "both right",
            "right": "only GCPO", "left": "only GRPO", "neither": "neither", "share": "GCPO's share of these, %",
            "share_low": "low", "share_high": "high", "mcnemar": "McNemar p",
        },
        finding=_finding(rows),
        decisions=decisions,
        notes=_notes(profile, experiment, draw),
        told_by=("base", "seed", "suite"),
        p_values=measured.spec.p_values,
        exact=[each.id for each in experiment.statements if each.test == "story"],
        examples=shown,
    )  # fmt: skip


def _common(measured: Measured, base: str) -> set[int]:
    if not all(measured.group(base, arm) for arm in (LEFT, RIGHT)):
        return set()
    return measured.seeds(base, LEFT, RIGHT)


def _samples(measured: Measured, base: str, arm: str, seed: int, folder: Path) -> list[Sample]:
    (cell,) = [cell for cell in measured.group(base, arm) if cell["seed"] == seed]
    return read_samples(folder / cell["cell_id"] / SAMPLES)


def _row(base: str, seed: int, suite: str, pairs: Sequence[Pair]) -> dict[str, Value]:
    cases = count_cases(pairs)
    share, low, high = (100 * each for each in cases.share) if cases.share else (None, None, None)
    return {
        "base": base,
        "seed": seed,
        "suite": suite,
        "questions": cases.questions,
        "both": cases.both,
        "right": cases.right,
        "left": cases.left,
        "neither": cases.neither,
        "story": 100 * cases.story[0],
        "story_low": 100 * cases.story[1],
        "story_high": 100 * cases.story[2],
        "mirror": 100 * cases.mirror[0],
        "mirror_low": 100 * cases.mirror[1],
        "mirror_high": 100 * cases.mirror[2],
        "share": share,
        "share_low": low,
        "share_high": high,
        "mcnemar": cases.p,
    }


@dataclass(frozen=True)
class _About:
    """The pairs of one base by seed; modulus: of the task set's arithmetic, None for plain numbers."""

    base: str
    paired: dict[int, list[Pair]]
    measured: Measured
    modulus: int | None

    def per_question(self, value: Callable[[str], float]) -> tuple[np.ndarray, np.ndarray]:
        """A number of every answer, mean over seeds: (GRPO's [questions], GCPO's [questions])."""
        sides = [
            [[value(getattr(pair, side).text) for pair in pairs] for pairs in self.paired.values()]
            for side in ("left", "right")
        ]
        return tuple(np.array(each).mean(axis=0) for each in sides)

    def steps(self, text: str) -> list[tuple[str, str]]:
        return marked_steps(text, self.modulus)


def _story(about: _About, statement: Statement) -> Decision:
    """GCPO right and GRPO wrong more often than the mirror image: one seed by McNemar, more by the paired interval."""
    cases = {seed: count_cases(pairs) for seed, pairs in about.paired.items()}
    text = "; ".join(f"seed {seed}: {each.right} against {each.left}" for seed, each in cases.items())
    if len(cases) == 1:
        (each,) = cases.values()
        ends = (0.0, 0.0) if each.share is None else (each.share[1] - 0.5, each.share[2] - 0.5)
        return decide(statement, about.base, direction_verdict(*ends, None), text, each.p)
    measured = about.measured
    found = measured.difference(about.base, RIGHT, LEFT, greedy=measured.has_greedy(about.base, RIGHT, LEFT))
    word = direction_verdict(found.low, found.high, measured.equivalence(about.base, RIGHT, LEFT))
    return decide(statement, about.base, word, f"{text}; GCPO - GRPO {signed(found)} points", found.p)


def _steps(about: _About, statement: Statement) -> Decision:
    """Mean steps of an answer within a tenth of GRPO's."""
    left, right = about.per_question(lambda text: float(len(about.steps(text))))
    low, high = stats.student_t_interval(right - left)  # over questions
    margin = _STEP_MARGIN * left.mean()
    if -margin < low and high < margin:
        word = SUPPORTED
    else:
        word = CONTRADICTED if low > margin or high < -margin else UNDECIDED
    text = f"{left.mean():.2f} steps under GRPO; GCPO {(right - left).mean():+.2f} [{low:+.2f}, {high:+.2f}]"
    return decide(statement, about.base, word, text)


def _errors(about: _About, statement: Statement) -> Decision:
    """The share of answers with a step that can be checked and is wrong: GRPO's minus GCPO's."""
    left, right = about.per_question(lambda text: float(any(mark == WRONG for _, mark in about.steps(text))))
    low, high = stats.student_t_interval(left - right)  # over questions
    text = f"{100 * left.mean():.1f} % under GRPO, {100 * right.mean():.1f} % under GCPO; difference " + (
        f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    )
    return decide(statement, about.base, direction_verdict(low, high, None), text)


def _drawn(about: _About, statement: Statement) -> Decision:
    """Whether PANELS questions drawn at random would all show the story."""
    pairs = [pair for pairs in about.paired.values() for pair in pairs]
    share, _, high = count_cases(pairs).story
    word = CONTRADICTED if high**PANELS < ALPHA else UNDECIDED
    text = f"the story holds for {100 * share:.1f} % of the questions (at most {100 * high:.1f}): all {PANELS} by "
    return decide(
        statement, about.base, word, f"{text}chance has probability {share**PANELS:.1g}, at most {high**PANELS:.1g}"
    )


_TESTS = {"story": _story, "steps": _steps, "errors": _errors, "drawn": _drawn}


def _finding(rows: Sequence[dict[str, Value]]) -> str:
    """The counts over all suites and seeds in a sentence per base."""
    said = []
    for base in dict.fromkeys(row["base"] for row in rows):
        own = [row for row in rows if row["base"] == base and row["suite"] == AVERAGE]
        right, left, asked = (sum(row[key] for row in own) for key in ("right", "left", "questions"))
        said.append(f"{base}: GCPO alone is right {right} times in {asked} pairs of answers, GRPO alone {left} times")
    return "; ".join(said)


def _notes(profile: Profile, experiment: Experiment, draw: str) -> tuple[str, ...]:
    return (
        f"Every question of every suite counts, by the {draw} answer of either policy.",
        f"The examples are of the first base and seed; {RULE}.",
        "Intervals of shares: exact for GCPO's share of the questions that one policy alone answers, Wilson's else.",
        "A step is what ends at a line's end, a semicolon or a full stop; a mark says whether its equation holds.",
        *experiment.remarks,
    )
