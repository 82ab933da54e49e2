"""`publish`: copies what a clean tree measured into results/published/, with one ledger row per cell."""

import csv
import os
import shutil
from pathlib import Path

from repro.cells.plan import Cell, plan_cells
from repro.cells.records import Experiment
from repro.cells.run import Options, base_marker
from repro.cells.state import load_summary
from repro.config import Profile
from repro.errors import BadInput
from repro.files import read_json
from repro.paths import REPO_ROOT, results_dir
from repro.provenance import provenance

LEDGER = REPO_ROOT / "results" / "ledger.csv"
_COLUMNS = (
    "cell", "profile", "target", "base", "arm", "seed", "commit", "lock", "code", "cpu", "device",
    "train_seconds", "evaluate_seconds", "peak_mib", "status",
)  # fmt: skip
_RECORDS = ("summary.json", "config.json", "env.json")


def publish(profile: Profile, experiment: Experiment, options: Options) -> list[Path]:
    """Publish every finished cell of a target. Returns what was written.

    Raises BadInput when the tree is dirty, a cell was made by a dirty tree, or nothing is finished.
    """
    if profile.stamp:
        raise BadInput(f"profile {profile.name!r} is stamped {profile.stamp!r}; it is not published")
    if provenance()["dirty"]:
        raise BadInput("the tree has uncommitted changes under gcpo/ or repro/; commit them, run again, then publish")
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    finished = [(cell, summary) for cell in cells if (summary := load_summary(cell)) is not None]
    if not finished:
        raise BadInput(f"no finished cell of {experiment.id} in profile {profile.name!r}; run it first")
    dirty = [cell.id for cell, summary in finished if summary["dirty"]]
    if dirty:
        raise BadInput(
            f"{len(dirty)} cells were made by a dirty tree, the first is {dirty[0]}; delete them and run again"
        )
    target = results_dir(profile.name, "published")
    written = []
    for cell, _ in finished:
        folder = target / "cells" / cell.id
        for older in (target / "cells").glob(f"{cell.base}__{cell.arm}__s{cell.seed}__*"):
            if older.name != cell.id:
                shutil.rmtree(older)  # the ledger keeps its row, marked superseded
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*_RECORDS, *(each for each in experiment.files if (cell.folder / each).exists())):
            shutil.copyfile(cell.folder / name, folder / name)
        written.append(folder)
    (target / "bases").mkdir(exist_ok=True)
    for base in profile.bases:
        marker = base_marker(profile, base)
        if marker.exists():
            written.append(Path(shutil.copyfile(marker, target / "bases" / f"{base}.json")))
    _write_ledger(
        experiment,
        [(cell, summary, read_json(cell.folder / "env.json", "environment record")) for cell, summary in finished],
    )
    written.append(LEDGER)
    return written


def _write_ledger(experiment: Experiment, finished: list[tuple[Cell, dict, dict]]) -> None:
    """Add or replace one row per cell; the ledger is sorted, so its diffs are readable."""
    rows = {}
    if LEDGER.exists():
        with LEDGER.open(newline="", encoding="utf-8") as handle:
            rows = {row["cell"]: row for row in csv.DictReader(handle)}
    for cell, summary, env in finished:
        for row in rows.values():
            if (row["profile"], row["base"], row["arm"], row["seed"]) == (
                cell.profile, cell.base, cell.arm, str(cell.seed),
            ):  # fmt: skip
                row["status"] = "superseded"
        rows[cell.id] = {
            "cell": cell.id,
            "profile": cell.profile,
            "target": rows.get(cell.id, {}).get("target", experiment.id),
            "base": cell.base,
            "arm": cell.arm,
            "seed": cell.seed,
            "commit": env["commit"],
            "lock": env["lock"][:12],
            "code": cell.spec["code"][:12],
            "cpu": env["cpu"],
            "device": env["device"],
            "train_seconds": f"{summary['seconds']['train']:.1f}",
            "evaluate_seconds": f"{summary['seconds']['evaluate']:.1f}",
            "peak_mib": f"{summary['peak_mib']:.0f}",
            "status": "done",
        }
    LEDGER.parent.mkdir(exist_ok=True)
    temporary = LEDGER.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[cell] for cell in sorted(rows))
    os.replace(temporary, LEDGER)
