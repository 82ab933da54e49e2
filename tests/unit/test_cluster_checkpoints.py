"""Checkpoints: half-written ones are passed over, others' are refused, a stop saves and goes on to the same numbers."""

import json
from types import SimpleNamespace

import pytest

from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.gvpo import GVPOConfig, GVPOTrainer
from repro.errors import BadInput
from repro.methods import checkpoints
from repro.methods.checkpoints import (
    SENTINEL,
    RoomForCheckpoints,
    StopBetweenRollouts,
    checkpoint_bytes,
    newest_checkpoint,
    why_incomplete,
)


def write_checkpoint(folder, step, ranks=1, *, sharded=False):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text("{}")
    (path / "model.safetensors").write_text("x")
    for name in ["rng_state.pth"] if ranks == 1 else [f"rng_state_{rank}.pth" for rank in range(ranks)]:
        (path / name).write_text("x")
    if sharded:
        (path / "latest").write_text(f"global_step{step}")
        (path / f"global_step{step}").mkdir()
        for rank in range(ranks):
            (path / f"global_step{step}" / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt").write_text("x")
    else:
        (path / "optimizer.pt").write_text("x")
    return path


def damage(path, what):
    if what == "sentinel":
        (path / SENTINEL).write_text("")
    else:
        (path / what).unlink()


@pytest.mark.parametrize(
    "what", ["sentinel", "trainer_state.json", "rng_state.pth", "optimizer.pt", "model.safetensors"]
)
def test_the_newest_whole_checkpoint_is_taken(tmp_path, what):
    older, newer = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    assert newest_checkpoint(tmp_path, 1, print) == newer  # 10 after 9: by number, not by name
    damage(newer, what)
    said = []
    assert newest_checkpoint(tmp_path, 1, said.append) == older
    assert len(said) == 1 and "checkpoint-10 is passed over" in said[0]


def test_a_shard_that_is_missing_makes_a_checkpoint_incomplete(tmp_path):
    path = write_checkpoint(tmp_path, 5, 2, sharded=True)
    assert why_incomplete(path, 2) == ""
    (path / "global_step5" / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    assert "lacks the optimizer of rank 1" in why_incomplete(path, 2)
    assert newest_checkpoint(tmp_path, 2, lambda line: None) is None


def test_a_checkpoint_of_another_number_of_ranks_is_refused(tmp_path):
    write_checkpoint(tmp_path, 5, 4, sharded=True)
    with pytest.raises(BadInput, match="was written by 4 processes; this training has 2: start it with 4"):
        newest_checkpoint(tmp_path, 2, print)


def test_no_folder_has_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path / "none", 1, print) is None


def rows(trainer):
    keys = ("loss", "grad_norm", "reward")
    return [{key: entry[key] for key in keys if key in entry} for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    ("trainer_class", "config_class", "extra", "ends_at"),
    [
        (PaperGRPOTrainer, PaperGRPOConfig, {}, 2),
        # two updates per rollout: asked to stop in the middle of one, it ends with the rollout
        (GVPOTrainer, GVPOConfig, {"steps_per_generation": 2, "beta": 0.0}, 2),
    ],
    ids=["grpo", "gvpo"],
)
def test_a_stopped_run_goes_on_to_the_numbers_of_an_undisturbed_one(
    make_trainer, tmp_path, trainer_class, config_class, extra, ends_at
):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 100, "learning_rate": 1e-2, **extra}
    whole = make_trainer(trainer_class, config_class, output_dir=str(tmp_path / "whole"), **options)
    whole.train()
    flag, output = tmp_path / "stop", tmp_path / "cut"

    class AskAtFirstStep(StopBetweenRollouts):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == (2 if trainer_class is PaperGRPOTrainer else 1):
                flag.touch()
            super().on_step_end(args, state, control)

    stop = AskAtFirstStep(flag)
    cut = make_trainer(trainer_class, config_class, output_dir=str(output), callbacks=[stop], **options)
    cut.train()
    assert stop.stopped and cut.state.global_step == ends_at
    last = newest_checkpoint(output, 1, print)
    assert last is not None and last.name == f"checkpoint-{ends_at}"
    flag.unlink()
    again = make_trainer(
        trainer_class, config_class, output_dir=str(output), callbacks=[StopBetweenRollouts(flag)], **options
    )
    again.train(resume_from_checkpoint=str(last))
    assert rows(again) == rows(whole)


def test_a_run_that_nobody_stops_saves_nothing_more(make_trainer, tmp_path):
    stop = StopBetweenRollouts(tmp_path / "stop")
    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, callbacks=[stop])
    trainer.train()
    assert not stop.stopped and list(tmp_path.glob("checkpoint-*")) == []


def test_a_full_disk_ends_the_run_before_the_checkpoint(make_trainer, tmp_path, monkeypatch):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    room = RoomForCheckpoints(1000)
    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, callbacks=[room], **options)
    room.bytes_needed = checkpoint_bytes(trainer.model)
    assert room.bytes_needed == 16 * trainer.model.num_parameters()
    free = iter([1 << 40, 10])
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(free)))
    with pytest.raises(BadInput, match=r"checkpoint of step 4: .* has 0\.0 GiB free"):
        trainer.train()
    assert newest_checkpoint(tmp_path, 1, print).name == "checkpoint-2"
    assert json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())["global_step"] == 2
