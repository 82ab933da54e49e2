"""Word-level tokenizer of the program tasks: one token per digit, name, sign and word."""

import re

from transformers import PreTrainedTokenizerFast

from repro.tasks.procedural.tokenizer import SPECIAL, build_word_tokenizer
from repro.tasks.programs.language import INPUTS, NAMES

_WORDS = ("double ", "triple ", "negative ", "sum of ", "difference of ", " and ", "return ")
VOCABULARY = [*SPECIAL, *_WORDS, *"0123456789", *NAMES, *INPUTS, *"+-*=;:\n"]
_SPLIT = "|".join(["<[a-z]+>", *_WORDS, "."])
_IDS = {word: index for index, word in enumerate(VOCABULARY)}


def encode(text: str) -> list[int]:
    """Token ids of a text of the tasks: the tokenizer's own, without its overhead."""
    return [_IDS[word] for word in re.findall(_SPLIT, text, flags=re.DOTALL)]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the program tasks, ready for `save_pretrained`."""
    return build_word_tokenizer(VOCABULARY, _SPLIT)
