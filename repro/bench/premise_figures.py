"""The figures and claims of `repro.bench.premise` from its records, and its result as text. Runs no model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from repro.bench.mechanism_figures import interval
from repro.stats.verdicts import NOT_TESTED, direction_verdict

GC2PO, CONTROL, PERMUTED, OUTCOME = "GC2PO", "its control", "permuted", "outcome alone"
ARMS = {GC2PO: "gc2po", CONTROL: "gc2po_noncausal", PERMUTED: "gc2po_permuted", OUTCOME: "gc2po_credit_only"}
RANK, RANK_CC, RANK_STEP = "rank correlation, R", "rank correlation, r_cc", "the same among steps of one number, r_cc"
GAP = "credit of sound with a wrong end - lucky"
DECIMALS = 9  # of a reward that counts as equal to another: terms that are 1 everywhere differ by their rounding


@dataclass(frozen=True)
class Claim:
    """A sentence that is supported where the interval of its figure lies above 0; written before any run."""

    id: str
    text: str
    figure: str


CLAIMS = (
    Claim("sound", "GC2PO rewards an episode more where its step is sound", f"{RANK}: {GC2PO}"),
    Claim("sound>outcome", "it does so more than the outcome alone", f"{RANK}: {GC2PO} - {OUTCOME}"),
    Claim("sound>control", "it does so more than its non-causal control", f"{RANK}: {GC2PO} - {CONTROL}"),
    Claim("own", "r_cc by itself is higher where a step is sound", f"{RANK_CC}: {GC2PO}"),
    Claim("premise", "sound steps with a wrong end get more credit than a lucky end", f"{GAP}: {GC2PO}"),
    # not against the outcome alone, whose gap any noise in the reward brings nearer to 0
    Claim("premise>permuted", "they get more than from the same rewards elsewhere", f"{GAP}: {GC2PO} - {PERMUTED}"),
    Claim("premise>control", "they get more than under the non-causal control", f"{GAP}: {GC2PO} - {CONTROL}"),
)


def premise_figures(episodes: pd.DataFrame, rollouts: pd.DataFrame) -> dict[str, tuple[float, float, float] | None]:
    """Figure -> (value, low, high); None where it has nothing to compare.

    episodes: one row per step: question, step (its number), sound, and for every arm "R ..." and "r_cc ...".
    rollouts: one row per completion: question, sound_and_wrong, lucky, and for every arm "credit ...".
    """
    questions = sorted(set(rollouts["question"]))
    figures: dict[str, tuple[float, float, float] | None] = {}
    whole = {arm: _rank_sums(episodes, f"R {arm}", ["question"], questions) for arm in ARMS}
    figures |= {f"{RANK}: {arm}": _figure(sums, _correlation) for arm, sums in whole.items()}
    for other in (CONTROL, PERMUTED, OUTCOME):
        figures[f"{RANK}: {GC2PO} - {other}"] = _figure(
            np.hstack([whole[GC2PO], whole[other]]), lambda s: _correlation(s[:3]) - _correlation(s[3:])
        )
    for arm in (GC2PO, CONTROL):
        for name, within in ((RANK_CC, ["question"]), (RANK_STEP, ["question", "step"])):
            sums = _rank_sums(episodes, f"r_cc {arm}", within, questions)
            figures[f"{name}: {arm}"] = _figure(sums, _correlation)
    gaps = {arm: _class_sums(rollouts, f"credit {arm}", questions) for arm in ARMS}
    figures |= {f"{GAP}: {arm}": _figure(sums, _gap) for arm, sums in gaps.items()}
    for other in (CONTROL, PERMUTED, OUTCOME):
        figures[f"{GAP}: {GC2PO} - {other}"] = _figure(
            np.hstack([gaps[GC2PO], gaps[other]]), lambda s: _gap(s[:4]) - _gap(s[4:])
        )
    return figures


def _rank_sums(table: pd.DataFrame, column: str, within: list[str], questions: Sequence[int]) -> np.ndarray:
    """[questions, 3]: sums of products of the ranks of `column` and `sound`, ab, aa, bb, centred within groups.

    A rank is divided by the size of its group, so that a long group counts for its members and no more.
    """
    values = table[[column, "sound"]].astype(float).round(DECIMALS)
    keys = [table[name] for name in within]
    size = values.groupby(keys)["sound"].transform("size")
    ranks = values.groupby(keys).rank().sub((size + 1) / 2, axis=0).div(size, axis=0)  # halves: equal ones stay equal
    a, b = ranks[column], ranks["sound"]
    sums = pd.DataFrame({"ab": a * b, "aa": a * a, "bb": b * b}).groupby(table["question"]).sum()
    return sums.reindex(questions, fill_value=0.0).to_numpy()


def _class_sums(rollouts: pd.DataFrame, column: str, questions: Sequence[int]) -> np.ndarray:
    """[questions, 4]: sum and count of `column` over the sound ones with a wrong end, then over the lucky ones."""
    parts = {}
    for name in ("sound_and_wrong", "lucky"):
        parts[f"{name}, sum"] = rollouts[column] * rollouts[name]
        parts[f"{name}, count"] = rollouts[name].astype(float)
    return pd.DataFrame(parts).groupby(rollouts["question"]).sum().reindex(questions).to_numpy()


def _correlation(sums: np.ndarray) -> np.ndarray:
    return sums[0] / np.sqrt(sums[1] * sums[2])


def _gap(sums: np.ndarray) -> np.ndarray:
    return sums[0] / sums[1] - sums[2] / sums[3]


def _figure(sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float] | None:
    """The figure with its interval, None where it is no number on all questions together."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if not np.isfinite(figure(sums.mean(axis=0))):
            return None
    return interval(sums, figure)


def verdict(figure: tuple[float, float, float] | None) -> str:
    return NOT_TESTED if figure is None else direction_verdict(*figure[1:], None)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text for people."""
    head = (
        f"{result['base']} ({result['profile']}): {result['questions']} questions x {result['n']}, {result['steps']} "
        f"steps, {100 * result['share_sound']:.1f} % sound; {100 * result['share_right']:.1f} % of completions right; "
        f"{result['without_steps']} without steps"
    )
    classes = [
        f"{name.replace('_', ' ')}: {part['rollouts']} completions, {100 * part['share_sound']:.1f} % of steps sound"
        for name, part in result["classes"].items()
    ]
    spread = [f"r_cc of {arm}: mean {mean:.3f}, SD {sd:.3f}" for arm, (mean, sd) in result["r_cc"].items()]
    width = max(map(len, result["figures"]))
    rows = [
        f"{name.ljust(width)}  " + ("nothing to compare" if f is None else f"{f[0]: .3f} [{f[1]: .3f}, {f[2]: .3f}]")
        for name, f in result["figures"].items()
    ]
    return [head, *classes, *spread, *rows, *(f"{claim['text']}: {claim['verdict']}" for claim in result["claims"])]
