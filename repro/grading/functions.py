"""Reward functions in TRL's shape: completions in, one float each. Training pays what evaluation counts."""

import re
from collections.abc import Sequence
from typing import Any

from repro.grading.extract import last_box
from repro.grading.pool import default_pool
from repro.grading.quick import usable_gold

_THOUGHT_END = re.compile(r"</think>")


def completion_text(completion: str | Sequence[dict[str, Any]]) -> str:
    """Text of a completion: the string itself, or the contents of the assistant's messages, in order.

    A content may be a string or a list of parts, of which those of type "text" are read.
    """
    if isinstance(completion, str):
        return completion
    return "\n".join(_content_text(message["content"]) for message in completion if message.get("role") == "assistant")


def _content_text(content: str | Sequence[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")


def accuracy_reward(
    prompts: Sequence[Any], completions: Sequence[Any], answer: Sequence[str], **_columns: Any
) -> list[float]:
    """1.0 where the last complete box of a completion equals its gold `answer`, else 0.0.

    The whole completion is read, `<think>` part included: the last complete box counts, wherever it stands. Raises
    ValueError on a gold that cannot be graded against; data preparation excludes those.
    """
    if len(completions) != len(answer):
        raise ValueError(f"{len(completions)} completions and {len(answer)} golds; want as many of each")
    strange = [gold for gold in answer if not isinstance(gold, str)]
    if strange:
        raise ValueError(f"gold {strange[0]!r} is a {type(strange[0]).__name__}; want a column of texts, such as '7'")
    unusable = [gold for gold in answer if not usable_gold(gold)]
    if unusable:
        raise ValueError(f"gold {unusable[0]!r} cannot be graded against; exclude its row when preparing the data")
    texts = [completion_text(completion) for completion in completions]
    return [float(verdict.correct) for verdict in default_pool().grade_many(zip(answer, texts, strict=True))]


def format_reward(prompts: Sequence[Any], completions: Sequence[Any], **_columns: Any) -> list[float]:
    """1.0 where a completion ends in a readable answer, else 0.0.

    That is: at most one `</think>`, a non-empty complete box after it, no box left open at the end. Nothing is said
    about whether the answer is right.
    """
    return [float(_well_formed(completion_text(completion))) for completion in completions]


def _well_formed(text: str) -> bool:
    parts = _THOUGHT_END.split(text)
    if len(parts) > 2 or "<think>" in parts[-1]:
        return False
    box = last_box(parts[-1])
    return box.content is not None and bool(box.content.strip()) and not box.open_box
