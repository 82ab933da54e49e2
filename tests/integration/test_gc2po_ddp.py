"""GC2PO on two ranks of which one finds no answers: no rank waits for the other, and both end with equal weights."""

import json
import math
from pathlib import Path

import pytest
from test_gcpo_ddp import run


@pytest.mark.slow
def test_ranks_stay_equal_when_only_one_of_them_finds_answers(tiny_model_dir: Path, tmp_path: Path) -> None:
    run("ddp_gc2po_worker.py", 2, tiny_model_dir, tmp_path)
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["world_size"] for rank in ranks] == [2, 2]
    assert all(rank["own_outcomes"] for rank in ranks)
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert all(math.isfinite(entry["loss"]) for entry in ranks[0]["logs"])
    assert 0 < ranks[0]["logs"][0]["gc2po/robustness"] < 1
