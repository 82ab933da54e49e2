"""Loads the tokenizer of a saved model as it was saved."""

import json
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a hub id.

    Beside a Qwen2 model AutoTokenizer of transformers 5 takes Qwen2Tokenizer whatever the saved class is, and that one
    splits text its own way: words of our vocabulary then vanish without an error. A folder whose tokenizer is a plain
    tokenizers backend is therefore loaded as one.
    """
    settings = Path(source) / "tokenizer_config.json"
    if settings.exists() and json.loads(settings.read_text(encoding="utf-8"))["tokenizer_class"] == "TokenizersBackend":
        return PreTrainedTokenizerFast.from_pretrained(source)
    return AutoTokenizer.from_pretrained(source)
