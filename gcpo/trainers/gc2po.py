"""GC2PO (arXiv 2602.06475) on TRL, a reconstruction: GRPO whose advantage is one per token, from episode rewards.

Two edits to `PaperGRPOTrainer`, each headed "GC2PO modification", both at rollout, where groups are whole and the
policy is π_old; the loss is GRPO's. What neither paper states is marked ASSUMED in `gc2po_config`, with a switch.
Under the sampler of transformers the rollout's own keys and states are reused, and no completion is read again; under
vLLM one forward reads them, and one more scores them where TRL keeps no old log-probs.
Text models with full attention only. Not run under ZeRO-3 or FSDP.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel

from gcpo import trl_adapter
from gcpo.draws import draw_seed
from gcpo.gc2po import reward
from gcpo.gc2po.credit import l2t_credit
from gcpo.gc2po.episodes import OUTSIDE, Episodes, choose_scored, final_answer, find_episodes
from gcpo.gc2po.perturbation import CachedRows, Suffix, decoder_layer, directions, read_answers
from gcpo.scm import Ids, strip_eos
from gcpo.shared_kv.keys import token_logps
from gcpo.trainers.contexts import token_ids
from gcpo.trainers.gc2po_config import GC2POConfig, gc2po_form_name
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.pooled_policy import causal_lm, recorded_cache

__all__ = ["Credit", "GC2POConfig", "GC2POTrainer", "gc2po_form_name"]

_METRICS = (
    *("episodes", "parsed_share", "answered_share", "distinct_answers"),
    *("robustness", "robustness_spread", "effectiveness", "effectiveness_spread"),
    *("share_unscaled", "share_ratio_clipped", "length_correlation"),
    *("tokens_scored", "seconds_scored", "seconds_extras"),
)


class _EveryState(list):
    """[rows, dim] per decoding step: the state of the last prompt token, then that of each completion token."""

    def begin(self) -> None:
        """The sampler is called once per rollout."""

    def add(self, ids: Tensor, states: Tensor) -> None:
        """A forward of the sampler; a view would keep the prompt's states alive."""
        self.append(states[:, -1].detach().clone())


@dataclass(frozen=True)
class Credit:
    """What a rollout was given, row by row in the order of its generation; a group's rows are consecutive.

    completions: token ids; episodes: K_i of them per row; outcomes: [B], r_out; episodic: [B, K], r_cc; rewards:
    [B, K], R_ik; both 0 beyond a row's K_i; advantages: [B, T], A_t.
    """

    completions: list[Ids]
    episodes: list[Episodes]
    outcomes: Tensor
    episodic: Tensor
    rewards: Tensor
    advantages: Tensor


