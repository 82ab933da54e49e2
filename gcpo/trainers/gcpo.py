"""GCPO (arXiv 2508.05428) on TRL: GRPO with B_i = A_i · Υ_i for A_i (Eq. 11) and one more KL term (Eqs. 12-13).

Three edits to `PaperGRPOTrainer`, each headed "GCPO modification": the advantages and the contexts at rollout, where
groups are whole and the policy is π_old, and the KL term in the loss. Groups of equal rewards are left out of all three
and cost nothing. Text models only; ZeRO-3 was run on two CPU processes, with context_encoding="text" alone.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import DynamicCache

from gcpo import trl_adapter
from gcpo.divergence import causal_kl_loss, causal_ref_logps, divergence_statistics, psi_probability, target_mass
from gcpo.draws import chosen_rows, draw_seed, group_generators
from gcpo.estimators import Estimator, Evidence, ScoringRows
from gcpo.generation_states import GenerationStates
from gcpo.scm import Group, TextMarker
from gcpo.shared_kv.context import SharedContext
from gcpo.trainers.contexts import EmptyViews, context_layout
from gcpo.trainers.gcpo_config import GCPOConfig, form_name
from gcpo.trainers.gcpo_policy import TrainerPolicy, generation_states, padded
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.pooled_policy import SharedPolicy, check_trainer, policy_for, recorded_cache, shared_logps
from gcpo.upsilon import (
    constant_control,
    matching_factor,
    retest_statistics,
    shuffled_control,
    signed_weight,
    upsilon,
    upsilon_statistics,
)

__all__ = ["GCPOConfig", "GCPOTrainer", "form_name"]

# Per-row entries added to a rollout; TRL shuffles and splits them with the rows
CONTEXT_IDS, CONTEXT_MASK = "causal_context_ids", "causal_context_mask"
ROW_WEIGHTS, CONTEXT_PROBS, TARGET_MASS = "causal_row_weights", "causal_context_probs", "causal_target_mass"

_ROLLOUT_METRICS = (
    *(f"upsilon/{name}" for name in ("mean", "within_group_std", "share_negative")),
    *(f"upsilon/{name}" for name in ("cosine_without_psi", "psi_norm_ratio")),
    *(f"upsilon/psi_retest_{name}" for name in ("cosine", "correlation")),
    *(f"gcpo/tokens_{name}" for name in ("sampled", "featured", "scored")),
    *(f"gcpo/seconds_{name}" for name in ("sampled", "featured", "scored", "extras", "retest")),
    *("gcpo/groups_used", "gcpo/feature_miss_rate", "context/tokens", "context/empty_views"),
)
# flips a bit of a rollout's seed, for a second draw of Ψ; on a CPU torch reads only the low 32 bits of a seed
_RETEST = 1 << 31
_COUNTS = ("gcpo/tokens_", "gcpo/seconds_")  # 0 where nothing was done; the others are then NaN, "no value"
_LOSS_METRICS = ("target_share_nonpositive", "target_share_above_one", "share_capped", "k3", "context_logp")


class GCPOTrainer(PaperGRPOTrainer):
    """GCPO (Eq. 10), used as TRL's `GRPOTrainer` with a `GCPOConfig` for `args`.

    The delta to GRPO: each advantage is multiplied by Υ_i, the similarity of a candidate to its group's causal target,
    and the loss gains κ times the divergence of π_θ(y_i | x_i) from the causal reference.
    """

    config_class: ClassVar[type[PaperGRPOConfig]] = GCPOConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.layout = None if self.args.is_plain_grpo else context_layout(self)
        self._empty_views = EmptyViews()
        self._shared: tuple[SharedContext, list] | None = None  # readings: what the last rollout's rows of Eq. 12 read
        if self.layout is not None:
            check_trainer(self, self.layout)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        args = self.args
        due = self.model.training and not args.is_plain_grpo and trl_adapter.rollout_number(self) % args.gcpo_every == 0
        if not due:
            return super()._generate_and_score_completions(inputs)
        free = args.needs_features and args.feature_input == "context"
        keys: AbstractContextManager = recorded_cache(self) if args.context_encoding == "shared_kv" else nullcontext([])
        kept = generation_states(self, self.layout) if free else None
        recording: AbstractContextManager = (
            trl_adapter.recorded_generation_states(self, kept) if free else nullcontext()
        )
        with recording as states, keys as caches:
            rollout = super()._generate_and_score_completions(inputs)
        started = time.perf_counter()
        metrics = {name: 0.0 if name.startswith(_COUNTS) else math.nan for name in _ROLLOUT_METRICS}
        rollout = self._with_causal_terms(rollout, inputs, states, metrics, caches)
        metrics["gcpo/seconds_extras"] = time.perf_counter() - started - metrics["gcpo/seconds_retest"]
        for name, value in metrics.items():
            trl_adapter.log_metric(self, name, value)
        return rollout

    def _with_causal_terms(
        self,
        rollout: dict[str, Any],
        inputs: list[dict[str, Any]],
        states: GenerationStates | None,
        metrics: dict[str, float],
        caches: list[DynamicCache],
    ) -> dict[str, Any]:
        """The rollout with Υ on its advantages and, where κ > 0, each row's context, weight and Ψ term."""
        args, n = self.args, self.args.num_generations
        advantages = rollout["advantages"].view(-1, n)
        used, real = self._used_groups(advantages)
        metrics["gcpo/groups_used"] = len(real) / len(advantages)
        if isinstance(self.layout.marker_ids, TextMarker):
            self.layout.marker_ids.forget()
        whole = _groups(rollout, inputs, n)
        if args.kappa > 0 or args.needs_integration:
            metrics["context/empty_views"] = self._empty_views.check(self, self.layout, whole)
        if args.kappa > 0:
            rollout |= self._no_rows(rollout)
        if not used:
            return rollout
        groups = [whole[g] for g in used]
        number = trl_adapter.rollout_number(self)
        generators = group_generators(args.seed, groups, number)
        seed = draw_seed(args.seed, number, [generator.initial_seed() for generator in generators])

        def make_policy(seed: int) -> TrainerPolicy:
            return policy_for(self, self.layout, seed=seed, groups=groups, used=used, rollout=rollout, caches=caches)

        policy = make_policy(seed)
        estimator = Estimator(args.sampling, policy.layout, policy)
        shuffled = args.candidate_order == "shuffled"
        orders = [torch.randperm(n, generator=g).tolist() if shuffled else None for g in generators]
        needs_psi = args.kappa > 0 and args.eq13 != "p_q"
        evidence, contexts = None, []
        if args.needs_features:
            z = self._candidate_features(policy, groups, used, states)
            evidence = estimator.evidence(groups, integrate=needs_psi, z=z, orders=orders)
        elif needs_psi:  # B_i = A_i: only Eq. 13 reads what is sampled
            evidence = estimator.evidence(
                groups, integrate=True, z=advantages.new_zeros(len(used), n, 1), orders=orders
            )
        if args.needs_features:
            # GCPO modification 1 (Eq. 11): B_i = A_i · Υ_i
            weight = self._upsilon(evidence, generators, real)
            if real:
                metrics |= self._upsilon_metrics(evidence, weight, real)
            advantages = advantages.clone()
            advantages[used] *= signed_weight(weight, advantages[used], sign_rule=args.sign_rule)
            rollout["advantages"] = advantages.view(-1)
        if args.kappa > 0:
            # GCPO modification 2 (Eq. 13): the context x_i of the rows of Eq. 12, and Ψ π(y_i | x_i) under π_old
            chosen = chosen_rows(generators, n, self._rows_per_group)
            # while π_θ is π_old, the loss pass itself gives π_old(y_i | x_i)
            skip_x = "old_per_token_logps" not in rollout
            read = evidence if needs_psi else None
            scored = estimator.scoring_rows(groups, chosen, read, skip_x=skip_x, orders=orders)
            if isinstance(policy, SharedPolicy):
                self._shared = policy.context, scored.contexts
            # a group that only keeps this rank in step with the others is no term of Eq. 12
            kept = [k for k, (g, _) in enumerate(chosen) if g in real]
            self._store_rows(rollout, kept, [used[chosen[k][0]] * n + chosen[k][1] for k in kept], scored)
            if args.eq13_full_vocab:
                terms = scored.terms or [None] * len(chosen)
                self._store_masses(rollout, policy, groups, used, [(chosen[k], terms[k]) for k in kept])
            contexts = scored.contexts
        elif args.needs_integration:
            contexts = [policy.layout.collider(group, order=order) for group, order in zip(groups, orders, strict=True)]
        if contexts:
            metrics["context/tokens"] = sum(map(len, contexts)) / len(contexts)
        for name in policy.tokens:
            metrics[f"gcpo/tokens_{name}"] = float(policy.tokens[name])
            metrics[f"gcpo/seconds_{name}"] = policy.seconds[name]
        if policy.feature_count:
            metrics["gcpo/feature_miss_rate"] = policy.feature_misses / policy.feature_count
        if args.retest_every and number % args.retest_every == 0:
            again = make_policy(seed ^ _RETEST)
            metrics |= self._retest(Estimator(args.sampling, again.layout, again), groups, evidence, orders)
        return rollout

    def _retest(
        self, estimator: Estimator, groups: list[Group], evidence: Evidence, orders: list[list[int] | None]
    ) -> dict[str, float]:
        """The projection drawn once more for the same candidates, beside the draw in use; nothing else reads it."""
        started = time.perf_counter()
        again = estimator.evidence(groups, z=evidence.z, orders=orders)
        draws = [(drawn.x_mean, drawn.phi_mean) for drawn in (evidence, again)]
        args = self.args
        found = retest_statistics(evidence.z, *draws, similarity=args.similarity, scale=args.similarity_scale)
        return {
            **{f"upsilon/{name}": value for name, value in found.items()},
            "gcpo/seconds_retest": time.perf_counter() - started,
        }

    def _used_groups(self, advantages: Tensor) -> tuple[list[int], list[int]]:
        """(groups to run, places among them of those whose rewards differ).

        All ranks run equally many, so that collective calls inside sampling match; a rank with fewer groups of its own
        fills up with others, of which nothing may enter the loss.
        """
        differ = advantages.amax(dim=1) > advantages.amin(dim=1)
        if not self.args.skip_zero_std:
            differ = torch.ones_like(differ)
        count = trl_adapter.largest_over_ranks(self, int(differ.sum()))
        used = sorted(torch.argsort(differ.int(), descending=True, stable=True)[:count].tolist())
        return used, [place for place, g in enumerate(used) if differ[g]]

    def _candidate_features(
        self, policy: TrainerPolicy, groups: list[Group], used: list[int], states: GenerationStates | None
    ) -> Tensor:
        """Step 1's features z_i, [groups, n, dim]."""
        n = self.args.num_generations
        outputs = [y for group in groups for y in group.candidates]
        prompts = [group.prompt_ids for group in groups for _ in range(n)]
        if self.args.feature_input == "context":
            rows = [g * n + i for g in used for i in range(n)]
            return policy.recorded_features(states, rows, prompts, outputs).view(len(used), n, -1)
        return policy.features(prompts, outputs).view(len(used), n, -1)

    def _upsilon(self, evidence: Evidence, generators: list[torch.Generator], real: list[int]) -> Tensor:
        args, parts = self.args, (evidence.z, evidence.x_mean, evidence.phi_mean)
        weight = upsilon(*parts, alpha=args.alpha, similarity=args.similarity, scale=args.similarity_scale)
        if args.match_cosine_mean:
            # one factor for all ranks: the mean over the rollout's groups, wherever they are
            both = torch.stack([weight, upsilon(*parts, alpha=args.alpha)], dim=-1)[real]
            weight = weight * matching_factor(*trl_adapter.gathered_rows(self, both).unbind(dim=-1))
        if args.upsilon_min is not None:
            weight = weight.clamp(min=args.upsilon_min)
        if args.upsilon_control == "constant":
            return constant_control(weight)
        if args.upsilon_control == "shuffled":
            rows = zip(weight.split(1), generators, strict=True)
            return torch.cat([shuffled_control(row, generator=generator) for row, generator in rows])
        return weight

    def _upsilon_metrics(self, evidence: Evidence, weight: Tensor, real: list[int]) -> dict[str, float]:
        parts = (evidence.z, evidence.x_mean, evidence.phi_mean, weight)
        return {f"upsilon/{k}": v for k, v in upsilon_statistics(*(part[real] for part in parts)).items()}

    @property
    def _rows_per_group(self) -> int:
        return math.ceil(self.args.kappa_row_fraction * self.args.num_generations)

    def _psi(self, inputs: dict[str, Any], rows: Tensor, context_logps: Tensor) -> Tensor | None:
        """Ψ π_old(y_i | x_i), the first two terms of Eq. 13, [rows, T]; None for its expectation."""
        if self.args.eq13 == "p_q":
            return None
        probs = inputs[CONTEXT_PROBS][rows, : context_logps.size(1)]
        if "old_per_token_logps" not in inputs:
            probs = torch.cat([context_logps.exp().unsqueeze(-1), probs], dim=-1)
        return self._psi_of(probs)

    def _psi_of(self, probs: Tensor) -> Tensor:
        """Ψ of probabilities [..., terms], of which the first stands after x_i."""
        return psi_probability(
            probs[..., 0],
            probs[..., self.args.sampling.phi_from :],
            eq13=self.args.eq13,
            group_size=self.args.num_generations,
            num_integrated=self.args.num_integrated,
        )

    def _no_rows(self, rollout: dict[str, Any]) -> dict[str, Tensor]:
        """The per-row entries of a rollout of which no row is scored."""
        ids = rollout["completion_ids"]
        empty = {name: ids.new_zeros(len(ids), 1) for name in (CONTEXT_IDS, CONTEXT_MASK)}
        empty[ROW_WEIGHTS] = torch.zeros(len(ids), device=ids.device)
        if self.args.eq13_full_vocab:
            empty[TARGET_MASS] = torch.ones(ids.shape, device=ids.device)
        if self.args.eq13 != "p_q":
            terms = self.args.num_integrated + (0 if self.args.sampling.shares_step2 else 1)
            terms -= "old_per_token_logps" not in rollout
            empty[CONTEXT_PROBS] = torch.zeros(*ids.shape, terms, device=ids.device)
        return empty

    def _store_rows(self, rollout: dict[str, Any], kept: list[int], rows: list[int], scored: ScoringRows) -> None:
        """Write contexts, weights and Ψ of scored rows, those numbered `kept`, into the rollout's rows `rows`."""
        if not kept:
            return
        n, device = self.args.num_generations, rollout["completion_ids"].device
        # of a context by reference its number is kept
        by_number = self.args.context_encoding == "shared_kv"
        contexts = [[k] if by_number else scored.contexts[k] for k in kept]
        ids, mask = padded(contexts, side="left", device=device)
        total = len(rollout["completion_ids"])
        for name, part in ((CONTEXT_IDS, ids), (CONTEXT_MASK, mask)):
            rollout[name] = part.new_zeros(total, part.size(1))
            rollout[name][rows] = part
        rollout[ROW_WEIGHTS][rows] = n / self._rows_per_group
        if scored.token_probs is not None:
            rollout[CONTEXT_PROBS][rows, : scored.token_probs.size(1)] = scored.token_probs[kept]

    def _store_masses(
        self, rollout: dict[str, Any], policy: TrainerPolicy, groups: list[Group], used: list[int], rows: list
    ) -> None:
        """Mass of each chosen row's clamped target over the vocabulary. rows: ((group, candidate), contexts of Ψ)."""
        for (g, i), terms in rows:
            y, q = groups[g].candidates[i], groups[g].prompt_ids
            psi = None
            if terms is not None:
                psi = self._psi_of(policy.distributions(terms, y).permute(1, 2, 0))
            mass = target_mass(policy.distributions([q], y)[0], psi, floor=self.args.causal_ref_floor)
            rollout[TARGET_MASS][used[g] * self.args.num_generations + i, : len(y)] = mass

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if ROW_WEIGHTS not in inputs:
            return super()._compute_loss(model, inputs)
        with trl_adapter.recorded_per_token_logps(self) as recorded:
            loss = super()._compute_loss(model, inputs)
        # π_θ is still π_old where TRL keeps no old log-probs: one update per rollout
        old_logps = inputs.get("old_per_token_logps", recorded[0])
        return loss + self._causal_kl(model, inputs, old_logps)

    def _causal_kl(self, model: Any, inputs: dict[str, Any], old_logps: Tensor) -> Tensor:
        """GCPO modification 3 (Eqs. 10 and 12): κ · D', over the scored rows of this micro-batch."""
        args, started = self.args, time.perf_counter()
        metrics = dict.fromkeys((*_LOSS_METRICS, "seconds"), math.nan)
        weights = inputs[ROW_WEIGHTS]
        rows = weights.nonzero().flatten()
        loss = old_logps.new_zeros(())
        if trl_adapter.largest_over_ranks(self, len(rows)) and (len(rows) or args.context_encoding != "shared_kv"):
            own = len(rows) > 0
            if not own:  # another rank scores rows: take part in its collective calls with weight 0
                rows = torch.zeros(1, dtype=torch.long, device=weights.device)
            context_ids, context_mask = _cropped(inputs[CONTEXT_IDS][rows], inputs[CONTEXT_MASK][rows], side="left")
            ids, mask = _cropped(inputs["completion_ids"][rows], inputs["completion_mask"][rows], side="right")
            width = ids.size(1)
            logps = self._context_logps(model, context_ids, context_mask, ids, mask).float()
            psi = self._psi(inputs, rows, logps.detach())
            target, raw = causal_ref_logps(old_logps[rows, :width].exp().float(), psi, floor=args.causal_ref_floor)
            if args.eq13_full_vocab:
                target = target - inputs[TARGET_MASS][rows, :width].log()
            loss = causal_kl_loss(
                target, logps, mask, weights[rows], num_rows=len(weights), log_ratio_cap=args.log_ratio_cap
            ) * (args.kappa * (args.num_generations if args.kappa_norm == "sum" else 1))
            if own:
                metrics |= divergence_statistics(raw, target, logps, mask, log_ratio_cap=args.log_ratio_cap)
            metrics["seconds"] = time.perf_counter() - started
        for name, value in metrics.items():
            trl_adapter.log_metric(self, f"causal_kl/{name}", value)
        return loss / self.current_gradient_accumulation_steps

    def _context_logps(
        self, model: Any, context_ids: Tensor, context_mask: Tensor, ids: Tensor, mask: Tensor
    ) -> Tensor:
        """log π_θ(y_it | x_i, y_i<t) of Eq. 12, [rows, T]."""
        if self.args.context_encoding != "shared_kv":
            return trl_adapter.per_token_logps(self, model, context_ids, context_mask, ids, mask)
        context, readings = self._shared
        return shared_logps(self, model, context, [readings[k] for k in context_ids[:, -1].tolist()], ids, mask)


def _groups(rollout: dict[str, Any], inputs: list[dict[str, Any]], n: int) -> list[Group]:
    """The groups as token lists; a group's rows are consecutive until TRL shuffles them."""
    prompts, completions = (
        [ids[mask.bool()].tolist() for ids, mask in zip(ids.cpu(), masks.cpu(), strict=True)]
        for ids, masks in ((rollout[f"{part}_ids"], rollout[f"{part}_mask"]) for part in ("prompt", "completion"))
    )
    first = range(0, len(prompts), n)
    return [Group(prompts[row], completions[row : row + n], inputs[row]["prompt"]) for row in first]


def _cropped(ids: Tensor, mask: Tensor, *, side: str) -> tuple[Tensor, Tensor]:
    """(ids, mask) without the columns that pad every row; at least one column is left."""
    real = mask.any(dim=0).nonzero().flatten()
    if side == "left":
        start = int(real[0]) if len(real) else mask.size(1) - 1
        return ids[:, start:], mask[:, start:]
    end = int(real[-1]) + 1 if len(real) else 1
    return ids[:, :end], mask[:, :end]
