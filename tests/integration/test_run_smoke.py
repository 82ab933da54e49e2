"""`python -m repro run table1` end to end on a tiny smoke profile: resume, kill -9, partial failure, damage."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.paths import REPO_ROOT

pytestmark = pytest.mark.slow

TINY = [
    "bases.nano-t.spec.tokens=6000",
    "bases.nano-t.spec.hidden=32",
    "tasks.suites.modten-smoke=6",
    "train.max_steps=2",
    "train.per_device_train_batch_size=16",
    "arms.gvpo.per_device_train_batch_size=8",
    "arms.gvpo.steps_per_generation=2",
    "arms.gvpo.max_steps=4",
    "evaluate.samples=2",
]


def words(*extra):
    sets = [part for text in TINY for part in ("--set", text)]
    return ["run", "table1", "--profile", "smoke", "--seeds", "1", *sets, *extra]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache of weights for the module: a base is made once."""
    return tmp_path_factory.mktemp("cache")


def environment(results, cache):
    return {**os.environ, "GCPO_RESULTS": str(results), "GCPO_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


def run(results, cache, *extra, warm=None):
    """A run in an interpreter of its own, or in one that `warm` forks."""
    env = environment(results, cache)
    if warm:
        return warm.run(words(*extra), env)
    python = [sys.executable, "-m", "repro", *words(*extra)]
    return subprocess.run(python, cwd=REPO_ROOT, env=env, capture_output=True, text=True, timeout=1200)


def summaries(results):
    """Arm -> what a rerun must reproduce exactly."""
    found = {}
    for path in results.glob("local/smoke/runs/*/summary.json"):
        summary = json.loads(path.read_text())
        counts = {name: suite["correct"] for name, suite in summary["suites"].items()}
        found[summary["arm"]] = counts, summary["base_weights"]
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    results = tmp_path_factory.mktemp("undisturbed")
    done = run(results, cache)
    assert done.returncode == 0, done.stderr
    return results, done


def test_a_run_writes_tables_figures_and_a_notebook_and_prints_verdicts(undisturbed):
    results, done = undisturbed
    (table,) = (Path(line.strip()) for line in done.stdout.splitlines() if line.endswith("tables/table1.csv"))
    folder = table.parents[1]
    assert folder.parent == results / "local" / "smoke" / "variants"  # SET: not the profile's own table
    for name in ("tables/table1.csv", "tables/table1.md", "tables/table1.tex", "notebooks/table1.ipynb"):
        assert (folder / name).stat().st_size > 200
    assert list((folder / "figures").glob("table1*.png")) and list((folder / "figures").glob("table1*.svg"))
    assert f'make reproduce-table1 PROFILE=smoke SEEDS=1 SET="{" ".join(TINY)}"' in done.stdout
    assert "GVPO [per_device_train_batch_size=8, steps_per_generation=2, max_steps=4]" in done.stdout
    for words in ("smoke: not a result", "ReST-MCTS*", "GCPO expected > GRPO", "MDG", "table1.csv"):
        assert words in done.stdout
    assert set(summaries(results)) == {"base", "grpo", "rest_mcts", "gvpo", "drgrpo", "gcpo_expected", "gcpo_mc"}


def test_a_second_run_starts_no_cell_and_writes_nothing(undisturbed, cache):
    results, _ = undisturbed
    files = [path for path in results.rglob("*") if path.is_file() and path.name != "run.lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    done = run(results, cache)
    assert done.returncode == 0 and "done in" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changing_one_arm_runs_that_arm_alone(undisturbed, cache, warm):
    results, _ = undisturbed
    before = set(results.glob("local/smoke/runs/*"))
    done = run(results, cache, "--set", "arms.gcpo_expected.kappa=0.02", warm=warm)
    assert done.returncode == 0, done.stderr
    new = set(results.glob("local/smoke/runs/*")) - before
    assert [path.name.split("__")[1] for path in new] == ["gcpo_expected"]


def test_an_arm_that_breaks_is_listed_and_the_others_finish(tmp_path, cache, warm):
    # dividing logits by such a temperature makes every probability NaN in the first rollout
    setting = "arms.drgrpo.temperature=1.0e-42"
    done = run(tmp_path, cache, "--set", setting, "--arms", "base,grpo,drgrpo", warm=warm)
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if line.startswith("failed:"))
    assert "drgrpo" in line and "nan" in line and "log.txt" in line
    assert set(summaries(tmp_path)) == {"base", "grpo"}


def begun(results, kind):
    """Cells or bases that have begun and are not finished: a record of progress without the last file."""
    if kind == "base":
        folders = (path.parent for path in results.glob("local/smoke/bases/*/progress.json"))
        return [folder for folder in folders if not folder.with_suffix(".json").exists()]
    folders = (path.parent for path in results.glob("local/smoke/runs/*/progress.json"))
    return [folder for folder in folders if not (folder / "summary.json").exists()]


def killed(warm, results, cache, hit, later=0.0):
    """Start a run, kill it `later` seconds after `hit()` is true; whether it was before the run ended."""
    for stale in results.glob("local/smoke/*/*/progress.json"):
        stale.unlink()  # of the run that was killed before
    log = results / "stderr.txt"
    driver = warm.start(words(), environment(results, cache), results / "stdout.txt", log)
    while driver.poll() is None and not hit():
        time.sleep(0.02)
    running = driver.poll() is None
    time.sleep(later)
    driver.kill()
    driver.wait()
    assert running or driver.returncode == 0, log.read_text()
    return running


def test_killed_at_any_moment_and_resumed_the_numbers_are_the_same(tmp_path, undisturbed, warm):
    """While it starts, in a base, in cells: what it waits for is a file, so that a busy machine changes nothing."""
    cache, rng = tmp_path / "own-cache", random.Random(7)
    assert killed(warm, tmp_path, cache, (tmp_path / "local" / "smoke" / "run.lock").exists)
    assert killed(warm, tmp_path, cache, lambda: begun(tmp_path, "base"))
    assert killed(warm, tmp_path, cache, lambda: begun(tmp_path, "cell"))
    for later in (0.0, rng.uniform(0, 2), rng.uniform(0, 2)):  # in cells as long as there are any
        killed(warm, tmp_path, cache, lambda: begun(tmp_path, "cell"), later)
    done = run(tmp_path, cache, warm=warm)
    assert done.returncode == 0, done.stderr
    assert summaries(tmp_path) == summaries(undisturbed[0])


def test_a_base_without_weights_is_made_again(tmp_path, cache, undisturbed, warm):
    for weights in cache.glob("bases/*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:100])
    done = run(tmp_path, cache, "--arms", "base", warm=warm)
    assert done.returncode == 0, done.stderr
    assert summaries(tmp_path)["base"] == summaries(undisturbed[0])["base"]
