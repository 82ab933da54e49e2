"""`launch`: a target on a cluster or on all GPUs of a node. `task`: one job of a launch, run by its scripts."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import BadInput
from repro.verbs.common import DONE, FAILED, Parents, target_of

if TYPE_CHECKING:
    from repro.cells.cell import Cell
    from repro.cluster.record import Launch
    from repro.config import Profile

KINDS = ("slurm", "local", "none")


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    parser = verbs.add_parser(
        "launch", parents=[parents.narrow, parents.profile], help="run a target on a cluster (Slurm) or a node of GPUs"
    )
    parser.add_argument("--cluster", choices=KINDS, default=os.environ.get("CLUSTER") or "slurm")
    parser.add_argument("--site", type=Path, help="the site file (default: GCPO_SITE, else site.yaml)")
    parser.add_argument("--dry-run", action="store_true", help="print every batch script; submit and write nothing")
    parser.add_argument("--split", type=int, default=1, help="parts per suite, each a task of its own")
    parser.add_argument("--yes", action="store_true", help="agree to more than 100 GPU-hours")
    parser.set_defaults(call=launch)
    task = verbs.add_parser("task", help="one job of a launch; its scripts call this")
    task.add_argument("kind", choices=("bases", "train", "evaluate", "table"))
    task.add_argument("launch", type=Path, help="the launch.json that `launch` wrote")
    task.add_argument("index", type=int, nargs="?", default=0, help="the number of the cell")
    task.add_argument("--stop", type=Path, default=Path("stop"), help="train: save and end when this file appears")
    task.add_argument("--stopped", type=Path, default=Path("stopped"), help="train: written when it ended so")
    task.add_argument("--suite", help="evaluate: the suite")
    task.add_argument("--part", type=int, default=0, help="evaluate: the part's number, from 0")
    task.add_argument("--of", type=int, default=1, help="evaluate: the number of parts")
    task.set_defaults(call=run_task)


def launch(args: argparse.Namespace) -> int:
    """Check, price, and submit or run; exit code 1 where a cell of a local run failed."""
    from repro.cells.plan import plan_cells
    from repro.cells.run import check_data, check_settings
    from repro.cluster.costs import check_hours
    from repro.cluster.preflight import price
    from repro.cluster.record import new_folder

    profile, experiment, options = target_of(args)
    if args.split < 1:
        raise BadInput(f"--split is {args.split}; want at least 1")
    if args.cluster == "none":
        raise BadInput(why_no_cluster(profile))
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    check_settings(profile, cells)
    record = launch_record(args, profile, cells)
    chosen = [cell for cell in cells if cell.id in record.cells]
    if profile.cluster is not None and not profile.stamp:  # a stamped profile measures nothing and costs nothing
        hours = sum(price(profile, cell).total for cell in chosen)
        say(f"{len(chosen)} cells, about {hours:,.0f} GPU-hours")
        if not args.dry_run:
            check_hours(hours, yes=args.yes)
    if not args.dry_run:
        check_data(profile, chosen)
    for name, reason in record.not_launched.items():
        say(f"not launched: {name}: {reason}")
    folder = new_folder(profile.name)
    if args.cluster == "local":
        return _local(args, record, folder)
    return _slurm(args, profile, chosen, record, folder)


def why_no_cluster(profile: "Profile") -> str:
    """Why a profile cannot run as a plain command, or that it can."""
    if profile.cluster is None:
        return f"profile {profile.name} needs no cluster; leave CLUSTER away"
    ranks = profile.cluster.ranks
    return (
        f"profile {profile.name} trains on {ranks} GPUs at once and one process has one: want CLUSTER=slurm (a "
        f"cluster), CLUSTER=local (a node of {ranks} GPUs), `make plan` for its cost, `make rehearse` to see it small"
    )


def launch_record(args: argparse.Namespace, profile: "Profile", cells: Sequence["Cell"]) -> "Launch":
    """The record of the cells that are not done: those that this cluster can run, and why not the others."""
    from repro.cells.state import load_summary
    from repro.cluster.preflight import why_not
    from repro.cluster.record import Launch, parts_of

    left = [cell for cell in cells if load_summary(cell) is None]
    reasons = {cell.id: why_not(profile, cell) for cell in left}
    runnable = tuple(cell.id for cell in left if not reasons[cell.id])
    if not runnable:
        raise BadInput(
            f"nothing to launch: {len(cells) - len(left)} of {len(cells)} cells are done, none other can run"
        )
    return Launch(
        profile=args.profile,
        target=args.target,
        cells=runnable,
        parts=parts_of(profile, args.split),
        overrides=tuple(args.overrides),
        base=args.base,
        seeds=args.seeds,
        not_launched={name: reason for name, reason in reasons.items() if reason},
    )


def _slurm(
    args: argparse.Namespace, profile: "Profile", cells: Sequence["Cell"], record: "Launch", folder: Path
) -> int:
    from repro.cells.bases import base_marker, lineage
    from repro.cluster.preflight import check_site, price
    from repro.cluster.record import write_launch
    from repro.cluster.sbatch import scripts
    from repro.cluster.site import load_site
    from repro.cluster.submit import check_nothing_queued, submit
    from repro.files import exclusive_lock
    from repro.paths import results_dir

    site = load_site(args.site)
    check_site(profile, site)
    names = dict.fromkeys(name for cell in cells for name in lineage(profile, cell.base))
    bases = any(profile.bases[name].made and not base_marker(profile, name).exists() for name in names)
    grace = 0.0
    if profile.cluster is not None:  # a rollout that has begun is finished before the checkpoint
        grace = 1.5 * max(price(profile, cell).rollout_seconds for cell in cells)
    made = scripts(site, record, folder, bases=bases, grace_seconds=round(grace))
    if args.dry_run:
        for script in made:
            after = " ".join(f"{kind}:{name}" for kind, name in script.depends)
            print(f"# ---- {script.name}.sbatch" + (f"  after {after}" if after else ""))
            print(script.text)
        return DONE
    root = results_dir(profile.name)
    with exclusive_lock(root / "run.lock", f"results folder {root}"):
        check_nothing_queued(profile.name)
        write_launch(folder, record)
        submit(made, record, folder, say)
    say(f"logs and scripts: {folder}; the table: {results_dir(profile.name) / 'tables'}")
    return DONE


def _local(args: argparse.Namespace, record: "Launch", folder: Path) -> int:
    from repro.cells.run import check_folder
    from repro.cluster.record import write_launch
    from repro.files import exclusive_lock
    from repro.paths import cache_dir

    root = folder.parent.parent
    if args.dry_run:
        for number, name in enumerate(record.cells):
            print(f"train    {number:>3} {name}")
        print(f"then {len(record.cells) * len(record.parts)} evaluations and the table")
        return DONE
    check_folder(root)
    check_folder(cache_dir())
    with exclusive_lock(root / "run.lock", f"results folder {root}"):
        write_launch(folder, record)
        return run_here(record, folder)


def run_here(record: "Launch", folder: Path) -> int:
    """Run a written launch on this machine and print its table; exit code 1 where a cell failed."""
    from repro.cluster import tasks
    from repro.cluster.local import gpus_here, run_local
    from repro.cluster.record import FILE

    tasks.make_bases(folder / FILE)
    outcome = run_local(record, folder, gpus_here())
    for line in (*outcome.failed.values(), *outcome.skipped.values()):
        say(f"failed: {line}")
    return _print_table(folder / FILE)


def _print_table(path: Path) -> int:
    from repro.cluster import tasks

    text, failed = tasks.table(path)
    print(text)
    for line in failed:
        say(f"failed: {line}")
    return FAILED if failed else DONE


def run_task(args: argparse.Namespace) -> int:
    """Run one job of a launch."""
    from repro.cluster import tasks
    from repro.cluster.record import Part

    if args.kind == "bases":
        tasks.make_bases(args.launch)
    elif args.kind == "train":
        tasks.train(args.launch, args.index, stop=args.stop, stopped=args.stopped)
    elif args.kind == "evaluate":
        if args.suite is None:
            raise BadInput("task evaluate needs --suite")
        tasks.evaluate(args.launch, args.index, Part(args.suite, args.part, args.of))
    else:
        return _print_table(args.launch)
    return DONE


def say(line: str) -> None:
    """One line of progress, beside the output."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
