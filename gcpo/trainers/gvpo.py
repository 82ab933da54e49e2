"""GVPO (arXiv 2504.19599), on TRL: a squared loss that fits β log π_θ/π_θ' to the reward within each group.

No clip, ratio, KL loss, entropy term or standard deviation. π_θ' is the policy of the rollout. Needs whole groups in
every micro-batch and more than one update per rollout: in the first, l = l', it is REINFORCE with baseline mean R.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.utils.checkpoint import checkpoint

from gcpo.advantages import gvpo_loss
from gcpo.trainers.checks import check_whole_groups
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.settings import check_numbers
from gcpo.trl_adapter import WholeGroupsMixin, log_metric, per_token_logps_and_entropies

UPDATES_PER_ROLLOUT = 4  # the official code: rollouts of 1024, updates of 256


@dataclass
class GVPOConfig(PaperGRPOConfig):
    """Settings of GVPO; the paper compares against "GVPO (Zhang et al. 2025)" and states nothing more.

    `steps_per_generation` is by default 4 updates' worth of micro-batches. `gvpo_reduction`: "mean" over the
    micro-batch's groups (our choice, keeps the step's scale free of the batch), or the official "sum".
    """

    # Not stated by the paper: the source's value (robust between 0.05 and 0.2)
    gvpo_beta: float = 0.1
    # Not stated by the paper: mean over groups; the official code sums over the micro-batch's prompts
    gvpo_reduction: str = "mean"
    # Not stated by the paper: rows whose activations are kept at once, None for the whole micro-batch. Fewer fit long
    # completions at the price of one more forward; the gradient is the same
    gvpo_rows_per_pass: int | None = None
    # The source has no standard deviation. Not stated by the paper
    scale_rewards: str = "none"
    # The source's loss has no KL term beside its own beta. Not stated by the paper
    beta: float = 0.0

    fixed_fields: ClassVar[dict[str, Any]] = PaperGRPOConfig.fixed_fields | {"scale_rewards": "none", "beta": 0.0}

    def __post_init__(self) -> None:
        check_numbers(self)  # before they are multiplied
        unset = self.steps_per_generation is None and self.generation_batch_size is None  # type: ignore[has-type]
        if unset and self.num_iterations == 1:
            self.steps_per_generation = UPDATES_PER_ROLLOUT * self.gradient_accumulation_steps
        super().__post_init__()
        if self.gvpo_beta <= 0:
            raise ValueError(f"gvpo_beta is {self.gvpo_beta}; want a positive number, 0.1 in the source")
        if self.gvpo_rows_per_pass is not None and self.gvpo_rows_per_pass < 1:
            raise ValueError(f"gvpo_rows_per_pass is {self.gvpo_rows_per_pass}; want at least 1, or None for all rows")
        if self.gvpo_reduction not in ("mean", "sum"):
            raise ValueError(f"gvpo_reduction is {self.gvpo_reduction!r}; want 'mean' or 'sum'")
        if self.steps_per_generation * self.num_iterations <= self.gradient_accumulation_steps:
            raise ValueError(
                f"steps_per_generation {self.steps_per_generation} x num_iterations {self.num_iterations} gives one "
                "update per rollout, where GVPO is REINFORCE; want more than gradient_accumulation_steps "
                f"{self.gradient_accumulation_steps}"
            )


class GVPOTrainer(WholeGroupsMixin, PaperGRPOTrainer):
    """GVPO: TRL's rollouts in whole groups, and `gcpo.advantages.gvpo_loss` for the objective."""

    config_class: ClassVar[type[PaperGRPOConfig]] = GVPOConfig

    @staticmethod
    def check_batches(args: GVPOConfig) -> None:
        """See `PaperGRPOTrainer`: whole groups in every micro-batch."""
        check_whole_groups(args, per_micro_batch=True)
        plugin = args.deepspeed_plugin
        if args.gvpo_rows_per_pass is not None and plugin is not None and plugin.zero_stage == 3:
            raise ValueError(
                f"gvpo_rows_per_pass is {args.gvpo_rows_per_pass}; under ZeRO-3 the head's weight cannot be gathered "
                "when activations are made again: want None, or ZeRO-2"
            )

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        mask = inputs["completion_mask"]
        names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")

        def score(*rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            context, context_mask, ids, real = rows
            logps, entropies = per_token_logps_and_entropies(self, model, context, context_mask, ids, real)
            # float32 under bf16 too: TRL's head accumulates in it
            return (logps * real).sum(dim=1), (entropies.detach() * real).sum(dim=1)

        if self.args.gvpo_rows_per_pass is None:
            sequence_logps, entropies = score(*(inputs[name] for name in names))
        else:  # w_i needs the whole group, its gradient one row after the other: activations are made again for each
            parts = zip(*(inputs[name].split(self.args.gvpo_rows_per_pass) for name in names), strict=True)
            scored = [checkpoint(score, *part, use_reentrant=False) for part in parts]
            sequence_logps, entropies = (torch.cat(column) for column in zip(*scored, strict=True))
        old_sequence_logps = (inputs["old_per_token_logps"] * mask).sum(dim=1)
        group_losses = gvpo_loss(
            sequence_logps,
            old_sequence_logps,
            inputs["advantages"],  # R_i - mean R; centring is idempotent
            self.num_generations if self.model.training else self.num_generations_eval,
            self.args.gvpo_beta,
        )
        log_ratio = (sequence_logps - old_sequence_logps).detach()
        log_metric(self, "gvpo/log_ratio_abs_mean", log_ratio.abs().mean())
        log_metric(self, "entropy", entropies.sum() / mask.sum().clamp(min=1))
        loss = group_losses.sum() if self.args.gvpo_reduction == "sum" else group_losses.mean()
        # TRL turns Trainer's own division by gradient accumulation off
        return loss / (self.current_gradient_accumulation_steps if self.model.training else 1)
