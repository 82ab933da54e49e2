"""`rehearse`: a cluster profile's whole pipeline with a tiny model on a few processes of this machine."""

import argparse
from typing import Any

from repro.errors import BadInput
from repro.verbs.common import Parents, target_of
from repro.verbs.launch import run_here, say


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "rehearse",
        parents=[parents.narrow, parents.profile],
        help="a cluster profile's whole pipeline, tiny, on two processes; not a result",
    )
    parser.add_argument("--ranks", type=int, default=2, help="processes of one training (default 2)")
    parser.set_defaults(call=rehearse)


def rehearse(args: argparse.Namespace) -> int:
    """Run every arm, or those of --arms; exit code 1 where a cell failed."""
    from repro.cells.plan import plan_cells
    from repro.cells.run import check, check_folder
    from repro.cluster.preflight import cluster_of
    from repro.cluster.record import new_folder, write_launch
    from repro.cluster.rehearse import STAMP, has_deepspeed, overrides, tiny_model
    from repro.config import load_profile
    from repro.files import exclusive_lock
    from repro.paths import cache_dir, results_dir
    from repro.verbs.launch import launch_record

    if args.ranks < 1:
        raise BadInput(f"--ranks is {args.ranks}; want at least 1")
    profile, experiment, options = target_of(args)
    cluster_of(profile)
    check_folder(cache_dir())
    args.base = str(tiny_model())
    args.overrides = [*args.overrides, *overrides(profile, ranks=args.ranks, deepspeed=has_deepspeed())]
    args.seeds, args.split = options.seeds or 1, 1
    small = load_profile(args.profile, args.overrides, base=args.base)
    root = results_dir(small.name)
    check_folder(root)
    cells = plan_cells(small, experiment, args.seeds, options.arms)
    check(small, cells)
    folder = new_folder(small.name)
    with exclusive_lock(root / "run.lock", f"results folder {root}"):
        record = launch_record(args, small, cells)
        say(f"{STAMP}: {len(record.cells)} cells on {args.ranks} processes, logs in {folder}")
        write_launch(folder, record)
        return run_here(record, folder)
