"""Cells: identity, atomic files, damage, locks."""

import json
import os

import pytest

from repro import provenance as origin
from repro.cells import plan
from repro.cells.bases import base_seconds
from repro.cells.experiments import get_arm, get_experiment
from repro.cells.plan import make_cell, plan_cells
from repro.cells.state import load_summary, never_rewarded, state
from repro.config import load_profile
from repro.errors import BadInput
from repro.files import exclusive_lock, is_locked, write_json


@pytest.fixture
def smoke(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    return load_profile("smoke")


@pytest.fixture
def cell(smoke):
    return make_cell(smoke, next(iter(smoke.bases)), get_arm("grpo"), 0)


def finish(cell, **changes):
    cell.folder.mkdir(parents=True, exist_ok=True)
    write_json(cell.folder / "summary.json", {"spec_hash": cell.spec_hash, **changes})


def test_changing_one_arm_changes_that_arms_cells_alone(smoke):
    table = get_experiment("table1")
    before = {cell.id for cell in plan_cells(smoke, table)}
    after = {cell.id for cell in plan_cells(load_profile("smoke", ["arms.gcpo_mc.kappa=0.02"]), table)}
    assert {name.split("__")[1] for name in before ^ after} == {"gcpo_mc"}


def test_more_seeds_keep_the_cells_of_fewer(smoke):
    table = get_experiment("table1")
    assert {c.id for c in plan_cells(smoke, table, seeds=1)} < {c.id for c in plan_cells(smoke, table, seeds=3)}


def test_code_and_lock_are_part_of_the_hash(smoke, monkeypatch):
    arm, base = get_arm("grpo"), next(iter(smoke.bases))
    before = make_cell(smoke, base, arm, 0).id
    with monkeypatch.context() as patched:
        patched.setattr(plan, "code_hash", lambda roots: "other code")
        assert make_cell(smoke, base, arm, 0).id != before
    monkeypatch.setattr(plan, "lock_hash", lambda: "other versions")
    assert make_cell(smoke, base, arm, 0).id != before


def test_a_cell_is_done_when_its_summary_exists(cell):
    assert state(cell) == "waiting" and load_summary(cell) is None
    finish(cell)
    assert state(cell) == "done" and load_summary(cell)["spec_hash"] == cell.spec_hash


def test_a_truncated_summary_is_one_line_that_names_the_file(cell):
    finish(cell)
    path = cell.folder / "summary.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(BadInput, match=r"summary .*damaged.*delete the folder") as caught:
        load_summary(cell)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_metrics_file_is_one_line_that_names_the_line(cell):
    finish(cell)
    (cell.folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    with pytest.raises(BadInput, match=r"metrics .*damaged at line 2"):
        load_summary(cell)


@pytest.mark.parametrize(
    ("rewards", "silent"),
    [([0.0, 0.0], True), ([0.0, 0.1], False), ([], False)],
    ids=["all zero", "one", "none logged"],
)
def test_a_cell_is_called_never_rewarded_only_if_it_logged_rewards_and_all_were_zero(cell, rewards, silent):
    finish(cell)
    lines = [json.dumps({"loss": 0.5}), *(json.dumps({"reward": reward}) for reward in rewards)]
    (cell.folder / "metrics.jsonl").write_text("\n".join(lines))
    assert never_rewarded(cell.folder) is silent


def test_a_summary_of_another_specification_is_refused(cell):
    finish(cell, spec_hash="0" * 64)
    with pytest.raises(BadInput, match="carries hash 0000000000"):
        load_summary(cell)


def test_a_lock_is_exclusive_and_ends_with_its_holder(tmp_path):
    path = tmp_path / "run.lock"
    with exclusive_lock(path, "results folder x"):
        assert is_locked(path)
        with (
            pytest.raises(BadInput, match=f"in use by process {os.getpid()}"),
            exclusive_lock(path, "results folder x"),
        ):
            pytest.fail("two holders")
    assert not is_locked(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_provenance_names_commit_versions_and_machine():
    record = origin.provenance()
    assert len(record["commit"]) == 40 and isinstance(record["dirty"], bool)
    assert record["packages"]["trl"] == "1.16.0" and "unknown" not in json.dumps(record).lower()
    assert record["instruction_set"], "no vector extension of this CPU was recognised"


def test_the_lock_is_that_of_the_torch_that_runs(tmp_path, monkeypatch):
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(origin.importlib.util, "find_spec", lambda name: Spec)
    found = []
    for line in ("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'"):
        (tmp_path / "version.py").write_text(f"debug = False\n{line}\n")
        origin.lock_file.cache_clear()
        found.append(origin.lock_file().name)
    origin.lock_file.cache_clear()
    assert found == ["cpu.lock", "gpu.lock"]


def test_provenance_outside_a_checkout_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(origin, "REPO_ROOT", tmp_path)
    with pytest.raises(BadInput, match="need a git checkout"):
        origin._git("rev-parse", "HEAD")


def test_weights_that_come_with_the_project_cost_their_measurement_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path))
    micro = load_profile("micro")
    wanted = micro.resources.base_seconds["duo-s"]
    assert 0 < base_seconds(micro, "duo-s") < wanted / 5
    monkeypatch.setenv("BASES", "train")
    assert base_seconds(micro, "duo-s") == wanted


@pytest.mark.parametrize("parent", ["[duo-s]", "{a: 1}", "3"])
def test_a_base_continues_from_a_name(parent):
    profile = load_profile("micro", [f"bases.duo-s-hard.spec.continue_from={parent}"])
    with pytest.raises(BadInput, match=r"continue_from is .*; want the name of a base"):
        plan_cells(profile, get_experiment("table1"))
