"""The value model of MCTS*: a copy of the policy's body with a scalar head on the last hidden state, in [0, 1].

Trained with the mean squared error on v_k at the ends of steps: first from plain rollouts, later from finished trees.
Does not: share weights with the policy, which goes on training.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from gcpo.search.keys import KeyStore, Slots
from gcpo.search.tree import tree_values


@dataclass(frozen=True)
class ValueExample:
    """A prompt with one path of a tree. places: index of the last token of each valued step; targets: its v_k."""

    ids: list[int]
    places: list[int]
    targets: list[float]


class ValueModel(nn.Module):
    """value = head(hidden state of the last token), clipped to [0, 1] when it is read and not when it is trained."""

    def __init__(self, body: PreTrainedModel) -> None:
        super().__init__()
        self.body, self.config = body, body.config
        self.head = nn.Linear(body.config.get_text_config(decoder=True).hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.5)  # before any data every step is worth the same
        self.head.to(body.device, body.dtype)

    @classmethod
    def from_policy(cls, policy: PreTrainedModel) -> "ValueModel":
        """A copy of the policy's body with a fresh head; the policy is left as it is."""
        return cls(copy.deepcopy(policy.base_model))

    @property
    def dtype(self) -> torch.dtype:
        return self.head.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def forward(self, logits_to_keep: int = 0, **inputs: object) -> SimpleNamespace:
        """`values` [rows, tokens] of the last `logits_to_keep` tokens (0: all), not clipped."""
        hidden = self.body(**inputs).last_hidden_state
        return SimpleNamespace(values=self.head(hidden[:, -logits_to_keep:])[..., 0].float())


def check_fits(value: ValueModel, policy: PreTrainedModel) -> None:
    """Raise ValueError unless the value model reads the policy's tokens and has as much context."""
    for name in ("vocab_size", "max_position_embeddings"):
        mine, wanted = (getattr(each.config.get_text_config(decoder=True), name) for each in (value, policy))
        if mine < wanted or (name == "vocab_size" and mine != wanted):
            raise ValueError(f"value model has {name} {mine}, the policy {wanted}; want a value model of this policy")


def load_weights(value: ValueModel, weights: dict[str, Tensor]) -> ValueModel:
    """Put saved weights into a value model. Raises ValueError naming the first one of another name or size."""
    own = value.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        found, wanted = (tuple(each[name].shape) if name in each else None for each in (weights, own))
        if found != wanted:
            raise ValueError(f"value weights {name} have shape {found}; this policy's value model wants {wanted}")
    value.load_state_dict(weights)
    return value


class StepValues:
    """Values of steps as a tree grows: keys of every prefix are kept, so that a step is read once and alone."""

    def __init__(self, value: ValueModel) -> None:
        self.keys = KeyStore(value)

    def read(self, prefixes: Sequence[Slots], texts: Sequence[Sequence[int]]) -> tuple[list[float], list[Slots]]:
        """Values in [0, 1] after each text, and slots of prefix and text."""
        output, slots = self.keys.read(prefixes, texts)
        return output.values[: len(texts), -1].clamp(0.0, 1.0).tolist(), slots

    def leaf_values(self, leaves: Sequence) -> list[float]:
        """Values of finished completions, for a search at test time."""
        empty: Slots = torch.empty(0, dtype=torch.long).numpy()
        values, _ = self.read([empty] * len(leaves), [[*leaf.prompt, *leaf.ids] for leaf in leaves])
        self.keys.clear()
        return values


def value_examples(
    prompt: Sequence[int], parents: Sequence[int], steps: Sequence[Sequence[int]], correct: Sequence[bool]
) -> list[ValueExample]:
    """Training examples of one finished tree: every node but the root once, on the first path that holds it.

    Empty when no leaf is right: such a tree gives no data.
    """
    values = tree_values(parents, correct)
    if values is None:
        return []
    seen = {0}
    examples = []
    for leaf in sorted(set(range(1, len(parents))) - set(parents)):
        path = [leaf]
        while parents[path[-1]] != -1:
            path.append(parents[path[-1]])
        ids, places, targets = list(prompt), [], []
        for node in reversed(path):
            ids += steps[node]
            if node not in seen:
                places.append(len(ids) - 1)
                targets.append(values[node])
                seen.add(node)
        examples.append(ValueExample(ids, places, targets))
    return examples


def rollout_tree(completions: Sequence[Sequence[Sequence[int]]]) -> tuple[list[int], list[list[int]], list[int]]:
    """Plain rollouts of one question as a tree: equal prefixes are one path. (parents, steps, leaf of each rollout)."""
    parents, leaves = [-1], []
    steps: list[list[int]] = [[]]
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    for completion in completions:
        node = 0
        for step in completion:
            key = node, tuple(step)
            if key not in known:
                known[key] = len(parents)
                parents.append(node)
                steps.append(list(step))
            node = known[key]
        leaves.append(node)
    return parents, steps, leaves


def fit(
    value: ValueModel, examples: Sequence[ValueExample], *, epochs: int, rate: float, rows: int, seed: int
) -> dict[str, float]:
    """Fit by AdamW on the mean squared error of all valued steps; returns first and last epoch's loss and the steps.

    Raises ValueError without examples and FloatingPointError when the loss stops being finite.
    """
    if not examples:
        raise ValueError("no examples to fit a value model on; no tree has a right leaf")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(value.parameters(), lr=rate, weight_decay=0.0)
    losses: list[float] = []
    value.train()
    for _ in range(epochs):
        total = number = 0.0
        order = torch.randperm(len(examples), generator=generator).tolist()
        for start in range(0, len(order), rows):
            chosen = [examples[place] for place in order[start : start + rows]]
            width = max(len(example.ids) for example in chosen)
            ids = torch.zeros(len(chosen), width, dtype=torch.long)
            mask, targets = torch.zeros_like(ids), torch.full(ids.shape, float("nan"))
            for row, example in enumerate(chosen):
                ids[row, : len(example.ids)] = torch.tensor(example.ids)
                mask[row, : len(example.ids)] = 1
                targets[row, example.places] = torch.tensor(example.targets)
            valued = targets.isfinite()
            found = value(input_ids=ids.to(value.device), attention_mask=mask.to(value.device), use_cache=False).values
            loss = F.mse_loss(found.cpu()[valued], targets[valued])
            if not torch.isfinite(loss):
                raise FloatingPointError(f"value loss is {loss.item()}; want a finite number: lower the value rate")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(value.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * int(valued.sum())
            number += int(valued.sum())
        losses.append(total / number)
    value.eval()
    return {"loss_first": losses[0], "loss_last": losses[-1], "steps": sum(len(each.places) for each in examples)}
