"""`python -m repro grade`: JSON lines with `gold` and `prediction` in, the same lines' verdicts out, in order."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from repro.errors import BadInput
from repro.grading import GraderPool
from repro.grading.audit_grader import Audit
from repro.grading.json_lines import BadLine, read_object

_CHUNK = 2000  # lines held at once


@dataclass
class GradeReport:
    """bad_lines: (number from 1, why) of each line that was not graded. counts: verdicts by reason.

    audit: what a second, simpler grader thinks of the same lines; its disagreements name the lines by number.
    """

    bad_lines: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    audit: Audit = field(default_factory=Audit)


def grade_file(
    input_path: str | Path,
    output_path: str | Path,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> GradeReport:
    """Grade every good line of a JSONL file and report the bad ones.

    An output line has `line` (number in the input, from 1), `id` where the input has one, `correct`, `reason`,
    `detail`, `extracted` and `seconds`. Blank lines are skipped. Raises BadInput if the input cannot be read or the
    output not be written.
    """
    source, target = Path(input_path), Path(output_path)
    if not source.is_file():
        raise BadInput(f"grade: no file {source}; want JSON lines with gold and prediction")
    if target.exists() and target.samefile(source):
        raise BadInput(f"grade: output {target} is the input; want another file")
    report = GradeReport()
    try:
        with source.open("rb") as lines, target.open("w", encoding="utf-8") as out, GraderPool(workers) as pool:
            chunk: list[tuple[int, dict]] = []
            graded = 0
            for number, raw in enumerate(lines, start=1):
                row = _good_row(raw, number, report)
                if row is not None:
                    chunk.append((number, row))
                if len(chunk) == _CHUNK:
                    graded = _grade_chunk(chunk, pool, out, report, graded, progress)
                    chunk = []
            _grade_chunk(chunk, pool, out, report, graded, progress)
    except OSError as error:
        raise BadInput(f"grade: {error.strerror}: {error.filename}") from error
    return report


def _good_row(raw: bytes, number: int, report: GradeReport) -> dict | None:
    """The line's object, or None after noting what is wrong with it."""
    if not raw.strip():
        return None
    try:
        return read_object(raw, ("gold", "prediction"))
    except BadLine as error:
        report.bad_lines.append((number, str(error)))
        return None


def _grade_chunk(chunk, pool: GraderPool, out, report: GradeReport, graded: int, progress) -> int:
    count = None if progress is None else lambda done: progress(graded + done)
    verdicts = pool.grade_many([(row["gold"], row["prediction"]) for _, row in chunk], count)
    for (number, row), verdict in zip(chunk, verdicts, strict=True):
        report.counts[verdict.reason] += 1
        report.audit.add(number, row["gold"], row["prediction"], verdict.correct)
        line = {"line": number} | ({"id": row["id"]} if "id" in row else {})
        line |= {"correct": verdict.correct, "reason": verdict.reason, "detail": verdict.detail}
        line |= {"extracted": verdict.extracted, "seconds": round(verdict.seconds, 6)}
        out.write(json.dumps(line) + "\n")
    return graded + len(chunk)
