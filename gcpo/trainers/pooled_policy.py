"""π_old over keys that are encoded once: the estimators' `Policy` without re-reading what several contexts share.

`SharedPolicy`: contexts are `Reading`s, candidates encoded in parallel. `CachedTextPolicy`: contexts are token ids as
ever, but equal ones are read once and the part that they share with an earlier one is not read again. Both sample with
a loop of their own, in which rows that have ended leave the batch. The rollouts themselves stay with the engine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from gcpo import trl_adapter
from gcpo.scm import ContextLayout, Group, Ids
from gcpo.shared_kv.context import Drawn, Reading, RolloutKeys, SharedContext, SharedLayout
from gcpo.shared_kv.keys import KeyPool, Reader, check_model, sample, score
from gcpo.shared_kv.packing import COPY, INTEGRATED
from gcpo.shared_kv.self_check import check_padded_rows, check_pool
from gcpo.trainers.gcpo_policy import TrainerPolicy

Key = tuple[int, ...]  # a text context


def causal_lm(trainer: Any, model: Any) -> PreTrainedModel:
    """The model under DDP and PEFT wrappers, adapters included. Raises ValueError where it takes no explicit mask."""
    bare = trl_adapter.bare_model(trainer, model)
    check_model(bare)
    return bare


def check_trainer(trainer: Any, layout: ContextLayout) -> None:
    """Raise ValueError unless the trainer's own model can be scored as this method scores it, with both numbers.

    Not under DeepSpeed and FSDP, where no rank holds whole weights before training; what reads a model's layers beside
    its own forward is refused under ZeRO-3, which gathers weights for that forward alone.
    """
    args = trainer.args
    pooled = args.context_encoding != "text"
    plugin = args.deepspeed_plugin
    if pooled and plugin is not None and plugin.zero_stage == 3:
        raise ValueError(
            f"context_encoding={args.context_encoding!r} was not run under ZeRO-3; want 'text', or ZeRO-2 where the "
            "weights fit whole on a GPU"
        )
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return
    model = causal_lm(trainer, trainer.model) if pooled else trl_adapter.bare_model(trainer, trainer.model)
    with trainer.accelerator.autocast():
        check_padded_rows(model)
        if pooled:
            check_pool(model, longest=None if layout.budget is None else layout.budget + args.max_completion_length)
    if args.context_encoding == "shared_kv" and not getattr(model.config, "shared_kv_contexts", False):
        warnings.warn(
            f"context_encoding='shared_kv' reads candidates side by side, and {type(model).__name__} does not say that "
            "it was trained so: its log-probs of y_i after x_i will be off (k3 1.06 beside 0.20 as text on "
            "SmolLM2-135M-Instruct); want 'text' or 'cached_text', or config.shared_kv_contexts = True on one that was",
            stacklevel=2,
        )


def sampler(args: Any) -> Callable[[Tensor], Tensor]:
    """Tokens from logits [rows, vocabulary], by the sampling settings of the rollouts."""
    warpers = LogitsProcessorList()
    if args.temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(args.temperature))
    if args.top_k:
        warpers.append(TopKLogitsWarper(args.top_k))
    if args.top_p < 1.0:
        warpers.append(TopPLogitsWarper(args.top_p))
    if args.min_p is not None:
        warpers.append(MinPLogitsWarper(args.min_p))
    return lambda logits: torch.multinomial(warpers(None, logits).softmax(dim=-1), 1).squeeze(-1)


@contextmanager
def recorded_cache(trainer: Any) -> Iterator[list[DynamicCache]]:
    """Record the caches in which `generate` keeps keys during the rollouts made inside the block, one per call."""
    caches: list[DynamicCache] = []

    def record(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if isinstance(cache, DynamicCache) and not any(cache is known for known in caches):
            caches.append(cache)

    hook = causal_lm(trainer, trainer.model).base_model.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield caches
    finally:
        hook.remove()


def policy_for(
    trainer: Any,
    layout: ContextLayout,
    *,
    seed: int,
    groups: list[Group],
    used: Sequence[int],
    rollout: dict[str, Any],
    caches: list[DynamicCache],
) -> TrainerPolicy:
    """The policy that `context_encoding` asks for, with its layout. `used`: the groups' numbers in the rollout."""
    encoding, mask = trainer.args.context_encoding, rollout["prompt_mask"]
    if encoding == "text":
        return TrainerPolicy(trainer, layout, seed=seed)
    if encoding == "cached_text":
        return CachedTextPolicy(trainer, layout, seed=seed, groups=groups)
    recorded = None
    if len(caches) == 1 and caches[0].layers[0].keys.size(0) == len(mask):  # one call sampled every row
        n = len(groups[0].candidates)
        recorded = RolloutKeys(caches[0], mask, [list(range(g * n, (g + 1) * n)) for g in used])
    return SharedPolicy(trainer, SharedLayout(layout), seed=seed, groups=groups, recorded=recorded)


