"""`publish`: copies what a clean tree measured into results/published/, with one ledger row per cell."""

import csv
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from repro.bases.keep import new_folder
from repro.cells.bases import FROM_SCRATCH, base_marker, base_source, lineage
from repro.cells.experiments import EXPERIMENTS
from repro.cells.plan import Cell, plan_cells
from repro.cells.pool import Outcome
from repro.cells.records import Experiment
from repro.cells.run import Options, by_profile, fill, together
from repro.cells.state import load_summary
from repro.cells.training import with_training
from repro.config import Profile
from repro.errors import BadInput
from repro.files import read_json, write_json
from repro.paths import REPO_ROOT, results_dir
from repro.provenance import provenance
from repro.reporting.coverage import COVERED, coverage_of, older_versions, published_folder, take_over

LEDGER = REPO_ROOT / "results" / "ledger.csv"
# of a cell that a cluster trained; measured_over_planned is the planner's error
_COSTS = ("gpu_hours", "tokens_per_second", "mfu", "measured_over_planned")
_COLUMNS = (
    "cell", "profile", "target", "base", "arm", "seed", "commit", "lock", "code", "cpu", "device",
    "train_seconds", "evaluate_seconds", "peak_mib", "status", *_COSTS,
)  # fmt: skip
_RECORDS = ("config.json", "env.json")


def publish(profile: Profile, experiment: Experiment, options: Options) -> list[Path]:
    """Publish every finished cell of a target. Returns what was written. What a profile is stamped with stays on its
    tables: `smoke` is published so that a user's own smoke run has something to stand beside.

    Raises BadInput when the tree is dirty, a cell was made by a dirty tree, or nothing is finished.
    """
    _check_clean()
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    finished = [cell for cell in cells if load_summary(cell) is not None]
    if not finished:
        raise BadInput(f"no finished cell of {experiment.id} in profile {profile.name!r}; run it first")
    return publish_cells(profile, experiment, finished)


def fill_published(targets: Sequence[tuple[Profile, Experiment]], options: Options) -> tuple[Outcome, list[Cell]]:
    """Fill what results/published/ has not of these targets, each cell published as soon as it is finished.

    What is published under today's hash is taken over and not run again, so a run of days may be stopped and go on, on
    another machine too. targets: each with its profile. Returns what happened and all cells. Raises BadInput as
    `publish` and `fill` do.
    """
    _check_clean()
    planned = {
        experiment.id: plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
        for profile, experiment in targets
    }
    cells = {cell.id: cell for own in planned.values() for cell in own}
    owner: dict[str, tuple[Profile, Experiment]] = {}
    for profile, experiment in targets:
        for cell in planned[experiment.id]:
            owner.setdefault(cell.id, (profile, experiment))

    def publish_one(cell: Cell) -> None:
        publish_cells(*owner[cell.id], [cell])

    take_over(cells.values())
    for cell in cells.values():
        if load_summary(cell) is not None and coverage_of(cell) != COVERED:
            publish_one(cell)  # of a run that was not told to publish
    outcomes = [fill(profile, own, options, finished=publish_one) for profile, own in by_profile(targets, planned)]
    return together(outcomes), list(cells.values())


def _changed_code() -> bool:
    """Whether git sees changes of more than documents: those are what publishing itself brings up to date."""
    where = ("gcpo", "repro", "pyproject.toml", ":(exclude)*.md")
    found = subprocess.run(
        ["git", "-C", str(REPO_ROOT), "status", "--porcelain", "--", *where], capture_output=True, text=True, check=True
    )
    return bool(found.stdout)


def _check_clean() -> None:
    if provenance()["dirty"] and _changed_code():
        raise BadInput("the tree has uncommitted changes under gcpo/ or repro/; commit them, run again, then publish")


def publish_cells(profile: Profile, experiment: Experiment, cells: Sequence[Cell]) -> list[Path]:
    """Copy the records of finished cells, of their bases, and the weights of bases trained from scratch.

    Returns what was written. Raises BadInput for a cell that a dirty tree made.
    """
    finished = [(cell, load_summary(cell)) for cell in cells]
    dirty = [cell.id for cell, summary in finished if summary["dirty"]]
    if dirty:
        raise BadInput(
            f"{len(dirty)} cells were made by a dirty tree, the first is {dirty[0]}; delete them and run again"
        )
    written = []
    for cell, summary in finished:
        for older in older_versions(cell):
            shutil.rmtree(older)  # the ledger keeps its row, marked superseded
        folder = published_folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        names = (*_RECORDS, *(each for each in _files_of(cell.arm) if (cell.folder / each).exists()))
        for name in names:
            shutil.copyfile(cell.folder / name, folder / name)
        write_json(folder / "summary.json", with_training(summary, cell.folder))  # last: with it a cell is published
        written.append(folder)
    for base in dict.fromkeys(each for cell in cells for each in lineage(profile, cell.base)):
        written += _publish_base(profile, base)
    _write_ledger(
        experiment,
        [(cell, summary, read_json(cell.folder / "env.json", "environment record")) for cell, summary in finished],
    )
    return [*written, LEDGER]


def _files_of(arm: str) -> list[str]:
    """What any table or figure reads of an arm's cells: one that they share is published once, for all of them."""
    return sorted({name for each in EXPERIMENTS.values() if arm in each.arms for name in each.files})


def _publish_base(profile: Profile, base: str) -> list[Path]:
    """The record of a base, and its folder if it was trained from scratch here: such weights are small and ours."""
    target, written = results_dir(profile.name, "published") / "bases", []
    target.mkdir(parents=True, exist_ok=True)
    marker = base_marker(profile, base)
    if not marker.exists():  # the cell came from elsewhere, and with it its base
        return []
    written.append(Path(shutil.copyfile(marker, target / f"{base}.json")))
    if profile.bases[base].kind in FROM_SCRATCH:
        folder, _ = base_source(profile, base)
        if not (target / folder.name).exists():
            for older in target.glob(f"{base}-{'[0-9a-f]' * 12}"):
                shutil.rmtree(older)
            with new_folder(target / folder.name) as temporary:
                shutil.copytree(folder, temporary, dirs_exist_ok=True)
            written.append(target / folder.name)
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
            **{name: f"{value:.4g}" for name in _COSTS if (value := summary.get("cost", {}).get(name)) is not None},
        }
    LEDGER.parent.mkdir(exist_ok=True)
    temporary = LEDGER.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[cell] for cell in sorted(rows))
    os.replace(temporary, LEDGER)
