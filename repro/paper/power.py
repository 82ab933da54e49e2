"""What the paper's margins would need: training seeds and samples per question, from published standard deviations.

A pass is one sample per question; k passes are k samples per question. All gaps and SDs are in points of accuracy.
Assumptions, in every number here: two independent arms with the same SDs; passes independent given a checkpoint; the
questions are fixed (nothing is said about other questions); benchmarks independent of each other given the checkpoints,
so that the SD of the average is sqrt(sum of variances)/5; two-sided 5 %, power 80 %. The SD between training seeds is
unknown for these models: every number of seeds names the SD it assumes.
"""

import math

import pandas as pd
from scipy import stats

from repro.errors import BadInput
from repro.paper import AVERAGE, BENCHMARKS, MODELS, cells, load_table
from repro.stats.power import ALPHA, POWER, power_of_gap

SEED_SDS = (0.25, 0.5, 1.0)
STATED_PASSES = 20  # what the protocol that the paper follows states (L2T)
STANDARD_PASSES = 64
MAX_SEEDS = 10_000
SD_SOURCES = ("Sober Table 3", "Sober Table 5")


def pass_sd(model: str = "R1-Distill-1.5B", source: str = "Sober Table 3") -> dict[str, float]:
    """SD of one evaluation pass per benchmark and of the average of the five, in points.

    "Sober Table 3": the SD printed beside each mean, from 10 passes on AIME and AMC and 3 on MATH500 and Minerva.
    "Sober Table 5": square root of that paper's variance at K = 1, resampled from many more passes; both 1.5B models.
    Raises BadInput where the source has no row for the model.
    """
    if source not in SD_SOURCES:
        raise BadInput(f"pass_sd: source {source!r}; want one of {', '.join(SD_SOURCES)}")
    if source == "Sober Table 3":
        frame = load_table("independent")
        rows = frame[(frame.source == "Sober") & (frame.model == model)].set_index("benchmark")["sd"]
    else:
        frame = load_table("noise")
        rows = frame[frame.model == model].set_index("benchmark")["variance"] ** 0.5
    if rows.empty:
        raise BadInput(f"pass_sd: {source} has no row for {model!r}")
    sds = {benchmark: float(rows[benchmark]) for benchmark in BENCHMARKS}
    sds[AVERAGE] = math.sqrt(sum(sd**2 for sd in sds.values())) / len(BENCHMARKS)
    return sds


def difference_se(sd: float, passes: int) -> float:
    """Standard error of the difference of two arms' means over `passes` passes each: sd·sqrt(2/passes)."""
    if sd <= 0 or passes < 1:
        raise BadInput(f"difference_se: sd={sd}, passes={passes}; want sd above 0 and at least one pass")
    return sd * math.sqrt(2 / passes)


def sampling_power(gap: float, sd: float, passes: int) -> float:
    """Chance that a two-sided 5 % z test sees `gap` on sampling noise alone, training seeds ignored."""
    return power_of_gap(gap, difference_se(sd, passes), math.inf, alpha=ALPHA)


def passes_needed(gap: float, sd: float) -> int:
    """Passes per arm for 80 % power on sampling noise alone: 2·((z_.975 + z_.8)·sd/gap)², rounded up."""
    if gap <= 0:
        raise BadInput(f"passes_needed: gap={gap}; want above 0")
    z = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)
    return math.ceil(2 * (z * sd / gap) ** 2)


