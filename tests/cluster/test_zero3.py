"""Two ranks of ZeRO-3 equal two ranks of DDP equal one process, for every method, on the same fixed rollouts."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from replay_worker import FORMS, RATE, STEPS, update_of
from support import REPO_ROOT, alone, needs_deepspeed

WORKER = Path(__file__).with_name("replay_worker.py")
# DeepSpeed's file for a CPU: what the committed one has, without overlapping streams, which a CPU does not have
ZERO3 = json.loads((REPO_ROOT / "repro" / "cluster" / "zero3.json").read_text())
RELATIVE, UPDATE = 1e-5, 1e-3


def start(
    mode: str, ranks: int, folder: Path, environment: dict[str, str], *arguments: str, stop_after: int = 0
) -> None:
    """Run the worker in `ranks` processes: alone, under torchrun, or under accelerate with ZeRO-3."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    head = [sys.executable]
    if mode == "ddp":
        head += ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", port]
    if mode == "zero3":
        config = folder / "zero3.json"
        config.write_text(
            json.dumps(ZERO3 | {"zero_optimization": ZERO3["zero_optimization"] | {"overlap_comm": False}})
        )
        head += ["-m", "accelerate.commands.launch", "--use_deepspeed", "--deepspeed_config_file", str(config)]
        head += ["--num_processes", str(ranks), "--num_machines", "1", "--main_process_port", port]
        head += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    done = subprocess.run(
        [*head, str(WORKER), *arguments, str(folder), str(ranks), str(stop_after)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where DeepSpeed's compiled communicator is kept, for a minute's work once."""
    return os.environ.get("TORCH_EXTENSIONS_DIR") or str(tmp_path_factory.mktemp("extensions"))


@needs_deepspeed()
@pytest.mark.parametrize("form", FORMS)
def test_zero3_equals_ddp_equals_one_process(form: str, tiny_model_dir: Path, tmp_path: Path, extensions: str) -> None:
    environment = alone() | {"TORCH_EXTENSIONS_DIR": extensions}
    found, updates = {}, {}
    for mode, ranks in (("one", 1), ("ddp", 2), ("zero3", 2)):
        folder = tmp_path / mode
        folder.mkdir()
        start(mode, ranks, folder, environment, form, str(tiny_model_dir))
        record = json.loads((folder / "rank0.json").read_text())
        assert record["ranks"] == ranks
        assert ("DEEPSPEED" in record["distributed"]) == (mode == "zero3")
        found[mode], updates[mode] = record["logs"], update_of(tiny_model_dir, folder / "final")
    one = updates["one"]
    assert one.norm() > 0.1 * RATE * len(one) ** 0.5, "the weights hardly moved: nothing could differ"
    for mode in ("ddp", "zero3"):
        assert len(found[mode]) == len(found["one"]) == STEPS
        for mine, wanted in zip(found[mode], found["one"], strict=True):
            assert mine["loss"] == pytest.approx(wanted["loss"], rel=RELATIVE, abs=RELATIVE), mode
            assert mine["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=RELATIVE), mode
            if form.startswith("gcpo"):
                assert mine["upsilon/mean"] == pytest.approx(wanted["upsilon/mean"], abs=1e-4), mode
                assert mine["causal_kl/k3"] == pytest.approx(wanted["causal_kl/k3"], rel=1e-3), mode
        assert (updates[mode] - one).norm() <= UPDATE * one.norm(), mode
        assert torch.isfinite(updates[mode]).all()


@needs_deepspeed()
@pytest.mark.parametrize("form", ["grpo", "gcpo_mc"])
def test_a_stopped_zero3_run_goes_on_to_the_numbers_of_an_undisturbed_one(
    form: str, tiny_model_dir: Path, tmp_path: Path, extensions: str
) -> None:
    environment = alone() | {"TORCH_EXTENSIONS_DIR": extensions}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    records = {}
    for folder, stops in ((whole, (0,)), (cut, (1, 0))):
        folder.mkdir()
        for stop_after in stops:
            start("zero3", 2, folder, environment, form, str(tiny_model_dir), stop_after=stop_after)
            records[folder, stop_after] = json.loads((folder / "rank0.json").read_text())
    assert [entry["step"] for entry in records[cut, 1]["logs"]] == [1]
    again = records[cut, 0]
    assert again["resumed_from"] == "checkpoint-1"
    for mine, wanted in zip(again["logs"], records[whole, 0]["logs"], strict=True):
        assert mine["loss"] == pytest.approx(wanted["loss"], rel=RELATIVE, abs=RELATIVE)
        assert mine["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=RELATIVE)
    undisturbed = update_of(tiny_model_dir, whole / "final")
    difference = update_of(tiny_model_dir, cut / "final") - undisturbed
    assert difference.norm() <= UPDATE * undisturbed.norm()
