"""`readme` and `notebooks`: what people read, made again from what is published."""

import argparse
import sys
from typing import Any

from repro.verbs.common import DONE, FAILED, Parents


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    readme = verbs.add_parser("readme", help="write the generated blocks of README.md and of the rooms' READMEs")
    readme.add_argument("--check", action="store_true", help="write nothing; exit code 1 if one is not up to date")
    readme.set_defaults(call=write_readme)
    verbs.add_parser("notebooks", help="render every notebook again from what is published").set_defaults(call=render)


def write_readme(args: argparse.Namespace) -> int:
    from repro.reporting import documents

    if args.check:
        stale = [path for path in documents.DOCUMENTS if documents.current(path) != path.read_text(encoding="utf-8")]
        for path in stale:
            print(f"{path} is not up to date; run make readme", file=sys.stderr)
        return FAILED if stale else DONE
    for path in documents.write_documents():
        print(path)
    return DONE


def render(args: argparse.Namespace) -> int:
    from repro.reporting.gallery import render_all

    for path in render_all():
        print(path, flush=True)
    return DONE
