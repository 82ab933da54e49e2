"""A whole smoke table through sbatch on a local Slurm of two nodes: one task preempted, one failing, one cell again."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from local_slurm import missing, slurm
from support import REPO_ROOT

from repro.cluster.site import EXAMPLE

ARMS = "base,grpo,gcpo_expected"
# checkpoints, and steps enough for a signal to arrive in the middle
OPTIONS = ("--profile", "smoke", "--seeds", "1", "--set", "train.save_strategy=steps", "--set", "train.save_steps=50")
LONGER = ("--set", "train.max_steps=60")
TIMEOUT = 1500.0
pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"not here: {', '.join(missing())}; `make test-cluster` installs"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm"), cpus=8, memory_mib=16_000) as environment:
        yield environment


@pytest.fixture(scope="module")
def places(tmp_path_factory, cluster):
    """(environment of the launch, its results folder): one cache for all, so that the base is made once."""
    root = tmp_path_factory.mktemp("launch")
    site = yaml.safe_load(EXAMPLE.read_text()) | {
        "gpus_per_node": 8, "gres": "gpu:a100:8", "cpus_per_node": 2, "cache": str(root / "cache"), "hf_home": "",
        "results": str(root / "slurm"), "python": sys.executable, "train_time": "00:30:00", "evaluate_time": "00:30:00",
        "grace_seconds": 60, "at_once": 2, "env": {"PYTHONPATH": str(REPO_ROOT), "OMP_NUM_THREADS": "1"},
    }  # fmt: skip
    (root / "site.yaml").write_text(yaml.safe_dump(site))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GCPO_")}
    environment = kept | {
        "SLURM_CONF": cluster["SLURM_CONF"], "GCPO_SITE": str(root / "site.yaml"), "OMP_NUM_THREADS": "1",
        "GCPO_CACHE": str(root / "cache"), "GCPO_RESULTS": str(root / "slurm"), "PYTHONPATH": str(REPO_ROOT),
    }  # fmt: skip
    return environment, root


def repro(environment, *arguments):
    command = [sys.executable, "-m", "repro", *arguments]
    return subprocess.run(command, cwd=REPO_ROOT, env=environment, capture_output=True, text=True, check=False)


def launch(environment, *arguments):
    done = repro(environment, "launch", "table1", *OPTIONS, *LONGER, *arguments)
    assert done.returncode == 0, done.stderr
    folder = sorted(Path(environment["GCPO_RESULTS"], "local", "smoke", "launches").iterdir())[-1]
    return folder, json.loads((folder / "launch.json").read_text())


def states(environment, job):
    done = subprocess.run(
        ["squeue", "--all", "--states=all", "--noheader", "--array", f"--job={job}", "--format=%K %T"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return dict(line.split() for line in done.stdout.splitlines())


def until(condition, what, logs):
    end = time.monotonic() + TIMEOUT
    while not (found := condition()):
        if time.monotonic() > end:
            text = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(logs.glob("*.log")))
            pytest.fail(f"{what} did not happen in {TIMEOUT:.0f} s\n{text}")
        time.sleep(0.5)
    return found


def table_state(environment, record):
    state = next(iter(states(environment, record["jobs"]["table"]).values()), "")
    return state if state in ("COMPLETED", "FAILED", "CANCELLED") else ""


def summaries(results):
    """What a run measured, by arm; not how long it took."""
    found = {}
    for path in results.glob("local/smoke/runs/*/summary.json"):
        summary = json.loads(path.read_text())
        train = summary["train"] or {}
        found[summary["arm"]] = (summary["suites"], {key: train.get(key) for key in ("steps", "reward_last", "tokens")})
    return found


@pytest.fixture(scope="module")
def local(places):
    """The same cells by the local pool."""
    environment, root = places
    environment = environment | {"GCPO_RESULTS": str(root / "pool")}
    done = repro(environment, "run", "table1", *OPTIONS, *LONGER, "--arms", ARMS)
    assert done.returncode == 0, done.stderr
    return summaries(root / "pool")


def test_a_table_through_sbatch_with_one_task_preempted_has_the_pools_numbers(places, local):
    environment, root = places
    folder, record = launch(environment, "--arms", ARMS)
    job = record["jobs"]["train"]
    index = next(n for n, cell in enumerate(record["cells"]) if "__grpo__" in cell)
    cell = root / "slurm" / "local" / "smoke" / "runs" / record["cells"][index]
    # a few steps are done, and the end is far
    until(lambda: (cell / "metrics.jsonl").exists() and len((cell / "metrics.jsonl").read_text().splitlines()) > 2,
          "a first step", folder)  # fmt: skip
    subprocess.run(["scancel", "--signal=USR1", "--batch", f"{job}_{index}"], env=environment, check=True)
    until(lambda: (folder / f"stopped-{index}").exists(), "the stop", folder)
    steps = len((cell / "metrics.jsonl").read_text().splitlines())
    assert steps < 60, "the task had ended before it was told to stop"
    assert until(lambda: table_state(environment, record), "the table", folder) == "COMPLETED"
    attempts = json.loads((cell / "attempts.json").read_text())
    assert len(attempts) == 2, "the task was not started again"
    assert summaries(root / "slurm") == local


def test_a_failing_task_is_listed_and_the_rest_stands(places, local):
    environment, root = places
    results = root / "broken"
    site = yaml.safe_load(Path(environment["GCPO_SITE"]).read_text()) | {"results": str(results)}
    (root / "broken.yaml").write_text(yaml.safe_dump(site))
    environment = environment | {"GCPO_RESULTS": str(results), "GCPO_SITE": str(root / "broken.yaml")}
    # dividing logits by such a temperature makes every probability NaN in the first rollout
    folder, record = launch(environment, "--arms", "base,grpo,drgrpo", "--set", "arms.drgrpo.temperature=1.0e-42")
    assert until(lambda: table_state(environment, record), "the table", folder) == "FAILED"
    text = next(folder.glob("table-*.log")).read_text()
    line = next(line for line in text.splitlines() if line.startswith("failed:"))
    assert "__drgrpo__" in line and "nan" in line.lower()
    assert {arm: found for arm, found in summaries(results).items()} == {arm: local[arm] for arm in ("base", "grpo")}
    # what failed is launched again alone, and fails again; nothing of the rest is run twice
    again, second = launch(environment, "--arms", "base,grpo,drgrpo", "--set", "arms.drgrpo.temperature=1.0e-42")
    assert [cell.split("__")[1] for cell in second["cells"]] == ["drgrpo"]
    assert until(lambda: table_state(environment, second), "the second table", again) == "FAILED"


def test_one_cell_that_is_lost_is_run_again_to_the_same_numbers(places, local):
    environment, root = places
    (lost,) = (root / "slurm" / "local" / "smoke" / "runs").glob("*__gcpo_expected__*")
    shutil.rmtree(lost)
    shutil.rmtree(root / "cache" / "policies" / lost.name)
    folder, record = launch(environment, "--arms", ARMS)
    assert record["cells"] == [lost.name]
    assert until(lambda: table_state(environment, record), "the table", folder) == "COMPLETED"
    assert summaries(root / "slurm") == local


def test_a_request_for_more_gpus_than_a_node_has_is_refused(places):
    environment, root = places
    site = yaml.safe_load(Path(environment["GCPO_SITE"]).read_text()) | {"gres": "gpu:a100:9"}
    (root / "nine.yaml").write_text(yaml.safe_dump(site))
    done = repro(environment, "launch", "table1", *OPTIONS, "--arms", "drgrpo", "--site", str(root / "nine.yaml"))
    assert done.returncode == 2 and "sbatch refused" in done.stderr
    left = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True, check=False)
    assert "gcpo-" not in left.stdout
