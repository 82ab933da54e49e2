"""Where the features of Eq. 11 and the probabilities of Eq. 13 come from: literal | mc | teacher_forced | centroid.

Does: decide what is sampled and scored for Steps 1-3, through a `Policy` that owns the model, and lay the answers out
as tensors. Does not: weigh them (`upsilon`), build the target (`divergence`), or know a trainer.
`literal` is `mc` with m = R = n. `centroid` samples nothing: it is the expectation of the printed form, in which
E[Ψ_i | q, y] = 0 because all y_{n,l} are drawn alike. `phi_sampling` "drop" and "resample" are leave-one-out forms of
Φ, in which it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gcpo.scm import ContextLayout, Group, Ids
from gcpo.upsilon import projection_means

ESTIMATORS = ("centroid", "mc", "literal", "teacher_forced")
PHI_SAMPLINGS = ("printed", "drop", "resample")
PHI_CONTEXTS = ("replace", "append")

Rows = list[tuple[int, int]]  # (group, candidate) pairs


class Policy(Protocol):
    """The old policy π_old, as far as the estimators need it. Nothing here carries a gradient."""

    def sample(self, contexts: list[Ids]) -> list[Ids]:
        """One sampled output per context, EOS included where it was reached."""

    def features(self, prompts: list[Ids], outputs: list[Ids]) -> Tensor:
        """Step 1's feature of each output, [N, dim]; `prompts` are used where the feature reads q and o."""

    def sample_features(self, prompts: list[Ids], contexts: list[Ids]) -> Tensor:
        """The feature of one sampled output per context, [N, dim]; `prompts` as in `features`."""

    def score(self, contexts: list[Ids], outputs: list[Ids], *, features: bool) -> tuple[Tensor, Tensor | None]:
        """Token probabilities of each output after its context, [N, T] with 0 at padding; features there if asked."""


@dataclass(frozen=True)
class Sampling:
    """How Steps 2 and 3 are sampled. m counts y_n among the integrated outputs; R outputs are drawn per context."""

    estimator: str = "centroid"
    num_integrated: int = 2
    num_context_outputs: int = 1
    phi_sampling: str = "printed"
    phi_context: str = "replace"
    phi_includes_l0: bool = True
    step2_slice: bool = True
    x_has_yn: bool = True

    @property
    def shares_step2(self) -> bool:
        """Whether x_i and x_{i,0} are one context, of which Step 2 takes the l = 0 slice instead of its own draw."""
        same = self.x_has_yn and self.phi_context == "replace" and self.phi_sampling == "printed"
        return self.step2_slice and same

    @property
    def averages_l0(self) -> bool:
        """Whether l = 0 enters Φ; leave-one-out draws hold no y_n, so there is none among them to leave out."""
        return self.phi_includes_l0 or self.phi_sampling != "printed"

    @property
    def phi_from(self) -> int:
        """Where the terms of Φ begin in a list that starts with x_i."""
        return (0 if self.shares_step2 else 1) + (0 if self.averages_l0 else 1)


@dataclass(frozen=True)
class Integrated:
    """The integrated outputs: y_n per group, and for each group and candidate those that Φ averages over."""

    y_n: list[Ids]
    phi: list[list[list[Ids]]]


@dataclass(frozen=True)
class Evidence:
    """What Eq. 11 reads, each [groups, n, dim], and what was sampled or scored on the way.

    token_probs: [groups, n, contexts, T], of each candidate after its contexts, where the features came from scoring.
    """

    z: Tensor
    x_mean: Tensor
    phi_mean: Tensor
    integrated: Integrated | None = None
    token_probs: Tensor | None = None


@dataclass(frozen=True)
class ScoringRows:
    """What Eq. 12 reads for some (group, candidate) rows.

    contexts: x_i of each row. token_probs: [rows, T, terms], of y_i under the old policy after x_i and every x_{i,l}
    (x_{i,0} is x_i where the two are shared), without x_i where the caller has it; None for eq13 "p_q". terms: for each
    row the contexts of these terms, x_i among them.
    """

    contexts: list[Ids]
    token_probs: Tensor | None = None
    terms: list[list[Ids]] | None = None


