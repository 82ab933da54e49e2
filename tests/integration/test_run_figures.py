"""`python -m repro run figure...` end to end on a tiny smoke profile: a sweep, norms, cost, redrawing, bad words."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro.cells.experiments import EXPERIMENTS
from repro.cli import main
from repro.paths import REPO_ROOT

pytestmark = pytest.mark.slow

TINY = [
    "bases.nano-t.spec.tokens=6000",
    "bases.nano-t.spec.hidden=32",
    "tasks.suites.modten-smoke=6",
    "train.max_steps=4",
    "train.per_device_train_batch_size=16",
    "evaluate.samples=2",
    "bench={rounds: 1, prompts: 1}",
    "sweeps.figure4a=[0, 2]",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")


def repro(folders, *words, warm=None):
    """A command in an interpreter of its own, or in one that `warm` forks."""
    results, cache = folders
    sets = [part for text in TINY for part in ("--set", text)]
    words = [*words, "--profile", "smoke", *sets]
    env = {**os.environ, "GCPO_RESULTS": str(results), "GCPO_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    if warm:
        return warm.run(words, env)
    return subprocess.run(
        [sys.executable, "-m", "repro", *words], cwd=REPO_ROOT, env=env, capture_output=True, text=True
    )


def test_without_cells_redrawing_is_one_line_and_exit_code_2(folders):
    done = repro(folders, "figures")
    assert done.returncode == 2 and done.stderr.startswith("error: no finished cell in")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "arms", "points"),
    [
        ("figure4a", "base,grpo,gcpo_alpha_00,gcpo_expected", {"kind": "point"}),
        ("figure7", "grpo,gcpo_expected", {"kind": "step"}),
        ("figure8", "base,grpo,gcpo_expected,step_cost", {"kind": "step"}),
    ],
)
def test_a_figure_runs_and_writes_its_points_picture_text_and_notebook(folders, name, arms, points, warm):
    results, _ = folders
    done = repro(folders, "run", name, "--seeds", "1", "--arms", arms, warm=warm if name != "figure4a" else None)
    assert done.returncode == 0, done.stderr
    for words in (f"# Figure {name[6:]}:", "smoke: not a result", "The paper: ", "## Sentences and what was found"):
        assert words in done.stdout
    (folder,) = {path.parent.parent for path in results.glob(f"local/smoke/variants/*/figures/{name}.csv")}
    for path in (*(f"figures/{name}.{end}" for end in ("csv", "json", "md", "png", "svg")), f"notebooks/{name}.ipynb"):
        assert (folder / path).stat().st_size > 200, path
    with (folder / "figures" / f"{name}.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if points.items() <= row.items()]
    assert rows
    data = json.loads((folder / "figures" / f"{name}.json").read_text())
    words = {each["verdict"] for each in data["decisions"]}
    assert words <= {"supported", "reversed", "equivalent", "undecided", "not tested", "consistent", "contradicted"}


@pytest.fixture
def few_targets():
    """Table 1 and three figures alone: the others share their cells, and drawing them too is a minute's work."""
    everything = dict(EXPERIMENTS)
    for name in set(EXPERIMENTS) - {"table1", "figure4a", "figure7", "figure8"}:
        del EXPERIMENTS[name]
    yield
    EXPERIMENTS.clear()
    EXPERIMENTS.update(everything)  # in its own order, which pages follow


@pytest.mark.usefixtures("few_targets")
def test_everything_that_was_run_is_drawn_again_without_training(folders, monkeypatch, capsys):
    results, cache = folders
    monkeypatch.setenv("GCPO_RESULTS", str(results))
    monkeypatch.setenv("GCPO_CACHE", str(cache))
    runs = {path: path.stat().st_mtime_ns for path in results.glob("local/smoke/runs/*/summary.json")}
    sets = [part for text in TINY for part in ("--set", text)]
    assert main(["figures", "--profile", "smoke", *sets]) == 0
    drawn = [Path(line) for line in capsys.readouterr().out.splitlines() if line.endswith((".png", ".csv"))]
    assert {"table1.csv", "figure4a.png", "figure7.png", "figure8.png"} <= {path.name for path in drawn}
    assert all(path.stat().st_size > 200 for path in drawn)
    assert {path: path.stat().st_mtime_ns for path in results.glob("local/smoke/runs/*/summary.json")} == runs


def test_all_of_everything_takes_no_arms(folders):
    done = repro(folders, "run", "all", "--arms", "grpo")
    assert done.returncode == 2 and "name it instead of 'all'" in done.stderr
