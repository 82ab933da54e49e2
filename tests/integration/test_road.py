"""The whole road from a real model's folder and real questions to a table, as `make reproduce-table1 BASE=` goes it."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from chat_models import build

from repro.evaluation.store import GREEDY, SAMPLED, read_samples, replace_samples
from repro.paths import REPO_ROOT, benchmark_dir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(benchmark_dir() is None, reason="no benchmark files (GCPO_DATA)"),
]
SMALL = [
    "tasks.suites={MATH500: 4, HumanEval: 2}",
    "evaluate.samples={MATH500: 3, HumanEval: 2}",
    "evaluate.max_new_tokens=24",
    "evaluate.batch_size=6",
    "evaluate.engine=transformers",
    "train.max_steps=2",
    "train.per_device_train_batch_size=64",
    "train.gradient_accumulation_steps=1",
    "train.max_completion_length=24",
    "train.learning_rate=1e-4",
    'train.save_strategy="no"',
    "train.bf16=false",
    "resources.threads=1",
]
ARMS = "base,grpo,gcpo_expected"


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def road(request, tmp_path_factory, warm):
    """A model's folder, where its results go, and what the first run printed."""
    folder = tmp_path_factory.mktemp(request.param)
    rows = (benchmark_dir() / "train_math_7474.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    build(request.param, folder / "My Model", [json.loads(row)["problem"] for row in rows])
    return folder, run(folder, warm if request.param == "qwen2" else None)


def run(folder, warm, verb="run", *extra, model="My Model"):
    """A run in an interpreter of its own, or in one that `warm` forks."""
    sets = [part for text in SMALL for part in ("--set", text)]
    words = [verb, "table1", "--profile", "gpu", "--base", str(folder / model)]
    words += ["--seeds", "1", "--arms", ARMS, *sets, *extra]
    env = os.environ | {
        "GCPO_RESULTS": str(folder / "results"), "GCPO_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1",
        "GCPO_DEVICE": "cpu", "GCPO_DATA": str(benchmark_dir()),
    }  # fmt: skip
    if warm:
        done = warm.run(words, env)
    else:
        python = [sys.executable, "-m", "repro", *words]
        done = subprocess.run(python, cwd=REPO_ROOT, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done


def cells(folder):
    found = {}
    for path in (folder / "results").glob("local/gpu/runs/*/summary.json"):
        summary = json.loads(path.read_text())
        found[summary["arm"]] = path.parent, summary
    return found


def test_base_grpo_and_gcpo_are_trained_and_measured_on_benchmarks(road):
    folder, done = road
    found = cells(folder)
    assert set(found) == {"base", "grpo", "gcpo_expected"}
    for arm, (cell, summary) in found.items():
        assert summary["base"] == "my-model" and len(summary["base_weights"]) == 64
        assert {name: (entry["k"], entry["n"]) for name, entry in summary["suites"].items()} == {
            "MATH500": (3, 4), "HumanEval": (2, 2)
        }  # fmt: skip
        assert all(len(entry["greedy"]["correct"]) == entry["n"] for entry in summary["suites"].values())
        samples = read_samples(cell / "samples.jsonl.zst")
        draws = [sample.draw for sample in samples]
        assert (draws.count(SAMPLED), draws.count(GREEDY)) == (4 * 3 + 2 * 2, 4 + 2)
        boxed = [sample for sample in samples if sample.suite == "MATH500" and sample.extracted]
        assert boxed, arm  # the model boxes digits: the grader has something to read
        assert not any("<|im_end|>" in sample.text for sample in samples)
    rewards = [json.loads(line)["reward"] for line in (found["grpo"][0] / "metrics.jsonl").read_text().splitlines()]
    assert len(rewards) == 2 and max(rewards) > 0  # some guessed digit is the gold
    assert "MATH500" in done.stdout and "HumanEval" in done.stdout


def test_a_base_without_a_row_in_the_paper_has_no_printed_numbers(road):
    folder, _ = road
    (own,) = (folder / "results" / "local" / "gpu" / "variants").iterdir()  # not the profile's own table
    assert own.name.startswith("base-my-model-")
    table = json.loads((own / "tables" / "table1.json").read_text())
    assert all(row["printed"] is None and row["independent"] is None for row in table["rows"])
    assert (own / "notebooks" / "table1.ipynb").stat().st_size > 1000


@pytest.mark.parametrize("road", ["qwen2"], indirect=True)
def test_the_same_model_in_another_folder_has_the_same_cells_and_nothing_runs_again(road, warm):
    folder, _ = road
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("summary.json")}
    (folder / "elsewhere").mkdir(exist_ok=True)
    shutil.copytree(folder / "My Model", folder / "elsewhere" / "My Model", dirs_exist_ok=True)
    done = run(folder / "elsewhere", warm, "plan", "--json", model="My Model")
    names = {row["cell"] for row in json.loads(done.stdout)["cells"]}
    assert names == {path.parent.name for path in before}
    run(folder, warm)
    assert {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("summary.json")} == before


@pytest.mark.parametrize("road", ["qwen2"], indirect=True)
def test_a_cut_evaluation_goes_on_from_the_trained_policy(road, warm):
    folder, _ = road
    cell, summary = cells(folder)["grpo"]
    steps = (cell / "metrics.jsonl").stat().st_mtime_ns
    samples = read_samples(cell / "samples.jsonl.zst")
    replace_samples(cell / "samples.jsonl.zst", samples[:9])
    (cell / "summary.json").unlink()
    run(folder, warm)
    again = json.loads((cell / "summary.json").read_text())
    assert (cell / "metrics.jsonl").stat().st_mtime_ns == steps  # not trained again
    assert again["suites"] == summary["suites"]


@pytest.mark.parametrize("road", ["qwen2"], indirect=True)
def test_regrading_mends_a_spoiled_verdict(road, warm):
    from dataclasses import replace

    folder, _ = road
    cell, summary = cells(folder)["base"]
    samples = read_samples(cell / "samples.jsonl.zst")
    spoiled = [replace(each, correct=not each.correct) if n == 0 else each for n, each in enumerate(samples)]
    replace_samples(cell / "samples.jsonl.zst", spoiled)
    rows = json.loads(run(folder, warm, "regrade", "--json").stdout)
    changed = {row["cell"].split("__")[1]: sum(row["changed"].values()) for row in rows}
    assert changed == {"base": 1, "grpo": 0, "gcpo_expected": 0}
    assert json.loads((cell / "summary.json").read_text())["suites"] == summary["suites"]
