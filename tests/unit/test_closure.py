"""The hash of a cell's code: it moves with every module that the cell reaches, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from repro import closure
from repro.cells.experiments import get_arm
from repro.cells.plan import BENCH_CODE, code_roots
from repro.config import load_profile
from repro.paths import REPO_ROOT


def by_text(function, file_of):
    """`function`, asked anew where a file has another text: an edit of one module costs that module alone."""
    found = {}

    def remembered(key):
        known = key, file_of(key).read_text(encoding="utf-8")
        if known not in found:
            found[known] = function(key)
        return found[known]

    return remembered


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the project's packages that may be edited: what the closure keeps of a file goes with its text."""
    for package in closure.PACKAGES:
        shutil.copytree(REPO_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(closure, "REPO_ROOT", tmp_path)
    for name, file_of in (("_tree", Path), ("_digest", Path), ("imported", closure.module_file)):
        monkeypatch.setattr(closure, name, by_text(getattr(closure, name).__wrapped__, file_of))
    closure.module_file.cache_clear()
    yield tmp_path
    closure.module_file.cache_clear()


def roots(arm, profile="micro"):
    micro = load_profile(profile)
    return code_roots(micro, next(iter(micro.bases)), get_arm(arm))


def all_modules(folder):
    names = []
    for package in closure.PACKAGES:
        for path in sorted((folder / package).rglob("*.py")):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            names.append(name.removesuffix(".__init__"))
    return names


def edited(name, line, chosen):
    """The hash of the code that `chosen` roots reach after one line was added to a module."""
    path = closure.module_file(name)
    before = path.read_text(encoding="utf-8")
    path.write_text(before + line, encoding="utf-8")
    found = closure.code_hash(chosen)
    path.write_text(before, encoding="utf-8")
    return found


def test_one_line_in_any_module_of_the_closure_moves_the_hash_and_one_outside_does_not(copy):
    chosen = roots("gcpo_expected")
    before = closure.code_hash(chosen)
    inside = set(closure.closure(chosen))
    outside = set(all_modules(copy)) - inside
    assert len(inside) > 30 and len(outside) > 60
    moved = {name for name in inside if edited(name, "\n_ADDED = 1\n", chosen) != before}
    assert moved == inside
    stayed = {name for name in outside if edited(name, "\n_ADDED = 1\n", chosen) == before}
    assert stayed == outside


def test_words_do_not_move_the_hash_and_code_under_them_does(copy):
    before = closure.code_hash(roots("grpo"))
    path = closure.module_file("repro.evaluation.draw")
    source = path.read_text(encoding="utf-8")
    for text, same in (
        (source.replace('"""Draws what', '"""Other words. Draws what', 1) + "# a comment\n", True),
        (source.replace("done += len(graded)", "done += 2 * len(graded)"), False),
    ):
        assert text != source
        path.write_text(text, encoding="utf-8")
        assert (closure.code_hash(roots("grpo")) == before) is same


def test_a_methods_cells_do_not_depend_on_other_methods_or_on_reports():
    reached = {arm: set(closure.closure(roots(arm))) for arm in ("base", "grpo", "gvpo", "gcpo_expected", "rest_mcts")}
    assert "gcpo.upsilon" in reached["gcpo_expected"] and "gcpo.upsilon" not in reached["grpo"]
    assert "gcpo.trainers.gvpo" in reached["gvpo"] and "gcpo.trainers.gvpo" not in reached["gcpo_expected"]
    assert "gcpo.search.mcts_star" in reached["rest_mcts"] and "gcpo.search.mcts_star" not in reached["base"]
    assert {"repro.evaluation.draw", "repro.tasks.procedural.families", "repro.bases.make"} <= reached["base"]
    for modules in reached.values():
        for room in ("figures", "tables", "reporting", "verbs", "studies", "bench", "paper", "grading", "sandbox"):
            assert not any(name.startswith(f"repro.{room}") for name in modules), room
        assert "repro.cells.experiments" not in modules and "repro.stats" not in modules


def test_the_cost_of_a_step_depends_on_the_methods_that_it_measures():
    reached = set(closure.closure(roots("step_cost")))
    assert {"repro.bench.overhead", "gcpo.trainers.grpo", "gcpo.trainers.gcpo"} <= reached
    assert "gcpo.trainers.gvpo" not in reached


def test_a_profile_of_benchmarks_depends_on_the_grader_and_not_on_the_procedural_tasks():
    reached = set(closure.closure(roots("grpo", "gpu")))
    assert {"repro.grading.compare", "repro.sandbox.server", "repro.sandbox.runner"} <= reached  # in other processes
    assert "repro.tasks.benchmarks.loading" in reached
    assert not any(name.startswith("repro.tasks.procedural") for name in reached)


def test_an_unknown_module_is_refused():
    with pytest.raises(ValueError, match=r"repro\.nothing is no module"):
        closure.closure(["repro.nothing"])


def test_annotations_alone_reach_nothing(copy):
    (copy / "repro" / "marked.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from repro import notebooks\nimport repro.paths\n"
    )
    assert closure.closure(["repro.marked"]) == ("repro.marked", "repro.paths")


def test_the_cost_of_a_step_does_not_hang_on_the_list_of_targets():
    assert not [
        name for name in closure.closure(BENCH_CODE) if name.startswith(("repro.cells.experiments", "repro.cells.fig"))
    ]
