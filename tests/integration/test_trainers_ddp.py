"""Two ranks: groups stay whole on each of them, and both end with the same weights."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "ddp_groups_worker.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_groups_stay_whole_on_each_of_two_ranks(tiny_model_dir: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())),
        *(str(WORKER), str(tiny_model_dir), str(tmp_path)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO_ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    records = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]

    for method in ("grpo", "gvpo"):
        ranks = [record[method] for record in records]
        # asserted from inside: some launchers run one process and exit 0
        assert [(rank["world_size"], rank["rank"]) for rank in ranks] == [(2, 0), (2, 1)]
        for rank in ranks:
            assert "would split a group over" in rank["refusal"]
            for prompts, advantages in zip(rank["generated"], rank["advantages"], strict=True):
                for start in range(0, len(prompts), 4):
                    assert len(set(prompts[start : start + 4])) == 1
                    assert abs(sum(advantages[start : start + 4])) < 1e-4  # the group's own mean was taken off
                assert any(abs(a) > 0.01 for a in advantages)
            assert sum(map(len, rank["trained"])) == 16  # 2 steps x 2 micro-batches x 4 rows
            if method == "gvpo":
                assert all(len(set(prompts)) == 1 for prompts in rank["trained"])
        assert not set(ranks[0]["generated"][0]) & set(ranks[1]["generated"][0])
        assert ranks[0]["weights"] == ranks[1]["weights"]
        assert len(ranks[0]["losses"]) == 2
