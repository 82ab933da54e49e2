"""GCPO's own random choices: seeded by what a group holds, so that ranks, padding and a restart change none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from gcpo.scm import Group


def draw_seed(*parts: object) -> int:
    """A seed of 62 bits from the written form of its parts; unlike `hash`, equal in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 2


def group_generators(seed: int, groups: Sequence[Group], rollout: int) -> list[torch.Generator]:
    """One generator per group, by the run's seed, the rollout's number, and the group's own tokens."""
    seeds = [draw_seed(seed, rollout, group.prompt_ids, group.candidates) for group in groups]
    return [torch.Generator().manual_seed(s) for s in seeds]


def chosen_rows(generators: Sequence[torch.Generator], n: int, count: int) -> list[tuple[int, int]]:
    """`count` random candidates of every group, as (group, candidate), in order."""
    picks = [torch.randperm(n, generator=generator)[:count].sort().values.tolist() for generator in generators]
    return [(g, i) for g, row in enumerate(picks) for i in row]
