"""π_old as GCPO's estimators see it: the trainer's own model and sampler, with a count of tokens and seconds.

Does: sample, read features and score, in batches of similar length. Does not: carry a gradient, change the random
numbers of the rollouts, or decide what a context holds (`contexts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gcpo import trl_adapter
from gcpo.generation_states import GenerationStates
from gcpo.scm import ContextLayout, Ids, TextMarker, feature_index


def padded(rows: list[Ids], *, side: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """(ids, mask), both int64 [rows, longest], padded on `side`; ids are 0 at padding. At least one column."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    masks = [torch.ones_like(t) for t in tensors]
    ids, mask = (pad_sequence(part, batch_first=True, padding_side=side) for part in (tensors, masks))
    if ids.size(1) == 0:
        ids, mask = ids.new_zeros(len(rows), 1), mask.new_zeros(len(rows), 1)
    return ids.to(device), mask.to(device)


def similar_lengths(lengths: list[int], batch_size: int) -> list[list[int]]:
    """Row numbers in batches of at most `batch_size`, sorted by length so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def generation_states(trainer: Any, layout: ContextLayout) -> GenerationStates:
    """What to keep of the states of a sampling, for the trainer's feature position."""
    ends = None
    if trainer.args.feature_position == "answer_marker" and isinstance(layout.marker_ids, TextMarker):
        pieces = trainer.processing_class.convert_ids_to_tokens(range(len(trainer.processing_class)))
        last = layout.marker_ids.marker.rstrip()[-1:]
        ends = torch.tensor([k for k, piece in enumerate(pieces) if piece and last in piece], dtype=torch.long)
    return GenerationStates(position=trainer.args.feature_position, eos_ids=layout.eos_ids, marker_ends=ends)