def seeds_needed(gap: float, *, seed_sd: float, sd: float, passes: int = STANDARD_PASSES) -> int:
    """Training seeds per arm for 80 % power of a t test over seed means; each mean has variance seed_sd² + sd²/passes.

    At least 2. Raises BadInput when 10,000 seeds are not enough.
    """
    if gap <= 0 or seed_sd < 0:
        raise BadInput(f"seeds_needed: gap={gap}, seed_sd={seed_sd}; want a gap above 0 and an SD of 0 or more")
    spread = math.sqrt(seed_sd**2 + sd**2 / passes)
    z = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)
    fewest = max(2, math.ceil(2 * (z * spread / gap) ** 2))  # a t test never needs fewer than a z test
    for seeds in range(fewest, MAX_SEEDS):
        df, ratio = 2 * seeds - 2, gap / (spread * math.sqrt(2 / seeds))
        limit = stats.t.ppf(1 - ALPHA / 2, df)
        # Upper tail only: the lower one is below 1e-6 here and NaN in scipy for large ratios. repro.stats.power's
        # quadrature has neither flaw but takes a hundred times as long; a test holds the two together.
        if stats.nct.sf(limit, df, ratio) >= POWER:
            return seeds
    raise BadInput(f"seeds_needed: gap={gap} at seed SD {seed_sd} needs {MAX_SEEDS} seeds per arm or more")


def margins(table: str = "table1") -> pd.DataFrame:
    """GCPO minus the best baseline and minus GRPO from the printed cells: model, against, baseline, benchmark, gap."""
    rows = []
    frame = load_table(table)
    for model in MODELS:
        methods = frame[frame.model == model].method.unique()
        gcpo = cells(table, model, "GCPO")
        others = {method: cells(table, model, method) for method in methods if method not in ("base", "GCPO")}
        for against, candidates in (("best baseline", others), ("GRPO", {"GRPO": others["GRPO"]})):
            for benchmark in (*BENCHMARKS, AVERAGE):
                score = {m: _score(row, benchmark) for m, row in candidates.items()}
                best = max(score, key=score.__getitem__)
                gap = _score(gcpo, benchmark) - score[best]
                rows.append({"model": model, "against": against, "baseline": best, "benchmark": benchmark, "gap": gap})
    return pd.DataFrame(rows)


def _score(row, benchmark: str):
    return sum(row.values()) / len(BENCHMARKS) if benchmark == AVERAGE else row[benchmark]


def ablation_gaps() -> pd.DataFrame:
    """Full GCPO minus each ablation of Table 2: model, against, benchmark, gap (exact fractions)."""
    full = cells("table2", MODELS[0], "GCPO")
    rows = []
    for ablation in ("w/o Adv. Weighting", "w/o KL Term"):
        row = cells("table2", MODELS[0], ablation)
        for benchmark in (*BENCHMARKS, AVERAGE):
            gap = _score(full, benchmark) - _score(row, benchmark)
            rows.append({"model": MODELS[0], "against": ablation, "benchmark": benchmark, "gap": gap})
    return pd.DataFrame(rows)


def requirements(*, sd_model: str = "R1-Distill-1.5B", source: str = "Sober Table 3") -> pd.DataFrame:
    """What each margin of Tables 1 and 2 would need, one row per model, comparison and benchmark.

    Columns: gap, sd (one pass), sigma and power at 20 samples, passes for 80 % on sampling noise alone, and training
    seeds per arm at 64 samples for each assumed seed SD of 0.25, 0.5 and 1.0 points. `sd_model` lends its SDs to all.
    """
    sds = pass_sd(sd_model, source)
    frame = pd.concat([margins(), ablation_gaps()], ignore_index=True)
    frame["gap"] = frame["gap"].astype(float)
    frame["sd"] = frame["benchmark"].map(sds)
    pairs = list(zip(frame["gap"], frame["sd"], strict=True))
    frame["sigma"] = [gap / difference_se(sd, STATED_PASSES) for gap, sd in pairs]
    frame["power"] = [sampling_power(gap, sd, STATED_PASSES) for gap, sd in pairs]
    frame["passes"] = [passes_needed(gap, sd) for gap, sd in pairs]
    for seed_sd in SEED_SDS:
        frame[f"seeds_at_{seed_sd:g}"] = [seeds_needed(gap, seed_sd=seed_sd, sd=sd) for gap, sd in pairs]
    frame.insert(0, "source", f"{source}, {sd_model}")
    return frame
