"""GCPO on two ranks of which one has nothing to score: no rank waits for the other, and both end with equal weights."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "ddp_gcpo_worker.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_ranks_stay_equal_when_only_one_of_them_has_advantages(tiny_model_dir: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())),
        *(str(WORKER), str(tiny_model_dir), str(tmp_path)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO_ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    records = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    for form in ("expected", "mc", "mc over shared keys"):
        ranks = [record[form] for record in records]
        assert [(rank["world_size"], rank["rank"]) for rank in ranks] == [(2, 0), (2, 1)]
        assert ranks[0]["weights"] == ranks[1]["weights"]
        assert all(math.isfinite(entry["loss"]) for entry in ranks[0]["logs"])
        assert ranks[0]["logs"][0]["causal_kl/k3"] > 0
