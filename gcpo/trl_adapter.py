"""The only file that touches TRL's private names: sampling, scoring, hidden states, metrics and the rollout buffer.

TRL changes these between minor versions, so its version is pinned and checked. Text models only: no images, no tools.
Under ZeRO-3 hidden states come from the whole model's forward (tests/cluster, on CPUs).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
import trl
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import split_tensor_dict

if TYPE_CHECKING:  # what a mixin stands in front of
    from trl import GRPOTrainer as _Trainer
else:
    _Trainer = object

TRL_VERSION = "1.16.0"


class FollowsSampling(Protocol):
    """What may follow a sampler's forwards: `gcpo.generation_states.GenerationStates`, or a recorder of a trainer."""

    def begin(self) -> None: ...

    def add(self, ids: Tensor, states: Tensor) -> None: ...


States = TypeVar("States", bound=FollowsSampling)
ROW_INDEX = "row_index"  # key of a row's place in the rollout, where a group's rows are consecutive


def assert_trl_version() -> None:
    """Raise ValueError unless the installed TRL is exactly the version whose private names are used here."""
    if trl.__version__ != TRL_VERSION:
        raise ValueError(f"trl is {trl.__version__}; gcpo needs trl=={TRL_VERSION}, whose private methods it calls")


@contextmanager
def preserved_rng_state(device: torch.device) -> Iterator[None]:
    """Restore torch's CPU generator, and that of `device` if it is a GPU, on exit (vLLM's own generator is not)."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def scoring(trainer: Any) -> Iterator[None]:
    """A scoring pass: no gradients, and no gradient checkpointing, which only costs time there."""
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs):
        yield


def generate_continuations(
    trainer: Any, contexts: list[list[int]], *, preserve_rng: bool = True, batch_size: int | None = None
) -> list[list[int]]:
    """Sample one continuation of each context from the current policy, by the engine and settings of the rollouts.

    contexts: token ids, unpadded, none empty. batch_size: contexts per call, all at once by default.
    Returns the completion's token ids, EOS included where it was reached, in the order of `contexts`.
    preserve_rng: leave torch's generators as they were, so that extra sampling does not change the rollouts to come.
    Raises ValueError on an empty context. Each rank samples its own contexts; under ZeRO-3 ranks need equal counts.
    """
    empty = [i for i, context in enumerate(contexts) if not context]
    if empty:
        raise ValueError(f"context {empty[0]} of {len(contexts)} has no tokens; want at least one in each")
    if preserve_rng:
        with preserved_rng_state(trainer.accelerator.device):
            return generate_continuations(trainer, contexts, preserve_rng=False, batch_size=batch_size)
    size = batch_size or max(len(contexts), 1)
    # always one generation per context: vLLM's server mode de-duplicates prompts by this number
    chunks = (
        trainer._generate_single_turn(contexts[start : start + size], None, {}, 1)[0]
        for start in range(0, len(contexts), size)
    )
    return list(chain.from_iterable(chunks))


def per_token_logps_and_entropies(
    trainer: Any,
    model: nn.Module,
    context_ids: Tensor,
    context_mask: Tensor,
    completion_ids: Tensor,
    completion_mask: Tensor,
    batch_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """log π(y_t | context, y_<t) and the entropy of π there, in nats, both after division by the temperature.

    context_ids, context_mask: [rows, P], left-padded; completion_ids, completion_mask: [rows, T], right-padded.
    Returns two [rows, T] float32, under bf16 too, 0 at padding. Gradients flow; batch_size: rows per forward.
    """
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([context_ids, completion_ids], dim=1),
        torch.cat([context_mask, completion_mask], dim=1),
        completion_ids.size(1),
        batch_size=batch_size,
        compute_entropy=True,
    )
    return logps, entropies


def per_token_logps(
    trainer: Any,
    model: nn.Module,
    context_ids: Tensor,
    context_mask: Tensor,
    completion_ids: Tensor,
    completion_mask: Tensor,
    batch_size: int | None = None,
) -> Tensor:
    """log π(y_t | context, y_<t): the first of `per_token_logps_and_entropies`, arguments as there. [rows, T]."""
    logps, _, _ = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([context_ids, completion_ids], dim=1),
        torch.cat([context_mask, completion_mask], dim=1),
        completion_ids.size(1),
        batch_size=batch_size,
    )
    return logps


def bare_model(trainer: Any, model: nn.Module) -> PreTrainedModel:
    """The causal language model under DDP and PEFT wrappers, adapters included: its `base_model` gives the states."""
    causal_lm = trainer.accelerator.unwrap_model(model)
    return causal_lm if isinstance(causal_lm, PreTrainedModel) else causal_lm.get_base_model()


@contextmanager
def recorded_hidden_states(trainer: Any, model: nn.Module) -> Iterator[list[Tensor]]:
    """Record the last hidden state (after the final norm) of every forward of `model` made inside the block.

    Yields a list that grows by one detached [rows, P + T, dim] per forward: features without a pass of their own
    wherever a scoring pass runs anyway.
    """
    recorded: list[Tensor] = []
    base = bare_model(trainer, model).base_model
    hook = base.register_forward_hook(lambda _m, _args, output: recorded.append(output[0].detach()))
    try:
        yield recorded
    finally:
        hook.remove()


def last_hidden_states(
    trainer: Any,
    model: nn.Module,
    context_ids: Tensor,
    context_mask: Tensor,
    completion_ids: Tensor,
    completion_mask: Tensor,
    batch_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Score completions once without gradient: (log-probs [rows, T], last hidden states [rows, P + T, dim]).

    Arguments as in `per_token_logps_and_entropies`. Position P + t holds the state of completion token t itself, which
    predicts token t + 1. The states are those after the final norm, in the model's own dtype.
    """
    with scoring(trainer), recorded_hidden_states(trainer, model) as recorded:
        logps = per_token_logps(
            trainer, model, context_ids, context_mask, completion_ids, completion_mask, batch_size=batch_size
        )
    return logps, torch.cat(recorded)


