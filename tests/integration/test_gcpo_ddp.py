"""GCPO on several ranks: none waits for another, and the gradient is that of one process however groups fall."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ddp_ranks_worker import FLAT, FORMS, gradients

REPO_ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(worker: str, ranks: int, model: Path, output: Path) -> None:
    """Run a worker as torchrun starts it: every rank an interpreter of its own."""
    command = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", str(free_port())]
    _finish([*command, str(HERE / worker), str(model), str(output)])


def run_forked(worker: str, ranks: int, model: Path, output: Path) -> None:
    """Run a worker on ranks that share one import."""
    _finish([str(HERE / "forked_ranks.py"), worker.removesuffix(".py"), str(ranks), str(model), str(output)])


def _finish(words: list[str]) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO_ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_ranks_stay_equal_when_only_one_of_them_has_advantages(tiny_model_dir: Path, tmp_path: Path) -> None:
    run("ddp_gcpo_worker.py", 2, tiny_model_dir, tmp_path)
    records = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    for form in ("expected", "mc", "mc over shared keys"):
        ranks = [record[form] for record in records]
        assert [(rank["world_size"], rank["rank"]) for rank in ranks] == [(2, 0), (2, 1)]
        assert ranks[0]["weights"] == ranks[1]["weights"]
        assert all(math.isfinite(entry["loss"]) for entry in ranks[0]["logs"])
        assert ranks[0]["logs"][0]["causal_kl/k3"] > 0


@pytest.fixture(scope="module")
def one_process(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    output = str(tmp_path_factory.mktemp("one"))
    return {(form, flat): gradients(form, FLAT[flat], str(tiny_model_dir), output) for form in FORMS for flat in FLAT}


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_form_has_the_gradient_of_one_process_however_ragged_the_ranks_are(
    one_process: dict, tiny_model_dir: Path, tmp_path: Path, ranks: int
) -> None:
    run_forked("ddp_ranks_worker.py", ranks, tiny_model_dir, tmp_path)
    records = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(ranks)]
    wrong = []
    for case, wanted in one_process.items():
        assert max(g.abs().max() for g in wanted) > 1e-3, case
        for record in records:
            error = max((a - b).abs().max().item() for a, b in zip(record[case], wanted, strict=True))
            if not error < 1e-5:
                wrong.append(f"{case}: off by {error:.2g}")
    assert wrong == []
