"""The same on a GPU: `pytest -m gpu` on a machine that has one. Nothing here has run on one yet."""

import os
import subprocess
import sys

import pytest
import torch

from gcpo import GCPOConfig, GCPOTrainer, PaperGRPOConfig, PaperGRPOTrainer
from repro.evaluation.engines import Request, SamplingSettings
from repro.evaluation.engines.transformers_engine import TransformersEngine
from repro.paths import REPO_ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine"),
]
FORMS = {
    "grpo": (PaperGRPOTrainer, PaperGRPOConfig, {}),
    "expected": (GCPOTrainer, GCPOConfig, {"estimator": "centroid", "eq13": "p_q"}),
    "mc": (GCPOTrainer, GCPOConfig, {"estimator": "mc", "num_integrated": 2, "num_context_outputs": 1, "eq13": "mean"}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bf16", [False, True])
def test_three_steps_are_finite_and_move_the_weights_on_the_gpu(make_trainer, form, bf16):
    trainer_class, config_class, settings = FORMS[form]
    trainer = make_trainer(trainer_class, config_class, use_cpu=False, bf16=bf16, **settings)
    assert trainer.model.device.type == "cuda"
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    trainer.train()  # stops by itself where loss or gradient is not finite
    after = list(trainer.model.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(torch.isfinite(weight).all() for weight in after)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_masked_rows_have_the_gradient_of_a_cpu_under_both_attention_kernels(tiny_model_dir, attention):
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[0, 0, 0, 5, 9, 4, 14], [3, 4, 13, 5, 9, 6, 1]])
    gradients = []
    for device in ("cpu", "cuda"):
        model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, attn_implementation=attention).to(device)
        logits = model(input_ids=ids.to(device), attention_mask=(ids != 0).long().to(device)).logits
        logits[:, -3:].float().log_softmax(-1)[..., 5].sum().backward()
        gradients.append(torch.cat([weight.grad.flatten().cpu() for weight in model.parameters()]))
    assert torch.isfinite(gradients[1]).all()
    assert torch.allclose(*gradients, atol=1e-3, rtol=1e-3)


def test_greedy_answers_are_those_of_the_cpu(tiny_model_dir, tiny_tokenizer):
    settings = SamplingSettings(0.0, 1.0, 0, 0.0, 1.0, 12, (1,))
    requests = [Request(str(n), 0, tuple(tiny_tokenizer(text)["input_ids"]), n) for n, text in enumerate(("1 +", "7"))]
    found = [
        dict(
            TransformersEngine(
                str(tiny_model_dir), dtype="float32", batch_size=2, device=torch.device(device)
            ).generate(requests, settings)
        )
        for device in ("cpu", "cuda")
    ]
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_smoke_table_is_made_on_the_gpu(tmp_path):
    words = [sys.executable, "-m", "repro", "run", "table1", "--profile", "smoke", "--seeds", "1", "--jobs", "1"]
    env = os.environ | {"GCPO_DEVICE": "cuda", "GCPO_RESULTS": str(tmp_path), "GCPO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(words, cwd=REPO_ROOT, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    name = torch.cuda.get_device_name()
    assert any(name in path.read_text() for path in tmp_path.rglob("env.json"))
