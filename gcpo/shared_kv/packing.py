"""The paper's graph as one packed row of tokens: which segment reads which, the attention mask, the positions.

Packed order: q | y_0..y_{n-1} | y_{n,0}..y_{n,m-1} | copies (i, l), which score y_i or sample from x_{i,l}. `graph` is
the one definition of who reads whom: the figure of the theory draws it, `gcpo.shared_kv.context` runs it. Does: indices
and tensors. Does not: run a model or know a tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

QUERY, CANDIDATE, INTEGRATED, COPY = "query", "candidate", "integrated", "copy"


@dataclass(frozen=True)
class Node:
    """One segment of the packed row: i of y_i or of a copy, l of y_{n,l} or of a copy, and the segments it reads.

    A copy without a `draw` reads the candidates alone (x_i without y_n).
    """

    kind: str
    candidate: int | None
    draw: int | None
    reads: tuple[int, ...]


def graph(n: int, m: int, copies: Sequence[tuple[int, int | None]] | None = None) -> list[Node]:
    """The segments of one group in packed order, and what the paper's graph lets each of them read.

    y_i reads q alone (the fork). y_{n,l} reads q and every y_k (the collider). Copy (i, l) stands after
    x_{i,l} = {q, y_0, ..., y_{n-1}, y_{n,l}} \\ {y_i}: it reads q, every y_k but y_i, and y_{n,l}; never y_i, another
    copy, or another y_{n,l'}.
    n: candidates; m: integrated outputs; copies: (i, l) pairs, l None for a copy without y_n, every pair by default.
    """
    if copies is None:
        copies = [(i, draw) for i in range(n) for draw in range(m)]
    nodes = [Node(QUERY, None, None, ())]
    nodes += [Node(CANDIDATE, i, None, (0,)) for i in range(n)]
    nodes += [Node(INTEGRATED, None, draw, tuple(range(n + 1))) for draw in range(m)]
    for i, draw in copies:
        others = tuple(k + 1 for k in range(n) if k != i)
        nodes.append(Node(COPY, i, draw, (0, *others, *(() if draw is None else (n + 1 + draw,)))))
    return nodes


def first_positions(nodes: Sequence[Node], lengths: Sequence[int]) -> list[int]:
    """The position of each segment's first token: q from 0, y_i from P, y_{n,l} from P + T, copies from P + T + T'.

    P: tokens of q. T, T': tokens of the longest candidate and of the longest integrated segment. All y_i start at P,
    so that no order is among them. Not stated by any source: a stage starts where the longest segment of the stage
    before it ends, so that no reader stands before what it reads; with equal lengths T' = T.
    """

    def longest(kind: str) -> int:
        return max((length for node, length in zip(nodes, lengths, strict=True) if node.kind == kind), default=0)

    candidates = longest(QUERY)
    integrated = candidates + longest(CANDIDATE)
    start = {QUERY: 0, CANDIDATE: candidates, INTEGRATED: integrated, COPY: integrated + longest(INTEGRATED)}
    return [start[node.kind] for node in nodes]


def packed_positions(nodes: Sequence[Node], lengths: Sequence[int]) -> Tensor:
    """Position ids of the packed row, [sum of lengths]."""
    starts = first_positions(nodes, lengths)
    return torch.cat([torch.arange(s, s + length) for s, length in zip(starts, lengths, strict=True)])


def packed_mask(nodes: Sequence[Node], lengths: Sequence[int], readable: Sequence[Tensor] | None = None) -> Tensor:
    """Which token (row) reads which (column): the graph between segments, causal inside one.

    lengths: tokens per segment. readable: per segment a bool per token, whether other segments may read it (a view of
    the candidate, no EOS); all by default. Returns bool [L, L], L = sum of lengths.
    """
    ends = torch.tensor([0, *lengths]).cumsum(0).tolist()
    mask = torch.zeros(ends[-1], ends[-1], dtype=torch.bool)
    for index, node in enumerate(nodes):
        rows = slice(ends[index], ends[index + 1])
        mask[rows, rows] = torch.ones(lengths[index], lengths[index], dtype=torch.bool).tril()
        for other in node.reads:
            mask[rows, ends[other] : ends[other + 1]] = True if readable is None else readable[other]
    return mask
