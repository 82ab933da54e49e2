"""Dr.GRPO (arXiv 2503.20783), on TRL: GRPO without the two biases of its normalisation.

A constant divisor replaces each candidate's own length, and advantages are not divided by the group's standard
deviation. TRL divides by rows x `max_completion_length`, which makes the loss about T_mean / T_max of GRPO's: Adam does
not see it, clipping and weight decay do. Everything else is `PaperGRPOConfig`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer


@dataclass
class DrGRPOConfig(PaperGRPOConfig):
    """Settings of Dr.GRPO; the paper compares against "Dr.GRPO (Liu et al. 2025)" and states nothing more."""

    # Dr. GRPO modification 1: a constant in place of the candidate's length. Not stated by the paper: the source's form
    loss_type: str = "dr_grpo"
    # Dr. GRPO modification 2: no division by the standard deviation. Not stated by the paper: the source's form
    scale_rewards: str = "none"
    # Not stated by the paper: the source trains without a KL term
    beta: float = 0.0

    fixed_fields: ClassVar[dict[str, Any]] = PaperGRPOConfig.fixed_fields | {
        "loss_type": "dr_grpo",
        "scale_rewards": "none",
    }


class DrGRPOTrainer(PaperGRPOTrainer):
    """Dr.GRPO: `PaperGRPOTrainer` under `DrGRPOConfig`; the objective is TRL's own "dr_grpo"."""

    config_class: ClassVar[type[PaperGRPOConfig]] = DrGRPOConfig
