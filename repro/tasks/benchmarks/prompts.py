"""The words around a benchmark's problem. No system message of ours stands before them."""

from repro.errors import BadInput
from repro.files import sha256_text
from repro.tasks.benchmarks.humaneval_prompts import chat_turns, exemplars_sha256
from repro.tasks.protocol import Question

# The paper gives no prompt. These are the words of DeepSeek-R1's model card, which its distilled models were tuned to.
SENTENCE = "Please reason step by step, and put your final answer within \\boxed{}."
FORMS = {
    "chat": "chat template, problem and the sentence that asks for a box",
    "chat-bare": "chat template and the problem alone",
    "raw": "the problem alone, without a template",
}


def prompt_of(question: Question, form: str) -> str | list[dict[str, str]]:
    """What a policy is asked: the turns of a chat, or the problem's text. Raises BadInput for an unknown form."""
    if form not in FORMS:
        raise BadInput(f"unknown prompt form {form!r}; want one of {', '.join(FORMS)}")
    if question.code is not None and form == "chat":
        return chat_turns(question.text, shots=question.shots)
    if question.shots:
        raise BadInput(f"{question.id}: worked examples need the prompt form 'chat'; got {form!r}")
    if form == "raw":
        return question.text
    return [{"role": "user", "content": f"{question.text}\n{SENTENCE}" if form == "chat" else question.text}]


def prompt_digest(*, code: bool) -> str:
    """Digest of the words around a problem: the sentence for mathematics, request and examples for code."""
    return exemplars_sha256() if code else sha256_text(SENTENCE)
