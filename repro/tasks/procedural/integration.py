"""The text from which a model integrates candidates: `q|#a|#b|...|`, then a worked solution and its answer."""

from collections.abc import Sequence

from gcpo.scm import by_agreement
from repro.tasks.procedural.tokenizer import SEPARATOR

CANDIDATE_ORDERS = ("sampled", "agreement")


def integration_prompt(prompt: str, answers: Sequence[str | None], order: str = "sampled") -> str:
    """The prompt, then `|#answer` per candidate, then `|`; a candidate without an answer shows just `|`.

    order: "sampled" as given, or "agreement", equal answers together and the most frequent first, as
    `GCPOConfig.candidate_order` lays them out.
    """
    if order == "agreement":
        answers = [answers[k] for k in by_agreement([[] if a is None else [int(a)] for a in answers])]
    views = "".join(SEPARATOR + ("" if answer is None else f"#{answer}") for answer in answers)
    return prompt + views + SEPARATOR
