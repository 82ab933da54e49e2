"""`calibrate`: how often the tables' intervals and tests err."""

import argparse
from typing import Any

from repro.paths import results_dir
from repro.verbs.common import Parents, profile_of


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "calibrate", parents=[parents.profile], help="A/A: false alarms, coverage and power of the tables"
    )
    parser.add_argument("--tables", type=int, default=8000, help="simulated comparisons per world")
    parser.add_argument("--resampled", type=int, default=400, help="of these, analysed by resampling too")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    from repro.studies import calibrate

    cells = results_dir(profile_of(args).name, "published") / "cells"
    real = ["--runs", str(cells)] if cells.is_dir() else []
    sizes = ["--tables", str(args.tables), "--resampled", str(args.resampled)]
    return calibrate.main(["--profile", args.profile, *sizes, *real])
