"""Whether bases integrate candidates, by the acceptance figures of a group that really integrates.

For every base of a profile, on the medium suite: eight candidates' answers are shown in the base's own format and the
base answers once more. Shown are eight right ones, eight wrong ones (both chosen among POOL samples of the same
question), the first eight as sampled where they are mixed, and sets with exactly 0 to 8 right ones. Writes
tables/acceptance.csv and figures/acceptance.{png,svg}.

Run: python -m repro.studies.integration [--profile integrate]
"""

import argparse
import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from repro.bases.make import load_base
from repro.cells.bases import base_source, base_specs
from repro.config import EvaluateSpec, Profile, load_profile
from repro.evaluation.base_quality import MAX_NEW_TOKENS, complete, context_shift, correctness, majority_share
from repro.figures import save
from repro.figures.integration import accuracy_by_right
from repro.paths import results_dir
from repro.tasks.procedural import build_tokenizer, final_answer, integration_prompt, load_suite
from repro.tasks.procedural.families import Problem

SUITE, QUESTIONS = "modten-medium", 300
SHOWN, POOL, REPEATS = 8, 40, 4
SLACK = 0.05  # what the acceptance figures allow to lose
MIXED = "mixed as sampled"
# set -> the accuracy that integration has to reach on it
CRITERIA: dict[str, Callable[[dict[str, Any]], float]] = {
    "all right": lambda row: 0.9,
    MIXED: lambda row: row["majority"] - SLACK,
    "all wrong": lambda row: row["one_sample"] - SLACK,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """One question with the candidates' answers that are shown, and what the base answers alone."""

    problem: Problem
    view: list[str | None]
    alone: list[str | None]

    @property
    def single(self) -> float:
        """Accuracy of one sample with nothing shown."""
        return fmean(answer == self.problem.answer for answer in self.alone)


def shown_sets(problems: Sequence[Problem], answers: Sequence[Sequence[str | None]]) -> dict[str, list[Shown]]:
    """The sets by name: "all right", "all wrong", "mixed as sampled", "all wrong as sampled", "0 right" to "8 right".

    answers: of POOL samples per problem. A problem without the candidates that a set needs is not in it. What the base
    answers alone is all samples where the shown ones were chosen by verdict, and the others where they came as sampled:
    either way it does not depend on what is shown.
    """
    rng, sets = random.Random(0), defaultdict(list)
    for problem, row in zip(problems, answers, strict=True):
        right, wrong = ([k for k, a in enumerate(row) if (a == problem.answer) is kind] for kind in (True, False))

        for count in range(SHOWN + 1):
            if len(right) >= count and len(wrong) >= SHOWN - count:
                chosen = rng.sample(right, count) + rng.sample(wrong, SHOWN - count)
                shown = [row[k] for k in rng.sample(chosen, SHOWN)]
                sets[f"{count} right"].append(Shown(problem, shown, list(row)))
        among = sum(answer == problem.answer for answer in row[:SHOWN])
        if among < SHOWN:
            name = MIXED if among else "all wrong as sampled"
            sets[name].append(Shown(problem, list(row[:SHOWN]), list(row[SHOWN:])))
    return dict(sets) | {"all right": sets[f"{SHOWN} right"], "all wrong": sets["0 right"]}


def best_mixed(mixed: Sequence[Shown], wrong: Sequence[Shown], slack: float = SLACK) -> float:
    """The most that following the leader or one's own sample can reach on `mixed` if it loses `slack` on `wrong`.

    Over all rules that read the leader's votes, its margin, and the votes for one's own answer: cells of these three
    are followed in the order of what they gain for what they cost, the last one in part. An upper bound: the rule is
    chosen on the sets that it is judged by.
    """
    gains, costs = _by_cell(mixed), _by_cell(wrong)
    reached, left = fmean(item.single for item in mixed), slack
    offers = [(gains[key], -costs[key]) for key in gains.keys() | costs.keys() if gains[key] > 0]
    for gain, cost in sorted(offers, key=lambda offer: offer[0] / max(offer[1], 1e-9), reverse=True):
        part = 1.0 if cost <= left else left / cost
        reached, left = reached + part * gain, left - part * cost
        if part < 1:
            break
    return reached


def _by_cell(items: Sequence[Shown]) -> dict[tuple[int, int, int], float]:
    """What following the leader gains over one's own sample, by cell, summing to the mean over all items."""
    gained: dict[tuple[int, int, int], float] = defaultdict(float)
    for item in items:
        votes = Counter(answer for answer in item.view if answer is not None)
        counts = [*sorted(votes.values(), reverse=True), 0, 0]
        followed = majority_share(item.view, item.problem.answer)
        for own in item.alone:
            key = counts[0], counts[0] - counts[1], votes[own]
            gained[key] += (followed - (own == item.problem.answer)) / len(item.alone) / len(items)
    return gained


def measure(profile: Profile, name: str) -> list[dict[str, Any]]:
    """One row per set of one base, which must have been made: what was shown, what one sample, the vote and it reach.

    `met` says whether a set's acceptance figure is reached. `logp_shift`: mean log pi(y_i | x_i) - log pi(y_i | q) per
    token. `best_possible`: `best_mixed`, on the row of the mixed sets.
    """
    order = base_specs(profile, "trained")[name].candidate_order
    model, tokenizer = load_base(base_source(profile, name)[0]), build_tokenizer()
    spec = EvaluateSpec(samples=POOL, temperature=1.0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS, batch_size=512)
    problems = load_suite(SUITE, QUESTIONS)
    samples = complete(model, tokenizer, [p.prompt for p in problems], spec, 0, f"{name}/pool")
    answers = [[final_answer(text, ended=ended) for text, ended in row] for row in samples]
    sets = shown_sets(problems, answers)
    again = spec.model_copy(update={"samples": REPEATS})
    first = [row[:SHOWN] for row in samples]
    alone = {
        "base": name,
        "order": order,
        "pass_at_1": fmean(fmean(a == p.answer for a in row) for p, row in zip(problems, answers, strict=True)),
        "logp_shift": context_shift(model, problems, first, [row[:SHOWN] for row in answers], order)[
            "logp_shift_per_token"
        ],
    }
    rows = []
    for group in [*CRITERIA, "all wrong as sampled", *(f"{count} right" for count in range(SHOWN + 1))]:
        items = sets.get(group, [])
        row = {**alone, "candidates": group, "questions": len(items)}
        if items:
            prompts = [integration_prompt(item.problem.prompt, item.view, order) for item in items]
            drawn = complete(model, tokenizer, prompts, again, 0, f"{name}/{group}")
            verdicts = correctness([item.problem for item in items], drawn)
            row |= {
                "one_sample": fmean(item.single for item in items),
                "majority": fmean(majority_share(item.view, item.problem.answer) for item in items),
                "integrated": fmean(fmean(verdict) for verdict in verdicts),
            }
            if group in CRITERIA:
                row["met"] = row["integrated"] >= CRITERIA[group](row)
            if group == MIXED:
                row["best_possible"] = best_mixed(items, sets["all wrong"])
        rows.append(row)
    return rows


def main() -> None:
    """Measure the bases of a profile, which must have been made, and write tables and picture."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="integrate", help="profile whose bases are measured (default integrate)")
    profile = load_profile(parser.parse_args().profile)
    rows = []
    for name in profile.bases:
        found = measure(profile, name)
        log.info("%s: %s", name, [f"{row['candidates']} {row.get('integrated', math.nan):.3f}" for row in found])
        rows += found
    table, folder = pd.DataFrame(rows), results_dir(profile.name, "published")
    path = folder / "tables" / "acceptance.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    save(accuracy_by_right(pd.read_csv(path), SHOWN), folder / "figures", "acceptance")


if __name__ == "__main__":
    main()
