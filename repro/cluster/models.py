"""What memory and cost of a model depend on: its shape, known for the paper's models before anything is downloaded."""

from dataclasses import dataclass

from repro.errors import BadInput

GIB = 2**30


@dataclass(frozen=True)
class Shape:
    """The shape of a decoder with gated feed-forward layers. parameters: all of them, embeddings included."""

    parameters: float
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys and values per token in bfloat16."""
        return 2 * 2 * self.layers * self.kv_heads * (self.hidden // self.heads)


# From the models' config.json; embeddings and head are two matrices in all of them.
_QWEN_1_5B = Shape(1.78e9, 28, 1536, 8960, 12, 2, 151936)
_QWEN_7B = Shape(7.62e9, 28, 3584, 18944, 28, 4, 152064)
SHAPES = {
    "agentica-org/DeepScaleR-1.5B-Preview": _QWEN_1_5B,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _QWEN_1_5B,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": _QWEN_7B,
}


def shape_of(model: str) -> Shape:
    """The shape of a model: known by its hub id, else read from its folder or the hub's cache.

    Raises BadInput where its configuration cannot be read or lacks a field.
    """
    if model in SHAPES:
        return SHAPES[model]
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model).get_text_config()
        fields = {
            "layers": config.num_hidden_layers,
            "hidden": config.hidden_size,
            "intermediate": config.intermediate_size,
            "heads": config.num_attention_heads,
            "kv_heads": config.num_key_value_heads,
            "vocabulary": config.vocab_size,
        }
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"model {model}: its shape cannot be read ({str(error).splitlines()[0]})") from None
    return Shape(parameters=_parameters(tied=config.tie_word_embeddings, **fields), **fields)


def _parameters(
    *, layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocabulary: int, tied: bool
) -> float:
    """Weights of embeddings, attention and feed-forward layers; norms and biases are too few to count."""
    attention = hidden * hidden * (2 + 2 * kv_heads / heads)
    return vocabulary * hidden * (1 if tied else 2) + layers * (attention + 3 * hidden * intermediate)
