"""A/A calibration: do our intervals and tests keep their promises on comparisons where nothing differs?

Simulated: tables with the seed, question and sample structure of a profile, analysed by the shipped functions. Real:
one checkpoint's samples cut in halves, and one configuration's seeds split in two, treated as two methods. Scores are
fractions inside, points in the report. Does not tune anything: what fails here is withheld by whoever publishes.

`python -m repro.studies.calibrate --profile micro [--runs FOLDER]` writes calibration.{json,md} to
results/published/<profile>/.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from repro import stats
from repro.errors import BadInput
from repro.paths import results_dir
from repro.stats.intervals import LEVEL, half_width, mean_parts

REJECTION_BAND = (0.035, 0.065)
COVERAGE_BAND = (0.93, 0.97)
ALPHA = 1 - LEVEL
BOOTSTRAP_REPLICATES = 500  # per simulated table; its own error is far below that of the number of tables


@dataclass(frozen=True)
class Scenario:
    """One simulated world. SDs and gaps are fractions: seed_sd .009 is 0.9 points between trained models.

    seed_question_sd: retraining moves single questions. arm_question_sd: the arms differ on single questions but not on
    average. correlation: of the two arms' seed effects. ratio: seed SD of arm b over that of arm a.
    """

    name: str
    seeds: int
    suites: int = 5
    questions: int = 100
    samples: int = 8
    seed_sd: float = 0.009
    seed_question_sd: float = 0.05
    arm_question_sd: float = 0.0
    correlation: float = 0.0
    ratio: float = 1.0
    gap: float = 0.0
    stress: bool = False


def simulate(world: Scenario, tables: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Counts of arms a and b, [tables, suites, seeds, questions] in 0..samples, with E[a - b] = world.gap.

    Question difficulty: uniform on 0.15..0.85, anew in every table, so that coverage is over the draw of questions too.
    """
    shape = (tables, world.suites, 1, world.questions)
    difficulty = rng.uniform(0.15, 0.85, size=shape)
    lean = rng.normal(0.0, 1.0, size=shape) * world.arm_question_sd / 2
    common, own_a, own_b = rng.normal(size=(3, tables, 1, world.seeds, 1))
    mix = np.sqrt(world.correlation), np.sqrt(1 - world.correlation)
    counts = []
    for sign, own, sd in ((1, own_a, world.seed_sd), (-1, own_b, world.seed_sd * world.ratio)):
        wobble = rng.normal(0.0, world.seed_question_sd, size=(tables, world.suites, world.seeds, world.questions))
        chance = difficulty + sign * (lean + world.gap / 2) + sd * (mix[0] * common + mix[1] * own) + wobble
        counts.append(rng.binomial(world.samples, np.clip(chance, 0.0, 1.0)))
    return counts[0], counts[1]


def shipped(a: NDArray, b: NDArray, samples: int) -> tuple[NDArray, NDArray, NDArray]:
    """Difference, half-width and SE of every simulated table, [tables] each, by the code behind `paired_difference`."""
    tables = [(a[:, suite] - b[:, suite]) / samples for suite in range(a.shape[1])]
    value, parts, _ = mean_parts(tables)
    return value, half_width(parts), np.sqrt(sum(variance for variance, _ in parts))


def compare_methods(world: Scenario, tables: int, slow_tables: int, seed: int) -> list[dict[str, Any]]:
    """Rejection of "no difference" and coverage of the true gap in one world, one row per method.

    slow_tables: how many of the tables the resampling methods analyse; 0 leaves them out.
    """
    rng = np.random.default_rng(seed)
    a, b = simulate(world, tables, rng)
    value, half, _ = shipped(a, b, world.samples)
    rows = [_row(world, "seeds + questions (shipped)", value - half, value + half)]
    per_seed = (a.mean(axis=(1, 3)) - b.mean(axis=(1, 3))) / world.samples
    student = (
        distributions.t.ppf(0.5 + LEVEL / 2, world.seeds - 1) * per_seed.std(axis=1, ddof=1) / np.sqrt(world.seeds)
    )
    rows.append(_row(world, "Student t over seed means", value - student, value + student))
    if slow_tables:
        boot = np.array([_bootstrap(a[i], b[i], world.samples, rng) for i in range(slow_tables)])
        rows.append(_row(world, "hierarchical bootstrap", boot[:, 0], boot[:, 1]))
        center, spread = value[:slow_tables], student[:slow_tables]
        wide = (boot[:, 1] - boot[:, 0] > 2 * spread)[:, None]
        wider = np.where(wide, boot, np.stack([center - spread, center + spread], axis=1))
        rows.append(_row(world, "wider of bootstrap and Student t", wider[:, 0], wider[:, 1]))
        flips = [
            stats.sign_flip_test((a[i] - b[i]).mean(axis=1).ravel() / world.samples, rng=rng, draws=499)
            for i in range(slow_tables)
        ]
        rows.append(_record(world, "sign flips over questions", slow_tables, float(np.mean(np.array(flips) <= ALPHA))))
    return rows


