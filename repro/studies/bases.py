"""Makes results/published/micro-slips/tables/bases.csv: which base leaves something to learn, slips or extra training?

Four bases share shape, tasks and seed: `clean` saw right demonstrations only; `clean-more` and `clean-slips` train it
further on right and on slipped demonstrations; `slips` saw slipped ones from the start, for the same tokens in all.
Each is measured, then trained by GRPO with the micro profile's arguments for STEPS steps. Finished rows are kept.

Run: python -m repro.studies.bases
"""

import csv
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from repro.bases.make import BaseSpec, ensure_base, load_base, resolve_bases
from repro.config import EvaluateSpec, Profile, load_profile
from repro.device import decide
from repro.evaluation.base_quality import MAX_NEW_TOKENS, complete, correctness
from repro.evaluation.policy import evaluate_policy
from repro.methods.registry import get_method
from repro.methods.run import Training
from repro.methods.trl import train
from repro.paths import results_dir
from repro.tasks.build import make_taskset
from repro.tasks.procedural import build_tokenizer, load_suite

STEPS = 20
SEEDS = (0, 1)
FIRST_TOKENS, EXTRA_TOKENS = 600_000, 200_000
COLUMNS = [
    "base",
    "slip_first",
    "slip_extra",
    "tokens",
    "cpu_seconds",
    "loss",
    "seed",
    "suite",
    "pass_at_1",
    "pass_at_8",
    "after_grpo",
]

log = logging.getLogger(__name__)


def control_specs(nano: dict[str, Any]) -> dict[str, BaseSpec]:
    """The four bases by name, in the shape and with the recipe of `nano` (fields of the micro profile's nano-s)."""
    extra = {
        "tokens": EXTRA_TOKENS,
        "muon_lr": nano["muon_lr"] / 2,
        "adamw_lr": nano["adamw_lr"] / 2,
        "seed": nano["seed"] + 1,
    }
    return resolve_bases(
        {
            "clean": {**nano, "slip": 0.0, "tokens": FIRST_TOKENS},
            "clean-more": {**extra, "continue_from": "clean"},
            "clean-slips": {**extra, "continue_from": "clean", "slip": nano["slip"]},
            "slips": {**nano, "tokens": FIRST_TOKENS + EXTRA_TOKENS},
        }
    )


def scores(folder: Path, suites: Mapping[str, int], seed: int) -> dict[str, dict[str, float]]:
    """pass@1 and pass@8 of a base per suite (name -> number of questions), at temperature 1."""
    model, tokenizer = load_base(folder), build_tokenizer()
    spec = EvaluateSpec(samples=8, temperature=1.0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS, batch_size=256)
    found = {}
    for name, questions in suites.items():
        problems = load_suite(name, questions)
        right = correctness(problems, complete(model, tokenizer, [p.prompt for p in problems], spec, seed, name))
        found[name] = {"pass_at_1": fmean(fmean(row) for row in right), "pass_at_8": fmean(any(row) for row in right)}
    return found


def after_grpo(profile: Profile, base: str, folder: Path, seed: int) -> dict[str, float]:
    """Accuracy per suite after STEPS steps of GRPO from a base."""
    device = decide(profile.resources.device)

    def report(share: float, text: str) -> None:
        log.debug("%s %.2f %s", base, share, text)

    with make_taskset(profile.tasks) as tasks, tempfile.TemporaryDirectory() as scratch:
        trained = train(
            Training(
                method=get_method("grpo"),
                values={**profile.train, **profile.arms.get("grpo", {}), "max_steps": STEPS},
                base=base,
                model=folder,
                seed=seed,
                folder=Path(scratch),
                tasks=tasks,
                report=report,
                device=device,
                where=f"profile {profile.name}",
            )
        )
        policy = Path(scratch) / "policy"
        trained.model.save_pretrained(policy)
        trained.tokenizer.save_pretrained(policy)
        path = Path(scratch) / "samples"
        names = list(profile.tasks.suites)
        suites = evaluate_policy(
            policy, tasks, names, profile.evaluate, seed=seed, path=path, device=device, report=report
        )
    return {suite: entry["avg_at_k"] for suite, entry in suites.items()}


def rows_of(name: str, spec: BaseSpec, profile: Profile, seed: int) -> list[dict[str, Any]]:
    """Rows of one base and seed, one per suite."""
    folder = ensure_base(spec, progress=lambda share, text: log.debug("%s %.2f %s", name, share, text))
    record = json.loads((folder / "base.json").read_text(encoding="utf-8"))
    before = scores(folder, profile.tasks.suites, seed)
    after = after_grpo(profile, name, folder, seed)
    first = spec if spec.parent is None else spec.parent
    return [
        {
            "base": name,
            "slip_first": first.slip,
            "slip_extra": "" if spec.parent is None else spec.slip,
            "tokens": record["tokens"] + (0 if spec.parent is None else spec.parent.tokens),
            "cpu_seconds": round(record["cpu_seconds"], 1),
            "loss": round(record["loss"], 4),
            "seed": seed,
            "suite": suite,
            "pass_at_1": round(before[suite]["pass_at_1"], 4),
            "pass_at_8": round(before[suite]["pass_at_8"], 4),
            "after_grpo": round(after[suite], 4),
        }
        for suite in profile.tasks.suites
    ]


def main() -> None:
    """Make the missing rows and write the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log.setLevel(logging.DEBUG)
    profile = load_profile("micro-slips")
    parts = results_dir("micro-slips") / "explore_bases"
    parts.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in SEEDS:
        for name, spec in control_specs(profile.bases["nano-s"].spec).items():
            part = parts / f"{name}-s{seed}.json"
            if not part.exists():
                temporary = part.with_suffix(".tmp")
                temporary.write_text(json.dumps(rows_of(name, spec, profile, seed)), encoding="utf-8")
                os.replace(temporary, part)
            done = json.loads(part.read_text(encoding="utf-8"))
            log.info(
                "%s seed %d: %.3f -> %.3f",
                name,
                seed,
                fmean(row["pass_at_1"] for row in done),
                fmean(row["after_grpo"] for row in done),
            )
            rows += done
    table = results_dir("micro-slips", "published") / "tables" / "bases.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
