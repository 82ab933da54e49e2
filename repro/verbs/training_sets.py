"""`python -m repro training-sets`. Imports nothing heavy until it runs."""

import argparse
import json
from typing import Any

from repro.verbs.common import Parents


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "training-sets",
        parents=[parents.as_json],
        help="rows and exclusions of every training set, and the test problems that it repeats",
    )
    parser.add_argument(
        "--save", action="store_true", help="write the exclusion list and results/published/evaluation/overlap.*"
    )
    parser.add_argument(
        "--hub-data", metavar="SET", help="load this one set, from the hub if no file holds it, and describe it"
    )
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Measure all sets that have a file, or fetch one; print what was found."""
    if args.hub_data is not None:
        from repro.tasks.benchmarks.training_sets import load_training_set

        print(json.dumps(dict(load_training_set(args.hub_data, hub=True).source), indent=1))
        return 0
    from repro.studies import training_sets as training_report

    measured = training_report.measure()
    if args.save:
        training_report.write_exclusions(measured)
        training_report.write_overlap(measured)
    print(json.dumps(training_report.summary(measured), indent=1) if args.json else training_report.describe(measured))
    return 0
