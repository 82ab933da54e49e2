"""Hidden states that sampling computes anyway, kept only as far as a feature position can read them.

Does: follow a sampler step by step and keep one state per row. Does not: know a trainer or choose the feature's token
(`gcpo.scm.feature_index` does, when the output is whole).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class GenerationStates:
    """The state of each row's last token so far, and for "answer_marker" that of every token that may end a marker.

    position: a feature position of `gcpo.scm`. marker_ends: ids of tokens that may end an answer marker. Rows of
    several calls of the sampler are numbered in the order of the calls. A state of rows x dim values stays alive,
    whatever the number of steps.
    """

    def __init__(self, *, position: str, eos_ids: Sequence[int], marker_ends: Tensor | None = None) -> None:
        self.position, self.marker_ends = position, marker_ends
        self.eos_ids = torch.tensor(list(eos_ids))
        self._done: list[tuple[Tensor, list[int]]] = []
        self._marked: dict[tuple[int, int], Tensor] = {}
        self._rows, self._step = 0, -1
        self._last: Tensor | None = None
        self._at = self._ended = torch.zeros(0)

    def __len__(self) -> int:
        """Rows of which something is known."""
        return self._rows + (0 if self._last is None else len(self._last))

    def begin(self) -> None:
        """The sampler is called: what comes next are the states of prompts."""
        if self._last is not None:
            self._done.append((self._last, self._at.tolist()))
            self._rows += len(self._last)
        self._last, self._step = None, -1

    def add(self, ids: Tensor, states: Tensor) -> None:
        """A forward of the sampler: ids [rows, Q], states [rows, Q, dim], after which one token more is sampled."""
        tokens, states = ids[:, -1], states[:, -1].detach()
        if self._last is None:  # the prompts
            self._last = torch.zeros_like(states)
            self._at = torch.full_like(tokens, -1)
            self._ended = torch.zeros_like(tokens, dtype=torch.bool)
            self.eos_ids = self.eos_ids.to(tokens.device)
            return
        self._step += 1
        ends = torch.isin(tokens, self.eos_ids)
        kept = ~self._ended if self.position == "eos" else ~self._ended & ~ends
        self._last = torch.where(kept.unsqueeze(1), states, self._last)
        self._at = torch.where(kept, self._step, self._at)
        self._ended |= ends
        if self.marker_ends is not None:
            for row in (kept & torch.isin(tokens, self.marker_ends.to(tokens.device))).nonzero().flatten().tolist():
                self._marked[self._rows + row, self._step] = states[row].clone()

    def find(self, row: int, index: int) -> Tensor | None:
        """The state [dim] of token `index` of an output, None where it was not kept or never fed to the model."""
        if (row, index) in self._marked:
            return self._marked[row, index]
        for last, at in [*self._done, *([] if self._last is None else [(self._last, self._at.tolist())])]:
            if row < len(last):
                return last[row] if at[row] == index else None
            row -= len(last)
        return None
