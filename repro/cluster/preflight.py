"""A cell's settings against the cluster that runs it: memory, batch, cost. Nothing is loaded or downloaded.

Does: turn a profile's values into `memory.Setup` and `costs.Step`. Does not: know a scheduler or a site.
"""

from dataclasses import dataclass
from typing import Any

from repro.cells.cell import Cell
from repro.cluster import costs, memory
from repro.cluster.models import GIB, Shape, shape_of
from repro.cluster.site import Site
from repro.config import ClusterSpec, Profile
from repro.errors import BadInput
from repro.methods.registry import get_method
from repro.references import resolve

PROMPT_TOKENS = 1024  # chosen: no problem of the training sets is longer with its template
# A method that its own loop trains: one process holds all of it, 16 bytes per parameter in float32 with Adam.
_ALONE_BYTES, _ALONE_OVERHEAD = 16, 4.0


def cluster_of(profile: Profile) -> ClusterSpec:
    """The profile's cluster section. Raises BadInput for a profile that one machine runs."""
    if profile.cluster is None:
        raise BadInput(
            f"profile {profile.name} has no section 'cluster': one machine runs it; use `make reproduce-...` without "
            "CLUSTER"
        )
    return profile.cluster


def setup_of(profile: Profile, cell: Cell) -> memory.Setup:
    """What one rank must hold while it trains the cell."""
    cluster, values, base = cluster_of(profile), cell.spec["train"], cell.base
    layout = cluster.layout(base, cell.arm)
    vllm = values.get("use_vllm", False)
    rows = values["per_device_train_batch_size"]
    kappa = values.get("kappa", 0.0)
    context = values.get("max_context_length") or PROMPT_TOKENS
    return memory.Setup(
        rows=min(rows, values.get("gvpo_rows_per_pass") or rows),
        tokens=PROMPT_TOKENS + values["max_completion_length"],
        ranks=cluster.ranks,
        zero_stage=layout.zero,
        offload=layout.offload,
        card=memory.CARDS[cluster.card],
        reference=values.get("beta", 0.0) > 0,
        checkpointing=values.get("gradient_checkpointing", False),
        flash=profile.bases[base].attn_implementation == "flash_attention_2",
        extra_tokens=context + values["max_completion_length"] if kappa else 0,
        extra_rows=rows if kappa else 0,
        vllm_share=values["vllm_gpu_memory_utilization"] if vllm else 0.0,
        vllm_ranks=values.get("vllm_tensor_parallel_size", 1),
        vllm_sleep=values.get("vllm_enable_sleep_mode", False),
        max_model_tokens=values.get("vllm_max_model_length") or 131_072,
    )


def check_batch(cluster: ClusterSpec, values: dict[str, Any], where: str) -> None:
    """Raise BadInput unless an update sees the profile's batch, and vLLM's engines divide the ranks."""
    seen = cluster.ranks * values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    wanted = cluster.batch * (values["num_generations"] if cluster.batch_of == "prompts" else 1)
    if seen != wanted:
        raise BadInput(
            f"{where}: {cluster.ranks} ranks x {values['per_device_train_batch_size']} rows x "
            f"{values['gradient_accumulation_steps']} accumulations are {seen} completions per update; want {wanted}: "
            f"set gradient_accumulation_steps so that they are"
        )
    engine = values.get("vllm_tensor_parallel_size", 1)
    if cluster.ranks % engine:
        raise BadInput(
            f"{where}: vllm_tensor_parallel_size {engine} does not divide {cluster.ranks} ranks; want 1, 2 or 4"
        )


def distributed(cell: Cell) -> bool:
    """Whether the cell's training runs on all ranks; a method without a trainer runs its own loop in one process."""
    return cell.trained and bool(get_method(cell.spec["method"]).trainer)


def check_site(profile: Profile, site: Site) -> None:
    """Raise BadInput unless the site's nodes have exactly the ranks of the profile."""
    if profile.cluster is None:
        return
    have = site.nodes * site.gpus_per_node
    if have != profile.cluster.ranks:
        raise BadInput(
            f"the site file gives {site.nodes} x {site.gpus_per_node} = {have} GPUs to a training; profile "
            f"{profile.name} wants {profile.cluster.ranks}: change nodes or gpus_per_node, or --set "
            f"cluster.ranks={have} with a gradient_accumulation_steps that keeps the batch"
        )


