"""Faults in the mask of the packed row: the comparison with shared keys would see each of them."""

import pytest
import torch
from test_shared_kv import GROUP, MARK, MODEL, packed, shared

from gcpo.shared_kv.packing import COPY, INTEGRATED, packed_mask

FAULTS = {
    "a copy reads its own y_i": lambda mask, nodes, owner: _open(mask, owner, nodes, lambda a, b: a.kind == COPY),
    "a candidate reads another": lambda mask, nodes, owner: _open(
        mask, owner, nodes, lambda a, b: a.kind == b.kind == "candidate"
    ),
    "a copy reads another draw": lambda mask, nodes, owner: _open(
        mask, owner, nodes, lambda a, b: a.kind == COPY and b.kind == INTEGRATED
    ),
    "no candidate is read": lambda mask, nodes, owner: (
        mask & ~torch.tensor([[nodes[b].kind == "candidate" and a != b for b in owner] for a in owner])
    ),
}


def _open(mask, owner, nodes, which):
    extra = torch.tensor([[which(nodes[a], nodes[b]) for b in owner] for a in owner])
    return (mask | extra) & torch.ones_like(mask).tril()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_mask_changes_the_scores(monkeypatch, name):
    copies = [(i, draw) for i in range(3) for draw in range(2)]
    integrated = [[5, MARK, 6], [8, 3]]

    def wrong(nodes, lengths, *rest):
        owner = torch.repeat_interleave(torch.arange(len(nodes)), torch.tensor(lengths)).tolist()
        return FAULTS[name](packed_mask(nodes, lengths, *rest), nodes, owner)

    right = shared(MODEL, GROUP, integrated, copies)
    monkeypatch.setattr("gcpo.shared_kv.keys.packed_mask", wrong)
    broken = packed(MODEL, GROUP, integrated, copies)
    assert max((a - b).abs().max() for (a, _), (b, _) in zip(right, broken, strict=True)) > 1e-4