def log_metric(trainer: Any, name: str, value: float | Tensor) -> None:
    """Add one value of a metric to TRL's log: averaged over ranks now, over the logging step later.

    Every rank must call it, and equally often. NaN on a rank means "no value here" and is left out of the average.
    """
    local = torch.as_tensor(value, dtype=torch.float32, device=trainer.accelerator.device).detach()
    mode = "train" if trainer.model.training else "eval"
    trainer._metrics[mode][name].append(trainer.accelerator.gather(local).nanmean().item())


def largest_over_ranks(trainer: Any, count: int) -> int:
    """The largest `count` of any rank: every rank must call it, and can then run equally many rows."""
    if trainer.accelerator.num_processes == 1:
        return count
    return int(trainer.accelerator.gather(torch.tensor([count], device=trainer.accelerator.device)).max())


def gathered_rows(trainer: Any, rows: Tensor) -> Tensor:
    """The rows [k, ...] of all ranks, of any number k on each: every rank must call it."""
    if trainer.accelerator.num_processes == 1:
        return rows
    count = largest_over_ranks(trainer, len(rows))
    real = torch.zeros(count, dtype=torch.bool, device=trainer.accelerator.device)
    real[: len(rows)] = True
    filled = torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])])
    return trainer.accelerator.gather(filled)[trainer.accelerator.gather(real)]


def with_row_index(rollout: dict[str, Any]) -> dict[str, Any]:
    """The rollout plus each row's place in it, so that the order survives TRL's row shuffle."""
    completion_ids = rollout["completion_ids"]
    return {**rollout, ROW_INDEX: torch.arange(len(completion_ids), device=completion_ids.device)}


