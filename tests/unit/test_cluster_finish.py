"""Parts of an evaluation become one cell: merged samples, the pool's summary, costs; what is missing is said."""

import json

import pytest

from repro.cells.experiments import get_arm
from repro.cells.plan import make_cell
from repro.cells.state import load_summary
from repro.cluster.finish import ATTEMPTS, FAILED, PartOfSuite, finish_cell, note_attempt, part_failure, part_file
from repro.cluster.record import Part
from repro.config import load_profile
from repro.evaluation.policy import asked, summaries
from repro.evaluation.store import GREEDY, SAMPLED, Sample, append_samples, read_samples
from repro.files import write_json
from repro.paths import cache_dir
from repro.tasks.build import make_taskset


@pytest.fixture
def profile(tmp_path, monkeypatch, tiny_model_dir):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    return load_profile("smoke", ["evaluate.seeds=sample"], base=str(tiny_model_dir))


@pytest.fixture
def tasks(profile):
    with make_taskset(profile.tasks) as found:
        yield found


def answer(suite, question, draw, number):
    correct = (sum(map(ord, question.id)) + number) % 3 == 0
    reason = "correct" if correct else "wrong"
    times = {"seconds": 0.5, "grade_seconds": 0.25}
    return Sample(suite, question.id, draw, number, 1, "x", 5, 7, True, False, correct, reason, "", "3", **times)


def fill(cell, tasks, profile, part, *, leave_out=0):
    path = part_file(cell, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = PartOfSuite(tasks, part).questions(part.suite)
    rows = [answer(part.suite, each, SAMPLED, n) for each in asked for n in range(profile.evaluate.samples)]
    rows += [answer(part.suite, each, GREEDY, 0) for each in asked]
    append_samples(path, rows[leave_out:])
    return rows[leave_out:]


def make(profile, arm="base"):
    cell = make_cell(profile, next(iter(profile.bases)), get_arm(arm), 0)
    cell.folder.mkdir(parents=True)
    record = {"device": "cpu", "commit": "c", "dirty": False}
    write_json(cell.folder / "env.json", record)
    return cell


def parts(profile, of):
    (suite,) = profile.tasks.suites
    return tuple(Part(suite, number, of) for number in range(of))


def test_parts_ask_every_question_once(profile, tasks):
    (suite,) = profile.tasks.suites
    asked = [each.id for part in parts(profile, 3) for each in PartOfSuite(tasks, part).questions(suite)]
    assert sorted(asked) == sorted(each.id for each in tasks.questions(suite)) and len(set(asked)) == len(asked)
    assert PartOfSuite(tasks, parts(profile, 3)[0]).stop_ids == tasks.stop_ids


def test_a_cell_whose_parts_are_there_is_finished_as_the_pool_would(profile, tasks):
    cell, split = make(profile), parts(profile, 3)
    rows = [row for part in split for row in fill(cell, tasks, profile, part)]
    assert finish_cell(profile, cell, tasks, split) == ""
    summary = load_summary(cell)
    assert summary["suites"] == json.loads(
        json.dumps(summaries(tasks, asked(tasks, list(profile.tasks.suites)), profile.evaluate, rows))
    )
    assert read_samples(cell.folder / "samples.jsonl.zst") == rows
    assert summary["seconds"]["evaluate"] == pytest.approx(0.75 * len(rows)) and summary["train"] is None
    before = (cell.folder / "summary.json").stat().st_mtime_ns
    assert finish_cell(profile, cell, tasks, split) == ""
    assert (cell.folder / "summary.json").stat().st_mtime_ns == before


def test_what_is_missing_is_said_and_nothing_is_written(profile, tasks):
    cell, split = make(profile), parts(profile, 2)
    fill(cell, tasks, profile, split[0])
    assert "2of2 has 0 of 100 samples" in finish_cell(profile, cell, tasks, split)
    fill(cell, tasks, profile, split[1], leave_out=3)
    assert "2of2 has 97 of 100 samples" in finish_cell(profile, cell, tasks, split)
    write_json(part_failure(cell, split[1]), {"error": "out of memory"})
    assert finish_cell(profile, cell, tasks, split) == "out of memory"
    assert load_summary(cell) is None


def test_an_untrained_policy_is_no_result(profile, tasks):
    cell, split = make(profile, "grpo"), parts(profile, 1)
    fill(cell, tasks, profile, split[0])
    assert finish_cell(profile, cell, tasks, split) == "its training has not ended"
    write_json(cell.folder / FAILED, {"error": "loss is nan at step 3"})
    assert finish_cell(profile, cell, tasks, split) == "loss is nan at step 3"


def test_a_cell_of_a_cluster_says_what_it_did_cost_over_all_attempts(tmp_path, monkeypatch, tiny_model_dir):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    options = ["tasks.kind=rehearsal", "evaluate.samples=2", *(f"tasks.suites.{s}=1" for s in ("AIME25", "MATH500"))]
    options += [f"tasks.suites.{s}=1" for s in ("AIME24", "AMC23", "Minerva")]
    profile = load_profile("paper", options, base=str(tiny_model_dir))
    cell = make(profile, "grpo")
    policy = cache_dir() / "policies" / cell.id
    policy.mkdir(parents=True)
    (policy / "model.safetensors").write_text("x")
    write_json(cell.folder / "trained.json", {"wall_seconds": 90.0, "tokens": 7200.0})
    note_attempt(cell, 10.0, 8)
    note_attempt(cell, 90.0, 8)
    assert len(json.loads((cell.folder / ATTEMPTS).read_text())) == 2
    with make_taskset(profile.tasks) as tasks:
        split = tuple(Part(suite) for suite in profile.tasks.suites)
        for part in split:
            fill(cell, tasks, profile.model_copy(), part)
        assert finish_cell(profile, cell, tasks, split) == ""
    cost = load_summary(cell)["cost"]
    assert cost["gpu_hours"] == pytest.approx(8 * 100 / 3600) and cost["tokens_per_second"] == pytest.approx(72.0)
    assert cost["measured_over_planned"] == pytest.approx(cost["gpu_hours"] / cost["planned_gpu_hours"])
