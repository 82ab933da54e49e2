"""Programs made from public threads about code scoring, run against HumanEval's own tests in the sandbox."""

import json
from pathlib import Path

import pytest

from repro.grading.score_file import score_file
from repro.paths import benchmark_dir
from repro.sandbox import SandboxUnavailable, find_isolation

ROWS = [json.loads(line) for line in Path(__file__).with_name("code_public.jsonl").read_text().splitlines()]
# Conventions that differ: nothing is repaired, helpers are not gathered from other blocks, the sandbox has neither
# numpy nor sympy, and whether a slow program ends within the limit depends on the machine.
DIFFERING = {
    "fence-two-blocks-helper-last", "fence-two-blocks-import-first", "fence-inline-single-backticks",
    "raw-nofence-text-then-code", "fence-body-only-noindent", "numpy", "sympy", "slow-numbers",
}  # fmt: skip
UNENDING = {"infinite-loop", "infinite-sleep", "slow-numbers"}  # these cost their whole limit


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    folder = benchmark_dir()
    if folder is None or not (folder / "humaneval.jsonl").is_file():
        pytest.skip("no humaneval.jsonl (GCPO_DATA)")
    try:
        find_isolation()
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox here: {error}")
    made = tmp_path_factory.mktemp("code")
    verdicts = [None] * len(ROWS)
    # a long limit, so that a program that sleeps for two seconds does not fail because the machine is busy
    for name, unending, timeout in (("unending", True, 2.0), ("ending", False, 60.0)):
        places = [place for place, row in enumerate(ROWS) if (row["kind"] in UNENDING) == unending]
        source, target = made / f"{name}.jsonl", made / f"{name}-out.jsonl"
        source.write_text("".join(json.dumps(ROWS[place]) + "\n" for place in places))
        assert score_file(source, target, folder, timeout=timeout).bad_lines == []
        found = [json.loads(line)["passed"] for line in target.read_text().splitlines()]
        for place, verdict in zip(places, found, strict=True):
            verdicts[place] = verdict
    return verdicts


@pytest.mark.slow
def test_every_program_passes_or_fails_as_it_must(passed):
    wrong = {row["kind"] for row, verdict in zip(ROWS, passed, strict=True) if verdict != row["expected"]}
    assert wrong - {row["kind"] for row in ROWS if row.get("policy")} == set()
    assert wrong <= DIFFERING
    assert sum(not row.get("policy") for row in ROWS) == 69