def planted_effect(world: Scenario, tables: int, seed: int) -> dict[str, Any]:
    """Plant the gap that the table states as detectable with 80 % power, and count how often it is found."""
    rng = np.random.default_rng(seed)
    a, b = simulate(world, tables, rng)
    value, _, _ = shipped(a, b, world.samples)
    true_se = float(value.std(ddof=1))
    gap = stats.minimum_detectable_gap(true_se, world.seeds - 1)
    planted = Scenario(**{**asdict(world), "gap": gap})
    a, b = simulate(planted, tables, rng)
    value, half, _ = shipped(a, b, world.samples)
    return {
        "scenario": world.name,
        "seeds": world.seeds,
        "gap": 100 * gap,
        "stated_power": stats.power_of_gap(gap, true_se, world.seeds - 1),
        "found": float(np.mean(value - half > 0)),
        "coverage": float(np.mean(np.abs(value - gap) <= half)),
        "tables": tables,
    }


def split_seeds(cells: Sequence[dict], arm: str) -> dict[str, Any]:
    """Real A/A: every way to deal one configuration's seeds into two arms of equal size; false alarms per split."""
    alarms, splits, used = 0, 0, []
    for base in sorted({cell["base"] for cell in cells}):
        group = sorted((c for c in cells if c["base"] == base and c["arm"] == arm), key=lambda c: c["seed"])
        half = len(group) // 2
        if half < 2:
            continue
        used.append(f"{base} ({len(group)} seeds)")
        for first in itertools.combinations(range(len(group)), half):
            rest = [index for index in range(len(group)) if index not in first]
            for second in itertools.permutations(rest, half):  # the pairing of seeds is arbitrary: try all
                low, high = _split_interval([group[i] for i in first], [group[i] for i in second])
                alarms += low > 0 or high < 0
                splits += 1
    return {"arm": arm, "used": used, "splits": splits, "rejection": alarms / splits if splits else None}


def split_samples(cells: Sequence[dict], repeats: int, seed: int) -> dict[str, Any]:
    """Real A/A: each cell's k samples per question cut at random into two halves, as two methods of one seed."""
    rng = np.random.default_rng(seed)
    alarms, splits = 0, 0
    for cell in cells:
        suites = [(np.array(s["correct"]), s["k"]) for s in cell["suites"].values() if s["k"] % 2 == 0]
        for _ in range(repeats if suites else 0):
            parts = [_halves(correct, k, rng) for correct, k in suites]
            result = stats.paired_difference([first for first, _ in parts], [second for _, second in parts])
            alarms += result.low > 0 or result.high < 0
            splits += 1
    return {"cells": len(cells), "splits": splits, "rejection": alarms / splits if splits else None}


WORLDS = tuple(
    Scenario(name, seeds, stress=stress, **changes)
    for seeds in (5, 2)
    for name, stress, changes in (
        ("null", False, {}),
        ("null, one suite", True, {"suites": 1}),
        ("null, seeds correlated 0.6", True, {"correlation": 0.6}),
        ("null, seed SDs 1 : 3", True, {"ratio": 3.0}),
        ("null, arms differ by question, SD 10 points", True, {"arm_question_sd": 0.10}),
        ("null, no seed spread", True, {"seed_sd": 0.0, "seed_question_sd": 0.0}),
    )
)


