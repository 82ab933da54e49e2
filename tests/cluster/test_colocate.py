"""A vLLM colocated with the training samples from the updated weights, and from old ones where the sync is skipped.

Needs vLLM's CPU build, which has an environment of its own (repro/README.md says how it is made):
`python -m pytest tests/cluster/test_colocate.py` in it.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from support import alone

# of the worker, which can only be imported where vLLM is
METHODS, STEPS = ("grpo", "gcpo"), 4
WORKER = Path(__file__).with_name("colocate_worker.py")
# nats between what vLLM and transformers give a sampled token: rounding (vLLM computes in bfloat16), and other weights
NEAR, FAR = 0.5, 2.0
TIMEOUT = 3600.0

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vllm is not importable here; see repro/env/vllm_cpu.lock for its CPU build"
)


@pytest.fixture(scope="module")
def folder(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' tiny model with one head of 32 dimensions, the least that vLLM's CPU kernels take."""
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    place = tmp_path_factory.mktemp("one-head")
    torch.manual_seed(0)
    config = Qwen2Config.from_pretrained(tiny_model_dir, num_attention_heads=1)
    Qwen2ForCausalLM(config).save_pretrained(place)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(place)
    return place


@pytest.mark.parametrize("method", METHODS)
def test_rollouts_are_sampled_from_the_updated_weights_and_from_old_ones_without_the_sync(
    method: str, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "rollouts.json"
    done = subprocess.run(
        [sys.executable, str(WORKER), method, str(folder), str(target)],
        env=alone() | {"VLLM_CPU_KVCACHE_SPACE": "1"},
        capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    rollouts = json.loads(target.read_text())
    assert [rollout["step"] for rollout in rollouts] == list(range(STEPS))
    *synced, skipped = rollouts
    assert all(rollout["now"] < NEAR for rollout in synced)
    assert all(rollout["before"] > FAR for rollout in synced[1:]), "the weights hardly moved: old ones would pass"
    assert skipped["before"] < NEAR < FAR < skipped["now"]
