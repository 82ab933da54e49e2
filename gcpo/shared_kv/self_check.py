"""A model against itself: its own forward on plain rows beside padded rows, and beside the same tokens over a pool.

A list of architectures would be out of date: windows, softcaps, scales of logits and absolute positions all show here.
Does: run a few rows of random tokens once, before training. Does not: change the model or draw from torch's generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from gcpo.shared_kv.keys import KeyPool, Reader, sample, score

# nats, on the mean over a row's tokens: float32 differs by rounding alone, 16-bit formats by their kernels as well
_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3}
_TOLERANCE_16_BIT = 0.1
_SHORT, _SCORED, _BEYOND = 24, 6, 8  # tokens of a short row, scored at a row's end, and past a window


@contextmanager
def _scoring(model: PreTrainedModel) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _rows(model: PreTrainedModel, length: int) -> list[list[int]]:
    """Two rows of unequal length, so that one of them is padded in a batch."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.get_text_config().vocab_size
    return [torch.randint(vocabulary, (size,), generator=generator).tolist() for size in (length, length - length // 4)]


def _own_logps(model: PreTrainedModel, row: list[int]) -> Tensor:
    """log π of the last tokens of a row by the model's own forward."""
    ids = torch.tensor([row], device=model.device)
    logps = model(input_ids=ids).logits[0, -_SCORED - 1 : -1].float().log_softmax(-1)
    return logps.gather(-1, ids[0, -_SCORED:, None]).squeeze(-1)


def _compare(model: PreTrainedModel, own: Tensor, other: Tensor, where: str, want: str) -> None:
    half = model.dtype not in _TOLERANCE or torch.is_autocast_enabled(model.device.type)
    tolerance = _TOLERANCE_16_BIT if half else _TOLERANCE[model.dtype]
    error = (own - other).abs().mean().item()
    if not error <= tolerance:
        raise ValueError(
            f"{type(model).__name__} gives tokens a mean log-prob of {own.mean():.4f} by its own forward and of "
            f"{other.mean():.4f} {where}, apart by {error:.2g} a token, more than {tolerance:g}; {want}"
        )


def check_padded_rows(model: PreTrainedModel) -> None:
    """Raise ValueError unless a left-padded row, as every trainer here scores it, has the log-probs of a plain one."""
    rows = _rows(model, _SHORT)
    with _scoring(model):
        wide = torch.tensor([[0] * (_SHORT - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (_SHORT - len(row)) + [1] * len(row) for row in rows], device=model.device)
        logps = model(input_ids=wide, attention_mask=mask).logits[:, -_SCORED - 1 : -1].float().log_softmax(-1)
        padded = logps.gather(-1, wide[:, -_SCORED:, None]).squeeze(-1)
        for row, found in zip(rows, padded, strict=True):
            _compare(
                model, _own_logps(model, row), found, "in a left-padded row",
                "rollouts and losses of this trainer pad rows: want a model whose positions follow the attention mask",
            )  # fmt: skip


def check_pool(model: PreTrainedModel, *, longest: int | None) -> None:
    """Raise ValueError unless tokens read over a pool of keys have the log-probs of the model's own forward.

    longest: tokens of the longest row that a run can make, None for no limit; a row goes past the model's window where
    the run's can. Scored in rows of unequal length, and sampled token by token.
    """
    length = _SHORT if not _window(model) else max(_SHORT, _window(model) + _BEYOND + _SCORED)
    if longest is not None:
        length = max(_SHORT, min(length, longest))
    rows = _rows(model, length)
    with _scoring(model):
        own = [_own_logps(model, row) for row in rows]
        try:
            scored, sampled = _pooled_logps(model, rows)
        # whatever a model's forward does with keys and masks that it was not written for
        except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{type(model).__name__} cannot read keys from a pool ({type(error).__name__}: {error}); want "
                "context_encoding='text'"
            ) from error
    for where, found in (("over shared keys", scored), ("sampled over shared keys", sampled)):
        for row, (wanted, logps) in enumerate(zip(own, found, strict=True)):
            _compare(
                model, wanted, logps, f"{where} ({len(rows[row])} tokens)",
                "its layers do not attend to all that they are given: want context_encoding='text'",
            )  # fmt: skip


def _pooled_logps(model: PreTrainedModel, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """log π of the last tokens of each row, encoded in two parts and then scored, and sampled by force."""
    outputs, cuts = [row[-_SCORED:] for row in rows], [len(row) // 3 for row in rows]
    pool, places = KeyPool(), [torch.zeros(0, dtype=torch.long, device=model.device)] * len(rows)
    firsts = [row[:cut] for row, cut in zip(rows, cuts, strict=True)]
    seconds = [row[cut : -_SCORED - 1] for row, cut in zip(rows, cuts, strict=True)]
    for part in (firsts, seconds):
        readers = [Reader(place, len(place)) for place in places]
        new = pool.encode(model, readers, part, [torch.ones(len(ids), dtype=torch.bool) for ids in part])
        places = [torch.cat(both) for both in zip(places, new, strict=True)]
    readers = [Reader(place, len(place)) for place in places]
    leads = [[row[-_SCORED - 1]] for row in rows]
    scored, _ = score(model, pool, readers, leads, outputs, temperature=1.0)
    forced = torch.tensor(outputs, device=model.device)
    by_step: list[Tensor] = []

    def pick(logits: Tensor) -> Tensor:
        tokens = forced[:, len(by_step)]
        by_step.append(logits.log_softmax(-1).gather(-1, tokens.unsqueeze(1)).squeeze(1))
        return tokens

    sample(model, pool, readers, leads, max_new_tokens=_SCORED, eos_ids=[], pick=pick)
    return scored, torch.stack(by_step, dim=1)


def _window(model: PreTrainedModel) -> int:
    """The widest window that the configuration names, 0 without one."""
    named = model.config.get_text_config().to_dict().items()
    sizes = [v for k, v in named if ("window" in k or "chunk_size" in k) and isinstance(v, int) and v > 1]
    return max(sizes, default=0)
