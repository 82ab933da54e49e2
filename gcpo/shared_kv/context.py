"""Contexts by reference: q, candidates and integrated outputs encoded once each, and read by whoever the graph lets.

Does: stand in for the text contexts of `gcpo.scm.ContextLayout`, so that `gcpo.estimators` runs unchanged; encode each
segment when it is first read. Does not: sample, score, or know a trainer. Who reads whom is `packing.graph`.
Candidates do not see each other, so the text's order and separators among them do not exist here; a model trained on
text contexts is off its distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from gcpo.scm import ContextLayout, Group, Ids, Marker, marker_span, strip_eos
from gcpo.shared_kv.keys import KeyPool, Reader
from gcpo.shared_kv.packing import COPY, INTEGRATED


class Drawn(list):
    """An integrated output that knows what it was sampled after, on which its keys depend."""

    def __init__(self, ids: Ids, reading: Reading) -> None:
        super().__init__(ids)
        self.reading = reading


@dataclass(frozen=True, eq=False)
class Reading:
    """What a sampled or scored output reads of its group beside q.

    candidates: which y_k; fresh: outputs of the fork that stand for one of them; integrated: y_n or y_{n,l}.
    """

    group: Group
    candidates: tuple[int, ...]
    fresh: tuple[Ids, ...] = ()
    integrated: tuple[Drawn, ...] = ()

    def __len__(self) -> int:
        """Tokens of q and of the whole outputs that it reads."""
        read = [self.group.candidates[k] for k in self.candidates] + [*self.fresh, *self.integrated]
        return len(self.group.prompt_ids) + sum(map(len, read))


def readable(ids: Ids, *, view: str, marker_ids: Marker, eos_ids: Ids) -> Tensor:
    """Which tokens of an output others may read, as `gcpo.scm.candidate_view` has it. Bool [tokens without EOS]."""
    content = strip_eos(ids, eos_ids)
    seen = torch.zeros(len(content), dtype=torch.bool)
    span = (0, 0) if view == "full" else marker_span(content, marker_ids)
    if span is not None:
        seen[span[0] :] = True
    return seen


@dataclass(frozen=True)
class SharedLayout:
    """`ContextLayout`'s contexts as `Reading`s: same methods, same arguments, nothing rendered.

    layout: view, marker, EOS and budget are its; its closing ids lead every sampled or scored output. The order among
    candidates is the order of their keys alone, which changes nothing but rounding.
    """

    layout: ContextLayout

    @property
    def marker_ids(self) -> Marker:
        return self.layout.marker_ids

    @property
    def eos_ids(self) -> Ids:
        return self.layout.eos_ids

    def collider(self, group: Group, *, order: Sequence[int] | None = None) -> Reading:
        """What y_n and every y_{n,l} read: q and all y_k."""
        return Reading(group, tuple(range(len(group.candidates)) if order is None else order))

    def without(
        self, group: Group, left_out: int, integrated: Sequence[Drawn] = (), *, order: Sequence[int] | None = None
    ) -> Reading:
        """x_i or x_{i,l}: q, every y_k but y_i, and the integrated outputs."""
        kept = (k for k in self.collider(group, order=order).candidates if k != left_out)
        return Reading(group, tuple(kept), integrated=tuple(integrated))

    def replaced(self, group: Group, left_out: int, fresh: Ids, *, order: Sequence[int] | None = None) -> Reading:
        """What y_{n,l}^(-i) reads: the collider's segments with a fresh y_i' for y_i."""
        return Reading(group, self.without(group, left_out, order=order).candidates, fresh=(fresh,))


@dataclass(frozen=True)
class RolloutKeys:
    """The keys that sampling the candidates left behind, so that they need not be encoded again.

    cache: [rows, heads, columns, head size] per layer, prompts left-padded as in `prompt_mask`, [rows, prompt columns].
    rows: for each group, where its candidates stand. The last sampled token of the longest rows was never fed.
    """

    cache: Cache
    prompt_mask: Tensor
    rows: list[list[int]]


@dataclass
class _Encoded:
    """One group's places in the pool. `integrated_from` is P + T; `width` is T', of the longest integrated segment."""

    query: Tensor
    candidates: list[Tensor]
    integrated_from: int
    width: int = 0


class SharedContext:
    """Encodes the segments of groups with one set of weights, and hands out readers of them.

    With gradients on while it encodes, a reader's gradient flows on through what it reads.
    batch_size: rows per forward, all at once by default. encoded: how many tokens were run to fill the pool.
    """

    def __init__(self, model: PreTrainedModel, layout: SharedLayout, *, batch_size: int | None = None) -> None:
        self.model, self.layout, self.batch_size = model, layout, batch_size
        self.pool = KeyPool()
        self.encoded = 0
        self._groups: dict[int, _Encoded] = {}
        self._outputs: dict[int, Tensor] = {}  # places of fresh and integrated outputs
        self._alive: list[object] = []  # what the keys of both are ids of

    @property
    def lead(self) -> Ids:
        """The tokens before every output that is sampled or scored here."""
        return self.layout.layout.closing_ids

    def add_groups(self, groups: Sequence[Group], recorded: RolloutKeys | None = None) -> None:
        """Encode q and the candidates of each group, the fork: every candidate reads q alone, from position P on."""
        views = [[self._readable(y) for y in group.candidates] for group in groups]
        if recorded is None:
            nothing = Reader(torch.zeros(0, dtype=torch.long, device=self.model.device), 0)
            whole = [torch.ones(len(group.prompt_ids), dtype=torch.bool) for group in groups]
            queries = self._encode([nothing] * len(groups), [group.prompt_ids for group in groups], whole)
            found: dict[tuple[int, int], Tensor] = {}
        else:
            queries, found = self._recorded(groups, recorded, views)
        missing = [
            (g, i) for g, group in enumerate(groups) for i in range(len(group.candidates)) if (g, i) not in found
        ]
        encoded = self._encode_fork([(groups[g], queries[g], groups[g].candidates[i], views[g][i]) for g, i in missing])
        found |= dict(zip(missing, encoded, strict=True))
        for g, group in enumerate(groups):
            longest = max(map(len, group.candidates))
            candidates = [found[g, i] for i in range(len(group.candidates))]
            self._groups[id(group)] = _Encoded(queries[g], candidates, len(group.prompt_ids) + longest)
            self._alive.append(group)

    def prompt_readers(self, prompts: Sequence[Ids]) -> tuple[list[Reader], list[Ids]]:
        """Where a further output of the fork stands: after q, whose last token leads it. Prompts are the groups'."""
        known = {tuple(group.prompt_ids): group for group in self._alive if isinstance(group, Group)}
        places = [self._groups[id(known[tuple(prompt)])].query for prompt in prompts]
        readers = [Reader(place[:-1], len(place) - 1) for place in places]
        return readers, [[prompt[-1]] for prompt in prompts]

    def readers(self, readings: Sequence[Reading], stage: str) -> list[Reader]:
        """Where outputs of a stage ("integrated" or "copy") stand after their readings. Encodes what is new in them."""
        # those of the integrated outputs' own readings too
        sources = [*readings, *(y.reading for r in readings for y in r.integrated)]
        fresh = {id(y): (r.group, y) for r in sources for y in r.fresh}
        new = {key: value for key, value in fresh.items() if key not in self._outputs}
        rows = [(group, self._groups[id(group)].query, y, self._readable(y)) for group, y in new.values()]
        self._remember([y for _, y in new.values()], self._encode_fork(rows))
        drawn = {id(y): y for r in readings for y in r.integrated if id(y) not in self._outputs}
        self._encode_integrated(list(drawn.values()))
        return [self._reader(reading, stage) for reading in readings]

    def _encode_fork(self, rows: list[tuple[Group, Tensor, Ids, Tensor]]) -> list[Tensor]:
        readers = [Reader(query, len(group.prompt_ids)) for group, query, _, _ in rows]
        return self._encode(readers, [y[: len(seen)] for _, _, y, seen in rows], [seen for _, _, _, seen in rows])

    def _encode_integrated(self, outputs: list[Drawn]) -> None:
        lead = torch.zeros(len(self.lead), dtype=torch.bool)
        seen = [torch.cat([lead, self._readable(y)]) for y in outputs]
        rows = [[*self.lead, *y][: len(part)] for y, part in zip(outputs, seen, strict=True)]
        readers = [self._reader(y.reading, INTEGRATED) for y in outputs]
        self._remember(outputs, self._encode(readers, rows, seen))
        for y in outputs:
            group = self._groups[id(y.reading.group)]
            group.width = max(group.width, len(self.lead) + len(y))

    def _reader(self, reading: Reading, stage: str) -> Reader:
        group = self._groups[id(reading.group)]
        parts = [group.query, *(group.candidates[k] for k in reading.candidates)]
        parts += [self._outputs[id(y)] for y in (*reading.fresh, *reading.integrated)]
        start = group.integrated_from + (group.width if stage == COPY else 0)
        budget = self.layout.layout.budget
        if budget is not None and start > budget:
            raise ValueError(
                f"an output would stand at position {start}, after a prompt of {len(reading.group.prompt_ids)} tokens "
                f"and its longest candidates; the budget is {budget}: want a shorter max_completion_length or a larger "
                "max_context_length"
            )
        return Reader(torch.cat(parts), start)

    def _readable(self, ids: Ids) -> Tensor:
        layout = self.layout.layout
        return readable(ids, view=layout.view, marker_ids=layout.marker_ids, eos_ids=layout.eos_ids)

    def _remember(self, outputs: Sequence[Ids], places: list[Tensor]) -> None:
        self._outputs |= {id(y): place for y, place in zip(outputs, places, strict=True)}
        self._alive += outputs

    def _encode(self, readers: list[Reader], rows: list[Ids], seen: list[Tensor]) -> list[Tensor]:
        """Places of the readable tokens of each row; a row without any is not run."""
        places = [torch.zeros(0, dtype=torch.long, device=self.model.device)] * len(rows)
        wanted = [r for r in range(len(rows)) if seen[r].any()]
        size = self.batch_size or max(len(wanted), 1)
        for start in range(0, len(wanted), size):
            batch = wanted[start : start + size]
            self.encoded += sum(len(rows[r]) for r in batch)
            encoded = self.pool.encode(
                self.model, [readers[r] for r in batch], [rows[r] for r in batch], [seen[r] for r in batch]
            )
            for r, place in zip(batch, encoded, strict=True):
                places[r] = place
        return places

    def _recorded(
        self, groups: Sequence[Group], recorded: RolloutKeys, views: list[list[Tensor]]
    ) -> tuple[list[Tensor], dict[tuple[int, int], Tensor]]:
        """Places of every q and of the candidates whose readable tokens were all fed while sampling."""
        columns, width = recorded.cache.get_seq_length(), recorded.prompt_mask.size(1)
        kept = torch.zeros(len(recorded.prompt_mask), columns, dtype=torch.bool)
        whole = []
        for g, rows in enumerate(recorded.rows):
            kept[rows[0], :width] = recorded.prompt_mask[rows[0]].bool().cpu()
            for i, row in enumerate(rows):
                if width + len(views[g][i]) <= columns:
                    kept[row, width : width + len(views[g][i])] = views[g][i]
                    whole.append((g, i))
        places = self.pool.add(recorded.cache, kept.to(self.model.device))
        lengths = [len(group.prompt_ids) for group in groups]
        queries = [places[rows[0]][:length] for rows, length in zip(recorded.rows, lengths, strict=True)]
        found = {(g, i): places[recorded.rows[g][i]][lengths[g] if i == 0 else 0 :] for g, i in whole}
        return queries, found
