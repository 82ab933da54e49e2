"""From a prompt, text or the turns of a chat, to the token ids that a model gets, and from its text to its answer.

Prompts use the model's own chat template. Models that think aloud between <think> and </think> are read after the last
</think>; a thought that never ends is not an answer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from repro.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

THINK, END_OF_THINK = "<think>", "</think>"
UNCLOSED_THOUGHT = "unclosed_thought"  # the detail of a verdict on a thought without an end
_PREFILL = f"{THINK}\n"
# DeepSeek's card: "we recommend enforcing the model to initiate its response with '<think>\n'". Its later templates do
# so themselves, the first ones did not.
_R1_TURN = "<｜Assistant｜>"


@dataclass(frozen=True)
class Prompt:
    """token_ids: what the model gets; text: the same to read. thinking: the prompt ends inside an open <think>."""

    token_ids: tuple[int, ...]
    text: str
    thinking: bool


def encode_prompt(
    tokenizer: "PreTrainedTokenizerBase", prompt: str | Sequence[dict[str, str]], *, template: str | None = None
) -> Prompt:
    """A prompt as token ids. `template` replaces the tokenizer's chat template.

    Raises BadInput if the prompt is a chat and there is no template for it, or one that fails.
    """
    if isinstance(prompt, str):
        return Prompt(tuple(tokenizer(prompt)["input_ids"]), prompt, False)
    if template is None and not tokenizer.chat_template:
        raise BadInput(
            "the tokenizer has no chat template; pass --chat-template FILE, or --prompt raw for a base model"
        )
    try:
        text = tokenizer.apply_chat_template(
            list(prompt),
            tokenize=False,
            add_generation_prompt=True,
            **({"chat_template": template} if template else {}),
        )
    except TemplateError as error:
        raise BadInput(f"the chat template cannot be used: {' '.join(str(error).split())[:200]}") from None
    thinking = text.rstrip().endswith(THINK)
    if not thinking and text.endswith(_R1_TURN):
        text, thinking = text + _PREFILL, True
    return Prompt(tuple(tokenizer(text, add_special_tokens=False)["input_ids"]), text, thinking)


@dataclass(frozen=True)
class AnswerPart:
    """The part of a response that is graded, None where a thought was not closed. thought: whether there was one."""

    text: str | None
    thought: bool


def answer_part(text: str, *, thinking: bool) -> AnswerPart:
    """What a response answers: all of it, or what follows its last </think>.

    thinking: the prompt ended inside an open <think>. An open thought without an end has no answer, whatever it boxes:
    a model in the middle of its thoughts has not answered yet.
    """
    opened = thinking or text.lstrip().startswith(THINK)
    if END_OF_THINK in text:
        return AnswerPart(text.rpartition(END_OF_THINK)[2], True)
    return AnswerPart(None if opened else text, opened)


def stop_token_ids(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The ids that end a completion: the tokenizer's end token and those of generation_config.json or config.json.

    Chat models name their end of turn in one place or the other. Raises BadInput if none is known.
    """
    ids = set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            value = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            if value is not None:
                ids.update(value if isinstance(value, list) else [value])
                break
    if not ids:
        raise BadInput(f"model folder {folder} names no end token (eos_token_id); completions would never end")
    return tuple(sorted(ids))
