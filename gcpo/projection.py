"""The paper's projected prediction Ψ·π*(x) + π*(q) as a distribution to decode from (Theorem 1, Corollary 2, Eq. 13).

Two readings. *Probabilities*: Eq. 13 over the whole vocabulary, with the mean over l, so that it has mass 1; negative
entries are clamped and what is left is renormalised. Training floors the target before a logarithm; decoding takes no
logarithm and therefore no floor. *Logits*: the same sum over last hidden states, as Steps 1 to 4 form it for Eq. 11;
the head is linear, so projecting features and projecting logits are the same, and a softmax makes the distribution.

As printed, x = {q, y_1..y_{n-1}} and Φ = E[· | q, y_1..y_{n-1}] give Ψ·π(x) = 0, because π(·|x) is already a function
of what Φ conditions on. Here x holds an integrated output y_{n,0} as well, and Φ averages over y_{n,0}..y_{n,m-1},
as Steps 2 and 3 do. Does: tensors in, tensors out. Does not: run a model or draw.
"""

from __future__ import annotations

from torch import Tensor

from gcpo.divergence import psi_probability


def projected_probabilities(p_q: Tensor, p_x: Tensor, p_x_l: Tensor) -> Tensor:
    """clamp(π(·|x) − mean_l π(·|x_l) + π(·|q), 0, 1), renormalised  (Eq. 13 over the vocabulary).

    p_q, p_x: [..., vocab]; p_x_l: [..., vocab, m]; distributions over the vocabulary. Returns [..., vocab], sums of 1.
    The raw sum has mass 1, so some of it is positive and the division is safe.
    """
    psi = psi_probability(p_x, p_x_l, eq13="mean", group_size=p_x_l.shape[-1], num_integrated=p_x_l.shape[-1])
    kept = (psi + p_q).clamp(min=0.0, max=1.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def projected_logits(l_q: Tensor, l_x: Tensor, l_x_l: Tensor) -> Tensor:
    """Head of h(x) − mean_l h(x_l) + h(q): the causal target of Step 4 at one position, through a linear head.

    l_q, l_x: [..., vocab]; l_x_l: [..., vocab, m]; logits. Returns [..., vocab] logits.
    """
    return l_x - l_x_l.mean(dim=-1) + l_q
