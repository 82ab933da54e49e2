"""Engines: what turns prompts into completions. One small interface; which engine ran stands on every result.

An engine gets token ids and gives token ids back: prompts, chat templates and grading are the same for all of them.
Every sample has a seed of its own, so a sample depends neither on the batch it was drawn in nor on a resumed run
(up to the rounding of the batch's arithmetic).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from repro.errors import BadInput
from repro.references import resolve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

ENGINES = {
    "transformers": "repro.evaluation.engines.transformers_engine:TransformersEngine",
    "vllm": "repro.evaluation.engines.vllm_engine:VllmEngine",
    "replay": "repro.evaluation.engines.replay:ReplayEngine",
}


Watch = Callable[[float, int], None]


@dataclass(frozen=True)
class SamplingSettings:
    """How completions are drawn. Every field is passed explicitly; nothing comes from a model's generation config.

    temperature: 0 means greedy, and top_p, top_k, min_p then have no effect. top_k: 0 means off.
    max_new_tokens: counts the end token. stop_token_ids: any of them ends a completion. forbidden_first: no completion
    begins with one of them.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_new_tokens: int
    stop_token_ids: tuple[int, ...]
    forbidden_first: tuple[int, ...] = ()


@dataclass(frozen=True)
class Request:
    """One completion that is wanted: sample number `sample` of a question, drawn with a seed of its own (< 2**63)."""

    question_id: str
    sample: int
    prompt: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Completion:
    """Token ids without the prompt; the last one is a stop token exactly when `ended`."""

    token_ids: tuple[int, ...]
    ended: bool


class Engine(Protocol):
    """A loaded model.

    name: one of ENGINES. context_tokens: the most tokens of prompt and completion together. watch: called inside a
    batch, where the engine can say how far it is, with (completions done, a started one as a share; tokens drawn).
    """

    name: str
    watch: Watch | None
    tokenizer: "PreTrainedTokenizerBase"
    context_tokens: int

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """Yield (index in `requests`, completion) once for every request, in any order."""
        ...

    def describe(self) -> dict[str, Any]:
        """Versions, dtype, device and whatever else can move a sample: plain JSON data, recorded with the samples."""
        ...


def make_engine(
    name: str, model: str, *, dtype: str = "auto", batch_size: int = 16, device: "torch.device | None" = None
) -> Engine:
    """Load `model` (a folder that AutoModelForCausalLM reads) with the engine called `name`.

    dtype: auto (float32 on a CPU, bfloat16 on a GPU), float32 or bfloat16. batch_size: completions side by side; vllm
    schedules by itself and takes it as its limit. device: None as `repro.device` decides.
    Raises BadInput for an unknown engine or one that is not installed.
    """
    if name not in ENGINES:
        raise BadInput(f"unknown engine {name!r}; want one of {', '.join(ENGINES)}")
    return resolve(ENGINES[name])(model, dtype=dtype, batch_size=batch_size, device=device)
