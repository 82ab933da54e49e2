"""Shared keys on other architectures: what they give is the model's own log-prob, or the model is refused with both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from gcpo import GCPOConfig, GCPOTrainer
from gcpo.shared_kv.keys import KeyPool, Reader, score
from gcpo.shared_kv.self_check import check_padded_rows, check_pool

SHAPE = {
    "vocab_size": 19, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": 1,
}  # fmt: skip
HEAD = {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
READABLE = {
    "Llama": {},
    "Qwen3": {"head_dim": 8},
    "GPTNeoX": {},
    "Gemma": {"head_dim": 8},
    "Granite": {"logits_scaling": 4.0, "embedding_multiplier": 3.0, "attention_multiplier": 0.2},
    "Cohere": {"logit_scale": 0.25},
    "Mistral": {"sliding_window": None},
    "Mixtral": {**EXPERTS, "sliding_window": None},
    "Phi3": {"sliding_window": None},
    "Starcoder2": {"sliding_window": None},
    "Gemma2": {**HEAD, "sliding_window": 64},
}
WINDOWED = {
    "Mistral": {"sliding_window": 8},
    "Mixtral": {**EXPERTS, "sliding_window": 8},
    "Phi3": {"sliding_window": 8},
    "Starcoder2": {"sliding_window": 8},
    "Gemma2": {**HEAD, "sliding_window": 8},
    "Gemma3Text": {**HEAD, "sliding_window": 8},
    "Cohere2": {"sliding_window": 8},
}


def build(name: str, overrides: dict[str, Any], **more: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**(SHAPE | overrides))
    return AutoModelForCausalLM.from_config(config, **more).eval()


@pytest.mark.parametrize("name", READABLE)
def test_a_model_that_attends_to_all_it_is_given_scores_over_the_pool_as_by_its_own_forward(name: str) -> None:
    model = build(name, READABLE[name])
    check_padded_rows(model)
    check_pool(model, longest=40)
    row = [(7 * k) % 17 + 2 for k in range(30)]
    with torch.no_grad():
        own = model(torch.tensor([row])).logits[0, 19:-1].log_softmax(-1).gather(-1, torch.tensor(row[20:])[:, None])
        pool = KeyPool()
        (places,) = pool.encode(
            model, [Reader(torch.zeros(0, dtype=torch.long), 0)], [row[:19]], [torch.ones(19).bool()]
        )
        logps, _ = score(model, pool, [Reader(places, 19)], [row[19:20]], [row[20:]], temperature=1.0)
    torch.testing.assert_close(logps[0], own.squeeze(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_is_refused_with_both_numbers_where_a_row_can_reach_past_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"mean log-prob of -\d.* own forward and of -\d.* over shared keys") as error:
        check_pool(build(name, WINDOWED[name]), longest=None)
    assert "\n" not in str(error.value) and "want context_encoding='text'" in str(error.value)


def test_a_model_that_cannot_take_keys_at_all_is_refused_by_name() -> None:
    model = build("OPT", {"ffn_dim": 48, "word_embed_proj_dim": 32})
    with pytest.raises(ValueError, match="OPTForCausalLM cannot read keys from a pool"):
        check_pool(model, longest=None)


def test_the_check_leaves_mode_and_random_numbers_as_they_were() -> None:
    model, before = build("Llama", {}).train(), torch.get_rng_state()
    check_padded_rows(model)
    check_pool(model, longest=None)
    assert model.training and torch.equal(torch.get_rng_state(), before)


GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}


@pytest.mark.parametrize(
    ("name", "overrides", "settings", "reason"),
    [
        ("GPT2", GPT2, {}, r"GPT2LMHeadModel .* own forward and of -\d.* in a left-padded row"),
        ("Mistral", WINDOWED["Mistral"], {"context_encoding": "cached_text"}, "over shared keys"),
        ("Gemma2", WINDOWED["Gemma2"], {"context_encoding": "shared_kv"}, "over shared keys"),
    ],
)
def test_the_trainer_refuses_before_training_what_it_would_misread(
    make_trainer: Callable, name: str, overrides: dict, settings: dict, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        make_trainer(
            GCPOTrainer, GCPOConfig, model=build(name, overrides), beta=0.0, candidate_separator=";", **settings
        )


def test_a_model_without_a_layer_called_norm_trains_on_text(make_trainer: Callable) -> None:
    settings = {"estimator": "mc", "eq13": "mean", "candidate_separator": ";", "beta": 0.0, "max_steps": 1}
    trainer = make_trainer(GCPOTrainer, GCPOConfig, model=build("GPTNeoX", {}), **settings)
    trainer.train()
    assert trainer.state.log_history[0]["upsilon/within_group_std"] > 0


@pytest.mark.parametrize("made_for_it", [False, True])
def test_shared_keys_warn_on_a_model_that_was_not_made_for_them(
    make_trainer: Callable, recwarn: pytest.WarningsRecorder, made_for_it: bool
) -> None:
    model = build("Llama", {})
    model.config.shared_kv_contexts = made_for_it
    make_trainer(GCPOTrainer, GCPOConfig, model=model, context_encoding="shared_kv", candidate_separator=";", beta=0.0)
    warned = [str(w.message) for w in recwarn if "reads candidates side by side" in str(w.message)]
    assert len(warned) == (0 if made_for_it else 1)


def test_a_saved_model_keeps_saying_that_it_was_made_for_shared_keys(tmp_path: Path) -> None:
    model = build("Llama", {})
    model.config.shared_kv_contexts = True
    model.save_pretrained(tmp_path)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.shared_kv_contexts
