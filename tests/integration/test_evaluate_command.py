"""`python -m repro evaluate` as a user runs it: oracles, kills, other models, regrading, and its error lines."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro.cli import main
from repro.evaluation.store import SAMPLES, read_samples, replace_samples
from repro.paths import REPO_ROOT, benchmark_dir
from repro.tasks.benchmarks import grading

pytestmark = pytest.mark.skipif(benchmark_dir() is None, reason="no benchmark files (GCPO_DATA)")
MATH = "aime24,aime25,amc23,amc83,math500,minerva,olympiadbench"


def evaluate(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


def result(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def timeless(path: Path) -> list:
    return [replace(sample, seconds=0.0, grade_seconds=0.0) for sample in read_samples(path)]


def tiny(model: Path, output: Path, *words: object) -> int:
    return evaluate(
        "--model", model, "--suite", "aime24", "--prompt", "raw", "--limit", 4, "--max-new-tokens", 6,
        "--batch-size", 2, "--workers", 1, "--output", output, *words,
    )  # fmt: skip


@pytest.mark.parametrize(("oracle", "score"), [("gold", 1.0), ("wrong-last-step", 0.0)])
def test_an_oracle_of_every_mathematical_suite_is_all_right_and_with_a_wrong_last_step_all_wrong(
    oracle, score, tmp_path, capsys
):
    output = tmp_path / "out"
    assert evaluate("--engine", "replay", "--model", oracle, "--suite", MATH, "--samples", 1, "--temperature", 0,
                    "--output", output, "--workers", 1, "--json") == 0  # fmt: skip
    suites = result(capsys)["suites"]
    assert {name: entry["avg_at_k"]["value"] for name, entry in suites.items()} == dict.fromkeys(suites, score)
    assert [entry["questions"] for entry in suites.values()] == [30, 30, 40, 83, 500, 272, 675]
    assert all(entry["complete"] and entry["truncated"] == 0.0 for entry in suites.values())
    minerva = json.loads((output / "Minerva" / "summary.json").read_text())
    if oracle == "gold":  # the distributed golds, judged by the corrected ones and by DeepScaleR's
        assert sum(minerva["others"]["answer_corrected"]["correct"]) == 272 - 7
        # 33 of DeepScaleR's golds are wrong; those that mend a wrong gold or carry a unit differ as well
        assert 225 <= sum(minerva["others"]["deepscaler_gold"]["correct"]) <= 272 - 33
        amc = json.loads((output / "AMC83" / "summary.json").read_text())
        assert sum(amc["others"]["answer_corrected"]["correct"]) == 82
        assert minerva["audit"]["rows"] == []
    text = (output / "report.md").read_text()
    assert "average of five | - | - | " + ("100.0" if oracle == "gold" else "0.0") in text
    assert {path.name for path in (output / "figures").iterdir()} >= {"accuracy.png", "lengths.png", "reasons.svg"}


@pytest.mark.slow
@pytest.mark.parametrize(("oracle", "right"), [("gold", 164), ("wrong-last-step", 0)])
def test_an_oracle_of_humaneval_passes_every_check_and_with_a_spoiled_result_none(
    oracle, right, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(grading, "CODE_SECONDS", 60.0)  # a right program may be slow where the machine is loaded
    words = ("--suite", "humaneval", "--samples", 1, "--temperature", 0, "--output", tmp_path, "--json")
    assert evaluate("--engine", "replay", "--model", oracle, *words) == 0
    entry = result(capsys)["suites"]["HumanEval"]
    reasons = entry["reasons"]
    assert reasons.get("passed", 0) == right and sum(reasons.values()) == 164
    assert set(reasons) <= {"passed"} if right else {"failed", "error"}
    quick = sum(each.correct and each.grade_seconds <= 1.0 for each in read_samples(tmp_path / "HumanEval" / SAMPLES))
    assert entry["others"]["under_1_s"]["value"] * 164 == pytest.approx(quick)


_SLOW_RUN = """
import sys, time
from repro.evaluation.engines.transformers_engine import TransformersEngine
batch = TransformersEngine._batch
def slow(self, *arguments):
    time.sleep(0.25)
    return batch(self, *arguments)
