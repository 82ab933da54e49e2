"""Tokens encoded once, their keys and values read by many: the graph's mask run through a transformers cache.

Does: keep the keys of encoded tokens in a pool; run new tokens after any choice of them; score and sample there. Does
not: decide who reads whom (`packing` defines it, `context` applies it), or know a trainer.
A reader's keys are gathered from the pool into a `DynamicCache` of its own, so a candidate is encoded once however many
readers it has. Gradients flow to whatever was encoded with gradients on. Decoder-only text models; `self_check` says
whether a model is one that can be read so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, Cache, DynamicCache, DynamicLayer, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from gcpo.shared_kv.packing import Node, packed_mask, packed_positions

Ids = list[int]
_MASKED_ATTENTION = ("sdpa", "eager")
_GROUPED = "gcpo_grouped_sdpa"
_COMPACT_AT = 0.125  # measured: cutting the batch at every ended row copies more than the ended rows cost


def check_model(model: PreTrainedModel) -> None:
    """Raise ValueError unless the model takes an explicit mask. What it does with it, `self_check` finds out."""
    implementation = model.config._attn_implementation
    if implementation not in _MASKED_ATTENTION:
        raise ValueError(f"attention is {implementation!r}, which takes no explicit mask; want 'sdpa' or 'eager'")


def as_attention_mask(mask: Tensor, model: PreTrainedModel) -> Tensor:
    """A boolean mask [rows, Q, K] as the model takes it: [rows, 1, Q, K], additive for eager attention."""
    mask = mask.unsqueeze(1)
    if model.config._attn_implementation != "eager":
        return mask
    floor = torch.finfo(model.dtype).min
    return torch.zeros(mask.shape, dtype=model.dtype, device=mask.device).masked_fill(~mask, floor)


def forward(model: PreTrainedModel, ids: Tensor, positions: Tensor, mask: Tensor, cache: Cache) -> Tensor:
    """Last hidden states (after the final norm) of new tokens after cached ones; `cache` grows by them.

    ids, positions: [rows, Q]; mask: bool [rows, Q, cached + Q]. Returns [rows, Q, dim].
    """
    return model.base_model(
        input_ids=ids,
        position_ids=positions,
        attention_mask=as_attention_mask(mask, model),
        past_key_values=cache,
        use_cache=True,
    )[0]


def packed_forward(
    model: PreTrainedModel, nodes: Sequence[Node], tokens: Sequence[Ids], readable: list[Tensor]
) -> Tensor:
    """Last hidden states of one group's packed row under the explicit mask: what cache reuse must equal. [L, dim]."""
    lengths = [len(part) for part in tokens]
    ids = torch.tensor([[token for part in tokens for token in part]], device=model.device)
    positions = packed_positions(nodes, lengths).unsqueeze(0).to(model.device)
    mask = packed_mask(nodes, lengths, readable).unsqueeze(0).to(model.device)
    return forward(model, ids, positions, mask, DynamicCache())[0]


class _States(BaseModelOutputWithPast):
    """Last hidden states in the place of a base model's output; what else a head may ask for is absent."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def head(model: PreTrainedModel, states: Tensor) -> Tensor:
    """Logits of last hidden states [..., dim] by the model's own forward, its caps and scales included. [..., vocab].

    The base model is passed over for this one call: what a causal language model does after it is its own affair.
    """
    flat = states.reshape(1, -1, states.size(-1))
    base = model.base_model
    base.forward = lambda *_, **__: _States(last_hidden_state=flat)  # shadows the class's for this call
    try:
        ids = torch.zeros(flat.shape[:2], dtype=torch.long, device=flat.device)
        return model(input_ids=ids, use_cache=False).logits.view(*states.shape[:-1], -1)
    finally:
        del base.forward


def token_logps(model: PreTrainedModel, states: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """log π of each target after the state before it, [...], float32 at least. states: [..., dim]; targets: [...]."""
    logits = head(model, states)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)


@dataclass(frozen=True)
class Reader:
    """Where new tokens stand: the pool's tokens that they read, [K] in any order, and the position of the first."""

    reads: Tensor
    start: int


