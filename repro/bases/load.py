"""Loads the weights and the tokenizer of a model's folder as they were saved."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from repro.errors import BadInput


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a hub id, which pads on the left.

    Beside a Qwen2 model AutoTokenizer of transformers 5 takes Qwen2Tokenizer whatever the saved class is, and that one
    splits text its own way: words of our vocabulary then vanish without an error. A folder whose tokenizer is a plain
    tokenizers backend is therefore loaded as one. Raises BadInput for files that no tokenizer can be made of.
    """
    settings = Path(source) / "tokenizer_config.json"
    try:
        named = json.loads(settings.read_text(encoding="utf-8")).get("tokenizer_class") if settings.exists() else None
        plain = named == "TokenizersBackend"
        tokenizer = (PreTrainedTokenizerFast if plain else AutoTokenizer).from_pretrained(source)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"tokenizer of {source} cannot be loaded: {line}") from None
    tokenizer.padding_side = "left"
    return tokenizer


def load_model(
    folder: str | Path,
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    stop_ids: Sequence[int] = (),
    attn_implementation: str | None = None,
) -> PreTrainedModel:
    """The causal LM of a folder on a device. Its own sampling settings are dropped: whoever samples states all of them.

    dtype: float32 for training, also under bf16 autocast: at a rate of 1e-6 bfloat16 weights do not move. stop_ids: end
    tokens that sampling without settings of its own knows. attn_implementation: None is transformers' choice.
    Raises BadInput where the weights cannot be loaded.
    """
    extra = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **extra)
    except (SafetensorError, OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(f"model folder {folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    model.generation_config = GenerationConfig(eos_token_id=list(stop_ids) or None)
    return model.to(device)