def shuffle_whole_groups(rollout: dict[str, Any], num_generations: int) -> dict[str, Any]:
    """Undo TRL's row shuffle and permute whole groups instead.

    rollout: rows of all lengths-B tensors and lists in one common order, with `ROW_INDEX`; 0-d tensors pass through.
    Returns the same keys; a group's rows are consecutive and in their generation order. Draws one `torch.randperm`.
    Raises ValueError where a value does not have one entry per row, or groups are not whole.
    """
    index = rollout[ROW_INDEX]
    rows = len(index)
    if rows % num_generations:
        raise ValueError(f"a rollout of {rows} rows has no whole groups of num_generations = {num_generations}")
    groups = torch.randperm(rows // num_generations).to(index.device)
    order = index.argsort().view(-1, num_generations)[groups].reshape(-1)

    def permute(name: str, value: Any) -> Any:
        if value is None or (isinstance(value, Tensor) and value.ndim == 0):
            return value
        if len(value) != rows:
            raise ValueError(f"{name} has {len(value)} entries; want one per row, {rows}")
        return value[order] if isinstance(value, Tensor) else [value[i] for i in order.tolist()]

    return {name: permute(name, value) for name, value in rollout.items()}


def _joined(values: list[Any]) -> Any:
    if values[0] is None or (isinstance(values[0], Tensor) and values[0].ndim == 0):
        return values[0]
    return torch.cat(values) if isinstance(values[0], Tensor) else list(chain.from_iterable(values))


class WholeGroupsMixin(_Trainer):
    """Keeps a prompt's candidates together in every micro-batch; goes in front of `GRPOTrainer` in the bases.

    TRL permutes the rows of a rollout before it splits them into micro-batches, which tears groups apart. Here the
    rollout carries its row numbers through that shuffle; then whole groups are permuted and split again.
    """

    _rollout_is_new = False
    _buffered_inputs: list[dict[str, Any]]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        rollout = super()._generate_and_score_completions(inputs)
        if not self.model.training:  # evaluation neither shuffles nor splits
            return rollout
        self._rollout_is_new = True
        return with_row_index(rollout)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        inputs = super()._prepare_inputs(generation_batch)
        if not self._rollout_is_new:
            return inputs
        self._rollout_is_new = False
        slices = self._buffered_inputs
        rollout = {name: _joined([piece[name] for piece in slices]) for name in slices[0]}
        self._buffered_inputs = split_tensor_dict(shuffle_whole_groups(rollout, self.num_generations), len(slices))
        return self._buffered_inputs[self._step % len(slices)]


@contextmanager
def recorded_generation_states(trainer: Any, states: States) -> Iterator[States]:
    """Let `states` follow the sampling made inside the block: the forwards of the decoding steps compute them anyway.

    They stay empty under vLLM and continuous batching, which run no module of this process row by row. Tokens of the
    last step are never fed back, so the longest completions miss their last token.
    """
    sample = trainer._generate_single_turn

    def record(_module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        states.add(kwargs["input_ids"] if "input_ids" in kwargs else args[0], output[0])

    def recording(*args: Any, **kwargs: Any) -> Any:
        states.begin()
        base = bare_model(trainer, trainer.model).base_model
        hook = base.register_forward_hook(record, with_kwargs=True)
        try:
            return sample(*args, **kwargs)
        finally:
            hook.remove()

    if trainer.use_vllm or trainer.use_transformers_continuous_batching:
        yield states
        return
    trainer._generate_single_turn = recording
    try:
        yield states
    finally:
        del trainer._generate_single_turn


@contextmanager
def recorded_per_token_logps(trainer: Any) -> Iterator[list[Tensor]]:
    """Record, detached, the log-probs [rows, T] of every scoring pass that TRL makes inside the block."""
    recorded: list[Tensor] = []
    score = trainer._get_per_token_logps_and_entropies

    def recording(*args: Any, **kwargs: Any) -> Any:
        result = score(*args, **kwargs)
        recorded.append(result[0].detach())
        return result

    trainer._get_per_token_logps_and_entropies = recording
    try:
        yield recorded
    finally:
        del trainer._get_per_token_logps_and_entropies


def hidden_states(trainer: Any, model: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Last hidden states (after the final norm) of plain sequences, without gradient and without the language head.

    input_ids, attention_mask: [rows, T], padded on either side. Returns [rows, T, dim] in the model's own dtype.
    """
    with scoring(trainer), trainer.accelerator.autocast():
        if not trainer.is_deepspeed_enabled:
            base = bare_model(trainer, model).base_model
            return base(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)[0]
        # ZeRO-3 gathers weights from the start of the whole model's forward on; its head then reads one token
        with recorded_hidden_states(trainer, model) as recorded:
            model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, logits_to_keep=1)
    return recorded[0]


def tokenize_prompts(trainer: Any, prompts: list[Any]) -> list[list[int]]:
    """Token ids of prompts, texts or messages, exactly as the rollouts tokenize them."""
    return trainer._tokenize_prompts(prompts)[0]


def first_prompt(trainer: Any) -> Any:
    """The first prompt of the training set, a text or messages."""
    return next(iter(trainer.train_dataset))["prompt"]


def draw_rollout(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A training rollout and all that the trainer makes of it, without an update.

    rows: of the data set, each as often as its prompt is sampled, one after the other.
    """
    trainer.model.train()
    return trainer._generate_and_score_completions(rows)


def rollout_number(trainer: Any) -> int:
    """How many training rollouts came before this one, counted from the start of the run and not of the process.

    One rollout may serve several updates, or one update several rollouts.
    """
    accumulated = trainer.args.gradient_accumulation_steps
    micro_steps = trainer.state.global_step * accumulated + trainer._step % accumulated
    return micro_steps // (trainer.args.steps_per_generation * trainer.num_iterations)
