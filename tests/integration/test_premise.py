"""`bench premise` on an untrained model: whatever it writes, steps and episodes are the same pieces, in one order."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from repro.bench.premise import measure_premise
from repro.bench.premise_figures import ARMS
from repro.config import load_profile
from repro.errors import BadInput
from repro.tasks.procedural import build_tokenizer


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """A base that writes every sign of the tasks' texts at random, step ends and answer marks often."""
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr("repro.cells.bases.base_source", lambda *_: (tmp_path, "untrained"))


@pytest.mark.slow
def test_random_texts_have_as_many_steps_as_episodes_and_no_sound_ones(untrained, monkeypatch) -> None:
    seen = {}
    monkeypatch.setattr("repro.bench.premise._result", lambda *given: seen.update(zip("pbner", given, strict=True)))
    measure_premise(load_profile("smoke"), prompts=20, n=4)
    episodes, rollouts = seen["e"], seen["r"]
    assert len(rollouts) == 32 * 4 and rollouts["steps"].sum() == len(episodes) > len(rollouts)
    assert set(rollouts.groupby("question").size()) == {4}
    assert {f"{kind} {arm}" for kind in ("R", "r_cc") for arm in ARMS} <= set(episodes)
    assert not episodes["r_cc outcome alone"].any()
    # R_ik = r_out / K_i + r_cc, and nothing here is right
    assert (episodes["R GC2PO"] == episodes["r_cc GC2PO"]).all() and (episodes["r_cc GC2PO"] > 1).any()
    assert (episodes["r_cc GC2PO"] != episodes["r_cc its control"]).any()


@pytest.mark.slow
def test_a_base_without_a_sound_step_is_refused_with_one_line(untrained) -> None:
    with pytest.raises(BadInput, match="0 questions have sound and unsound steps on base nano-t; want at least 2"):
        measure_premise(load_profile("smoke"), prompts=16, n=2)