def run_calibration(
    cells: Sequence[dict] = (), *, tables: int = 4000, slow_tables: int = 2000, arm: str = "grpo", seed: int = 0
) -> dict[str, Any]:
    """All simulated worlds, planted effects, and, where `cells` (summaries) are given, the real A/A comparisons.

    Returns plain data: settings, rows, power, real, checks (name -> passed), passed.
    Raises BadInput for fewer than 200 tables, which could not tell 5 % from 8 %.
    """
    if tables < 200 or slow_tables > tables:
        raise BadInput(f"calibration with {tables} tables, {slow_tables} resampled; want >= 200 and no more resampled")
    rows: list[dict[str, Any]] = []
    for index, world in enumerate(WORLDS):
        rows += compare_methods(world, tables, 0 if world.stress else slow_tables, seed + index)
    power = [planted_effect(world, tables, seed + 100) for world in WORLDS if not world.stress]
    real = None
    if cells:
        real = {"split_seeds": split_seeds(cells, arm), "split_samples": split_samples(cells, 20, seed)}
    checks = _checks(rows, power, real, tables)
    return {
        "settings": {
            "tables": tables,
            "resampled_tables": slow_tables,
            "seed": seed,
            "worlds": [asdict(w) for w in WORLDS],
        },
        "rows": rows,
        "power": power,
        "real": real,
        "checks": checks,
        "passed": all(checks.values()),
    }


