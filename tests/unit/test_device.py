"""One place decides the device, and every model that a cell uses is loaded there."""

import ast
from pathlib import Path

import pytest
import torch

from repro import device
from repro.cells import fill
from repro.cells.experiments import get_arm
from repro.cells.plan import make_cell
from repro.config import load_profile
from repro.evaluation.engines import transformers_engine
from repro.methods import rest_mcts, trl
from repro.paths import REPO_ROOT

FAKE = "xla:7"  # a device that no build for CPU or CUDA can compute on
# Bases are made on the CPU, so that equal specs give equal weights; these files make or convert them.
MAKERS = {"load.py", "make.py", "finetune.py", "packaged.py", "tiny.py"}


def test_a_named_device_wins_and_a_profile_may_ask_for_the_cpu(monkeypatch):
    monkeypatch.setenv("GCPO_DEVICE", FAKE)
    assert device.decide("cpu") == torch.device(FAKE)
    monkeypatch.delenv("GCPO_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device.decide("auto").type, device.decide("cpu").type) == ("cuda", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.decide("auto").type == "cpu"
    assert device.device_name(torch.device("cpu")) == "cpu"


class Loaded(Exception):
    pass


@pytest.mark.parametrize("arm", ["base", "grpo", "gcpo_expected", "gvpo", "rest_mcts", "base_mcts"])
def test_base_training_search_and_evaluation_load_their_model_on_the_chosen_device(
    arm, tiny_model_dir, tmp_path, monkeypatch
):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GCPO_DEVICE", FAKE)
    monkeypatch.setattr(fill, "base_source", lambda profile, base: (Path(tiny_model_dir), "0" * 64))
    monkeypatch.setattr(fill, "device_name", lambda chosen: str(chosen))
    found = []

    def load(folder, where, **_):
        found.append(str(where))
        raise Loaded

    for module in (fill, trl, rest_mcts, transformers_engine):
        monkeypatch.setattr(module, "load_model", load)
    profile = load_profile("smoke")
    with pytest.raises(Loaded):
        fill.run_cell(profile, make_cell(profile, "nano-t", get_arm(arm), 0), lambda *_: None)
    assert found == [FAKE]


def test_no_other_file_loads_a_model_past_the_one_place():
    strange = []
    for path in sorted((REPO_ROOT / "repro").rglob("*.py")):
        if path.parent.name == "bases" and path.name in MAKERS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                owner = ast.unparse(node.value)
                if "ForCausalLM" in owner:
                    strange.append(f"{path.name}:{node.lineno} {owner}")
            asks = isinstance(node, ast.Attribute) and node.attr == "is_available" and "cuda" in ast.unparse(node.value)
            if asks and path.name not in ("device.py", "doctor.py"):
                strange.append(f"{path.name}:{node.lineno} asks for CUDA")
    assert strange == []
