"""The verbs that stand beside the tables: grading, scoring code, the audit, the theory, benchmarks. Registered by
repro.cli.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.config import load_profile
from repro.paths import REPO_ROOT, benchmark_dir
from repro.verbs import bench as bench_verb
from repro.verbs import evaluate as command
from repro.verbs import training_sets as training_verb

DONE, FAILED, BAD_INPUT = 0, 1, 2
_PAPER_RESULTS = REPO_ROOT / "results" / "paper"


def add_parsers(verbs: Any, profile: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    """Add this module's verbs to the command line."""
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("--input", type=Path, required=True, help="JSON lines to read")
    files.add_argument("--output", type=Path, required=True, help="JSON lines to write")
    files.add_argument("--workers", type=int, default=2, help="processes (default 2); results do not depend on it")
    verbs.add_parser(
        "grade", parents=[files, as_json], help="grade mathematical answers: gold, prediction -> correct, reason"
    )
    score = verbs.add_parser(
        "score-code",
        parents=[files, as_json],
        help="run HumanEval answers in a sandbox: task_id, completion, format -> passed",
    )
    score.add_argument("--timeout", type=float, default=5.0, help="seconds per program (default 5)")
    score.add_argument("--unsafe", action="store_true", help="run even where the kernel offers no isolation")
    training_verb.add_parser(verbs, as_json)
    command.add_parser(verbs, as_json)
    verbs.add_parser(
        "audit", parents=[as_json], help="recompute the paper's numbers; writes results/paper/, renders the notebook"
    )
    verbs.add_parser(
        "theory",
        parents=[as_json],
        help="decide the paper's theorems exactly; writes results/paper/, renders the notebook",
    )
    calibrate = verbs.add_parser(
        "calibrate", parents=[profile], help="A/A: false alarms, coverage and power of the tables"
    )
    calibrate.add_argument("--tables", type=int, default=4000, help="simulated comparisons per world")
    calibrate.add_argument("--resampled", type=int, default=2000, help="of these, analysed by resampling too")
    bench = verbs.add_parser(
        "bench", parents=[profile, as_json], help="measure a step, a whole run, GCPO's cost or its estimators"
    )
    bench.add_argument(
        "what",
        choices=["step", "run", "search", *bench_verb.NAMES],
        help="step: ratio to stock TRL; run: wall time and memory of table1; search: MCTS beside plain samples; "
        "overhead: GCPO's forms beside GRPO; "
        "fidelity: its estimators beside the literal one",
    )
    bench_verb.add_arguments(bench)
    bench.add_argument("--keep", type=Path, metavar="DIR", help="run: keep its cells and weights in this new folder")
    bench.add_argument("--save", action="store_true", help="write the result to results/published/<profile>/bench/")


def _bad_lines(lines: list[tuple[int, str]]) -> int:
    for number, why in lines:
        print(f"line {number}: {why}", file=sys.stderr)
    return BAD_INPUT if lines else DONE


def _grade(args: argparse.Namespace) -> int:
    from repro.grading.grade_file import grade_file

    report = grade_file(args.input, args.output, workers=args.workers)
    counts = dict(sorted(report.counts.items()))
    print(
        json.dumps(counts, indent=1)
        if args.json
        else ", ".join(f"{count} {reason}" for reason, count in counts.items())
    )
    if not args.json and report.audit.disagreements:
        lines, judged = [number for number, _ in report.audit.disagreements], report.audit.samples - report.audit.silent
        print(f"a second, simpler grader judges {judged} of them and disagrees on lines {', '.join(map(str, lines))}")
    return _bad_lines(report.bad_lines)


def _score_code(args: argparse.Namespace) -> int:
    from repro.grading.score_file import score_file

    report = score_file(
        args.input, args.output, benchmark_dir(), workers=args.workers, unsafe=args.unsafe, timeout=args.timeout
    )
    counts = dict(sorted(report.reasons.items()))
    facts = {
        "backend": report.backend,
        "network": report.network,
        "rows": report.rows,
        "seconds": report.seconds,
        **counts,
    }
    print(json.dumps(facts, indent=1) if args.json else ", ".join(f"{name} {value}" for name, value in facts.items()))
    return _bad_lines(report.bad_lines)


def _audit(args: argparse.Namespace) -> int:
    from repro.figures import audit as pictures
    from repro.paper import audit

    return _paper_verb(args, "audit", audit.summary(_PAPER_RESULTS), pictures.write_figures)


def _theory(args: argparse.Namespace) -> int:
    from repro.figures import theory as pictures
    from repro.paper import theory

    return _paper_verb(args, "theory", theory.summary(_PAPER_RESULTS), pictures.write_figures)


def _paper_verb(
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
        write_figures(_PAPER_RESULTS / "figures")
        notebooks = REPO_ROOT / "notebooks"
        print(f"written: {_PAPER_RESULTS}, {render(notebooks / f'{name}.py', notebooks / f'{name}.ipynb', {})}")
    for line in result["unexpected"]:
        print(f"unexpected outcome: {line}", file=sys.stderr)
    return FAILED if result["unexpected"] else DONE


def _calibrate(args: argparse.Namespace) -> int:
    from repro.paths import results_dir
    from repro.studies import calibrate

    cells = results_dir(load_profile(args.profile, args.overrides).name, "published") / "cells"
    real = ["--runs", str(cells)] if cells.is_dir() else []
    sizes = ["--tables", str(args.tables), "--resampled", str(args.resampled)]
    return calibrate.main(["--profile", args.profile, *sizes, *real])


def _bench(args: argparse.Namespace) -> int:
    from repro.bench.search import bench_search
    from repro.bench.step import bench_run, bench_step, save

    profile = load_profile(args.profile, args.overrides)
    if args.what in bench_verb.NAMES:
        return bench_verb.run(profile, args)
    if args.what == "search":
        result = bench_search(profile)
    else:
        result = bench_step(profile) if args.what == "step" else bench_run(profile, keep=args.keep)
    if args.save:
        save(profile, args.what, result)
    print(
        json.dumps(result, indent=1)
        if args.json
        else "\n".join(f"{name:<22} {value}" for name, value in result.items())
    )
    return DONE


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "grade": _grade,
    "score-code": _score_code,
    "audit": _audit,
    "theory": _theory,
    "calibrate": _calibrate,
    "bench": _bench,
    "training-sets": training_verb.run,
    "evaluate": command.evaluate_verb,
}
