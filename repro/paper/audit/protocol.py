"""K7, K10 and K11: noise of the evaluation, sizes of the data sets, steps of training, and the worked answers."""

import json
from collections.abc import Iterable
from fractions import Fraction
from math import gcd
from pathlib import Path

import pandas as pd

from repro.paper import AVERAGE, BENCHMARKS, MODELS
from repro.paper.audit.check import NO_DATA, Check, text
from repro.paper.findings import UNDECIDED, Finding, verdict
from repro.paper.power import STATED_PASSES, difference_se, margins, pass_sd, requirements
from repro.paths import benchmark_dir

BATCH, AIME_ROWS, NUMINA_ROWS, GROUP = 256, 919, 4000, 8
EVALUATION_FILES = {
    "aime24": 30,
    "aime25": 30,
    "amc23": 40,
    "amc_aimo83": 83,
    "math500": 500,
    "minerva": 272,
    "humaneval": 164,
}
AIME_TRAINING = "train_aime_1983_2023"


def k7() -> Check:
    """Standard errors of the evaluation protocol against the margins."""
    sds = {"Sober Table 3": pass_sd(), "Sober Table 5": pass_sd(source="Sober Table 5")}
    frame = margins()
    best = frame[frame.against == "best baseline"].set_index(["model", "benchmark"])["gap"]
    se = {name: difference_se(sd[AVERAGE], STATED_PASSES) for name, sd in sds.items()}
    sigmas = {name: [float(best[m, AVERAGE]) / value for m in MODELS] for name, value in se.items()}
    math = {
        name: [float(best[m, "MATH500"]) / difference_se(sd["MATH500"], STATED_PASSES) for m in MODELS]
        for name, sd in sds.items()
    }
    needs = requirements()
    average = needs[(needs.benchmark == AVERAGE) & (needs.against == "best baseline")]
    passes = " / ".join(str(v) for v in average.passes)
    seeds = " / ".join(str(v) for v in average["seeds_at_0.5"])
    noise = pd.DataFrame(
        [
            {
                "source": name,
                "benchmark": b,
                "sd_one_pass": sd[b],
                "se_difference_20": difference_se(sd[b], STATED_PASSES),
            }
            for name, sd in sds.items()
            for b in (*BENCHMARKS, AVERAGE)
        ]
    )

    def joined(values: Iterable[float]) -> str:
        return " / ".join(f"{v:.1f}" for v in values)

    outcome = (
        f"average SD {sds['Sober Table 3'][AVERAGE]:.2f}, SE of a difference {se['Sober Table 3']:.2f} at 20 samples; "
        f"margins {joined(sigmas['Sober Table 3'])} sigma; passes {passes}; seeds at SD 0.5 {seeds}"
    )
    findings = [
        Finding(
            "M3",
            "Tables 1-3",
            "differences of single numbers, no interval, no seeds",
            "one evaluation of 20 samples per question gives a difference of averages an SE of "
            f"{se['Sober Table 3']:.2f} "
            f"(SDs of A Sober Look, Table 3) or {se['Sober Table 5']:.2f} (its Table 5): the margins over the "
            "best baseline "
            f"are {joined(sigmas['Sober Table 3'])} or {joined(sigmas['Sober Table 5'])} sigma, before any spread "
            "between "
            "training seeds",
            UNDECIDED,
            "K7",
        ),
        Finding(
            "M3b",
            "Table 1",
            "GCPO beats the best baseline on the average",
            f"80 % power needs {passes} samples per question and arm on sampling noise alone; at an assumed seed "
            "SD of 0.5 "
            f"{seeds} training seeds per arm with 64 samples",
            UNDECIDED,
            "K7",
        ),
        Finding(
            "M3c",
            "Table 1, MATH500",
            "margins over the best baseline 0.6 / 0.8 / 0.6",
            f"{joined(math['Sober Table 3'])} sigma if the SD of one pass is the 0.3 that three passes gave, "
            f"{joined(math['Sober Table 5'])} with the resampled {sds['Sober Table 5']['MATH500']:.2f}: the "
            "answer hangs on "
            "the SD, and seeds come on top",
            UNDECIDED,
            "K7",
        ),
    ]
    return Check("K7", outcome, findings, {"noise": noise, "power": needs})


def _rows(folder: Path, name: str) -> list[dict]:
    with open(folder / f"{name}.jsonl", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle if line.strip()]


