"""From a problem to the token ids that a model gets, and from its text to the part that counts as the answer.

Prompts use the model's own chat template and no system message of ours. Models that think aloud between <think> and
</think> are read after the last </think>; a thought that never ends is not an answer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.errors import BadInput
from repro.files import sha256_text
from repro.tasks.benchmarks.humaneval_prompts import chat_turns, exemplars_sha256
from repro.tasks.benchmarks.loading import Problem, Suite

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The paper gives no prompt. These are the words of DeepSeek-R1's model card, which its distilled models were tuned to.
SENTENCE = "Please reason step by step, and put your final answer within \\boxed{}."
FORMS = {
    "chat": "chat template, problem and the sentence that asks for a box",
    "chat-bare": "chat template and the problem alone",
    "raw": "the problem alone, without a template",
}
THINK, END_OF_THINK = "<think>", "</think>"
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


def turns_of(suite: Suite, problem: Problem, form: str) -> list[dict[str, str]]:
    """The chat turns that ask a problem. Raises BadInput for an unknown form."""
    if form not in FORMS:
        raise BadInput(f"unknown prompt form {form!r}; want one of {', '.join(FORMS)}")
    if problem.code is not None and form == "chat":
        return chat_turns(problem.question, shots=suite.shots)
    if suite.shots:
        raise BadInput(f"{suite.name}: worked examples need the prompt form 'chat'; got {form!r}")
    content = f"{problem.question}\n{SENTENCE}" if form == "chat" else problem.question
    return [{"role": "user", "content": content}]


def build_prompt(
    tokenizer: "PreTrainedTokenizerBase", suite: Suite, problem: Problem, form: str, *, template: str | None = None
) -> Prompt:
    """The prompt of a problem. `template` replaces the tokenizer's chat template.

    Raises BadInput if the tokenizer has no chat template and the form needs one.
    """
    turns = turns_of(suite, problem, form)
    if form == "raw":
        return Prompt(tuple(tokenizer(problem.question)["input_ids"]), problem.question, False)
    if template is None and not tokenizer.chat_template:
        raise BadInput(
            "the tokenizer has no chat template; pass --chat-template FILE, or --prompt raw for a base model"
        )
    text = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, **({"chat_template": template} if template else {})
    )
    thinking = text.rstrip().endswith(THINK)
    if not thinking and text.endswith(_R1_TURN):
        text, thinking = text + _PREFILL, True
    return Prompt(tuple(tokenizer(text, add_special_tokens=False)["input_ids"]), text, thinking)


@dataclass(frozen=True)
class Answer:
    """The part of a completion that is graded, None where a thought was not closed. thought: whether there was one."""

    text: str | None
    thought: bool


def answer_part(text: str, *, thinking: bool) -> Answer:
    """What a completion answers: all of it, or what follows its last </think>.

    thinking: the prompt ended inside an open <think>. An open thought without an end has no answer, whatever it boxes:
    a model in the middle of its thoughts has not answered yet.
    """
    opened = thinking or text.lstrip().startswith(THINK)
    if END_OF_THINK in text:
        return Answer(text.rpartition(END_OF_THINK)[2], True)
    return Answer(None if opened else text, opened)


def prompt_digest(suite: Suite) -> str:
    """Digest of the words around a problem: the sentence for mathematics, request and examples for code."""
    return exemplars_sha256() if suite.benchmark.kind == "code" else sha256_text(SENTENCE)