class TrainerPolicy:
    """The `gcpo.estimators.Policy` of one rollout, by the adapter's functions on a trainer.

    tokens: "sampled", "featured", "scored" so far. seconds: by the same names, as the host sees them.
    feature_misses: how often the asked feature position did not exist, of `feature_count`.
    """

    def __init__(self, trainer: Any, layout: ContextLayout, *, seed: int) -> None:
        self.trainer, self.layout, self.args = trainer, layout, trainer.args
        self.device = trainer.accelerator.device
        self._seed = seed
        self.tokens = dict.fromkeys(("sampled", "featured", "scored"), 0)
        self.seconds = dict.fromkeys(("sampled", "featured", "scored"), 0.0)
        self.feature_misses, self.feature_count = 0, 0

    def sample(self, contexts: list[Ids]) -> list[Ids]:
        with self._phase("sampled"), trl_adapter.preserved_rng_state(self.device):
            # numbers of its own: going on from the saved state would hand the next rollout the same draws
            torch.manual_seed(self._seed)
            self._seed += 1
            outputs = trl_adapter.generate_continuations(
                self.trainer, contexts, preserve_rng=False, batch_size=self.args.extra_batch_size
            )
        self.tokens["sampled"] += sum(map(len, outputs))
        return outputs

    def sample_features(self, prompts: list[Ids], contexts: list[Ids]) -> Tensor:
        if self.args.feature_input != "context":
            return self.features(prompts, self.sample(contexts))
        with trl_adapter.recorded_generation_states(
            self.trainer, generation_states(self.trainer, self.layout)
        ) as states:
            outputs = self.sample(contexts)
        return self.recorded_features(states, list(range(len(outputs))), contexts, outputs)

    def features(self, prompts: list[Ids], outputs: list[Ids]) -> Tensor:
        after = [[]] * len(outputs) if self.args.feature_input == "o" else prompts
        return self._states_at(after, outputs, self.feature_indices(outputs))

    def recorded_features(
        self, states: GenerationStates | None, rows: list[int], contexts: list[Ids], outputs: list[Ids]
    ) -> Tensor:
        """Features of sampled outputs from the states that sampling recorded, [N, dim]; those it lacks by a forward.

        states: of the sampling of these outputs, empty or None if the engine shows none. rows: each output's row there.
        Under several ranks all of them run equally many rows.
        """
        index = self.feature_indices(outputs)
        if not states:
            return self._states_at(contexts, outputs, index)
        found = [states.find(row, i) for row, i in zip(rows, index, strict=True)]
        missing = [k for k, state in enumerate(found) if state is None]
        count = trl_adapter.largest_over_ranks(self.trainer, len(missing))
        if not count:
            return torch.stack([state for state in found if state is not None]).float()
        wanted = (missing + [0] * count)[:count]
        computed = self._states_at(
            [contexts[r] for r in wanted], [outputs[r] for r in wanted], [index[r] for r in wanted]
        )
        features = computed.new_zeros(len(outputs), computed.size(1))
        for k, state in enumerate(found):
            if state is not None:
                features[k] = state
        features[wanted] = computed
        return features

    def _states_at(self, contexts: list[Ids], outputs: list[Ids], index: list[int]) -> Tensor:
        # nothing after the feature's token can change its state in a causal model
        rows = [context + output[: i + 1] for context, output, i in zip(contexts, outputs, index, strict=True)]
        with self._phase("featured"):
            return self._batched(rows, self._last_states)

    def score(self, contexts: list[Ids], outputs: list[Ids], *, features: bool) -> tuple[Tensor, Tensor | None]:
        width = max(map(len, outputs))
        index = self.feature_indices(outputs) if features else [0] * len(outputs)
        pairs = list(zip(contexts, outputs, index, strict=True))
        with self._phase("scored"):
            if not features:
                return self._batched(pairs, lambda rows: self._token_probs(rows, width)), None
            both = self._batched(pairs, lambda rows: torch.cat(self._probs_and_states(rows, width), dim=1))
        return both[:, :width], both[:, width:]

    def distributions(self, contexts: list[Ids], output: Ids) -> Tensor:
        """Probabilities over the vocabulary at every token of an output after each context, [contexts, T, vocab]."""
        rows = [(context, output, 0) for context in contexts]
        with self._phase("scored"), trl_adapter.scoring(self.trainer), self.trainer.accelerator.autocast():
            ids, mask, out, real = self._scoring_batch(rows)
            model = trl_adapter.bare_model(self.trainer, self.trainer.model)
            logits = model(input_ids=torch.cat([ids, out], 1), attention_mask=torch.cat([mask, real], 1)).logits
        return (logits[:, ids.size(1) - 1 : -1].float() / self.args.temperature).softmax(dim=-1)

    def feature_indices(self, outputs: list[Ids]) -> list[int]:
        """Where in each output its feature is read; misses are counted."""
        layout, position = self.layout, self.args.feature_position
        found = [
            feature_index(o, position=position, marker_ids=layout.marker_ids, eos_ids=layout.eos_ids) for o in outputs
        ]
        self.feature_count += len(found)
        self.feature_misses += sum(not as_asked for _, as_asked in found)
        return [index for index, _ in found]

    def _last_states(self, rows: list[Ids]) -> Tensor:
        self.tokens["featured"] += sum(map(len, rows))
        ids, mask = padded(rows, side="left", device=self.device)
        return trl_adapter.hidden_states(self.trainer, self.trainer.model, ids, mask)[:, -1].float()

    def _token_probs(self, rows: list[tuple[Ids, Ids, int]], width: int) -> Tensor:
        batch = self._scoring_batch(rows)
        with trl_adapter.scoring(self.trainer):
            logps = trl_adapter.per_token_logps(self.trainer, self.trainer.model, *batch)
        return _widened(logps.float().exp() * batch[3], width)

    def _probs_and_states(self, rows: list[tuple[Ids, Ids, int]], width: int) -> tuple[Tensor, Tensor]:
        batch = self._scoring_batch(rows)
        logps, states = trl_adapter.last_hidden_states(self.trainer, self.trainer.model, *batch)
        at = torch.tensor([index for _, _, index in rows], device=self.device) + batch[0].size(1)
        features = states[torch.arange(len(rows), device=self.device), at]
        return _widened(logps.float().exp() * batch[3], width), features.float()

    def _scoring_batch(self, rows: list[tuple[Ids, Ids, int]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        self.tokens["scored"] += sum(len(context) + len(output) for context, output, _ in rows)
        contexts = padded([context for context, _, _ in rows], side="left", device=self.device)
        return (*contexts, *padded([output for _, output, _ in rows], side="right", device=self.device))

    def _batched(self, rows: list, run: Callable[[list], Tensor]) -> Tensor:
        """`run` over batches of similar length, results in the order of `rows`."""
        lengths = [len(row) if isinstance(row, list) else len(row[0]) + len(row[1]) for row in rows]
        batches = similar_lengths(lengths, self.args.extra_batch_size or self.args.per_device_train_batch_size)
        results = torch.cat([run([rows[r] for r in batch]) for batch in batches])
        order = torch.tensor([r for batch in batches for r in batch], device=results.device)
        return results[order.argsort()]

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started


def _widened(probs: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(probs, (0, width - probs.size(1)))
