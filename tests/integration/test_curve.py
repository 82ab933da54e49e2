"""Held-out accuracy along a training: it is measured where it should be and leaves the training as it was."""

import json

import pytest
import torch

from repro.bases.make import make_base, parse_spec
from repro.config import CurveSpec, EvaluateSpec, TaskSpec
from repro.methods.curve import tokens_until
from repro.methods.registry import get_method
from repro.methods.run import Curve, Training
from repro.methods.trl import train
from repro.tasks.procedural.taskset import ProceduralTasks

BASE = {
    "name": "tiny", "hidden": 16, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 24, "families": ["shop"],
    "levels": {"e": 1.0}, "slip": 0.0, "direct_share": 0.5, "integration_share": 0.2, "agreement": 0.3,
    "answer_weight": 3.0, "tokens": 20_000, "batch_tokens": 900, "muon_lr": 0.02, "muon_steps": 4, "adamw_lr": 0.003,
    "warmup_steps": 5, "flat_share": 0.3, "final_rate": 0.02, "seed": 0,
}  # fmt: skip
TASKS = TaskSpec(kind="procedural", train_levels=["e"], train_families=["shop"],
                 suites={"modten-easy": 6, "modten-smoke": 5})  # fmt: skip
EVALUATE = EvaluateSpec(samples=3, temperature=1.0, top_p=1.0, max_new_tokens=24, batch_size=64, seeds="batch")
VALUES = {
    "max_steps": 4, "learning_rate": 1e-3, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1,
    "num_generations": 8, "max_completion_length": 24,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    make_base(parse_spec(BASE), folder)
    return folder


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """The same training without a curve and with one."""

    def run(curve):
        folder = tmp_path_factory.mktemp("run")
        found = train(
            Training(
                method=get_method("grpo"), values=VALUES, base="tiny", model=base, seed=0, folder=folder,
                tasks=ProceduralTasks(TASKS), report=lambda done, text: None, device=torch.device("cpu"), where="test",
                curve=curve,
            )
        )  # fmt: skip
        return found, folder

    return run(None), run(Curve(tuple(TASKS.suites), CurveSpec(every=2, questions=4, samples=2), EVALUATE))


def test_measuring_leaves_the_training_as_it_was(trained):
    (without, plain), (measured, folder) = trained
    for one, other in zip(without.model.parameters(), measured.model.parameters(), strict=True):
        assert torch.equal(one, other)
    names = ("reward", "completions/mean_length", "grad_norm", "loss")
    rows, again = (
        [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (plain, folder)
    )
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in again]
    assert "curve" not in without.record


def test_points_stand_at_the_start_and_every_few_steps_with_counts_of_the_first_questions(trained):
    _, (measured, folder) = trained
    points = measured.record["curve"]
    assert [point["step"] for point in points] == [0, 2, 4]
    for point in points:
        assert {name: len(right) for name, right in point["correct"].items()} == {"modten-easy": 4, "modten-smoke": 4}
        assert all(0 <= right <= 2 for suite in point["correct"].values() for right in suite)
        assert all(right in (0, 1) for suite in point["greedy"].values() for right in suite)
    assert [json.loads(line)["step"] for line in (folder / "curve.jsonl").read_text().splitlines()] == [0, 2, 4]


def test_compute_counts_the_training_alone(trained):
    _, (measured, folder) = trained
    points = measured.record["curve"]
    assert points[0]["core_seconds"] < points[1]["core_seconds"] < points[2]["core_seconds"]
    assert points[0]["core_seconds"] < 0.5 * points[1]["core_seconds"]  # loading and the first answers are not training
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lengths = [row["completions/mean_length"] for row in rows]
    assert [point["completion_tokens"] for point in points] == [
        0, pytest.approx(16 * sum(lengths[:2])), pytest.approx(16 * sum(lengths))
    ]  # fmt: skip


def test_a_step_that_reuses_a_rollout_generates_nothing():
    rows = [
        {"step": 1, "reward": 0.5, "completions/mean_length": 10.0},
        {"step": 2, "completions/mean_length": 10.0},
        {"step": 3, "reward": 0.5, "completions/mean_length": 20.0},
    ]
    assert [tokens_until(rows, 8, step) for step in range(4)] == [0, 80, 80, 240]
