"""Cells: identity, atomic files, damage, locks."""

import ast
import json
import os

import pytest

from gcpo.trainers import METHODS
from repro import cells
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


def test_code_that_moves_numbers_is_part_of_the_hash(smoke, monkeypatch):
    arm, base = get_arm("grpo"), next(iter(smoke.bases))
    before = make_cell(smoke, base, arm, 0).id
    monkeypatch.setattr(cells, "code_hash", lambda patterns: "other code")
    assert make_cell(smoke, base, arm, 0).id != before


def _hashed(method):
    paths = {path for pattern in cells.METHOD_CODE[method] for path in cells.REPO_ROOT.glob(pattern)}
    return {str(path.relative_to(cells.REPO_ROOT)) for path in paths}


def _imports_within_gcpo(name, seen):
    """Files of gcpo/ that the module in file `name` reaches by static imports, packages' __init__ aside."""
    seen.add(name)
    for node in ast.walk(ast.parse((cells.REPO_ROOT / name).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gcpo":
            for module in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                file = f"{module.replace('.', '/')}.py"
                if (cells.REPO_ROOT / file).exists() and file not in seen:
                    _imports_within_gcpo(file, seen)
    return seen


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_module_that_a_method_imports_is_hashed(method):
    reached = _imports_within_gcpo(METHODS[method][1].__module__.replace(".", "/") + ".py", set())
    assert reached <= _hashed(method)
    assert {"repro/methods/trl.py", "repro/evaluation/local.py", "repro/tasks/procedural/families.py"} <= _hashed(
        method
    )


def test_code_of_one_method_and_of_reports_does_not_move_another(smoke):
    assert "gcpo/upsilon.py" in _hashed("gcpo") and "gcpo/upsilon.py" not in _hashed("grpo")
    assert not any(name.startswith(("repro/stats", "repro/figures", "repro/tables")) for name in _hashed("gcpo"))


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
    record = cells.provenance()
    assert len(record["commit"]) == 40 and isinstance(record["dirty"], bool)
    assert record["packages"]["trl"] == "1.16.0" and "unknown" not in json.dumps(record).lower()


def test_provenance_outside_a_checkout_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "REPO_ROOT", tmp_path)
    with pytest.raises(BadInput, match="need a git checkout"):
        cells._git("rev-parse", "HEAD")
