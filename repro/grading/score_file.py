"""`score-code`: programs in a JSONL file, run in the sandbox against HumanEval's own tests, verdicts out.

Does not sample from a model and does not average: one verdict per line, in the order of the lines.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from repro.data_folder import why_missing
from repro.errors import BadInput
from repro.grading.code_extract import FORMATS
from repro.grading.code_score import CodeAnswer, CodeProblem, score_answers
from repro.grading.json_lines import BadLine, read_object
from repro.sandbox import Isolation, Limits, Outcome, SandboxPool, SandboxUnavailable, find_isolation

HUMANEVAL_ROWS = 164
HUMANEVAL_SHA256 = "621ff099e7d6a9b630619acd3568aef441dec51a8c84f881a9dd1f2d2ed15914"  # openai/human-eval @ 6d43fb9


@dataclass
class ScoreReport:
    """What `score_file` did.

    backend, network and system_calls say how programs were kept in. seconds: wall time, the workers' start included.
    bad_lines: (line number from 1, what is wrong) of each line that was not scored.
    """

    backend: str
    network: str
    system_calls: str
    rows: int = 0
    seconds: float = 0.0
    reasons: Counter = field(default_factory=Counter)
    passed_under_one_second: int = 0
    bad_lines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """Number of programs that passed."""
        return self.reasons["passed"]

    @property
    def programs_per_second(self) -> float:
        """Programs scored per wall second, start-up of the workers included."""
        return self.rows / self.seconds if self.seconds else 0.0


def load_problems(benchmark_dir: Path | None) -> dict[str, CodeProblem]:
    """HumanEval's 164 problems by task id, from `humaneval.jsonl`. Raises BadInput unless it is the original file."""
    if benchmark_dir is None:
        raise BadInput(
            f"score-code: no folder of benchmark files ({why_missing()}); set GCPO_DATA to one that holds "
            "humaneval.jsonl"
        )
    path = benchmark_dir / "humaneval.jsonl"
    if not path.is_file():
        raise BadInput(
            f"score-code: {path} is missing: want HumanEval's {HUMANEVAL_ROWS} problems there (set GCPO_DATA)"
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != HUMANEVAL_SHA256:
        raise BadInput(
            f"score-code: {path} has sha256 {digest[:12]}...; want {HUMANEVAL_SHA256[:12]}... (openai/human-eval)"
        )
    names = ("task_id", "prompt", "entry_point", "test")
    rows = [json.loads(line) for line in content.decode("utf-8").splitlines()]
    return {row["task_id"]: CodeProblem(**{name: row[name] for name in names}) for row in rows}


@dataclass(frozen=True)
class _Line:
    number: int
    id: object
    answer: CodeAnswer


def read_answers(input_path: Path, problems: dict[str, CodeProblem]) -> tuple[list[_Line], list[tuple[int, str]]]:
    """The answers of a JSONL file in order, and the unreadable lines: (number from 1, what is wrong). Skips blanks."""
    lines, bad = [], []
    for number, raw in enumerate(input_path.read_bytes().split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            row = read_object(raw, ("task_id", "completion", "format"))
            lines.append(_Line(number, row.get("id"), _answer(row, problems)))
        except BadLine as error:
            bad.append((number, str(error)))
    return lines, bad


def _answer(row: dict, problems: dict[str, CodeProblem]) -> CodeAnswer:
    if row["task_id"] not in problems:
        raise BadLine(f"task_id {row['task_id'][:40]!r} is not a HumanEval problem (HumanEval/0 to HumanEval/163)")
    if row["format"] not in FORMATS:
        raise BadLine(f"format is {row['format'][:40]!r}; want one of {', '.join(FORMATS)}")
    return CodeAnswer(problems[row["task_id"]], row["completion"], row["format"])


def score_file(
    input_path: str | Path,
    output_path: str | Path,
    benchmark_dir: Path | None,
    *,
    workers: int = 2,
    unsafe: bool = False,
    timeout: float = 5.0,
    backend: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreReport:
    """Score every readable line of `input_path` and write one verdict per line to `output_path`, order kept.

    An output line has `line` (number in the input, from 1), `id` where the input has one, `task_id`, `passed`,
    `reason` (passed, failed, error, timeout, memory, forbidden), `seconds` (wall, of the program alone) and `detail`.
    Lines are written as they become final, so an interrupted run keeps the finished prefix.
    timeout: seconds per program. progress(done, total) is called after each program. unsafe: run without namespaces
    where there are none; `backend` names one (bwrap, unshare) instead of the first that works.
    Raises BadInput for unusable files or settings, and when isolation is missing and not waived.
    """
    source, target = Path(input_path), Path(output_path)
    if not 0 < timeout < math.inf:
        raise BadInput(f"score-code: timeout is {timeout:g} s; want a finite number above 0")
    if workers < 1:
        raise BadInput(f"score-code: workers is {workers}; want at least 1")
    if not source.is_file():
        raise BadInput(f"score-code: no file {source}; want JSON lines with task_id, completion and format")
    problems = load_problems(benchmark_dir)
    lines, bad_lines = read_answers(source, problems)
    isolation = _isolation(unsafe, backend)
    report = ScoreReport(isolation.backend, isolation.network, isolation.system_calls, bad_lines=bad_lines)
    started = time.monotonic()

    def advance(done: int) -> None:
        if progress is not None:
            progress(done, len(lines))

    with (
        _open_output(target) as output,
        SandboxPool(isolation, workers=workers, limits=Limits(wall_seconds=timeout)) as pool,
    ):
        outcomes = score_answers([line.answer for line in lines], pool, advance)
        for line, outcome in zip(lines, outcomes, strict=True):
            output.write(json.dumps(_row(line, outcome)) + "\n")
            output.flush()
            report.rows += 1
            report.reasons[outcome.reason] += 1
            report.passed_under_one_second += outcome.passed and outcome.seconds <= 1.0
    report.seconds = time.monotonic() - started
    return report


def _open_output(target: Path) -> TextIO:
    try:
        return target.open("w", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"score-code: {error.strerror}: {error.filename}") from error


def _isolation(unsafe: bool, backend: str | None) -> Isolation:
    try:
        return find_isolation(unsafe=unsafe, backend=backend)
    except ValueError as error:
        raise BadInput(f"score-code: {error}") from error
    except SandboxUnavailable as error:
        raise BadInput(
            f"score-code: no sandbox on this machine ({error}); install bubblewrap or allow user namespaces, "
            "or pass --unsafe to run model-written code with this user's files and network in its reach"
        ) from error


def _row(line: _Line, outcome: Outcome) -> dict[str, object]:
    identity = {} if line.id is None else {"id": line.id}
    return {
        "line": line.number,
        **identity,
        "task_id": line.answer.problem.task_id,
        "passed": outcome.passed,
        "reason": outcome.reason,
        "seconds": round(outcome.seconds, 4),
        "detail": outcome.detail,
    }