def why_not(profile: Profile, cell: Cell) -> str:
    """Why a cell cannot be launched whatever its settings, empty if it can."""
    if "search" in cell.spec:
        return "a search is no part of a launch; run its table without CLUSTER once its policies are trained"
    if not cell.trained or distributed(cell) or profile.cluster is None:
        return ""
    shape = shape_of(profile.bases[cell.base].model)
    needs = shape.parameters * _ALONE_BYTES / GIB + _ALONE_OVERHEAD
    card = memory.CARDS[cluster_of(profile).card]
    return "" if needs <= card else f"its loop has one process, which needs {needs:.0f} GiB of {card:.1f} GiB"


def check_cells(profile: Profile, cells: list[Cell]) -> None:
    """Raise BadInput for the first cell that does not fit the cards or has another batch than the paper's."""
    cluster = cluster_of(profile)
    for cell in {(cell.base, cell.arm): cell for cell in cells if distributed(cell)}.values():
        where = f"profile {profile.name}, {cell.arm} on {cell.base}"
        check_batch(cluster, cell.spec["train"], where)
        setup = setup_of(profile, cell)
        if setup.zero_stage == 3 and cell.spec["train"].get("gvpo_rows_per_pass"):
            raise BadInput(
                f"{where}: gvpo_rows_per_pass makes activations again outside the model, where ZeRO-3 has gathered no "
                f"weights; set cluster.layouts '{cell.arm}@{cell.base}' to zero 2, with offload if it must"
            )
        memory.check_memory(shape_of(profile.bases[cell.base].model), setup, where)


@dataclass(frozen=True)
class Price:
    """GPU-hours of a cell. rollout_seconds: from one point where it may stop to the next, 0 without training."""

    train: float
    evaluate: float
    rollout_seconds: float

    @property
    def total(self) -> float:
        """Training and evaluation."""
        return self.train + self.evaluate


def price(profile: Profile, cell: Cell) -> Price:
    """What a cell costs by the throughput table. Raises BadInput for a card or a suite that it does not know."""
    cluster = cluster_of(profile)
    shape = shape_of(profile.bases[cell.base].model)
    rates = costs.rates_of(shape, cluster.card)
    unknown = set(profile.tasks.suites) - set(costs.SUITE_TOKENS)
    if unknown:
        raise BadInput(f"suite {min(unknown)} has no mean length in repro/cluster/costs.py; add it")
    spec = profile.evaluate
    samples = {suite: spec.samples_of(suite) + spec.greedy for suite in profile.tasks.suites}
    tokens = costs.evaluation_tokens(samples, spec.max_new_tokens, profile.tasks.suites)
    evaluate = costs.evaluation_hours(rates, tokens)
    if not cell.trained:
        return Price(0.0, evaluate, 0.0)
    values, factor = cell.spec["train"], profile.resources.arm_cost.get(cell.arm, 1.0)
    if not distributed(cell):  # it generates and trains what its budget says, at the pace of one GPU
        budget = values.get("generated_tokens") or resolve(get_method(cell.spec["method"]).config).generated_tokens
        return Price(2 * costs.evaluation_hours(rates, budget), evaluate, 0.0)
    step = costs.Step(
        completions=cluster.ranks * values["per_device_train_batch_size"] * values["gradient_accumulation_steps"],
        ranks=cluster.ranks,
        limit=values["max_completion_length"],
        reference=values.get("beta", 0.0) > 0,
    )
    seconds = costs.step_seconds(shape, rates, step) * factor
    updates = max(1, values["steps_per_generation"] // values["gradient_accumulation_steps"])
    hours = costs.training_hours(shape, rates, step, values["max_steps"], factor)
    return Price(hours, evaluate, seconds * updates)


def measured_cost(profile: Profile, cell: Cell, shape: Shape, seconds: float, ranks: int, tokens: float) -> dict:
    """What a training did cost: GPU-hours, tokens/s, MFU, and measured over planned GPU-hours (1: as planned)."""
    hours = seconds * ranks / 3600
    planned = price(profile, cell).train
    return {
        "gpu_hours": hours,
        "tokens_per_second": tokens / seconds,
        "mfu": costs.model_flops_utilisation(shape, cluster_of(profile).card, tokens, seconds, ranks),
        "planned_gpu_hours": planned,
        "measured_over_planned": hours / planned if planned else None,
    }
