"""Word-level tokenizer of the procedural tasks: one token per digit, sign and word, lossless on the tasks' texts."""

import re
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from repro.tasks.procedural.families import PRICES

PAD, BOS, EOS, UNK, SEPARATOR = "<pad>", "<bos>", "<eos>", "<unk>", "|"
SPECIAL = (PAD, BOS, EOS, UNK)
# A word carries its space: joining tokens gives the text back
_FAMILY_WORDS = [f"{word} " for word in ("rec", "shop", "solve", "chain", "rep", "bill", "find")]
VOCABULARY = [*SPECIAL, SEPARATOR, *"0123456789", *"+-*=;:,#@x", *_FAMILY_WORDS, *(f" {item}" for item in PRICES)]
_WORD = r"<[a-z]+>|[a-z]+ | [a-z]+|."


def split_words(text: str) -> list[str]:
    """The words of a text, as the tokenizer splits it; joined they give the text back."""
    return re.findall(_WORD, text, flags=re.DOTALL)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the procedural tasks, ready for `save_pretrained`."""
    return build_word_tokenizer(VOCABULARY, _WORD)


def build_word_tokenizer(vocabulary: Sequence[str], pattern: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, with SPECIAL first. It adds no special tokens: prompts start bare, EOS is explicit.

    pattern: a regular expression whose matches are the words of a text.
    Every word is also an added token. Beside a Qwen2 model AutoTokenizer ignores the saved class and builds Qwen2's own
    splitter, which would drop the words; added tokens are split off before any splitter runs.
    """
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    backend.decoder = decoders.Fuse()
    backend.add_tokens([AddedToken(word, normalized=False) for word in vocabulary if word not in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
