"""Writes one output from several contexts at once: every context sees the same tokens, and their next-token logits are
combined into one distribution before each token.

Does: decode greedily or with random numbers of an output's own. Does not: say how contexts are combined.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gcpo.search.keys import FEWEST_ROWS
from gcpo.search.policy import DEAD_SHARE, Policy, draw_tokens, nucleus

Combine = Callable[[Tensor], Tensor]  # [outputs, contexts, vocabulary] logits -> [outputs, vocabulary] probabilities


@torch.inference_mode()
def decode_jointly(
    policy: Policy,
    contexts: Sequence[Sequence[Sequence[int]]],
    combine: Combine,
    *,
    stop: frozenset[int],
    limit: int,
    seeds: Sequence[int] | None,
) -> list[list[int]]:
    """One output per entry of `contexts`: to a stop token, which is kept, or `limit` tokens.

    contexts: of each output, equally many, token ids, none empty. combine: gets logits divided by the policy's
    temperature. seeds: one per output, or None to take the most probable token each time (the first of equals).
    The policy's top_p holds for what was combined. Raises ValueError for contexts that leave no room.
    """
    count = len(contexts[0])
    if any(len(each) != count for each in contexts):
        raise ValueError(f"outputs have {sorted({len(each) for each in contexts})} contexts; want equally many")
    for output, each in enumerate(contexts):
        for number, ids in enumerate(each):
            policy.check_room(f"{output}, context {number}", ids, limit)
    policy.keys.clear()
    at = np.array([*range(len(contexts)), *[0] * (FEWEST_ROWS - len(contexts))])  # output of each place of the batch
    live = np.arange(len(at)) < len(contexts)
    rows = [list(ids) for output in at for ids in contexts[output]]
    batch = policy.keys.batch(policy.open(rows), limit)
    device = policy.keys.keys.device
    draws = None if seeds is None else np.stack([np.random.default_rng(seed).random(limit) for seed in seeds])
    outputs: list[list[int]] = [[] for _ in contexts]
    fed = torch.tensor([ids[-1] for ids in rows], device=device)
    for step in range(limit):
        ones = torch.ones(len(fed), 1, dtype=torch.long, device=device)
        logits = batch.feed(fed[:, None], ones).logits[:, -1].float()
        probs = combine(logits.view(len(at), count, -1) / policy.temperature)
        if policy.top_p < 1.0:
            probs = nucleus(probs, policy.top_p)
        tokens = probs.argmax(dim=-1) if draws is None else draw_tokens(probs, draws[at, step])
        drawn = tokens.cpu().numpy()
        for place in np.flatnonzero(live):
            outputs[at[place]].append(int(drawn[place]))
        live &= ~np.isin(drawn, sorted(stop))
        if not live.any():
            break
        if live.sum() <= (1 - DEAD_SHARE) * len(at) and len(at) > FEWEST_ROWS:
            stay = np.flatnonzero(live)
            stay = np.union1d(stay, np.flatnonzero(~live)[: max(0, FEWEST_ROWS - len(stay))])
            chosen = (torch.from_numpy(stay)[:, None] * count + torch.arange(count)).flatten().to(device)
            batch.keep(chosen)
            at, live, tokens = at[stay], live[stay], tokens[torch.from_numpy(stay).to(device)]
        fed = tokens.repeat_interleave(count)
    policy.tokens += sum(map(len, outputs))
    return outputs