TransformersEngine._batch = slow
from repro.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_evaluation_goes_on_without_loss_and_without_counting_twice(tiny_model_dir, tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert tiny(tiny_model_dir, whole, "--samples", 4, "--json") == 0
    wanted = result(capsys)
    words = ["evaluate", "--model", tiny_model_dir, "--suite", "aime24", "--prompt", "raw", "--limit", "4", "--samples",
             "4", "--max-new-tokens", "6", "--batch-size", "2", "--workers", "1", "--output", killed]  # fmt: skip
    run = subprocess.Popen(
        [sys.executable, "-c", _SLOW_RUN, *map(str, words)], cwd=REPO_ROOT, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    path = killed / "AIME24" / SAMPLES
    deadline = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < deadline and (not path.exists() or len(read_samples(path)) < 4):
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    stored = len(read_samples(path, mend=True))
    assert 4 <= stored < 20 and stored % 2 == 0  # batches of two, each on disk at once
    with path.open("ab") as handle:  # what a kill in the middle of a write leaves
        handle.write(path.read_bytes()[:50])
    assert tiny(tiny_model_dir, killed, "--samples", 4, "--json") == 0
    got = result(capsys)
    assert timeless(path) == timeless(whole / "AIME24" / SAMPLES)
    assert len(read_samples(path)) == 20  # four samples and a greedy answer to each of four questions
    for each in (wanted, got):
        del each["folder"], each["suites"]["AIME24"]["cost"]
    assert got == wanted


def test_more_samples_are_added_to_those_that_are_there(tiny_model_dir, tmp_path, capsys):
    grown = tmp_path / "grown"
    assert tiny(tiny_model_dir, grown, "--samples", 2) == 0
    first = timeless(grown / "AIME24" / SAMPLES)
    assert tiny(tiny_model_dir, grown, "--samples", 4) == 0
    assert timeless(grown / "AIME24" / SAMPLES)[: len(first)] == first
    assert tiny(tiny_model_dir, tmp_path / "once", "--samples", 4) == 0
    by_key = [{each.key: each for each in timeless(tmp_path / name / "AIME24" / SAMPLES)} for name in ("grown", "once")]
    assert by_key[0] == by_key[1] and len(by_key[0]) == 20
    capsys.readouterr()
    assert tiny(tiny_model_dir, grown, "--samples", 2, "--json") == 0  # fewer: the first two count
    assert result(capsys)["suites"]["AIME24"]["k"] == 2


def test_regrading_needs_no_model_and_mends_every_verdict(tmp_path, capsys):
    words = ("--engine", "replay", "--model", "gold", "--suite", "amc83,minerva", "--samples", 1, "--temperature", 0,
             "--workers", 1)  # fmt: skip
    assert evaluate(*words, "--output", tmp_path, "--json") == 0
    right = result(capsys)
    path = tmp_path / "AMC83" / SAMPLES
    spoiled = [
        replace(each, correct=False, reason="wrong") if n < 3 else each for n, each in enumerate(read_samples(path))
    ]
    replace_samples(path, spoiled)
    assert evaluate("--regrade", tmp_path, "--workers", 1, "--json") == 0
    again = result(capsys)
    assert again.pop("changed") == {"AMC83": 3, "Minerva": 0}
    for each in (right, again):
        for entry in each["suites"].values():
            del entry["cost"]["grading_seconds"]
    assert again == right


def test_every_bad_input_is_one_line_and_code_two(tiny_model_dir, tmp_path, capsys, monkeypatch):
    model = ("--model", tiny_model_dir)
    output = tmp_path / "held"
    assert tiny(tiny_model_dir, output, "--samples", 1) == 0
    other = tmp_path / "other"
    broken, binary = tmp_path / "broken.jinja", tmp_path / "binary.jinja"
    broken.write_text("{% if %}")
    binary.write_bytes(b"\xff\xfe")
    replayed = ("--engine", "replay", "--model", "gold", "--suite", "aime24", "--samples", 1)
    cases = [
        ((*model, "--suite", "AIME2"), "unknown suite 'AIME2' (did you mean AIME2"),
        ((*model,), "want --model and --suite, or --regrade DIR"),
        ((*model, "--suite", "aime24", "--engine", "tensor"), "unknown engine 'tensor'"),
        ((*model, "--suite", "aime24"), "no chat template; pass --chat-template FILE"),
        ((*model, "--suite", "aime24", "--chat-template", other), "--chat-template: no file"),
        ((*model, "--suite", "aime24", "--prompt", "raw"), "context of 256; pass --max-new-tokens"),
        ((*model, "--suite", "humaneval5shot", "--prompt", "raw"), "worked examples need the prompt form 'chat'"),
        (
            (*model, "--suite", "olympiadbench", "--prompt", "raw", "--max-new-tokens", 1),
            "tokens; at most 255 fit this model",
        ),
        ((*model, "--suite", "aime24", "--preset", "slow"), "unknown preset 'slow'"),
        ((*model, "--suite", "aime24", "--profile", "large"), "unknown profile 'large'"),
        ((*model, "--suite", "aime24", "--chat-template", broken), "the chat template cannot be used"),
        ((*model, "--suite", "aime24", "--chat-template", binary), "is not UTF-8 at byte 0"),
        ((*model, "--suite", "aime24", "--temperature", "nan"), "--temperature is nan; want 0 (greedy) to 10"),
        ((*model, "--suite", "aime24", "--max-new-tokens", 0), "--max-new-tokens is 0; want at least 1"),
        ((*model, "--suite", "aime24", "--limit", 0), "--limit is 0"),
        ((*model, "--suite", "aime24", "--row", "GPT/base"), "--row is 'GPT/base'; want MODEL/METHOD of the paper"),
        ((*model, "--suite", "aime24", "--revision", "main"), "--revision is for hub ids"),
        (("--model", other, "--suite", "aime24"), "neither a folder nor a hub id"),
        (("--model", tmp_path, "--suite", "aime24"), "has no config.json"),
        ((*replayed, "--output", output), "holds samples of another"),
        (("--regrade", other), "holds no evaluation"),
        (("--regrade", output, "--model", "x"), "takes neither --model nor --suite"),
    ]
    capsys.readouterr()
    for words, message in cases:
        assert evaluate(*words) == 2, words
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(lines) == 1 and message in lines[0], (message, lines)
    monkeypatch.setenv("GCPO_DATA", str(other))
    assert evaluate(*model, "--suite", "aime24") == 2
    assert f"(GCPO_DATA is '{other}', which is no folder); set GCPO_DATA" in capsys.readouterr().err


def test_samples_of_another_model_seed_or_temperature_are_not_continued(tiny_model_dir, tmp_path, capsys):
    output = tmp_path / "held"
    assert tiny(tiny_model_dir, output, "--samples", 1) == 0
    before = (output / "AIME24" / SAMPLES).read_bytes()
    for words, what in ((("--seed", 1), "seed"), (("--temperature", 0.5), "protocol")):
        capsys.readouterr()
        assert tiny(tiny_model_dir, output, "--samples", 1, *words) == 2
        assert f"holds samples of another {what}" in capsys.readouterr().err
    assert (output / "AIME24" / SAMPLES).read_bytes() == before
