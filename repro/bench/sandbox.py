"""How fast and how right the sandbox is on HumanEval: `python -m repro.bench.sandbox [--output F]`.

Scores all canonical solutions and ten stubs per problem, and prints or writes one JSON object: pass counts, reasons,
programs per wall second and CPU milliseconds per program. The rate depends on what else runs; the CPU time hardly
does.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from repro.grading.code_score import CodeAnswer, score_answers
from repro.grading.score_file import load_problems
from repro.paths import benchmark_dir
from repro.sandbox import Isolation, SandboxPool, find_isolation

STUB_BODIES = ("pass", *(f"return {value}" for value in (None, True, False, 0, 1, [], "''", -1, 5)))


def canonical_and_stubs() -> dict[str, list[CodeAnswer]]:
    """The 164 canonical solutions and the 1,640 stubs of evaluation's acceptance test, as completions."""
    folder = benchmark_dir()
    problems = load_problems(folder)
    rows = [json.loads(line) for line in (folder / "humaneval.jsonl").read_text(encoding="utf-8").splitlines()]
    solutions = [(row["task_id"], row["canonical_solution"]) for row in rows]
    stubs = [(task_id, f"    {body}\n") for task_id in problems for body in STUB_BODIES]
    return {
        name: [CodeAnswer(problems[task_id], text, "completion") for task_id, text in texts]
        for name, texts in (("canonical", solutions), ("stubs", stubs))
    }


def measure(answers: list[CodeAnswer], isolation: Isolation, workers: int) -> dict[str, object]:
    """Score the answers once: counts by reason, programs per second (worker start included), CPU ms per program."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with SandboxPool(isolation, workers=workers) as pool:
        outcomes = list(score_answers(answers, pool))
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "programs": len(outcomes),
        "reasons": dict(Counter(outcome.reason for outcome in outcomes)),
        "passed_under_one_second": sum(outcome.passed and outcome.seconds <= 1.0 for outcome in outcomes),
        "programs_per_second": round(len(outcomes) / seconds, 1),
        "cpu_ms_per_program": round(1000 * cpu / len(outcomes), 1),
        "slowest_seconds": round(max(outcome.seconds for outcome in outcomes), 3),
    }


def main(arguments: list[str]) -> None:
    """Print or write the measurement as JSON."""
    parser = argparse.ArgumentParser(prog="python -m repro.bench.sandbox", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backend", choices=("bwrap", "unshare"))
    parser.add_argument("--output", type=Path, help="write the JSON there instead of printing it")
    options = parser.parse_args(arguments)
    isolation = find_isolation(backend=options.backend)
    record: dict[str, object] = {
        "backend": isolation.backend,
        "as_root": isolation.as_root,
        "network": isolation.network,
        "system_calls": isolation.system_calls,
        "workers": options.workers,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 1),
    }
    for name, answers in canonical_and_stubs().items():
        record[name] = measure(answers, isolation, options.workers)
    text = json.dumps(record, indent=1) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
