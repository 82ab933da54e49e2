"""The text from which a model integrates candidates: `q|#a|#b|...|`, then a worked solution and its answer."""

from collections.abc import Sequence

from repro.tasks.tokenizer import SEPARATOR


def integration_prompt(prompt: str, answers: Sequence[str | None]) -> str:
    """The prompt, then `|#answer` per candidate, then `|`; a candidate without an answer shows just `|`."""
    views = "".join(SEPARATOR + ("" if answer is None else f"#{answer}") for answer in answers)
    return prompt + views + SEPARATOR
