"""Simulated tables whose truth is known: two trained arms and their base, with seeds, questions, samples, collapses.

For `repro.studies.calibrate`. Scores are fractions. Does not analyse anything.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.stats import Counts

BAND, CAUTIOUS, STATED = "band", "cautious", "stated"


@dataclass(frozen=True)
class World:
    """One simulated world. SDs, gains and gaps are fractions: seed_sd .009 is 0.9 points between trained models.

    questions, samples: per suite. seed_question_sd: retraining moves single questions. arm_question_sd: the arms differ
    on single questions but not on average. correlation: of the two arms' seed effects. ratio: seed SD of arm b over
    that of arm a. gain: of arm b over the base; arm a gains gain + gap. collapse: chance that a seed of arm a, and of
    arm b where both_collapse, ends at the base's level. wanted: `band` (coverage 93 to 97 %), `cautious` (at least 93),
    `stated` (whatever it is).
    """

    name: str
    seeds: int = 5
    questions: tuple[int, ...] = (100,) * 5
    samples: tuple[int, ...] = (4,) * 5
    seed_sd: float = 0.009
    seed_question_sd: float = 0.05
    arm_question_sd: float = 0.0
    correlation: float = 0.0
    ratio: float = 1.0
    gain: float = 0.10
    gap: float = 0.0
    collapse: float = 0.0
    both_collapse: bool = False
    wanted: str = BAND

    @property
    def true_gains(self) -> tuple[float, float]:
        """Expected gains of arms a and b over the base, collapses included."""
        share_b = self.collapse if self.both_collapse else 0.0
        return (1 - self.collapse) * (self.gain + self.gap), (1 - share_b) * self.gain

    @property
    def true_gap(self) -> float:
        """Expected score of arm a minus that of arm b."""
        return self.true_gains[0] - self.true_gains[1]


Drawn = tuple[list[Counts], list[Counts], list[Counts]]


def simulate(world: World, tables: int, rng: np.random.Generator) -> Drawn:
    """Counts of arms a and b, [tables, seeds, questions] per suite, and of the base, whose seeds are pooled in one row.

    Question difficulty: uniform on 0.15..0.75, anew in every table, so that coverage is over the draw of questions too.
    """
    common, *own = rng.normal(size=(3, tables, world.seeds, 1))
    mix = np.sqrt(world.correlation), np.sqrt(1 - world.correlation)
    collapsed = [rng.random((tables, world.seeds, 1)) < chance for chance in _collapses(world)]
    arms: tuple[list[Counts], list[Counts]] = ([], [])
    base = []
    for questions, samples in zip(world.questions, world.samples, strict=True):
        difficulty = rng.uniform(0.15, 0.75, size=(tables, 1, questions))
        lean = rng.normal(0.0, 1.0, size=difficulty.shape) * world.arm_question_sd / 2
        pooled = samples * world.seeds
        base.append(Counts(rng.binomial(pooled, difficulty).astype(np.int32), pooled))
        for place, (sign, gain) in enumerate(((1, world.gain + world.gap), (-1, world.gain))):
            sd = world.seed_sd * (world.ratio if place else 1.0)
            wobble = rng.normal(0.0, world.seed_question_sd, size=(tables, world.seeds, questions))
            luck = sd * (mix[0] * common + mix[1] * own[place])
            chance = difficulty + sign * lean + np.where(collapsed[place], 0.0, gain) + luck + wobble
            right = rng.binomial(samples, np.clip(chance, 0.0, 1.0)).astype(np.int32)
            arms[place].append(Counts(right, samples))
    return arms[0], arms[1], base


def one_table(arm: Sequence[Counts], index: int) -> list[Counts]:
    """The counts of one simulated table."""
    return [Counts(suite.correct[index], suite.k) for suite in arm]


def worlds_of(design: World) -> tuple[World, ...]:
    """The worlds that a design is tried in: as it is, with two seeds, stressed, and with collapses."""
    changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("null", BAND, {}),
        ("a gap of 3 points", BAND, {"gap": 0.03}),
        ("null, two seeds", CAUTIOUS, {"seeds": 2}),
        ("null, one suite", CAUTIOUS, {"questions": design.questions[:1], "samples": design.samples[:1]}),
        ("null, seeds correlated 0.6", CAUTIOUS, {"correlation": 0.6}),
        ("null, seed SDs 1 : 3", CAUTIOUS, {"ratio": 3.0}),
        ("null, arms differ by question, SD 10 points", CAUTIOUS, {"arm_question_sd": 0.10}),
        ("null, no seed spread", CAUTIOUS, {"seed_sd": 0.0, "seed_question_sd": 0.0}),
        ("one seed in ten of arm a collapses", STATED, {"collapse": 0.1}),
        ("one seed in ten of both arms collapses", STATED, {"collapse": 0.1, "both_collapse": True}),
    )
    return tuple(replace(design, name=name, wanted=wanted, **change) for name, wanted, change in changes)


def ratio_worlds_of(design: World) -> tuple[World, ...]:
    """Worlds for the ratio of gains: equal gains, the paper's median ratio, small gains, a collapse.

    Where the gain is small the set may have no ends, and such a set holds every ratio: cautious by construction.
    """
    changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("ratio 1, gain 10 points", BAND, {}),
        ("ratio 2.3, gain 10 points", BAND, {"gap": 0.13}),
        ("ratio 1, gain 3 points", CAUTIOUS, {"gain": 0.03}),
        ("ratio 2.3, gain 3 points", CAUTIOUS, {"gain": 0.03, "gap": 0.039}),
        ("ratio 1, gain 1 point", CAUTIOUS, {"gain": 0.01}),
        ("ratio 2.3, gain 10 points, one seed in ten of arm a collapses", STATED, {"gap": 0.13, "collapse": 0.1}),
    )
    return tuple(replace(design, name=name, wanted=wanted, **change) for name, wanted, change in changes)


def equivalence_worlds_of(design: World) -> tuple[World, ...]:
    """Worlds for the tests of equivalence: the design, and one that can see the margin."""
    sharp = {"seeds": 10, "samples": (16,) * len(design.samples), "correlation": 0.6}
    return replace(design, name="the design"), replace(design, name="ten seeds, k = 16, seeds correlated 0.6", **sharp)


def design_of(cells: Sequence[dict[str, Any]]) -> World:
    """The seeds, questions and samples that the most cells of a table have; the default design without cells."""
    sampled = [cell for cell in cells if "search" not in cell]
    if not sampled:
        return World("design")
    seeds = Counter(Counter((cell["base"], cell["arm"]) for cell in sampled).values()).most_common(1)[0][0]
    suites = list(sampled[0]["suites"].values())
    questions, samples = (tuple(suite[key] for suite in suites) for key in ("n", "k"))
    return World("design", seeds=max(seeds, 2), questions=questions, samples=samples)


def as_record(world: World) -> dict[str, Any]:
    """The world as plain data."""
    return asdict(world)


def _collapses(world: World) -> NDArray:
    return np.array([world.collapse, world.collapse if world.both_collapse else 0.0])