def k10(folder: Path | None = None) -> Check:
    """Stated sizes against the files (`folder`, default repro.paths.benchmark_dir())."""
    folder = benchmark_dir() if folder is None else folder
    stated = {
        "D1": ("AIME24-25", "30 questions, 15 per year"),
        "D2": ("MinervaMATH", "12,500 problems"),
        "D3": ("AMC", "975 questions from 39 competitions"),
        "D4": ("training set", "919 AIME problems from 1989 to 2023"),
    }
    if folder is None:
        findings = [
            Finding(id, f"Benchmark Datasets, {where}", claim, NO_DATA, UNDECIDED, "K10")
            for id, (where, claim) in stated.items()
        ]
        return Check("K10", NO_DATA, findings)
    counts = {name: len(_rows(folder, name)) for name in EVALUATION_FILES}
    training = _rows(folder, AIME_TRAINING)
    years = [int(row["year"]) for row in training]
    since, flagged = sum(year >= 1989 for year in years), sum(bool(row["in_kaggle_918"]) for row in training)
    found = {
        "D1": (f"{counts['aime24']} in 2024 and {counts['aime25']} in 2025", counts["aime24"] + counts["aime25"] == 30),
        "D2": (f"{counts['minerva']}; 12,500 is the size of MATH", counts["minerva"] == 12_500),
        "D3": (
            f"the column is AMC 2023: {counts['amc23']} (or {counts['amc_aimo83']} with 2022); 39 x 25 = 975 "
            "multiple-choice "
            "questions are another set",
            counts["amc23"] == 975,
        ),
        "D4": (
            f"{since} from 1989 on; {len(training)} from {min(years)}; {flagged} in a widely copied file",
            since == 919,
        ),
    }
    findings = [
        Finding(id, f"Benchmark Datasets, {where}", claim, found[id][0], verdict(found[id][1]), "K10")
        for id, (where, claim) in stated.items()
    ]
    sizes = "/".join(str(counts[name]) for name in EVALUATION_FILES)
    table = pd.DataFrame([{"file": n, "rows": c, "expected": EVALUATION_FILES[n]} for n, c in counts.items()])
    return Check("K10", f"{sizes}; AIME {since} / {len(training)} / {flagged}", findings, {"data_sizes": table})


def coprime_to_six(bound: int) -> int:
    """How many integers 1..bound are odd and no multiple of 3: the count behind Fig. 5(f)."""
    return sum(gcd(i, 6) == 1 for i in range(1, bound + 1))


def expected_flips_to_two_heads() -> Fraction:
    """E_0 of E_0 = 1 + E_1/2 + E_0/2, E_1 = 1 + E_0/2: the chain behind Fig. 5(b)."""
    # substitute E_1: E_0 = 1 + (1 + E_0/2)/2 + E_0/2  =>  E_0 (1 - 1/4 - 1/2) = 3/2
    return Fraction(3, 2) / (1 - Fraction(1, 4) - Fraction(1, 2))


def k11() -> Check:
    """Optimizer steps in an epoch, and the three answers of Fig. 5 that can be recomputed."""
    steps = {
        f"{rows} rows": (Fraction(rows, BATCH), Fraction(rows * GROUP, BATCH)) for rows in (AIME_ROWS, NUMINA_ROWS)
    }
    shown = "; ".join(
        f"{name}: {text(a)} (prompts) or {text(b)} (completions, G = {GROUP})" for name, (a, b) in steps.items()
    )
    count = coprime_to_six(1000)
    bounds = [bound for bound in range(900, 1100) if coprime_to_six(bound) == 334]
    flips, divisor = expected_flips_to_two_heads(), gcd(74, 105)
    findings = [
        Finding(
            "S1",
            "Implementation Details",
            "batch size 256, early stopping typically at 1 epoch",
            f"optimizer steps in one epoch, {shown}; which of the two a batch counts is not stated",
            UNDECIDED,
            "K11",
        ),
        Finding(
            "Q1",
            "Fig. 5(f)",
            "334 integers, odd and not divisible by 3",
            f"{count} up to 1,000; 334 needs an upper bound of {bounds[0]} to {bounds[-1]}, and the range is not "
            "given in the "
            "text",
            UNDECIDED,
            "K11",
        ),
        Finding(
            "Q2",
            "Fig. 5(b), 5(e)",
            "6 flips; 74/105 in lowest terms",
            f"{flips}; gcd(74, 105) = {divisor}, 105 = C(15, 2)",
            verdict(flips == 6 and divisor == 1),
            "K11",
        ),
    ]
    flat = ", ".join(f"{text(a)} or {text(b)}" for a, b in steps.values())
    return Check("K11", f"{flat}; {count} and {bounds[0]}-{bounds[-1]}; gcd {divisor}", findings)
