"""`audit` and `theory`: what follows from the paper's own numbers and theorems."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.paths import REPO_ROOT
from repro.verbs.common import DONE, FAILED, Parents

_RESULTS = REPO_ROOT / "results" / "paper"


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    for name, call, text in (
        ("audit", audit, "recompute the paper's numbers; writes results/paper/, renders the notebook"),
        ("theory", theory, "decide the paper's theorems exactly; writes results/paper/, renders the notebook"),
    ):
        verbs.add_parser(name, parents=[parents.as_json], help=text).set_defaults(call=call)


def audit(args: argparse.Namespace) -> int:
    from repro.figures import audit as pictures
    from repro.paper.audit import summary

    return _decided(args, "audit", summary(_RESULTS), pictures.write_figures)


def theory(args: argparse.Namespace) -> int:
    from repro.figures import theory as pictures
    from repro.paper.theory import summary

    return _decided(args, "theory", summary(_RESULTS), pictures.write_figures)


def _decided(
    args: argparse.Namespace, name: str, result: dict[str, Any], write_figures: Callable[[Path], list[Path]]
) -> int:
    """Print what was decided; without --json also draw the figures and render the notebook."""
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        from repro.notebooks import render

        for row in result["statements"]:
            print(f"{row['id']:<8} {row['verdict']:<18} {row['where']}: {row['stated']} | {row['recomputed']}")
        print(", ".join(f"{count} {verdict}" for verdict, count in result["counts"].items()))
        write_figures(_RESULTS / "figures")
        notebooks = REPO_ROOT / "notebooks"
        print(f"written: {_RESULTS}, {render(notebooks / f'{name}.py', notebooks / f'{name}.ipynb', {})}")
    for line in result["unexpected"]:
        print(f"unexpected outcome: {line}", file=sys.stderr)
    return FAILED if result["unexpected"] else DONE
