"""Keys and values of every prefix in a search, one row per token, read by all that continue it.

A prefix is an array of slots, one per token. A continuation computes keys for its own tokens alone; the prefix's are
gathered into the batch. Works with any causal LM of transformers whose cache is made of plain layers (no sliding
window, no recurrent state).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

Slots = np.ndarray  # int64, one per token
FEWEST_ROWS = 2  # the model is never called with a batch of one


class _RoomyLayer(DynamicLayer):
    """A cache layer that writes into a buffer made beforehand: no copy of all keys at every token."""

    def __init__(self, keys: Tensor, values: Tensor, used: int) -> None:
        super().__init__()
        self.room = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._show(used)

    def update(self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object) -> tuple:
        used, new = self.keys.shape[-2], key_states.shape[-2]
        for room, states in zip(self.room, (key_states, value_states), strict=True):
            room[:, :, used : used + new] = states
        self._show(used + new)
        return self.keys, self.values

    def _show(self, used: int) -> None:
        self.keys, self.values = (room[:, :, :used] for room in self.room)

    def keep(self, rows: Tensor) -> None:
        used = self.keys.shape[-2]
        keys, values = self.room
        self.room = keys.index_select(0, rows), values.index_select(0, rows)
        self._show(used)


class Batch:
    """Prefixes side by side, left-padded, with room for `new` tokens per row."""

    def __init__(self, store: "KeyStore", layers: list[_RoomyLayer], mask: Tensor, positions: Tensor) -> None:
        self.owner, self.layers, self.mask, self.positions = store, layers, mask, positions
        self.cache = DynamicCache()
        self.cache.layers = layers
        self.width = mask.shape[1]

    def feed(self, ids: Tensor, mask: Tensor) -> Any:
        """Run tokens `ids` [rows, new] after the prefixes; `mask` is 0 where a row has padding on its left."""
        self.owner.calls += 1
        self.owner.fewest = min(self.owner.fewest, len(ids))
        self.mask = torch.cat([self.mask, mask], dim=1)
        places = self.positions[:, None] + mask.cumsum(dim=1) - 1
        self.positions = self.positions + mask.sum(dim=1)
        return self.owner.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=places.clamp_min(0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        for layer in self.layers:
            layer.keep(rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]


class KeyStore:
    """Keys and values by slot: two tensors [slots, layers, heads, head size] that grow by doubling.

    `calls` counts the model's forward passes, `fewest` is the smallest batch it was called with.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config(decoder=True)
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        if kinds != {"full_attention"}:
            raise ValueError(f"model has layers of kind {', '.join(sorted(kinds))}; search needs full_attention alone")
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.model = model
        self.shape = (config.num_hidden_layers, heads, size)
        self.limit = config.max_position_embeddings
        self.used = self.calls = 0
        self.fewest = 10**9
        self.keys = self.values = torch.empty(0, *self.shape, dtype=model.dtype, device=model.device)

    def clear(self) -> None:
        """Forget all prefixes; the memory is kept for the next ones."""
        self.used = 0

    def batch(self, prefixes: Sequence[Slots], new: int) -> Batch:
        """The prefixes as a batch with room for `new` more tokens per row."""
        lengths = torch.tensor([len(prefix) for prefix in prefixes], device=self.keys.device)
        width = int(lengths.max())
        index = np.zeros((len(prefixes), width), dtype=np.int64)
        for row, prefix in enumerate(prefixes):
            index[row, width - len(prefix) :] = prefix
        places = torch.from_numpy(index).to(self.keys.device)
        layers = []
        for number in range(self.shape[0]):
            rooms = []
            for stored in (self.keys, self.values):
                room = stored.new_zeros(len(prefixes), self.shape[1], width + new, self.shape[2])
                if width:
                    room[:, :, :width] = stored[:, number][places].transpose(1, 2)
                rooms.append(room)
            layers.append(_RoomyLayer(rooms[0], rooms[1], width))
        mask = (torch.arange(width, device=lengths.device) >= (width - lengths)[:, None]).long()
        return Batch(self, layers, mask, lengths)

    def store(self, batch: Batch, rows: Sequence[int], columns: Sequence[int]) -> Slots:
        """Copy keys and values at (row, column) of a batch into new slots; returns them in the same order."""
        count = len(rows)
        if self.used + count > len(self.keys):
            size = max(4096, 2 * len(self.keys), self.used + count)
            self.keys, self.values = (
                torch.cat([old, old.new_empty(size - len(old), *self.shape)]) for old in (self.keys, self.values)
            )
        at_rows, at_columns = (torch.tensor(each, device=self.keys.device) for each in (rows, columns))
        for number, layer in enumerate(batch.layers):
            for stored, room in zip((self.keys, self.values), layer.room, strict=True):
                stored[self.used : self.used + count, number] = room[at_rows, :, at_columns]
        self.used += count
        return np.arange(self.used - count, self.used)

    @torch.inference_mode()
    def read(self, prefixes: Sequence[Slots], texts: Sequence[Sequence[int]]) -> tuple[Any, list[Slots]]:
        """Run each text (token ids, at least one) after its prefix; (model output, slots of prefix and text per row).

        The output's last position is the last token of every text. One row alone is read twice.
        """
        if len(texts) < FEWEST_ROWS:
            output, slots = self.read(list(prefixes) * FEWEST_ROWS, list(texts) * FEWEST_ROWS)
            return output, slots[: len(texts)]
        new = max(len(text) for text in texts)
        batch = self.batch(prefixes, new)
        ids = torch.zeros(len(texts), new, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, new - len(text) :] = torch.tensor(text)
            mask[row, new - len(text) :] = 1
        output = batch.feed(ids.to(self.keys.device), mask.to(self.keys.device))
        rows = [row for row, text in enumerate(texts) for _ in text]
        columns = [batch.width + new - len(text) + place for text in texts for place in range(len(text))]
        fresh = np.split(self.store(batch, rows, columns), np.cumsum([len(text) for text in texts])[:-1])
        return output, [np.concatenate([prefix, part]) for prefix, part in zip(prefixes, fresh, strict=True)]
