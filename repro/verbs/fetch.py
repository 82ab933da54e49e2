"""`fetch`: models and data of a profile onto a disk that compute nodes without a network can read."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from repro.verbs.common import Parents, profile_of, show


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "fetch", parents=[parents.profile, parents.as_json], help="download a profile's models and data, checked"
    )
    parser.add_argument("--to", type=Path, help="the HF_HOME to fill (default: HF_HOME, else the hub's own cache)")
    parser.add_argument("--bases", type=lambda text: text.split(","), help="only these bases, comma-separated")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Fetch and print one line per repository."""
    if args.to is not None:  # read once, when huggingface_hub is imported
        os.environ["HF_HOME"] = str(args.to.resolve())
    from huggingface_hub.constants import HF_HOME

    from repro.cluster.fetch import RECORD, fetch

    profile = profile_of(args)
    record = Path(HF_HOME) / RECORD
    rows = fetch(profile, args.bases or list(profile.bases), record, lambda line: print(line, file=sys.stderr))
    lines = [f"{row['kind']:<8} {row['name']:<24} {row['repo']} at {row['revision'][:12]}" for row in rows]
    lines.append(f"{len(rows)} repositories; run with HF_HOME={HF_HOME} HF_HUB_OFFLINE=1")
    return show(args, rows, "\n".join(lines))
