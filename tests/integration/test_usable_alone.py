"""The package without the suite, as with TRL: a user's script, adapters, checkpointing, bf16, resuming."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, TrainerCallback

from gcpo import GCPOConfig, GCPOTrainer

REPO_ROOT = Path(__file__).parents[2]
EXAMPLE = REPO_ROOT / "examples" / "own_model.py"
TOY = {"candidate_separator": ";"}
MC = {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0}
SHARED = {**MC, "context_encoding": "shared_kv", "candidate_view": "full"}
FORMS = {"expected": {}, "mc": MC, "mc over shared keys": SHARED}


@pytest.mark.slow
def test_the_example_trains_and_saves_a_model_that_loads(tiny_model_dir: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPO_ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tiny_model_dir), str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    before = AutoModelForCausalLM.from_pretrained(tiny_model_dir).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert "upsilon/mean" in done.stdout


def test_the_example_without_its_two_words_says_how_it_is_used() -> None:
    environment = os.environ | {"PYTHONPATH": str(REPO_ROOT)}
    done = subprocess.run([sys.executable, str(EXAMPLE)], env=environment, capture_output=True, text=True, check=False)
    usage = "usage: python examples/own_model.py MODEL_FOLDER_OR_HUB_ID OUTPUT_FOLDER\n"
    assert (done.returncode, done.stderr) == (1, usage)


def test_the_example_is_no_longer_than_a_page_of_a_notebook() -> None:
    code = EXAMPLE.read_text().split('"""\n\n', 1)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


class Losses(TrainerCallback):
    """A callback as TRL's trainers take it."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.seen.append(logs["loss"])


@pytest.mark.parametrize("form", FORMS)
def test_with_an_adapter_only_the_adapter_is_trained(make_trainer: Callable, form: str) -> None:
    from peft import LoraConfig

    losses = Losses()
    trainer = make_trainer(
        GCPOTrainer, GCPOConfig, max_steps=2, callbacks=[losses],
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
        **(TOY | FORMS[form]),
    )  # fmt: skip
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert len(losses.seen) == 2
    logs = trainer.state.log_history[0]
    assert logs["causal_kl/k3"] > 0 and logs["upsilon/within_group_std"] > 0


@pytest.mark.parametrize("form", ["mc", "mc over shared keys"])
def test_in_bfloat16_a_model_trains_with_float32_log_probs(
    make_trainer: Callable, tiny_model_dir: Path, form: str
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.bfloat16)
    settings = TOY | FORMS[form] | {"max_steps": 1, "beta": 0.0}
    kept: dict[str, torch.dtype] = {}

    class Watched(GCPOTrainer):
        def _causal_kl(self, model: Any, inputs: dict[str, Any], old_logps: torch.Tensor) -> torch.Tensor:
            kept["old"] = old_logps.dtype
            return super()._causal_kl(model, inputs, old_logps)

    for overrides in ({"model": model}, {"bf16": True}):
        trainer = make_trainer(Watched, GCPOConfig, **(settings | overrides))
        trainer.train()
        assert torch.isfinite(torch.tensor(trainer.state.log_history[0]["grad_norm"]))
        assert kept["old"] == torch.float32


@pytest.mark.parametrize("form", ["expected", "mc"])
def test_gradient_checkpointing_changes_no_number(make_trainer: Callable, form: str) -> None:
    runs = []
    for checkpointing in (False, True):
        settings = TOY | FORMS[form] | {"gradient_checkpointing": checkpointing, "max_steps": 2}
        trainer = make_trainer(GCPOTrainer, GCPOConfig, **settings)
        trainer.train()
        runs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    for plain, checkpointed in zip(*runs, strict=True):
        for name in ("loss", "grad_norm", "upsilon/mean", "causal_kl/k3"):
            assert checkpointed[name] == pytest.approx(plain[name], abs=1e-5), name


@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(make_trainer: Callable, tmp_path: Path, form: str) -> None:
    settings = TOY | FORMS[form] | {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "beta": 0.0}
    whole = make_trainer(GCPOTrainer, GCPOConfig, **(settings | {"output_dir": str(tmp_path / "whole")}))
    whole.train()
    resumed = make_trainer(GCPOTrainer, GCPOConfig, **(settings | {"output_dir": str(tmp_path / "resumed")}))
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    histories = [
        [(e["step"], e["loss"], e["upsilon/mean"]) for e in trainer.state.log_history if "loss" in e]
        for trainer in (whole, resumed)
    ]
    assert histories[0] == histories[1]
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_completions_are_logged_where_asked(make_trainer: Callable, capsys: pytest.CaptureFixture) -> None:
    trainer = make_trainer(GCPOTrainer, GCPOConfig, max_steps=1, log_completions=True, **TOY)
    trainer.train()
    assert "+" in capsys.readouterr().out
    assert json.dumps(trainer.state.log_history[0])
