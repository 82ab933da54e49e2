"""Summaries of cells that were never run: the shape of the real ones, numbers drawn from known truths."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repro.cells.records import Experiment
from repro.paper import BENCHMARKS, MODELS, load_table
from repro.tables import ArmRow, BaseRow, SuiteColumn, Table1, TableSpec, build_table1

SUITES = ("modten-easy", "modten-medium", "modten-hard-recshop", "modten-hard-lin", "modten-far")
BASES = ("nano-s-hard", "nano-s", "nano-m")
FIGURE_BASE, FIGURE_SUITES = "nano-s-hard", ("modten-easy", "modten-far")
FIGURE_SETS = ["tasks.suites={modten-easy: 400, modten-far: 400}"]  # with which a profile has these suites
EFFECTS = {"base": 0.0, "grpo": 0.10, "drgrpo": 0.10, "gvpo": 0.09, "gcpo_expected": 0.12, "gcpo_mc": 0.07}


def make_cell(
    base: str,
    arm: str,
    seed: int,
    *,
    effect: float | None = None,
    seed_sd: float = 0.009,
    suites: Sequence[str] = SUITES,
    questions: int = 100,
    k: int = 8,
    ks: Mapping[str, int] | None = None,
    greedy: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """One summary. `effect` is the true gain over the base (default: EFFECTS); `changes` replace top-level keys.

    ks: samples per question of single suites, where they differ from k. greedy: with a greedy pass on every suite.
    """
    samples = k
    gain = EFFECTS[arm] if effect is None else effect
    luck = np.random.default_rng([BASES.index(base), list(EFFECTS).index(arm), seed, 7])
    shift = 0.0 if arm == "base" else gain + luck.normal(0, seed_sd)
    measured = {}
    for number, name in enumerate(suites):
        level = 0.62 - 0.11 * number + 0.05 * BASES.index(base)
        difficulty = np.random.default_rng([number, 1]).uniform(-0.25, 0.25, size=questions)
        k = (ks or {}).get(name, samples)
        chance = np.clip(level + difficulty + shift, 0.0, 1.0)
        correct = luck.binomial(k, chance)
        right = int(correct.sum())
        measured[name] = {
            "k": k,
            "n": questions,
            "question_ids": [f"{name}-{i}" for i in range(questions)],
            "correct": correct.tolist(),
            "avg_at_k": right / (k * questions),
            "pass_at_k": float(np.mean(correct > 0)),
            "maj_at_k": float(np.mean(2 * correct > k)),
            "reasons": {"correct": right, "wrong": k * questions - right},
            "truncated": 0.01,
            "mean_tokens": 30.0 + 8 * number,
        }
        if greedy:
            right = [int(c > 0.5) for c in chance]
            measured[name]["greedy"] = {"correct": right, "truncated": 0.0, "mean_tokens": 28.0}
    cell = {
        "cell_id": f"{base}__{arm}__s{seed}",
        "spec_hash": "0" * 64,
        "evaluate_hash": "e" * 64,
        "profile": "micro",
        "base": base,
        "base_weights": f"{BASES.index(base)}" * 64,
        "arm": arm,
        "method": None if arm == "base" else arm.split("_")[0],
        "seed": seed,
        "suites": measured,
        "train": None if arm == "base" else {"steps": 60},
        "seconds": {"train": 40.0, "evaluate": 12.0},
        "peak_mib": 500.0,
        "device": "cpu",
        "commit": "c" * 40,
        "dirty": False,
    }
    return {**cell, **changes}


def make_cells(
    seeds: int = 3, bases: Sequence[str] = BASES, arms: Sequence[str] = tuple(EFFECTS), **changes: Any
) -> list[dict[str, Any]]:
    """All cells of a table."""
    return [make_cell(base, arm, seed, **changes) for seed in range(seeds) for base in bases for arm in arms]


def figure_cells(
    figure: Experiment, effects: Mapping[str, float], seeds: int = 4, *, first: int = 0, **changes: Any
) -> list[dict[str, Any]]:
    """Summaries of every arm of a figure on one base, two suites of 400 questions with a greedy pass.

    effects: true gains over the base, 0.10 for an arm that is not named. first: the draw of the first seed.
    """
    found = []
    for place, arm in enumerate(figure.arms):
        like = "base" if arm == "base" else "grpo"
        for seed in range(seeds):
            cell = make_cell(
                FIGURE_BASE, like, 100 * place + first + seed, effect=effects.get(arm, 0.10), suites=FIGURE_SUITES,
                seed_sd=0.001, questions=400, greedy=True, **changes,
            )  # fmt: skip
            found.append(cell | {"arm": arm, "seed": seed, "cell_id": f"{FIGURE_BASE}__{arm}__s{seed}"})
    return found


def make_metrics(seed: int, steps: int = 60, gain: float = 0.15) -> list[dict[str, float]]:
    """A cell's metrics.jsonl: a reward that rises and saturates, with noise."""
    noise = np.random.default_rng(seed).normal(0, 0.03, steps)
    return [
        {"step": step + 1, "reward": float(0.45 + gain * (1 - np.exp(-step / 20)) + noise[step]), "loss": 0.0}
        for step in range(steps)
    ]


def synthetic_table(cells: Sequence[dict[str, Any]], stamp: str = "", models: Sequence[str | None] = MODELS) -> Table1:
    """A built table of two bases beside the paper's models (None: no counterpart), for pictures and notebooks."""
    arms = {"base": "base", "grpo": "GRPO", "rest_mcts": "ReST-MCTS", "gvpo": "GVPO", "gcpo_expected": "GCPO"}
    spec = TableSpec(
        id="table1",
        title="Pass@1 on five suites",
        profile="micro",
        stamp=stamp,
        bases=tuple(BaseRow(base, model) for base, model in zip(BASES[:2], models[:2], strict=True)),
        arms=tuple(ArmRow(arm, method, method) for arm, method in arms.items()),
        suites=tuple(SuiteColumn(suite, name, False) for suite, name in zip(SUITES, BENCHMARKS, strict=True)),
        claims=(),
        command="make table1",
        p_values=False,
    )
    return build_table1(cells, spec, load_table("table1"))