class KeyPool:
    """Keys and values of encoded tokens of all groups, each known by its place in the pool."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []  # per layer [places, heads, head size]
        self.values: list[Tensor] = []
        self.size = 0

    def add(self, cache: Cache, kept: Tensor) -> list[Tensor]:
        """Take over the tokens of a cache where `kept` is true, [rows, cached]. Returns their places, per row.

        The cache holds at least as many positions as `kept`; later ones are left out.
        """
        rows, columns = kept.nonzero(as_tuple=True)
        for index, layer in enumerate(cache.layers):
            for pool, states in ((self.keys, layer.keys), (self.values, layer.values)):
                chosen = states[rows, :, columns]
                if index == len(pool):
                    pool.append(chosen)
                else:
                    pool[index] = torch.cat([pool[index], chosen])
        places = torch.arange(self.size, self.size + len(rows), device=kept.device)
        self.size += len(rows)
        return list(places.split(kept.sum(dim=1).tolist()))

    def cache(self, reads: Sequence[Tensor]) -> tuple[DynamicCache, Tensor]:
        """A cache with one row per list of places, and which of its entries are real, bool [rows, longest]."""
        places = pad_sequence(list(reads), batch_first=True)
        mask = pad_sequence([torch.ones_like(part, dtype=torch.bool) for part in reads], batch_first=True)
        layers = [
            (keys[places].transpose(1, 2), values[places].transpose(1, 2))
            for keys, values in zip(self.keys, self.values, strict=True)
        ]
        return DynamicCache(layers), mask

    def run(
        self, model: PreTrainedModel, readers: Sequence[Reader], rows: Sequence[Ids]
    ) -> tuple[Tensor, Cache, Tensor]:
        """New tokens, one row per reader, of any lengths. Returns (states, cache, real).

        states: [rows, longest, dim]; cache: what was read, then the new tokens; real: bool [rows, read + longest], its
        entries that are not padding.
        """
        device = model.device
        ids = pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True).to(device)
        new = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True).to(device)
        if self.size:
            cache, read = self.cache([reader.reads for reader in readers])
        else:
            cache, read = DynamicCache(), new.new_zeros(len(rows), 0)
        width = ids.size(1)
        own = torch.ones(width, width, dtype=torch.bool, device=device).tril().expand(len(rows), -1, -1)
        mask = torch.cat([read.unsqueeze(1).expand(-1, width, -1), own], dim=2)
        starts = torch.tensor([reader.start for reader in readers], device=device)
        positions = starts.unsqueeze(1) + torch.arange(width, device=device)
        return forward(model, ids, positions, mask, cache), cache, torch.cat([read, new], dim=1)

    def encode(
        self, model: PreTrainedModel, readers: Sequence[Reader], rows: Sequence[Ids], readable: Sequence[Tensor]
    ) -> list[Tensor]:
        """Encode new tokens and keep those that others may read (bool per token). Returns their places, per row."""
        _, cache, real = self.run(model, readers, rows)
        kept = pad_sequence(list(readable), batch_first=True).to(real.device)
        return self.add(cache, F.pad(kept, (real.size(1) - kept.size(1), 0)))


def score(
    model: PreTrainedModel,
    pool: KeyPool,
    readers: Sequence[Reader],
    leads: Sequence[Ids],
    outputs: Sequence[Ids],
    *,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Each output after what its reader reads: (log-probs [rows, T], states [rows, T, dim]), 0 at padding.

    leads: the tokens that stand before each output and score its first one, at least one. The state at t is that of
    output token t itself, which predicts t + 1. Gradients flow to the computation of leads and outputs, and further
    where the pool was filled with gradients on.
    """
    rows = [[*lead, *output] for lead, output in zip(leads, outputs, strict=True)]
    states, _, _ = pool.run(model, readers, rows)
    targets = pad_sequence([torch.tensor(output, dtype=torch.long) for output in outputs], batch_first=True)
    mask = pad_sequence([torch.ones(len(output), dtype=torch.bool) for output in outputs], batch_first=True)
    targets, mask = targets.to(states.device), mask.to(states.device)
    first = torch.tensor([len(lead) for lead in leads], device=states.device)
    at = (first.unsqueeze(1) + torch.arange(targets.size(1), device=states.device)).clamp(max=states.size(1) - 1)
    row = torch.arange(len(rows), device=states.device).unsqueeze(1)
    logps = token_logps(model, states[row, at - 1], targets, temperature)
    return logps.masked_fill(~mask, 0.0), states[row, at] * mask.unsqueeze(-1)


