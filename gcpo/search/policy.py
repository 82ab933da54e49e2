"""A causal LM as a search uses it: it opens prompts and continues many prefixes at once, with keys reused.

Every row draws from random numbers of its own, so what a question gets does not depend on who stands beside it (up to
rounding: matrix products of other shapes may differ in the last bit).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gcpo.search.keys import FEWEST_ROWS, Batch, KeyStore, Slots

DEAD_SHARE = 0.2  # of finished rows from which the batch is made smaller; measured: .1 to .3 cost the same


@dataclass(frozen=True)
class Request:
    """A prefix to continue. slots: of all its tokens but the last, which is `last`; at most `limit` new tokens."""

    slots: Slots
    last: int
    limit: int
    seed: int


@dataclass(frozen=True)
class Continuation:
    """New tokens with their log-probabilities at temperature 1, and slots of all tokens but the last.

    stopped: the last token is one of the stop tokens; otherwise the limit was reached.
    """

    ids: list[int]
    log_probs: list[float]
    slots: Slots
    stopped: bool


def delimiter_ids(tokenizer: PreTrainedTokenizerBase, delimiter: str) -> frozenset[int]:
    """Ids of the tokens whose text holds the step delimiter.

    Raises ValueError for an empty delimiter and one that no token of the vocabulary holds: no step would ever end.
    """
    found = frozenset(
        number for number in range(len(tokenizer)) if delimiter and delimiter in tokenizer.decode([number])
    )
    if not found:
        raise ValueError(f"step delimiter {delimiter!r} is in no token of the vocabulary; want text of one token")
    return found


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """Probabilities [rows, vocabulary] with everything outside the smallest set of mass `top_p` put to 0."""
    ordered, places = probs.sort(dim=-1, descending=True)
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return probs.masked_fill(torch.zeros_like(outside).scatter(-1, places, outside), 0.0)


def draw_tokens(probs: Tensor, draws: np.ndarray) -> Tensor:
    """One token per row of `probs` [rows, vocabulary], unnormalised, by inverting the sum at `draws` [rows] in [0, 1).

    Returns int64 [rows].
    """
    summed = probs.cumsum(dim=-1)
    wanted = torch.from_numpy(draws).to(summed)[:, None] * summed[:, -1:]
    tokens = torch.searchsorted(summed, wanted, right=True).clamp_max(summed.shape[-1] - 1)
    # A draw that rounds up to the whole mass would fall past the last token that has any.
    last = summed.shape[-1] - 1 - (probs > 0).flip(-1).int().argmax(dim=-1, keepdim=True)
    return torch.minimum(tokens, last)[:, 0]


class Policy:
    """Samples continuations. `tokens` counts every token drawn."""

    def __init__(self, model: PreTrainedModel, *, eos: int, temperature: float = 1.0, top_p: float = 1.0) -> None:
        if temperature <= 0 or not 0 < top_p <= 1:
            raise ValueError(f"temperature {temperature}, top_p {top_p}: want temperature > 0 and 0 < top_p <= 1")
        self.model, self.eos, self.temperature, self.top_p = model, eos, temperature, top_p
        self.keys = KeyStore(model)
        self.tokens = 0

    def check_room(self, name: str, prompt: Sequence[int], new: int) -> None:
        """Raise ValueError unless the prompt holds a token and leaves `new` tokens of the model's context."""
        if not prompt:
            raise ValueError(f"question {name}: the prompt has no tokens; want at least one")
        if len(prompt) + new > self.keys.limit:
            raise ValueError(
                f"question {name}: {len(prompt)} prompt tokens and {new} new ones; the model's context has "
                f"{self.keys.limit}"
            )

    def open(self, prompts: Sequence[Sequence[int]]) -> list[Slots]:
        """Slots of all tokens but the last of each prompt; all prompts are read in one pass."""
        texts = [list(prompt[:-1]) for prompt in prompts]
        long = [row for row, text in enumerate(texts) if text]
        slots = [np.empty(0, dtype=np.int64) for _ in prompts]
        if long:
            _, found = self.keys.read([slots[row] for row in long], [texts[row] for row in long])
            for row, each in zip(long, found, strict=True):
                slots[row] = each
        return slots

    @torch.inference_mode()
    def write(self, requests: Sequence[Request], stop: frozenset[int], *, keep: bool = True) -> list[Continuation]:
        """Continue every prefix to a stop token or its limit. `keep=False` stores no keys: slots are then empty."""
        if not requests:
            return []
        rows = list(range(len(requests)))
        rows += rows * (FEWEST_ROWS - len(rows))
        alive = np.arange(len(rows)) < len(requests)
        limits = np.array([request.limit for request in requests])
        device = self.keys.keys.device
        draws = np.zeros((len(requests), limits.max()))
        for row, request in enumerate(requests):
            draws[row, : request.limit] = np.random.default_rng(request.seed).random(request.limit)
        ids = np.zeros(draws.shape, dtype=np.int64)
        log_probs = np.zeros(draws.shape)
        lengths = np.zeros(len(requests), dtype=np.int64)
        slots: list[Slots] = [request.slots for request in requests]
        stops = np.array(sorted(stop))
        batch = self.keys.batch([requests[row].slots for row in rows], int(limits.max()))
        at = np.array(rows)  # request of each row of the batch
        fed = torch.tensor([requests[row].last for row in rows], device=device)
        for step in range(int(limits.max())):
            ones = torch.ones(len(at), 1, dtype=torch.long, device=device)
            logits = batch.feed(fed[:, None], ones).logits[:, -1]
            fed, drawn_scores = self._draw(logits, draws[at, step])
            now, scores = fed.cpu().numpy(), drawn_scores.cpu().numpy()
            live = at[alive]
            ids[live, step], log_probs[live, step] = now[alive], scores[alive]
            lengths[live] += 1
            done = alive & (np.isin(now, stops) | (step + 1 >= limits[at]))
            if keep and done.any():
                self._store(batch, np.flatnonzero(done), step + 1, at, slots)
            alive &= ~done
            if not alive.any():
                break
            if alive.sum() <= (1 - DEAD_SHARE) * len(at) and len(at) > FEWEST_ROWS:
                stay = np.flatnonzero(alive)
                stay = np.union1d(stay, np.flatnonzero(~alive)[: max(0, FEWEST_ROWS - len(stay))])
                chosen = torch.from_numpy(stay).to(device)
                batch.keep(chosen)
                at, alive, fed = at[stay], alive[stay], fed[chosen]
        self.tokens += int(lengths.sum())
        return [
            Continuation(
                ids[row, :length].tolist(),
                log_probs[row, :length].tolist(),
                slots[row] if keep else slots[row][:0],
                bool(np.isin(ids[row, length - 1], stops)),
            )
            for row, length in enumerate(lengths)
        ]

    def _store(self, batch: Batch, done: np.ndarray, steps: int, at: np.ndarray, slots: list[Slots]) -> None:
        """Keep the keys of rows that end now: the token fed first and all drawn ones but the last."""
        columns = np.tile(np.arange(batch.width, batch.width + steps), len(done))
        fresh = self.keys.store(batch, np.repeat(done, steps).tolist(), columns.tolist())
        for place, row in enumerate(done):
            slots[at[row]] = np.concatenate([slots[at[row]], fresh[place * steps : (place + 1) * steps]])

    def _draw(self, logits: Tensor, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """One token per row by inverting the cumulative distribution at the row's own draw, and its log-probability."""
        plain = logits.float().log_softmax(dim=-1)
        probs = plain.exp() if self.temperature == 1.0 else (logits.float() / self.temperature).softmax(dim=-1)
        if self.top_p < 1.0:
            probs = nucleus(probs, self.top_p)
        tokens = draw_tokens(probs, draws)
        return tokens, plain.gather(-1, tokens[:, None])[:, 0]