class GC2POTrainer(PaperGRPOTrainer):
    """The delta to GRPO: the advantage A_i of a completion becomes A_t of a token, from rewards R_ik of its episodes.

    R_ik = r_out / K_i + r_cc, where r_cc weighs how stable the answer is when the episode's latent is perturbed and how
    much of the state's norm remains; the shares of an episode's tokens follow their surprise. Used as TRL's
    `GRPOTrainer`, with a `GC2POConfig` for `args`; the reward functions give r_out. `credit`: of the last rollout.
    """

    config_class: ClassVar[type[PaperGRPOConfig]] = GC2POConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outcomes: Tensor | None = None  # r_out of the rollout in work
        self.credit: Credit | None = None
        model = self._causal_lm()
        if self.args.reads_answers:
            decoder_layer(model, self.args.latent_layer)
            self._prefix = token_ids(self.processing_class, self.args.answer_prefix, "answer_prefix")

    def _causal_lm(self) -> PreTrainedModel:
        return causal_lm(self, self.model)

    def _calculate_rewards(self, inputs: Any, prompts: list, *args: Any) -> Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, *args)  # of all ranks
        own = slice(self.accelerator.process_index * len(prompts), (self.accelerator.process_index + 1) * len(prompts))
        self._outcomes = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)[own]
        missing = rewards.isnan().all(dim=1).nonzero()
        if self.model.training and len(missing):  # on every rank, so that none waits for another
            raise ValueError(
                f"completion {int(missing[0])} of {len(rewards)} has no reward from any reward function; GC2PO "
                "wants an outcome for each"
            )
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        keys: AbstractContextManager = recorded_cache(self) if self.args.reads_answers else nullcontext([])
        with trl_adapter.recorded_generation_states(self, _EveryState()) as states, keys as caches:
            rollout = super()._generate_and_score_completions(inputs)
        started = time.perf_counter()
        metrics = dict.fromkeys(_METRICS, math.nan)
        rollout["advantages"] = self._token_advantages(rollout, states, caches, metrics)
        metrics["seconds_extras"] = time.perf_counter() - started
        for name, value in metrics.items():
            trl_adapter.log_metric(self, f"gc2po/{name}", value)
        return rollout

    def _token_advantages(
        self, rollout: dict[str, Any], states: list[Tensor], caches: list[DynamicCache], metrics: dict[str, float]
    ) -> Tensor:
        """A_t of the rollout's rows, [B, T]."""
        args, ids, mask = self.args, rollout["completion_ids"], rollout["completion_mask"]
        completions = [row[real.bool()].tolist() for row, real in zip(ids.cpu(), mask.cpu(), strict=True)]
        episodes = self._episodes(completions)
        counts = [len(found.latents) for found in episodes]
        metrics["episodes"] = sum(counts) / len(counts)
        metrics["parsed_share"] = sum(found.parsed for found in episodes) / len(counts)
        episodic = torch.zeros(len(counts), max(counts), dtype=torch.float64, device=ids.device)
        if args.reads_answers:
            # GC2PO modification 1 (episodic reward): r_cc from perturbed latents
            own = args.seed, trl_adapter.rollout_number(self), self.accelerator.process_index, completions
            generator = torch.Generator().manual_seed(draw_seed(*own))
            episodic = self._episodic_rewards(rollout, completions, episodes, caches, generator, metrics)
        # GC2PO modification 2 (token credit, L2T Alg. 1): A_t for A_i
        segments = torch.full_like(ids, OUTSIDE)
        for row, found in enumerate(episodes):
            segments[row, : len(found.segments)] = torch.tensor(found.segments, device=ids.device)
        rewards = reward.episode_rewards(self._outcomes.double(), episodic, torch.tensor(counts, device=ids.device))
        advantages, statistics = l2t_credit(
            rewards,
            segments,
            self._old_logps(rollout, states),
            mask,
            args.num_generations,
            token_weights=args.token_weights,
            trim_share=args.trim_share,
            trim_sides=args.trim_sides,
            length_neutral=args.length_neutral,
            std_eps=args.std_eps,
            weight_floor=args.weight_floor,
            mean_floor=args.mean_floor,
            ratio_cap=args.ratio_cap,
            outside=args.outside_credit,
        )
        metrics |= statistics
        self.credit = Credit(completions, episodes, self._outcomes, episodic, rewards, advantages)
        return advantages

    def _episodes(self, completions: list[Ids]) -> list[Episodes]:
        args, tokenizer = self.args, self.processing_class
        known = sorted({token for ids in completions for token in ids})
        texts = dict(zip(known, tokenizer.batch_decode([[token] for token in known]), strict=True))
        return [
            find_episodes(
                [texts[token] for token in ids],
                len(strip_eos(ids, self.eos_token_ids)),
                segmentation=args.segmentation,
                delimiter=args.episode_delimiter,
                marker=args.answer_marker,
                max_episodes=args.max_episodes,
                min_tokens=args.min_episode_tokens,
                outside=args.outside_credit,
                latent_position=args.latent_position,
            )
            for ids in completions
        ]

    def _old_logps(self, rollout: dict[str, Any], states: list[Tensor]) -> Tensor:
        """log π_old of every token, [B, T]: TRL's, else from the states that sampling left, else by one more pass."""
        if rollout.get("old_per_token_logps") is not None:
            return rollout["old_per_token_logps"]
        ids, model = rollout["completion_ids"], self._causal_lm()
        size = self.args.per_device_train_batch_size
        with trl_adapter.scoring(self):
            if len(states) == ids.size(1):  # state t, of the token before, predicts token t
                with self.accelerator.autocast():
                    parts = [
                        token_logps(
                            model,
                            torch.stack([state[start : start + size] for state in states], dim=1),
                            ids[start : start + size],
                            self.args.temperature,
                        )
                        for start in range(0, len(ids), size)
                    ]
                return torch.cat(parts)
            return trl_adapter.per_token_logps(
                self, self.model, rollout["prompt_ids"], rollout["prompt_mask"], ids, rollout["completion_mask"], size
            )

    def _answers(self, completions: list[Ids], metrics: dict[str, float]) -> list[list[Ids]]:
        """The distinct final answers of each group as token ids, in order of first appearance."""
        args, n = self.args, self.args.num_generations
        texts = self.processing_class.batch_decode(completions, skip_special_tokens=True)
        answers = [final_answer(text, args.answer_marker, args.answer_end) for text in texts]
        ids = {
            answer: self.processing_class(answer, add_special_tokens=False)["input_ids"]
            for answer in dict.fromkeys(answers)
            if answer is not None
        }
        usable = [answer if 0 < len(ids.get(answer, [])) <= args.max_answer_tokens else None for answer in answers]
        groups = [
            [ids[answer] for answer in dict.fromkeys(usable[start : start + n]) if answer is not None]
            for start in range(0, len(usable), n)
        ]
        metrics["answered_share"] = sum(answer is not None for answer in usable) / len(usable)
        metrics["distinct_answers"] = sum(map(len, groups)) / len(groups)
        return groups

    def _episodic_rewards(
        self,
        rollout: dict[str, Any],
        completions: list[Ids],
        episodes: list[Episodes],
        caches: list[DynamicCache],
        generator: torch.Generator,
        metrics: dict[str, float],
    ) -> Tensor:
        """r_cc of every episode, [B, K]."""
        args, started = self.args, time.perf_counter()
        counts = [len(found.latents) for found in episodes]
        scored = choose_scored(counts, args.max_scored_episodes, generator)
        groups = self._answers(completions, metrics)
        robust, effective, tokens = self._scores(rollout, episodes, scored, groups, caches, generator)
        real = torch.arange(robust.size(1)) < torch.tensor([len(own) for own in scored]).unsqueeze(1)
        for name, values in (("robustness", robust.cpu()[real]), ("effectiveness", effective.cpu()[real])):
            metrics[name], metrics[f"{name}_spread"] = values.mean().item(), values.std(unbiased=False).item()
        metrics["tokens_scored"], metrics["seconds_scored"] = float(tokens), time.perf_counter() - started
        total = args.robustness_weight * robust + args.effectiveness_weight * effective
        episodic = reward.over_all_episodes(total, scored, counts)
        if args.episodic_reward == "permuted":
            episodic = reward.permuted_over_batch(episodic, counts, generator)
        return episodic

    def _scores(
        self,
        rollout: dict[str, Any],
        episodes: list[Episodes],
        scored: list[list[int]],
        groups: list[list[Ids]],
        caches: list[DynamicCache],
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, int]:
        """(robustness [B, C], effectiveness [B, C], tokens run) of the scored episodes."""
        args, n, rows = self.args, self.args.num_generations, len(scored)
        model = self._causal_lm()
        of_group = [Suffix.of(self._prefix, answers) for answers in groups]
        suffixes = [of_group[row // n] for row in range(rows)]
        latents = [[found.latents[k] for k in own] for found, own in zip(episodes, scored, strict=True)]
        copies = 0 if args.episodic_reward == "non_causal" else args.num_perturbations
        columns = max(map(len, scored))
        direction = directions(rows * columns, copies, model.config.hidden_size, generator).unflatten(0, (rows, -1))
        size = args.extra_batch_size or args.per_device_train_batch_size
        parts = []
        with trl_adapter.scoring(self), self.accelerator.autocast():
            for start in range(0, rows, size):
                part = slice(start, start + size)
                readings = read_answers(
                    model,
                    self._cached_rows(model, rollout, caches, part),
                    latents[part],
                    suffixes[part],
                    direction[part],
                    layer=decoder_layer(model, args.latent_layer),
                    size=args.perturbation_size,
                    temperature=args.temperature,
                )
                parts.append(readings)
        answers = [reward.answer_distribution(p.logps, p.real, other=args.answer_other) for p in parts]
        widest = max(q.size(-1) for q in answers)
        q = torch.cat([torch.nn.functional.pad(q, (0, widest - q.size(-1))) for q in answers])
        clean, tokens = q[:, :, 0], sum(p.tokens for p in parts)
        if args.episodic_reward == "non_causal":
            options = torch.tensor([len(groups[row // n]) + args.answer_other for row in range(rows)]).unsqueeze(1)
            robust = reward.non_causal_robustness(clean, reward.group_reference(clean, scored, n))
            return robust, reward.non_causal_effectiveness(clean, options.to(q.device)), tokens
        robust = reward.robustness(clean, q[:, :, 1:])
        if args.effectiveness == "variability":
            z = torch.cat([p.latents for p in parts])
            return robust, reward.variability(z, reward.group_reference(z, scored, n)), tokens
        states = torch.cat([p.states for p in parts])
        return robust, reward.norm_ratio(states[:, :, 0], states[:, :, 1:]), tokens

    def _cached_rows(
        self, model: PreTrainedModel, rollout: dict[str, Any], caches: list[DynamicCache], part: slice
    ) -> CachedRows:
        """Some rows with the keys that sampling left behind, or with keys from one forward where it left none."""
        ids, mask = ([rollout[f"{name}_{kind}"][part] for name in ("prompt", "completion")] for kind in ("ids", "mask"))
        if len(caches) == 1 and caches[0].layers[0].keys.size(0) == len(rollout["prompt_ids"]):
            cache: Cache = DynamicCache([(layer.keys[part], layer.values[part]) for layer in caches[0].layers])
        else:
            attention = torch.cat(mask, dim=1)
            cache = model.base_model(
                input_ids=torch.cat(ids, dim=1),
                attention_mask=attention,
                position_ids=(attention.cumsum(dim=1) - 1).clamp(min=0),
                use_cache=True,
            ).past_key_values
        return CachedRows(cache, ids[0], mask[0], ids[1])
