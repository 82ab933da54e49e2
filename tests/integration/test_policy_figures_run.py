"""`python -m repro run figure3`, `figure5` and `figure6` end to end on tiny smoke profiles."""

import csv
import json
import os
import subprocess
import sys

import pytest

from repro.paths import REPO_ROOT

pytestmark = pytest.mark.slow

COMMON = ["train.max_steps=2", "train.per_device_train_batch_size=16", "evaluate.samples=2"]
ARITHMETIC = [*COMMON, "bases.nano-t.spec.tokens=6000", "bases.nano-t.spec.hidden=32", "tasks.suites.modten-smoke=6"]
CODE = [
    *COMMON,
    "bases.nano-code-t.spec.tokens=6000",
    "bases.nano-code-t.spec.hidden=32",
    "tasks.suites.programs-0shot=6",
    "tasks.suites.programs-5shot=6",
    "arms.gvpo.per_device_train_batch_size=8",
    "arms.gvpo.max_steps=4",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Results and cache of the module: policies of one figure serve the next."""
    return tmp_path_factory.mktemp("figures")


def run(place, figure, settings, warm=None):
    env = {**os.environ, "GCPO_RESULTS": str(place), "GCPO_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    sets = [part for text in settings for part in ("--set", text)]
    words = ["run", figure, "--profile", "smoke", "--seeds", "1", *sets]
    if warm:
        done = warm.run(words, env)
    else:
        python = [sys.executable, "-m", "repro", *words]
        done = subprocess.run(python, cwd=REPO_ROOT, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    (folder,) = {path.parent.parent for path in place.glob(f"local/smoke/variants/*/figures/{figure}.csv")}
    for name in ("csv", "json", "md", "png", "svg"):
        assert (folder / "figures" / f"{figure}.{name}").stat().st_size > 200
    assert (folder / "notebooks" / f"{figure}.ipynb").exists()
    assert "smoke: not a result" in done.stdout and "## Sentences and what was found" in done.stdout
    with (folder / "figures" / f"{figure}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle)), done


def test_the_three_inputs_are_answered_by_the_policies_and_measured_beside_them(place):
    rows, done = run(place, "figure6", ARITHMETIC)
    assert [row["label"] for row in rows] == ["q", "x", "projected", "projected features", "vote of the candidates"] * 2
    assert all(row["ours"] for row in rows)
    assert [bool(row["greedy"]) for row in rows] == [True, True, True, True, False] * 2
    assert "causally projected input achieves the best results" in done.stdout
    tokens = {row["arm"]: float(row["tokens"]) for row in rows}
    assert tokens["grpo"] < tokens["grpo_vote"] < tokens["grpo_x"] < tokens["grpo_projected"]


def test_the_side_by_side_reads_the_same_cells(place, warm):
    rows, done = run(place, "figure5", ARITHMETIC, warm)
    assert [(row["suite"], row["questions"]) for row in rows] == [("modten-smoke", "6"), ("average", "6")]
    assert sum(int(rows[0][case]) for case in ("both", "left", "right", "neither")) == 6
    assert "## Answers side by side" in done.stdout and done.stdout.count("| GRPO | GCPO expected |") == 6
    cells = list(place.glob("local/smoke/runs/*/summary.json"))
    assert {json.loads(cell.read_text())["arm"] for cell in cells} == {
        "base", "grpo", "gcpo_expected", "grpo_x", "gcpo_expected_x"
    }  # fmt: skip


def test_programs_are_trained_on_and_measured_under_the_profiles_own_name(place, warm):
    rows, _ = run(place, "figure3", CODE, warm)
    assert [row["suite"] for row in rows] == ["programs-0shot"] * 5 + ["programs-5shot"] * 5
    assert all(row["ours"] for row in rows) and {row["base"] for row in rows} == {"nano-code-t"}
    reasons = set()
    for path in place.glob("local/smoke/runs/nano-code-t__*/summary.json"):
        for suite in json.loads(path.read_text())["suites"].values():
            reasons |= set(suite["reasons"])
    assert reasons <= {"passed", "failed", "error", "syntax", "truncated"}