class PooledPolicy(TrainerPolicy):
    """Sampling and scoring after readers of a pool of keys; a subclass turns contexts into readers."""

    def __init__(self, trainer: Any, layout: Any, *, seed: int) -> None:
        super().__init__(trainer, layout, seed=seed)
        self.model = causal_lm(trainer, trainer.model)

    def _readers(self, contexts: list, stage: str) -> tuple[KeyPool, list[Reader], list[Ids]]:
        """The pool, who reads what of it, and the tokens that lead each output. Encodes what is new."""
        raise NotImplementedError

    def sample_features(self, prompts: list[Ids], contexts: list) -> Tensor:
        if self.args.feature_input != "context":
            return self.features(prompts, self._sampled(contexts, COPY, states=False)[0])
        outputs, states = self._sampled(contexts, COPY, states=True)
        index = self.feature_indices(outputs)
        return torch.stack([row[i] for row, i in zip(states, index, strict=True)]).float()

    def score(self, contexts: list, outputs: list[Ids], *, features: bool) -> tuple[Tensor, Tensor | None]:
        width = max(map(len, outputs))
        index = self.feature_indices(outputs) if features else None
        probs, states = [], []
        size = self.args.extra_batch_size or self.args.per_device_train_batch_size
        with self._phase("scored"), trl_adapter.scoring(self.trainer), self.trainer.accelerator.autocast():
            pool, readers, leads = self._readers(contexts, COPY)
            for start in range(0, len(outputs), size):
                part = slice(start, start + size)
                logps, seen = score(
                    self.model, pool, readers[part], leads[part], outputs[part], temperature=self.args.temperature
                )
                real = torch.arange(logps.size(1)) < torch.tensor([len(y) for y in outputs[part]]).unsqueeze(1)
                rows = logps.exp() * real.to(logps.device)
                probs.append(torch.nn.functional.pad(rows, (0, width - rows.size(1))))
                if index is not None:
                    states.append(seen[torch.arange(len(seen)), torch.tensor(index[part])].float())
            self.tokens["scored"] += sum(len(a) + len(b) for a, b in zip(leads, outputs, strict=True))
        return torch.cat(probs), torch.cat(states) if states else None

    def _sampled(self, contexts: list, stage: str, *, states: bool) -> tuple[list[Ids], list[Tensor]]:
        outputs, features = [], []
        size = self.args.extra_batch_size or max(len(contexts), 1)
        with self._phase("sampled"), trl_adapter.preserved_rng_state(self.device):
            torch.manual_seed(self._seed)
            self._seed += 1
            with trl_adapter.scoring(self.trainer), self.trainer.accelerator.autocast():
                pool, readers, leads = self._readers(contexts, stage)
                for start in range(0, len(contexts), size):
                    part = slice(start, start + size)
                    drawn, seen = sample(
                        self.model,
                        pool,
                        readers[part],
                        leads[part],
                        max_new_tokens=self.args.max_completion_length,
                        eos_ids=self.layout.eos_ids,
                        pick=sampler(self.args),
                        states_wanted=states,
                    )
                    outputs += drawn
                    features += seen
        self.tokens["sampled"] += sum(map(len, outputs))
        return outputs, features


class SharedPolicy(PooledPolicy):
    """Candidates encoded in parallel given q; contexts are `Reading`s of `SharedLayout`.

    recorded: the keys that the rollout's own sampling left behind, None to encode the candidates again.
    """

    def __init__(
        self, trainer: Any, layout: SharedLayout, *, seed: int, groups: list[Group], recorded: RolloutKeys | None
    ) -> None:
        super().__init__(trainer, layout, seed=seed)
        self.context = SharedContext(self.model, layout, batch_size=self.args.extra_batch_size)
        with self._phase("scored"), trl_adapter.scoring(trainer), trainer.accelerator.autocast():
            self.context.add_groups(groups, recorded)
        self.tokens["scored"] += self.context.encoded

    def _readers(self, contexts: list, stage: str) -> tuple[KeyPool, list[Reader], list[Ids]]:
        if not isinstance(contexts[0], Reading):
            return self.context.pool, *self.context.prompt_readers(contexts)
        before = self.context.encoded
        readers = self.context.readers(contexts, stage)
        self.tokens["scored"] += self.context.encoded - before
        return self.context.pool, readers, [self.context.lead] * len(contexts)

    def sample(self, contexts: list) -> list[Ids]:
        outputs, _ = self._sampled(contexts, INTEGRATED, states=False)
        if not isinstance(contexts[0], Reading):  # q alone: a fresh y_i', which belongs to the fork
            return outputs
        return [Drawn(y, reading) for y, reading in zip(outputs, contexts, strict=True)]


