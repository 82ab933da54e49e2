"""q(answer | latent) of many episodes at once: the keys of a rollout are kept, and only a short answer suffix is run.

Behind the token t_k of an episode stand the answer prefix and, branching off its end, the answers of the group. One
clean copy of this suffix and M patched ones per episode lie side by side in one row per completion; each reads the
prompt and the completion before t_k from the rollout's own cache, and itself. A hook replaces the hidden state of t_k
after one layer, so that the layers above, and every later token, see the perturbed latent.
Does: run a model without gradients. Does not: know a trainer, sample, or turn log-probs into rewards.
Decoder-only text models with full attention whose layers are a list `layers` of the base model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, DynamicCache, PreTrainedModel

from gcpo.shared_kv.keys import Ids, forward


def decoder_layer(model: PreTrainedModel, layer: int | None) -> nn.Module:
    """The layer after which latents are read and patched, counted from 1; None for floor(2L/3), at least 1.

    Raises ValueError for a model without such layers and for a layer from which no later token can be reached: the
    last one, and what does not exist.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ValueError(f"{type(model.base_model).__name__} has no list 'layers'; want a Qwen2-like base model")
    number = max(2 * len(layers) // 3, 1) if layer is None else layer
    if not 1 <= number < len(layers):
        raise ValueError(
            f"latent_layer is {number} of {len(layers)} layers; want 1 to {len(layers) - 1}, since a state after the "
            "last layer reaches no later token"
        )
    return layers[number - 1]


def directions(count: int, num_perturbations: int, dim: int, generator: torch.Generator) -> Tensor:
    """u_m uniform on the unit sphere, [count, M, dim] float32, drawn on the CPU."""
    drawn = torch.randn(count, num_perturbations, dim, generator=generator)
    return drawn / drawn.norm(dim=-1, keepdim=True)


def perturbed_latent(latent: Tensor, direction: Tensor, size: float) -> Tensor:
    """z̃ = z + ρ ‖z‖ u. latent, direction: [..., dim], u of length 1, 0 for a clean copy. At least float32."""
    latent = latent.to(torch.promote_types(latent.dtype, torch.float32))
    return latent + size * latent.norm(dim=-1, keepdim=True) * direction


@contextmanager
def patched_latents(layer: nn.Module, at: Tensor, direction: Tensor, size: float) -> Iterator[list[Tensor]]:
    """Perturb what `layer` returns at some positions, in every forward inside the block; the hook goes with the block.

    at: [C] positions; direction: [rows, C, dim]. Yields a list that grows by the latents before the change, detached
    [rows, C, dim].
    """
    seen: list[Tensor] = []

    def patch(_module: nn.Module, _args: object, output: Tensor | tuple) -> Tensor | tuple:
        hidden = output[0] if isinstance(output, tuple) else output
        latent = hidden[:, at]
        seen.append(latent.detach())
        hidden = hidden.index_copy(1, at, perturbed_latent(latent, direction, size).to(hidden.dtype))
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    hook = layer.register_forward_hook(patch)
    try:
        yield seen
    finally:
        hook.remove()


@dataclass(frozen=True)
class Suffix:
    """What follows a latent's token in one group: the answer prefix, then its distinct answers as branches.

    ids, depths, branches: [L], entry 0 for the latent's token itself: token id, position after that token, and branch,
    −1 on the trunk. An answer's last token is scored and never fed. states, targets: [A, longest], where on the trunk's
    end (0) and the branches (1, 2, ...) each answer token is predicted, and the token; `real` marks them.
    """

    ids: Tensor
    depths: Tensor
    branches: Tensor
    states: Tensor
    targets: Tensor
    real: Tensor

    @classmethod
    def of(cls, prefix: Ids, answers: Sequence[Ids]) -> Suffix:
        """The suffix of token lists, none of them empty; there may be no answers."""
        trunk = 1 + len(prefix)
        ids, depths, branches, states = [0, *prefix], list(range(trunk)), [-1] * trunk, []
        for number, answer in enumerate(answers):
            states.append(torch.tensor([0, *range(len(ids) - trunk + 1, len(ids) - trunk + len(answer))]))
            ids += answer[:-1]
            depths += range(trunk, trunk + len(answer) - 1)
            branches += [number] * (len(answer) - 1)
        targets = [torch.tensor(answer) for answer in answers]
        real = [torch.ones(len(answer), dtype=torch.bool) for answer in answers]
        padded = [
            pad_sequence(part, batch_first=True) if part else torch.zeros(0, 1, dtype=kind)
            for part, kind in ((states, torch.long), (targets, torch.long), (real, torch.bool))
        ]
        return cls(torch.tensor(ids), torch.tensor(depths), torch.tensor(branches), *padded)

    @property
    def trunk(self) -> int:
        """Tokens before the answers: the latent's own and the prefix."""
        return int((self.branches == -1).sum())

    def mask(self) -> Tensor:
        """Which of its own tokens each token reads, bool [L, L]: the trunk and its own branch, up to itself."""
        same = (self.branches.unsqueeze(0) == -1) | (self.branches.unsqueeze(0) == self.branches.unsqueeze(1))
        return same & torch.ones(len(self.ids), len(self.ids), dtype=torch.bool).tril()


@dataclass(frozen=True)
class Readings:
    """What the copies of every episode gave. The copy axis has the clean one first, then M perturbed ones.

    logps, real: [rows, C, 1 + M, A, longest], log π of the tokens of each answer, and which exist. states: [rows, C,
    1 + M, dim], at the position that predicts the answer; latents: [rows, C, dim]; both in the model's dtype. tokens:
    how many were run. C is the largest number of episodes of a row; a row's own come first.
    """

    logps: Tensor
    real: Tensor
    states: Tensor
    latents: Tensor
    tokens: int


@dataclass(frozen=True)
class CachedRows:
    """Completions and the keys that sampling or reading them left behind.

    cache: per layer [rows, heads, columns, head size], the prompt's columns first; a completion's last token may be
    missing. prompt_ids, prompt_mask: [rows, P], left-padded; completion_ids: [rows, T], right-padded.
    """

    cache: Cache
    prompt_ids: Tensor
    prompt_mask: Tensor
    completion_ids: Tensor


@torch.no_grad()
def read_answers(
    model: PreTrainedModel,
    rows: CachedRows,
    latents: Sequence[Sequence[int]],
    suffixes: Sequence[Suffix],
    direction: Tensor,
    *,
    layer: nn.Module,
    size: float,
    temperature: float,
) -> Readings:
    """Run the suffixes of every episode's latent over the rows' cache, which stays as it is, in one forward.

    latents: per row the places of its episodes' tokens in the completion, −1 for the prompt's last token. suffixes: per
    row, all with one prefix. direction: [rows, C, M, dim], on any device. layer: as `decoder_layer` gives it.
    """
    device, episodes, copies = rows.completion_ids.device, direction.size(1), 1 + direction.size(2)
    # a row with fewer episodes repeats its last one; whoever reads the result leaves the repeats out
    places = torch.tensor([[*own, *[own[-1]] * (episodes - len(own))] for own in latents], device=device)
    places = places.repeat_interleave(copies, dim=1)  # [rows, C (1 + M)]
    ids, positions, mask = _packed(rows, places, suffixes)
    view = DynamicCache([(part.keys, part.values) for part in rows.cache.layers])  # the forward grows this one
    at = torch.arange(places.size(1), device=device) * (ids.size(1) // places.size(1))
    clean = direction.new_zeros(*direction.shape[:2], 1, direction.size(3))
    steps = torch.cat([clean, direction], dim=2).flatten(1, 2).to(device)
    with patched_latents(layer, at, steps, size) as seen:
        states = forward(model, ids, positions, mask, view)
    states = states.unflatten(1, (episodes, copies, -1))[:, :, :, suffixes[0].trunk - 1 :]
    logits = model.get_output_embeddings()(states)
    logps = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(dim=-1)
    where, targets, real = (
        _stacked([getattr(s, name) for s in suffixes])[:, None, None].expand(-1, episodes, copies, -1, -1).to(device)
        for name in ("states", "targets", "real")
    )
    grid = torch.meshgrid(*(torch.arange(n, device=device) for n in logps.shape[:3]), indexing="ij")
    return Readings(
        logps=logps[(*(index[..., None, None] for index in grid), where, targets)],
        real=real,
        states=states[:, :, :, 0],
        latents=seen[0].unflatten(1, (episodes, copies))[:, :, 0],
        tokens=sum(len(own) * copies * len(s.ids) for own, s in zip(latents, suffixes, strict=True)),
    )


def _packed(rows: CachedRows, places: Tensor, suffixes: Sequence[Suffix]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, positions, mask) of all copies of a row side by side: [rows, Q], [rows, Q], bool [rows, Q, cached + Q]."""
    device, width = places.device, rows.prompt_mask.size(1)
    columns = places + width
    ids = _stacked([s.ids for s in suffixes]).to(device).unsqueeze(1).repeat(1, columns.size(1), 1)
    ids[:, :, 0] = torch.cat([rows.prompt_ids, rows.completion_ids], dim=1).gather(1, columns)
    starts = places + rows.prompt_mask.sum(dim=1, keepdim=True)
    positions = starts.unsqueeze(2) + _stacked([s.depths for s in suffixes]).to(device).unsqueeze(1)
    length = ids.size(2)
    own = _stacked([s.mask() for s in suffixes]).to(device)
    own = own | torch.eye(length, dtype=torch.bool, device=device)  # padding has to read something
    copies = torch.eye(columns.size(1), dtype=torch.bool, device=device)
    inner = (copies[None, :, None, :, None] & own[:, None, :, None, :]).flatten(3, 4).flatten(1, 2)
    cached = torch.arange(rows.cache.get_seq_length(), device=device)
    prompt = F.pad(rows.prompt_mask.bool(), (0, max(len(cached) - width, 0)), value=True)[:, : len(cached)]
    outer = (prompt.unsqueeze(1) & (cached < columns.unsqueeze(2))).repeat_interleave(length, dim=1)
    return ids.flatten(1), positions.flatten(1), torch.cat([outer, inner], dim=2)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of equal rank side by side, zeros where one is smaller."""
    sizes = [max(part.size(d) for part in parts) for d in range(parts[0].ndim)]
    out = parts[0].new_zeros(len(parts), *sizes)
    for row, part in enumerate(parts):
        out[row][tuple(slice(size) for size in part.shape)] = part
    return out
