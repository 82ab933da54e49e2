"""The engine that needs nothing but transformers: batches of left-padded prompts, a generator per sample.

A token is drawn by adding Gumbel noise to the filtered log-probabilities and taking the largest, which is exact
sampling; the noise of a row comes from that row's own seed. So a sample does not depend on its neighbours, except
through the rounding of a batch's arithmetic.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transformers
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from repro.bases.files import resolve_model
from repro.bases.load import load_model, load_tokenizer
from repro.device import decide, device_name
from repro.errors import BadInput
from repro.evaluation.engines import Completion, Request, SamplingSettings, Watch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class _GumbelNoise(LogitsProcessor):
    """Adds to every row the noise that its generator gives next."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores.float() - noise.log()  # -log of an exponential variable is Gumbel; -inf stays out


class _Watched(StoppingCriteria):
    """Stops nothing: counts the rows that have ended and the tokens drawn, and tells `watch` after every step."""

    def __init__(self, watch: Watch, stops: Sequence[int], rows: int, limit: int, device: torch.device) -> None:
        self._watch, self._limit, self._step, self._tokens = watch, limit, 0, 0
        self._stops = torch.tensor(stops, device=device)
        self._running = torch.ones(rows, dtype=torch.bool, device=device)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self._step += 1
        self._tokens += int(self._running.sum())
        self._running &= ~torch.isin(input_ids[:, -1], self._stops)
        running = int(self._running.sum())
        self._watch(len(input_ids) - running + running * min(1.0, self._step / self._limit), self._tokens)
        return torch.zeros_like(self._running)


class TransformersEngine:
    """A folder or hub id that AutoModelForCausalLM loads, or a model that is loaded already.

    seeds: "sample": every sample draws from a generator of its own. "batch": a batch draws from torch's own generator,
    seeded by its first request: faster on small models, and the same whenever the batches are.
    """

    name = "transformers"
    watch: Watch | None = None

    def __init__(self, model: str, *, dtype: str = "auto", batch_size: int = 16, device: torch.device | None = None):
        folder = resolve_model(model)
        device = decide() if device is None else device
        if dtype == "auto":
            dtype = "bfloat16" if device.type == "cuda" else "float32"
        if dtype not in DTYPES:
            raise BadInput(f"--dtype is {dtype!r}; want auto, {' or '.join(DTYPES)}")
        tokenizer = load_tokenizer(folder)
        self._adopt(load_model(folder, device, dtype=DTYPES[dtype]), tokenizer, batch_size, "sample")

    @classmethod
    def of(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, batch_size: int, seeds: str = "sample"
    ) -> "TransformersEngine":
        """An engine over a model in memory, which it puts into evaluation mode."""
        engine = cls.__new__(cls)
        engine._adopt(model, tokenizer, batch_size, seeds)
        return engine

    def _adopt(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int, seeds: str) -> None:
        if batch_size < 1:
            raise BadInput(f"--batch-size is {batch_size}; want at least 1")
        self.model, self.tokenizer, self.batch_size, self.seeds = model.eval(), tokenizer, batch_size, seeds
        self.model.generation_config = GenerationConfig()  # every field that matters is passed with each batch
        self.device, self.dtype = model.device, str(model.dtype).removeprefix("torch.")
        self.context_tokens = int(self.model.config.get_text_config().max_position_embeddings)

    def describe(self) -> dict[str, Any]:
        """Engine, versions, dtype and device."""
        return {
            "engine": self.name,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "dtype": self.dtype,
            "device": device_name(self.device),
        }

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """See `repro.evaluation.engines.Engine`. Batches are neighbours in `requests`."""
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            for offset, completion in enumerate(self._batch(batch, settings)):
                yield start + offset, completion

    def _batch(self, batch: Sequence[Request], settings: SamplingSettings) -> list[Completion]:
        stops = list(settings.stop_token_ids)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else stops[0]
        width = max(len(request.prompt) for request in batch)
        ids = torch.full((len(batch), width), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(batch):
            ids[row, width - len(request.prompt) :] = torch.tensor(request.prompt)
            mask[row, width - len(request.prompt) :] = 1
        try:
            output = self.model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=GenerationConfig(
                    repetition_penalty=settings.repetition_penalty,
                    max_new_tokens=settings.max_new_tokens,
                    eos_token_id=stops,
                    pad_token_id=pad,
                    begin_suppress_tokens=list(settings.forbidden_first) or None,
                    **self._drawing(batch, settings),
                ),
                logits_processor=self._processors(batch, settings),
                stopping_criteria=self._watching(len(batch), settings),
            )
        except torch.OutOfMemoryError:
            raise BadInput(
                f"out of memory with {len(batch)} prompts of up to {width} tokens; pass a smaller --batch-size"
            ) from None
        return [_cut(row, set(stops)) for row in output[:, width:].tolist()]

    def _watching(self, rows: int, settings: SamplingSettings) -> StoppingCriteriaList:
        if self.watch is None:
            return StoppingCriteriaList()
        stops, limit = settings.stop_token_ids, settings.max_new_tokens
        return StoppingCriteriaList([_Watched(self.watch, stops, rows, limit, self.device)])

    def _drawing(self, batch: Sequence[Request], settings: SamplingSettings) -> dict[str, Any]:
        """Who draws: nobody at temperature 0, torch for a batch with one seed, else the noise of `_processors`."""
        if self.seeds == "sample" or settings.temperature == 0:
            return {"do_sample": False}
        torch.manual_seed(batch[0].seed)
        names = ("temperature", "top_p", "top_k")
        own = {"min_p": settings.min_p} if settings.min_p > 0 else {}
        return {"do_sample": True, **{name: getattr(settings, name) for name in names}, **own}

    def _processors(self, batch: Sequence[Request], settings: SamplingSettings) -> LogitsProcessorList:
        if self.seeds == "batch" or settings.temperature == 0:
            return LogitsProcessorList()
        steps: list[LogitsProcessor] = [TemperatureLogitsWarper(settings.temperature)]
        if settings.top_k > 0:
            steps.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            steps.append(TopPLogitsWarper(settings.top_p))
        if settings.min_p > 0:
            steps.append(MinPLogitsWarper(settings.min_p))
        return LogitsProcessorList([*steps, _GumbelNoise([request.seed for request in batch], self.device)])


def _cut(row: list[int], stops: set[int]) -> Completion:
    """A generated row up to its first stop token; what follows is padding."""
    end = next((place for place, token in enumerate(row) if token in stops), None)
    return Completion(tuple(row), False) if end is None else Completion(tuple(row[: end + 1]), True)