def to_markdown(result: dict[str, Any]) -> str:
    """The calibration as a page: what was simulated, the rates, what follows."""
    settings = result["settings"]
    verdict = "passed" if result["passed"] else "FAILED: p-values are withheld"
    lines = [
        "# A/A calibration",
        "",
        f"**{verdict}.** {settings['tables']} simulated comparisons per row (resampling methods: "
        f"{settings['resampled_tables']}), 5 suites x 100 questions x 8 samples unless stated, seed SD 0.9 points, "
        "question difficulty 0.15 to 0.85. Wanted: rejection 3.5 to 6.5 %, coverage 93 to 97 %; in the stress rows, "
        "where cautious is allowed, only rejection below 6.5 % and coverage above 93 %.",
        "",
        "| world | seeds | method | rejected at 5 % | coverage | median half-width, points |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for row in result["rows"]:
        coverage = "" if row["coverage"] is None else f"{100 * row['coverage']:.1f} %"
        width = "" if row["half_width"] is None else f"{row['half_width']:.2f}"
        rejection = f"{100 * row['rejection']:.1f} %"
        lines.append(f"| {row['scenario']} | {row['seeds']} | {row['method']} | {rejection} | {coverage} | {width} |")
    lines += ["", "| planted gap, points | seeds | stated power | found | coverage |", "|---:|---:|---:|---:|---:|"]
    for row in result["power"]:
        rates = [f"{100 * row[key]:.1f} %" for key in ("stated_power", "found", "coverage")]
        lines.append(f"| {row['gap']:.2f} | {row['seeds']} | {' | '.join(rates)} |")
    lines += ["", *_real_lines(result["real"]), "", "| check | passed |", "|---|---|"]
    lines += [f"| {name} | {'yes' if passed else 'no'} |" for name, passed in result["checks"].items()]
    lines += [
        "",
        "Tables print the first method. The hierarchical bootstrap understates the seed level by (S-1)/S in variance "
        "and counts the sampling noise again on every lower level; the errors do not cancel, and no rule that picks "
        "the wider of it and Student's t is nominal. Student's t over seed means ignores the draw of questions. Sign "
        "flips over questions ask whether two sets of checkpoints differ, not whether two methods do, so tables print "
        "no such p-value.",
    ]
    return "\n".join(lines) + "\n"


def write_calibration(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write calibration.json and calibration.md into `folder`; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "calibration.json", folder / "calibration.md"]
    paths[0].write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    paths[1].write_text(to_markdown(result), encoding="utf-8")
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when calibrated, 1 when a check failed, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m repro.studies.calibrate", description="A/A calibration of the intervals"
    )
    parser.add_argument("--profile", default="micro")
    parser.add_argument("--runs", type=Path, help="folder of finished cells for the real A/A comparisons")
    parser.add_argument("--tables", type=int, default=4000, help="simulated comparisons per world")
    parser.add_argument("--resampled", type=int, default=2000, help="of these, analysed by the resampling methods too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        cells = _read_cells(options.runs) if options.runs else []
        result = run_calibration(cells, tables=options.tables, slow_tables=options.resampled, seed=options.seed)
        paths = write_calibration(result, results_dir(options.profile, "published"))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{'passed' if result['passed'] else 'failed'}: {', '.join(map(str, paths))}")
    return 0 if result["passed"] else 1


def _bootstrap(a: NDArray, b: NDArray, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    arms = [[stats.Counts(suite, samples) for suite in arm] for arm in (a, b)]
    draws = stats.hierarchical_bootstrap(*arms, rng=rng, replicates=BOOTSTRAP_REPLICATES)
    return stats.percentile_interval(draws)


def _row(world: Scenario, method: str, low: NDArray, high: NDArray) -> dict[str, Any]:
    rejection = float(np.mean((low > 0) | (high < 0)))
    coverage = float(np.mean((low <= world.gap) & (world.gap <= high)))
    return _record(world, method, len(low), rejection, coverage, 100 * float(np.median(high - low)) / 2)


def _record(
    world: Scenario,
    method: str,
    tables: int,
    rejection: float,
    coverage: float | None = None,
    width: float | None = None,
) -> dict[str, Any]:
    return {
        "scenario": world.name,
        "seeds": world.seeds,
        "stress": world.stress,
        "method": method,
        "tables": tables,
        "rejection": rejection,
        "coverage": coverage,
        "half_width": width,
    }


def _checks(rows: list[dict], power: list[dict], real: dict | None, tables: int) -> dict[str, bool]:
    own = [row for row in rows if row["method"].endswith("(shipped)")]
    error = 2 * np.sqrt(ALPHA * LEVEL / tables)  # two standard errors of a simulated 5 % rate
    checks = {
        "rejection within 3.5-6.5 % with our structure": all(
            REJECTION_BAND[0] <= row["rejection"] <= REJECTION_BAND[1] for row in own if not row["stress"]
        ),
        "coverage within 93-97 % with our structure": all(
            COVERAGE_BAND[0] <= row["coverage"] <= COVERAGE_BAND[1] for row in own if not row["stress"]
        ),
        "false alarms at most 5 % within simulation error, every world": all(
            row["rejection"] <= ALPHA + error for row in own
        ),
        "planted gaps found within 5 points of the stated power": all(
            abs(row["found"] - row["stated_power"]) <= 0.05 for row in power
        ),
    }
    for name, split in (real or {}).items():
        if split["splits"]:
            checks[f"real A/A, {name.replace('_', ' ')}: false alarms below 10 %"] = split["rejection"] < 0.10
    return checks


def _real_lines(real: dict | None) -> list[str]:
    if real is None:
        return ["Real data: not run (no finished cells were given)."]
    seeds, samples = real["split_seeds"], real["split_samples"]
    lines = []
    if seeds["splits"]:
        lines.append(
            f"Real data, seeds of `{seeds['arm']}` split in two ({', '.join(seeds['used'])}): {seeds['splits']} splits "
            f"(overlapping, so not independent), false alarms {100 * seeds['rejection']:.1f} %."
        )
    else:
        lines.append(f"Real data, seeds of `{seeds['arm']}` split in two: not run (needs four seeds of one base).")
    if samples["splits"]:
        lines.append(
            f"Real data, halves of one checkpoint's samples: {samples['splits']} splits of {samples['cells']} cells, "
            f"false alarms {100 * samples['rejection']:.1f} %."
        )
    return lines


def _split_interval(first: Sequence[dict], second: Sequence[dict]) -> tuple[float, float]:
    arms = [
        [
            stats.Counts(np.array([cell["suites"][name]["correct"] for cell in group]), group[0]["suites"][name]["k"])
            for name in first[0]["suites"]
        ]
        for group in (first, second)
    ]
    result = stats.paired_difference(*arms)
    return result.low, result.high


def _halves(correct: NDArray, k: int, rng: np.random.Generator) -> tuple[stats.Counts, stats.Counts]:
    first = rng.hypergeometric(correct, k - correct, k // 2)
    return stats.Counts(first[None], k // 2), stats.Counts((correct - first)[None], k // 2)


def _read_cells(folder: Path) -> list[dict]:
    paths = sorted(folder.glob("*/summary.json"))
    if not paths:
        raise BadInput(f"no finished cell (summary.json) under {folder}; want a runs folder")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


if __name__ == "__main__":
    sys.exit(main())