class RoomyLayer(DynamicLayer):
    """A cache layer with room for tokens to come: a decoding step writes its own token and copies nothing."""

    def __init__(self, keys: Tensor, values: Tensor, room: int) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._buffers = [F.pad(states, (0, 0, 0, room)) for states in (keys, values)]
        self._show(keys.size(2))

    def _show(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        start = self.keys.size(2)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : start + states.size(2)] = states
        self._show(start + key_states.size(2))
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows. They move to the front of the buffers; `indices` increase."""
        length = self.keys.size(2)
        for buffer in self._buffers:
            buffer[: len(indices), :, :length] = buffer[indices, :, :length]
        self._buffers = [buffer[: len(indices)] for buffer in self._buffers]
        self._show(length)


def _grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of one new token per row whose query heads share keys, without a copy of the keys for every head."""
    rows, heads, size = query.size(0), query.size(1), query.size(3)
    shared = query.view(rows, key.size(1), heads // key.size(1), size)
    output = F.scaled_dot_product_attention(shared, key, value, attn_mask=attention_mask, scale=scaling)
    return output.reshape(rows, 1, heads, size), None


AttentionInterface.register(_GROUPED, _grouped_attention)


@contextmanager
def _one_token_at_a_time(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block every forward has one new token per row and may attend in the way that is made for it."""
    config, before = model.config, model.config._attn_implementation
    if before == "sdpa":
        config._attn_implementation = _GROUPED
    try:
        yield
    finally:
        config._attn_implementation = before


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    pool: KeyPool,
    readers: Sequence[Reader],
    leads: Sequence[Ids],
    *,
    max_new_tokens: int,
    eos_ids: Sequence[int],
    pick: Callable[[Tensor], Tensor],
    states_wanted: bool = False,
) -> tuple[list[Ids], list[Tensor]]:
    """One output per reader, token by token, after its own `leads` tokens; rows that have ended leave the batch.

    pick: logits [rows, vocabulary] -> tokens [rows]. states_wanted: also the state of every output token, the last one
    included, which costs one more step per row.
    Returns (outputs, EOS included where reached; per output its states [T, dim], empty unless wanted).
    """
    states, filled, seen = pool.run(model, readers, leads)
    device, rows = states.device, len(readers)
    lengths = torch.tensor([len(lead) for lead in leads], device=device)
    latest = states[torch.arange(rows, device=device), lengths - 1]
    positions = torch.tensor([reader.start for reader in readers], device=device) + lengths
    cache = Cache(layers=[RoomyLayer(layer.keys, layer.values, max_new_tokens) for layer in filled.layers])
    del filled
    ends = torch.tensor(list(eos_ids), device=device)
    tokens = torch.zeros(rows, max_new_tokens, dtype=torch.long, device=device)
    counts = torch.zeros(rows, dtype=torch.long, device=device)
    record = states.new_zeros(rows, max_new_tokens, states.size(-1)) if states_wanted else None
    # rows in the batch, and which of them still want a token; with states wanted, the last one has to be fed as well
    row, growing = torch.arange(rows, device=device), torch.ones(rows, dtype=torch.bool, device=device)
    with _one_token_at_a_time(model):
        for step in range(max_new_tokens):
            picked = pick(head(model, latest).float())
            fed = growing
            tokens[row[growing], step] = picked[growing]
            counts[row[growing]] = step + 1
            growing = growing & ~torch.isin(picked, ends) & (step + 1 < max_new_tokens)
            if not growing.any() and not states_wanted:
                break
            seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
            latest = forward(model, picked.unsqueeze(1), positions.unsqueeze(1), seen.unsqueeze(1), cache)[:, 0]
            positions = positions + 1
            if record is not None:
                record[row[fed], step] = latest[fed]
            if not growing.any():
                break
            if growing.float().mean() <= 1 - _COMPACT_AT:
                kept = growing.nonzero().flatten()
                cache.batch_select_indices(kept)
                row, growing, latest, seen, positions = (t[kept] for t in (row, growing, latest, seen, positions))
    ends_at = counts.tolist()
    outputs = [ids[:count] for ids, count in zip(tokens.tolist(), ends_at, strict=True)]
    return outputs, [record[r, :count] for r, count in enumerate(ends_at)] if record is not None else []
