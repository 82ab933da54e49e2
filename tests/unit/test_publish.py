"""Publishing: what is copied, what the ledger keeps, what is refused."""

import csv
import json

import pytest

from repro.cells.experiments import get_experiment
from repro.cells.plan import plan_cells
from repro.cells.run import Options
from repro.config import load_profile
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import results_dir
from repro.reporting import publish as module
from repro.reporting.publish import publish

ARMS = ["base", "grpo"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A clean tree whose results and ledger lie in a temporary folder; returns the record of provenance to change."""
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    monkeypatch.setattr(module, "LEDGER", tmp_path / "ledger.csv")
    record = {"dirty": False}
    monkeypatch.setattr(module, "provenance", lambda: record)
    return record


def finish(profile, target, *, dirty=False):
    cells = plan_cells(profile, get_experiment(target), seeds=1, arms=ARMS, bases=["nano-s-hard"])
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
    return publish(profile, get_experiment(target), Options(seeds=1, arms=ARMS, bases=["nano-s-hard"]))


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


def test_dirty_trees_dirty_cells_and_empty_runs_are_refused(tree):
    profile = load_profile("micro")
    with pytest.raises(BadInput, match="no finished cell"):
        do(profile)
    finish(profile, "table1", dirty=True)
    with pytest.raises(BadInput, match="made by a dirty tree"):
        do(profile)
    tree["dirty"] = True
    with pytest.raises(BadInput, match="uncommitted changes"):
        do(profile)
