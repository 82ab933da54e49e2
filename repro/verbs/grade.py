"""`grade` and `score-code`: answers in a file, verdicts in another."""

import argparse
from pathlib import Path
from typing import Any

from repro.paths import benchmark_dir
from repro.verbs.common import Parents, bad_lines, show


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("--input", type=Path, required=True, help="JSON lines to read")
    files.add_argument("--output", type=Path, required=True, help="JSON lines to write")
    files.add_argument("--workers", type=int, default=2, help="processes (default 2); results do not depend on it")
    grade = verbs.add_parser(
        "grade",
        parents=[files, parents.as_json],
        help="grade mathematical answers: gold, prediction -> correct, reason",
    )
    grade.set_defaults(call=grade_answers)
    score = verbs.add_parser(
        "score-code",
        parents=[files, parents.as_json],
        help="run HumanEval answers in a sandbox: task_id, completion, format -> passed",
    )
    score.add_argument("--timeout", type=float, default=5.0, help="seconds per program (default 5)")
    score.add_argument("--unsafe", action="store_true", help="run even where the kernel offers no isolation")
    score.set_defaults(call=score_code)


def grade_answers(args: argparse.Namespace) -> int:
    from repro.grading.grade_file import grade_file

    report = grade_file(args.input, args.output, workers=args.workers)
    counts = dict(sorted(report.counts.items()))
    show(args, counts, ", ".join(f"{count} {reason}" for reason, count in counts.items()))
    if not args.json and report.audit.disagreements:
        lines, judged = [number for number, _ in report.audit.disagreements], report.audit.samples - report.audit.silent
        print(f"a second, simpler grader judges {judged} of them and disagrees on lines {', '.join(map(str, lines))}")
    return bad_lines(report.bad_lines)


def score_code(args: argparse.Namespace) -> int:
    from repro.grading.score_file import score_file

    report = score_file(
        args.input, args.output, benchmark_dir(), workers=args.workers, unsafe=args.unsafe, timeout=args.timeout
    )
    facts = {
        "backend": report.backend,
        "network": report.network,
        "rows": report.rows,
        "seconds": report.seconds,
        **dict(sorted(report.reasons.items())),
    }
    show(args, facts, ", ".join(f"{name} {value}" for name, value in facts.items()))
    return bad_lines(report.bad_lines)