class Estimator:
    """Steps 1-3 for a batch of groups of equal size.

    orders: for each group the order in which its candidates stand in a context, None for the sampled order.
    """

    def __init__(self, sampling: Sampling, layout: ContextLayout, policy: Policy) -> None:
        self.sampling, self.layout, self.policy = sampling, layout, policy

    def evidence(
        self, groups: Sequence[Group], *, integrate: bool = False, z: Tensor | None = None, orders: list | None = None
    ) -> Evidence:
        """Features for Eq. 11 (Steps 1-3).

        integrate: sample integrated outputs even where the estimator does without (the target of Eq. 13 may need
        them). z: [groups, n, dim], Step 1's features where they are known already.
        """
        orders = orders or [None] * len(groups)
        sampled = self.sampling.estimator != "centroid"
        integrated = self._integrate(groups, orders) if sampled or integrate else None
        if z is None:
            z = self._candidate_features(groups)
        if integrated is None or not sampled:
            return Evidence(z, torch.zeros_like(z), torch.zeros_like(z), integrated)
        contexts = [
            [self._contexts(group, i, integrated, g, order) for i in range(len(group.candidates))]
            for g, (group, order) in enumerate(zip(groups, orders, strict=True))
        ]
        features, token_probs = self._context_features(groups, contexts)
        first = 0 if self.sampling.shares_step2 else 1
        x_mean, phi_mean = projection_means(
            features[:, :, first:],
            step2_features=features[:, :, 0] if first else None,
            phi_includes_l0=self.sampling.averages_l0,
        )
        return Evidence(z, x_mean, phi_mean, integrated, token_probs)

    def scoring_rows(
        self,
        groups: Sequence[Group],
        rows: Rows,
        evidence: Evidence | None,
        *,
        skip_x: bool = False,
        orders: list | None = None,
    ) -> ScoringRows:
        """Contexts and token probabilities for the rows of Eq. 12.

        evidence: with the integrated outputs that Eq. 13 sums over; None for eq13 "p_q", where the context is
        {q, y_k : k != i} and nothing is scored. skip_x: leave x_i unscored, whose probabilities the loss computes.
        """
        orders = orders or [None] * len(groups)
        if evidence is None:
            return ScoringRows([self.layout.without(groups[g], i, order=orders[g]) for g, i in rows])
        if evidence.integrated is None:
            raise ValueError("the evidence holds no integrated outputs, which x_i reads; want evidence(integrate=True)")
        contexts = [self._contexts(groups[g], i, evidence.integrated, g, orders[g]) for g, i in rows]
        first = 1 if skip_x else 0
        if evidence.token_probs is None:
            scored = [
                (c, groups[g].candidates[i]) for (g, i), row in zip(rows, contexts, strict=True) for c in row[first:]
            ]
            probs, _ = self.policy.score([c for c, _ in scored], [y for _, y in scored], features=False)
            probs = probs.view(len(rows), len(contexts[0]) - first, -1)
        else:
            probs = torch.stack([evidence.token_probs[g, i, first:] for g, i in rows])
        return ScoringRows([row[0] for row in contexts], probs.transpose(1, 2), contexts)

    def _candidate_features(self, groups: Sequence[Group]) -> Tensor:
        outputs = [y for group in groups for y in group.candidates]
        prompts = [group.prompt_ids for group in groups for _ in group.candidates]
        return self.policy.features(prompts, outputs).view(len(groups), len(groups[0].candidates), -1)

    def _integrate(self, groups: Sequence[Group], orders: list) -> Integrated:
        m, n = self.sampling.num_integrated, len(groups[0].candidates)
        whole = [self.layout.collider(group, order=order) for group, order in zip(groups, orders, strict=True)]
        if self.sampling.phi_sampling == "printed":
            flat = self.policy.sample([context for context in whole for _ in range(m)])
            drawn = [flat[g * m : (g + 1) * m] for g in range(len(groups))]
            return Integrated([y[0] for y in drawn], [[y] * n for y in drawn])
        y_n = self.policy.sample(whole)
        if self.sampling.phi_sampling == "drop":
            contexts = [
                self.layout.without(group, i, order=order)
                for group, order in zip(groups, orders, strict=True)
                for i in range(n)
                for _ in range(m)
            ]
        else:
            fresh = iter(self.policy.sample([group.prompt_ids for group in groups for _ in range(n * m)]))
            contexts = [
                self.layout.replaced(group, i, next(fresh), order=order)
                for group, order in zip(groups, orders, strict=True)
                for i in range(n)
                for _ in range(m)
            ]
        flat = self.policy.sample(contexts)
        phi = [[flat[(g * n + i) * m :][:m] for i in range(n)] for g in range(len(groups))]
        return Integrated(y_n, phi)

    def _contexts(self, group: Group, i: int, integrated: Integrated, g: int, order: Sequence[int] | None) -> list[Ids]:
        """x_i, then x_{i,l} for every l; without x_i where it is x_{i,0}."""
        y_n = [integrated.y_n[g]] if self.sampling.x_has_yn else []
        kept = y_n if self.sampling.phi_context == "append" else []
        step2 = [] if self.sampling.shares_step2 else [self.layout.without(group, i, y_n, order=order)]
        return step2 + [self.layout.without(group, i, [*kept, y], order=order) for y in integrated.phi[g][i]]

    def _context_features(
        self, groups: Sequence[Group], contexts: list[list[list[Ids]]]
    ) -> tuple[Tensor, Tensor | None]:
        """[groups, n, contexts, R, dim], of R sampled outputs per context, or of y_i itself if it is teacher-forced."""
        n, per_candidate = len(contexts[0]), len(contexts[0][0])
        shape = (len(groups), n, per_candidate)
        index = [(g, i) for g in range(len(groups)) for i in range(n) for _ in range(per_candidate)]
        flat = [context for group in contexts for row in group for context in row]
        if self.sampling.estimator == "teacher_forced":
            probs, features = self.policy.score(flat, [groups[g].candidates[i] for g, i in index], features=True)
            if features is None:
                raise TypeError(f"{type(self.policy).__name__}.score(features=True) gave no features")
            return features.view(*shape, 1, -1), probs.view(*shape, -1)
        count = self.sampling.num_context_outputs
        prompts = [groups[g].prompt_ids for g, _ in index for _ in range(count)]
        repeated = [context for context in flat for _ in range(count)]
        return self.policy.sample_features(prompts, repeated).view(*shape, count, -1), None
