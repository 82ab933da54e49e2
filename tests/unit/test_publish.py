"""Publishing: what is copied, what the ledger keeps, what is refused."""

import csv
import json
import shutil
import subprocess

import pytest

from repro.cells.experiments import get_experiment
from repro.cells.plan import plan_cells
from repro.cells.pool import Outcome
from repro.cells.run import Options
from repro.cells.state import load_summary
from repro.config import load_profile
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import results_dir
from repro.reporting import publish as module
from repro.reporting.build import _seeds
from repro.reporting.coverage import Coverage, count, take_over
from repro.reporting.publish import fill_published, publish

ARMS = ["base", "grpo"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A clean tree whose results and ledger lie in a temporary folder; returns the record of provenance to change."""
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    monkeypatch.setattr(module, "LEDGER", tmp_path / "ledger.csv")
    record = {"dirty": False}
    monkeypatch.setattr(module, "provenance", lambda: record)
    return record


def planned(profile, target="table1"):
    return plan_cells(profile, get_experiment(target), seeds=1, arms=ARMS, bases=["duo-s-hard"])


def finish(profile, target, *, dirty=False):
    return finish_cells(planned(profile, target), dirty=dirty)


def finish_cells(cells, *, dirty=False):
    for cell in cells:
        cell.folder.mkdir(parents=True, exist_ok=True)
        seconds = {"train": 2.0, "evaluate": 1.0}
        summary = {"spec_hash": cell.spec_hash, "dirty": dirty, "seconds": seconds, "peak_mib": 900.0}
        write_json(cell.folder / "summary.json", summary)
        write_json(cell.folder / "config.json", cell.spec)
        write_json(cell.folder / "env.json", {"commit": "c0ffee", "lock": "a" * 64, "cpu": "x", "device": "cpu"})
    return {cell.id for cell in cells}


def test_a_published_summary_carries_the_record_of_its_training(tree):
    profile = load_profile("micro")
    (trained,) = [cell for cell in finish(profile, "table1") if "__grpo__" in cell]
    folder = results_dir("micro") / "runs" / trained
    (folder / "metrics.jsonl").write_text('{"reward": 0.5, "completions/mean_length": 10.0}\n')
    do(profile)
    records = {path.parent.name: json.loads(path.read_text()) for path in cells_of(profile).glob("*/summary.json")}
    batch = json.loads((folder / "config.json").read_text())["train"]
    tokens = 10.0 * batch["per_device_train_batch_size"] * batch["gradient_accumulation_steps"]
    assert records[trained]["training"] == {"reward": [0.5], "generated_tokens": tokens, "psi_retest": []}
    assert sum("training" in record for record in records.values()) == 1


def cells_of(profile):
    return results_dir(profile.name, "published") / "cells"


def published(profile):
    return {path.name for path in cells_of(profile).iterdir()}


def ledger():
    with module.LEDGER.open(newline="") as handle:
        return {row["cell"]: row for row in csv.DictReader(handle)}


def do(profile, target="table1"):
    return publish(profile, get_experiment(target), Options(seeds=1, arms=ARMS, bases=["duo-s-hard"]))


def test_a_newer_cell_takes_the_place_of_an_older_one_and_the_ledger_keeps_both(tree):
    older, newer = load_profile("micro"), load_profile("micro", ["train.max_steps=3"])
    first = finish(older, "table1")
    do(older)
    assert published(older) == first and {row["status"] for row in ledger().values()} == {"done"}
    second = finish(newer, "table1")
    do(newer)
    assert published(newer) == second
    status = {cell: row["status"] for cell, row in ledger().items()}
    assert status == {**dict.fromkeys(first - second, "superseded"), **dict.fromkeys(second, "done")}


def test_a_cell_that_two_tables_share_keeps_the_table_it_was_published_for(tree):
    profile = load_profile("micro")
    shared = finish(profile, "table1")
    do(profile, "table1")
    do(profile, "table2")
    assert {ledger()[cell]["target"] for cell in shared} == {"table1"}


def test_dirty_trees_dirty_cells_and_empty_runs_are_refused(tree, monkeypatch):
    profile = load_profile("micro")
    with pytest.raises(BadInput, match="no finished cell"):
        do(profile)
    finish(profile, "table1", dirty=True)
    with pytest.raises(BadInput, match="made by a dirty tree"):
        do(profile)
    tree["dirty"] = True
    monkeypatch.setattr(module, "_changed_code", lambda: True)
    with pytest.raises(BadInput, match="uncommitted changes"):
        do(profile)


def test_planning_counts_what_todays_hash_covers_what_is_stale_and_what_is_missing(tree):
    older, newer = load_profile("micro"), load_profile("micro", ["train.max_steps=3"])
    finish(older, "table1")
    do(older)
    assert count(planned(older)) == Coverage(covered=2, stale=0, missing=0)
    assert count(planned(newer)) == Coverage(covered=1, stale=1, missing=0)  # the base trains nothing
    assert count(plan_cells(older, get_experiment("table1"), seeds=2, arms=ARMS, bases=["duo-s-hard"])).missing == 2


def test_a_published_run_publishes_cell_by_cell_and_goes_on_elsewhere_without_running_anything_twice(
    tree, monkeypatch, tmp_path
):
    profile, options = load_profile("micro"), Options(seeds=1, arms=ARMS, bases=["duo-s-hard"])
    ran = []

    def one_cell(profile, cells, options, finished):
        """Fills the first cell that is missing and is then killed."""
        todo = [cell for cell in cells if load_summary(cell) is None]
        if not todo:
            return Outcome(["all"], {}, {})
        ran.append(todo[0].id)
        finish_cells(todo[:1])
        finished(todo[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fill", one_cell)
    targets = [(profile, get_experiment(name)) for name in ("table1", "table2")]  # which share both cells
    for number in range(2):
        with pytest.raises(KeyboardInterrupt):
            fill_published(targets, options)
        assert published(profile) == set(ran) and len(ran) == number + 1
        shutil.rmtree(results_dir(profile.name) / "runs")  # another machine: the ignored folder is gone
    assert fill_published(targets, options)[0].done == ["all"]
    assert sorted(ran) == sorted(cell.id for cell in planned(profile)) and len(set(ran)) == len(ran)
    assert {row["status"] for row in ledger().values()} == {"done"}


def test_a_policy_that_a_search_still_needs_is_trained_again_where_its_weights_are_not(tree):
    profile = load_profile("micro")
    cells = plan_cells(profile, get_experiment("table3"), seeds=1, arms=["grpo", "grpo_mcts"])
    policy, search = sorted(cells, key=lambda cell: "search" in cell.spec)
    assert search.spec["policy"] == policy.id
    finish_cells([policy])
    publish(profile, get_experiment("table3"), Options(seeds=1, arms=["grpo"]))
    shutil.rmtree(results_dir(profile.name) / "runs")
    assert take_over(cells) == []
    assert take_over([policy]) == [policy]


def test_a_cell_is_published_with_what_any_figure_reads_of_it_whichever_target_it_was_published_for(tree):
    profile = load_profile("micro")
    finish(profile, "table1")
    for cell in planned(profile):
        (cell.folder / "metrics.jsonl").write_text('{"step": 1}\n')
    do(profile)  # Table 1 reads no metrics; Figures 4 and 7 read those of the same cells
    for cell in planned(profile):
        assert (results_dir(profile.name, "published") / "cells" / cell.id / "metrics.jsonl").exists()


def test_the_command_under_a_published_result_asks_for_the_seeds_that_every_trained_arm_has():
    cells = [{"base": "b", "arm": arm, "method": method, "seed": seed} for arm, method, seeds in
             (("base", None, 7), ("grpo", "grpo", 5), ("gvpo", "gvpo", 3)) for seed in range(seeds)]  # fmt: skip
    assert _seeds([*cells, {"base": "b", "arm": "step_cost", "method": "bench", "bench": {}, "seed": 0}]) == 3
    assert _seeds(cells[:7]) == 7 and _seeds([]) == 0


def test_documents_that_publishing_wrote_do_not_stop_the_next_target_and_code_does(tree, monkeypatch, tmp_path):
    (tmp_path / "repro").mkdir()
    for name in ("README.md", "code.py"):
        (tmp_path / "repro" / name).write_text("old")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    monkeypatch.setattr(module, "REPO_ROOT", tmp_path)
    tree["dirty"] = True
    (tmp_path / "repro" / "README.md").write_text("new")
    module._check_clean()
    (tmp_path / "repro" / "code.py").write_text("new")
    with pytest.raises(BadInput, match="uncommitted changes"):
        module._check_clean()
