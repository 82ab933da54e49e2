"""Memory of one GPU before anything runs: the training peak, vLLM beside it, and which setting to change if too much.

Arithmetic, never measured on a GPU by us. bfloat16 compute with a float32 master copy and Adam (DeepSpeed), gradient
checkpointing, flash attention, and TRL 1.16's fused head. Sizes in GiB.
"""

import math
from dataclasses import dataclass, replace

from repro.cluster.models import GIB, Shape
from repro.errors import BadInput

# Chosen so that the sums meet the published estimates for these models: a process's CUDA context, NCCL's buffers and
# the layers that ZeRO-3 gathers ahead (training), the same without what is gathered ahead (sampling).
_TRAINING_OVERHEAD, _SAMPLING_OVERHEAD = 4.0, 3.0
_ENGINE_OVERHEAD = 2.6  # vLLM's own activations and graphs inside its share of the card
_ASLEEP = 1.0  # what vLLM keeps on the card while it sleeps
_HEAD_TILE = 4096 * 32768 * 4 / GIB  # TRL's fused head works on tiles of that many float32 logits
CARDS = {"a100-40": 39.4, "a100-80": 79.2, "h100-80": 79.2}  # what torch calls the total capacity
_BATCHES = (4, 2, 1)
_SHARES = (0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class Setup:
    """What decides the memory of one rank.

    rows: of a micro-batch whose activations are alive at once. tokens: the longest row, prompt and completion.
    extra_tokens: the longest row of GCPO's second forward, 0 without one. reference: a second, frozen model (beta > 0).
    card: GiB of one GPU. vllm_share: of the card, 0 without vLLM. max_model_tokens: what vLLM must have room for.
    """

    rows: int
    tokens: int
    ranks: int
    zero_stage: int
    card: float
    offload: bool = False
    reference: bool = True
    fused_head: bool = True
    checkpointing: bool = True
    flash: bool = True
    extra_tokens: int = 0
    extra_rows: int = 0
    vllm_share: float = 0.0
    vllm_ranks: int = 1
    vllm_sleep: bool = False
    max_model_tokens: int = 0


def resident_gib(shape: Shape, setup: Setup) -> float:
    """Parameters, gradients, optimizer and reference of one rank: 2 + 2 + 12 + 2 bytes per parameter, sharded by stage.

    Stage 0 shards nothing, 1 the optimizer, 2 also the gradients, 3 also parameters and reference. With `offload` the
    optimizer's 12 bytes stand in the host's memory.
    """
    share = [1 / setup.ranks if setup.zero_stage >= stage else 1.0 for stage in (1, 2, 3)]
    optimizer = 0.0 if setup.offload else 12 * share[0]
    per_parameter = optimizer + 2 * share[1] + 2 * share[2] + (2 * share[2] if setup.reference else 0.0)
    return shape.parameters * per_parameter / GIB


def checkpoints_gib(shape: Shape, rows: int, tokens: int) -> float:
    """The input of every layer, kept for the backward pass."""
    return 2 * shape.layers * shape.hidden * rows * tokens / GIB


def layer_gib(shape: Shape, rows: int, tokens: int) -> float:
    """The activations of one layer: those of the feed-forward part four times, of the rest eight times."""
    return 2 * (4 * shape.intermediate + 8 * shape.hidden) * rows * tokens / GIB


def head_gib(shape: Shape, setup: Setup) -> float:
    """The language head: fused, its gathered weight with a float32 gradient and two tiles; else all logits (2 + 4)."""
    if setup.fused_head:
        return shape.vocabulary * shape.hidden * (2 + 4) / GIB + 2 * _HEAD_TILE
    return setup.rows * setup.tokens * shape.vocabulary * (2 + 4) / GIB


def training_gib(shape: Shape, setup: Setup) -> float:
    """The peak of one rank while it trains, vLLM aside."""
    kept = checkpoints_gib(shape, setup.rows, setup.tokens)
    layer = layer_gib(shape, setup.rows, setup.tokens)
    if not setup.checkpointing:
        kept = layer * shape.layers
    if setup.extra_tokens:  # the second forward stands beside the first until the one backward pass
        kept += checkpoints_gib(shape, setup.extra_rows, setup.extra_tokens)
        layer = max(layer, layer_gib(shape, setup.extra_rows, setup.extra_tokens))
    if not setup.flash:  # padded rows make SDPA build a mask of rows x tokens x tokens
        kept += 2 * setup.rows * setup.tokens**2 / GIB
    return resident_gib(shape, setup) + kept + layer + head_gib(shape, setup) + _TRAINING_OVERHEAD


def sampling_gib(shape: Shape, setup: Setup) -> float:
    """What one rank holds while vLLM samples beside it."""
    return resident_gib(shape, setup) + setup.vllm_share * setup.card + _SAMPLING_OVERHEAD


def sequences(shape: Shape, setup: Setup, tokens: int) -> int:
    """Sequences of `tokens` for which one engine has keys and values at once."""
    room = setup.vllm_share * setup.card - 2 * shape.parameters / GIB / setup.vllm_ranks - _ENGINE_OVERHEAD
    return max(0, math.floor(room * GIB / (shape.kv_bytes / setup.vllm_ranks * tokens)))


def problems(shape: Shape, setup: Setup) -> list[str]:
    """What does not fit on the card, one phrase each; empty where all of it fits."""
    found = []
    beside = 0.0
    if setup.vllm_share:
        beside = _ASLEEP if setup.vllm_sleep else setup.vllm_share * setup.card
    peak = training_gib(shape, setup) + beside
    if peak > setup.card:
        found.append(f"training needs {peak:.0f} GiB")
    if setup.vllm_share:
        holds = sampling_gib(shape, setup)
        if holds > setup.card:
            found.append(f"sampling needs {holds:.0f} GiB")
        if sequences(shape, setup, setup.max_model_tokens) < 1:
            found.append(f"vLLM has no room for one sequence of {setup.max_model_tokens} tokens")
        if shape.kv_heads % setup.vllm_ranks:
            found.append(f"vllm_tensor_parallel_size {setup.vllm_ranks} does not divide {shape.kv_heads} KV heads")
    return found


def _changes(setup: Setup) -> list[tuple[str, Setup]]:
    """Single changes that save memory, the cheapest first."""
    found = []
    if not setup.flash:
        found.append(("attn_implementation to flash_attention_2", replace(setup, flash=True)))
    if not setup.checkpointing:
        found.append(("gradient_checkpointing to true", replace(setup, checkpointing=True)))
    if setup.vllm_share and not setup.vllm_sleep:
        found.append(("vllm_enable_sleep_mode to true", replace(setup, vllm_sleep=True)))
    smaller = [rows for rows in _BATCHES if rows < setup.rows]
    found += [(f"per_device_train_batch_size to {rows}", replace(setup, rows=rows)) for rows in smaller]
    lower = [share for share in _SHARES if share < setup.vllm_share]
    found += [(f"vllm_gpu_memory_utilization to {share}", replace(setup, vllm_share=share)) for share in lower]
    if setup.vllm_share:
        wider = [ranks for ranks in (2, 4) if ranks > setup.vllm_ranks]
        found += [(f"vllm_tensor_parallel_size to {ranks}", replace(setup, vllm_ranks=ranks)) for ranks in wider]
    if setup.zero_stage < 3:
        found.append(("zero to 3", replace(setup, zero_stage=3)))
    if not setup.offload:
        found.append(("offload to true", replace(setup, offload=True)))
    return found


def advice(shape: Shape, setup: Setup, depth: int = 4) -> str | None:
    """The shortest list of changes, at most `depth`, after which all fits: "a to x and b to y"; None if there is none.

    Among lists of one length, the first in the order of `_changes`.
    """
    waiting: list[tuple[tuple[str, ...], Setup]] = [((), setup)]
    for _ in range(depth):
        longer = []
        for words, current in waiting:
            for word, changed in _changes(current):
                if any(word.split()[0] == each.split()[0] for each in words):
                    continue  # the same setting twice
                if not problems(shape, changed):
                    return " and ".join((*words, word))
                longer.append(((*words, word), changed))
        waiting = longer
    return None


def check_memory(shape: Shape, setup: Setup, where: str) -> None:
    """Raise BadInput, led by `where`, unless everything fits on the card; it says which settings to change."""
    found = problems(shape, setup)
    if not found:
        return
    change = advice(shape, setup)
    mend = f"set {change}" if change else f"no setting makes it fit {setup.ranks} such cards; want more or larger ones"
    raise BadInput(f"{where}: {' and '.join(found)} of {setup.card:.1f} GiB per GPU; {mend}")