def shared_logps(
    trainer: Any, model: Any, context: SharedContext, readings: list[Reading], ids: Tensor, mask: Tensor
) -> Tensor:
    """log π_θ(y_it | x_i, y_i<t) of Eq. 12 over shared keys, [rows, T], 0 at padding.

    ids, mask: the rows' completions, right-padded. The keys of the context are those of the rollout, without gradient;
    under `context_grad` they are encoded again with π_θ, and the gradient flows through them.
    """
    if trainer.args.context_grad:
        context = SharedContext(causal_lm(trainer, model), context.layout, batch_size=context.batch_size)
        with trainer.accelerator.autocast():
            context.add_groups(list({id(r.group): r.group for r in readings}.values()))
    outputs = [row[real.bool()].tolist() for row, real in zip(ids, mask, strict=True)]
    with trainer.accelerator.autocast():
        readers = context.readers(readings, COPY)
        leads = [context.lead] * len(outputs)
        logps, _ = score(context.model, context.pool, readers, leads, outputs, temperature=trainer.args.temperature)
    return torch.nn.functional.pad(logps, (0, ids.size(1) - logps.size(1)))


class CachedTextPolicy(PooledPolicy):
    """Text contexts, each read once, and without the part that it shares with one that was read before it.

    A context's group is the one whose context without candidates it shares most with: its head is q, or in a template
    whatever stands before the first candidate. The first context of a group is its trunk. Of those that go on together
    where they leave the trunk, as x_{i,0} and x_{i,1} do, the first leads and later ones follow it.
    """

    def __init__(self, trainer: Any, layout: Any, *, seed: int, groups: list[Group]) -> None:
        super().__init__(trainer, layout, seed=seed)
        self.pool = KeyPool()
        self._places: dict[Key, Tensor] = {}  # of every token but the last, per context
        self._heads = list(dict.fromkeys(tuple(layout.context(group, [])) for group in groups))
        self._leaders: dict[Key, list[Key]] = {}  # of each head, its trunk first

    def sample(self, contexts: list[Ids]) -> list[Ids]:
        return self._sampled(contexts, INTEGRATED, states=False)[0]

    def _readers(self, contexts: list[Ids], stage: str) -> tuple[KeyPool, list[Reader], list[Ids]]:
        keys = [tuple(context) for context in contexts]
        waves: tuple[dict[Key, Key], ...] = ({}, {}, {})  # trunks, leaders, followers: each with what it is read after
        for key in dict.fromkeys(key for key in keys if key not in self._places):
            known = self._leaders.setdefault(max(self._heads, key=lambda head: _common(key, head)), [])
            before = max(known, key=lambda other: _common(key, other), default=())
            wave = 0 if not known else 1 if before == known[0] else 2
            waves[wave][key] = before
            if wave < 2:
                known.append(key)
        for after in waves:
            self._encode(after)
        readers = [Reader(self._places[key], len(key) - 1) for key in keys]
        return self.pool, readers, [[key[-1]] for key in keys]

    def _encode(self, after: dict[Key, Key]) -> None:
        """Keys of all tokens of each context but the last, from where it leaves the one that it is read after."""
        contexts, readers, rows = list(after), [], []
        for key, before in after.items():
            shared = _common(key[:-1], before[:-1])
            reads = self._places[before][:shared] if shared else torch.zeros(0, dtype=torch.long, device=self.device)
            readers.append(Reader(reads, shared))
            rows.append(list(key[shared:-1]))
        size = self.args.extra_batch_size or max(len(rows), 1)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            self._encode_part(contexts[part], readers[part], rows[part])

    def _encode_part(self, contexts: list[Key], readers: list[Reader], rows: list[Ids]) -> None:
        wanted = [k for k, row in enumerate(rows) if row]
        places: dict[int, Tensor] = {}
        if wanted:
            all_of = [torch.ones(len(rows[k]), dtype=torch.bool) for k in wanted]
            encoded = self.pool.encode(self.model, [readers[k] for k in wanted], [rows[k] for k in wanted], all_of)
            places = dict(zip(wanted, encoded, strict=True))
            self.tokens["scored"] += sum(len(rows[k]) for k in wanted)
        for k, key in enumerate(contexts):
            self._places[key] = torch.cat([readers[k].reads, places[k]]) if k in places else readers[k].reads


def _common(a: Key, b: Key) -> int:
    """How many first tokens two sequences share."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # slices are compared faster than tokens are
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
