"""GRPO as the paper writes it (Eq. 6-9), on TRL's `GRPOTrainer`.

The configuration states every field that can move a result: the paper's words, or "Not stated" and the choice. TRL's
own defaults are not GRPO (no KL term, DAPO's normalisation, a bias-corrected KL, sequence masking under vLLM).
The trainer adds checks and changes no number. Does not choose models, data, or the number of devices.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from gcpo.trainers.checks import (
    CheckpointsBetweenRollouts,
    FiniteTrainingMixin,
    check_data,
    check_whole_groups,
    checked_reward,
    drop_generation_defaults,
    keep_full_precision,
)
from gcpo.trainers.settings import check_numbers
from gcpo.trl_adapter import assert_trl_version


@dataclass
class PaperGRPOConfig(GRPOConfig):
    """Settings of the paper's GRPO (Eq. 6-9). Raises ValueError where an override would make it another method."""

    # ---- objective, Eq. 6-9
    # Eq. 6: "1/n sum_i 1/T_i sum_j": each candidate is averaged over its own tokens
    loss_type: str = "grpo"
    # Eq. 8: "A_i = [r_i - mean(r_0, ..., r_{n-1})]/std(r_0, ..., r_{n-1})"
    scale_rewards: str = "group"
    # "R_{i,j}(theta) and D_KL(.) are also calculated in a token-by-token manner"
    importance_sampling_level: str = "token"
    # Eq. 6: "clip(R_{i,j}(theta), 1-epsilon, 1+epsilon)", "epsilon and beta are hyperparameters".
    # Not stated: 0.2, the value of PPO and of every GRPO release
    epsilon: float = 0.2
    # Eq. 6: "clip(R_{i,j}(theta), 1-epsilon, 1+epsilon)": the same epsilon on both sides
    epsilon_high: float | None = None
    # Eq. 6: "min(R_{i,j}(theta) A_i, Xi_{ij} A_i)": no second upper bound
    delta: float | None = None
    # Eq. 6: "-beta D_KL(pi_theta || pi_ref)". Not stated: 0.04, the value of the authors' public GRPO code
    beta: float = 0.04
    # Eq. 7: "pi_ref/pi_theta - log pi_ref/pi_theta - 1": not multiplied by the importance ratio
    use_bias_correction_kl: bool = False
    # "pi_ref is a fixed reference policy and often set to pi_theta_old": "initial", or "old", the rollout's policy
    ref_policy: str = "initial"
    # "pi_ref is a fixed reference policy": not moved during a run
    sync_ref_model: bool = False
    # Algorithm 1: "Set old policy <- pi_theta" and "Update pi_theta" once per step
    num_iterations: int = 1
    # "r_i = reward(y_i) combines task-specific accuracy and formatting rewards": summed, then Eq. 8
    multi_objective_aggregation: str = "sum_then_normalize"
    # Not stated: weights of the rewards are set with the reward functions, by the caller
    reward_weights: list[float] | None = None
    # Eq. 6: "1/n sum_{i=0}^{n-1}": every candidate counts, truncated ones too
    mask_truncated_completions: bool = False
    # Eq. 6: "1/T_i sum_j": every token counts
    top_entropy_quantile: float = 1.0
    # Eq. 6 has no entropy term. Not stated: none
    entropy_coef: float = 0.0
    # Eq. 6 has no entropy term. Not stated: none
    use_adaptive_entropy: bool = False
    # Eq. 6 masks no sequence. Not stated: off
    off_policy_mask_threshold: float | None = None

    # ---- rollouts
    # "GRPO samples a set of outputs {y_0, y_1, ..., y_{n-1}}". Not stated: n = 8, which fills a node of 8 GPUs evenly
    num_generations: int | None = 8
    # "The maximum prompt length is 4,096 tokens, and the maximum generation length is 16,384 tokens"
    max_completion_length: int | None = 16384
    # Not stated: 1, so that samples come from pi_theta_old itself, as Eq. 9 assumes
    temperature: float = 1.0
    # Not stated: 1, for the same reason
    top_p: float = 1.0
    # Not stated: off, for the same reason
    top_k: int = 0
    # Not stated: off, for the same reason
    min_p: float | None = None
    # Not stated: none, for the same reason
    repetition_penalty: float = 1.0
    # Not stated: nothing beside the fields above may change sampling
    generation_kwargs: dict | str | None = None
    # Not stated: the order of questions is shuffled, by the seed
    shuffle_dataset: bool | None = True
    # "We enable vLLM acceleration by setting the 'use_vllm' flag to True". Off here: needs a GPU; profiles turn it on
    use_vllm: bool = False
    # "with GPU memory utilization capped at 80%"
    vllm_gpu_memory_utilization: float = 0.8
    # Eq. 9: "pi_theta(y_ij|q, y_i<j)/pi_theta_old(y_ij|q, y_i<j)" is the only ratio; TRL's second one can mask rows
    vllm_importance_sampling_correction: bool = False
    # Not stated: off; it is another sampler
    use_transformers_continuous_batching: bool = False

    # ---- optimisation
    # "We adopt a learning rate of 1e-6, weight decay of 0.01, and batch size of 256"
    learning_rate: float = 1e-6
    # "weight decay of 0.01"
    weight_decay: float = 0.01
    # "batch size of 256", in completions (prompts or completions: not stated): 8 x 32 on one process
    per_device_train_batch_size: int = 8
    # "batch size of 256": 8 x 32 on one process
    gradient_accumulation_steps: int = 32
    # "employ a cosine learning rate scheduler with a warm-up ratio of 0.1"
    lr_scheduler_type: str = "cosine"
    # "with a warm-up ratio of 0.1": a float below 1 is a ratio
    warmup_steps: float = 0.1
    # "trained for up to 10 epochs, with early stopping typically at 1 epoch"
    num_train_epochs: float = 1.0
    # Not stated: AdamW, the optimizer of the TRL code base the paper builds on
    optim: str = "adamw_torch_fused"
    # Not stated: Adam's published value
    adam_beta1: float = 0.9
    # Not stated: Adam's published value
    adam_beta2: float = 0.999
    # Not stated: Adam's published value
    adam_epsilon: float = 1e-8
    # Not stated: 1.0, the default of the TRL code base
    max_grad_norm: float = 1.0
    # "All training is performed with mixed-precision (bf16)": float32 weights under bf16 autocast. Off here: fp32 is
    # the reference; profiles turn it on
    bf16: bool | None = False
    # "All training is performed with mixed-precision (bf16)": never fp16
    fp16: bool = False
    # Not stated: off; it changes memory and time, not the objective
    gradient_checkpointing: bool = False
    # Not stated: off, so that pi_theta has one head for sampling and for scoring
    cast_lm_head_to_fp32: bool = False
    # Not stated: off; the paper's base models have no dropout
    disable_dropout: bool = False
    # Not stated: TRL's value; a seed is a column of every table
    seed: int = 42

    # ---- records
    # Not stated: every step, so that a run can be read
    logging_steps: float = 1
    # Not stated: off; the filter would replace a NaN loss by the average of earlier ones
    logging_nan_inf_filter: bool = False
    # Not stated: no tracker unless asked for
    report_to: str | list[str] = "none"
    # Not stated: the caller decides what is kept
    save_strategy: str = "no"
    # Not stated: reward functions read the other columns of the data
    remove_unused_columns: bool | None = False

    # What makes it this method: an override of one of these raises
    fixed_fields: ClassVar[dict[str, Any]] = {
        "loss_type": "grpo",
        "scale_rewards": "group",
        "importance_sampling_level": "token",
        "use_bias_correction_kl": False,
        "delta": None,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "multi_objective_aggregation": "sum_then_normalize",
    }

    def __post_init__(self) -> None:
        check_numbers(self)
        super().__post_init__()
        if self.fp16:
            raise ValueError("fp16 is True; want bf16, with which the paper trains, or neither")
        for name, wanted in self.fixed_fields.items():
            if getattr(self, name) != wanted:
                raise ValueError(f"{name} is {getattr(self, name)!r}; {type(self).__name__} is defined by {wanted!r}")
        if self.ref_policy not in ("initial", "old"):
            raise ValueError(f"ref_policy is {self.ref_policy!r}; want 'initial' or 'old'")
        one_update = self.gradient_accumulation_steps % (self.steps_per_generation * self.num_iterations) == 0
        if self.ref_policy == "old" and (self.beta == 0 or one_update):
            raise ValueError(
                f"ref_policy='old' with beta {self.beta} and {'one update' if one_update else 'several updates'} per "
                "rollout has no KL term: pi_theta is pi_old at the first update; want beta > 0 and more than one "
                "update per rollout"
            )

    @property
    def completions_per_update(self) -> int:
        """Completions behind one optimizer step, over all ranks: the paper's "batch size"."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps * self.world_size


def changes(config: PaperGRPOConfig, shown: dict[str, str]) -> list[str]:
    """The fields that are not at their default, as "label=value". shown: field to label, in order."""
    parts = []
    for field, label in shown.items():
        value = getattr(config, field)
        if value != type(config).__dataclass_fields__[field].default:
            parts.append(f"{label}={value:g}" if isinstance(value, float) else f"{label}={value}")
    return parts


class PaperGRPOTrainer(FiniteTrainingMixin, GRPOTrainer):
    """TRL's GRPO with the checks of `gcpo.trainers.checks`; its numbers are those of `GRPOTrainer`, bit for bit.

    Takes the arguments of `GRPOTrainer`; `args` is required and must be of `config_class`, since TRL would fill in a
    bare `GRPOConfig`. Raises ValueError before training where a group would be split or data cannot be read, and at a
    step whose reward is not finite; FloatingPointError where loss or gradient are not.
    """

    config_class: ClassVar[type[PaperGRPOConfig]] = PaperGRPOConfig
    reward_funcs: list[Any]

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: Any = None,
        args: PaperGRPOConfig | None = None,
        **kwargs: Any,
    ) -> None:
        assert_trl_version()
        if not isinstance(args, self.config_class):
            raise ValueError(
                f"args is a {type(args).__name__}; {type(self).__name__} needs a {self.config_class.__name__}"
            )
        self.check_batches(args)
        check_data(kwargs.get("train_dataset"), args)
        super().__init__(keep_full_precision(model, args), reward_funcs, args, **kwargs)
        drop_generation_defaults(self.model)
        self.reward_funcs = [
            f if isinstance(f, nn.Module) else checked_reward(f, name)
            for f, name in zip(self.reward_funcs, self.reward_func_names, strict=True)
        ]
        self.add_callback(CheckpointsBetweenRollouts(self))

    @staticmethod
    def check_batches(args: PaperGRPOConfig) -> None:
        """Raise ValueError for batches that this trainer cannot split into what it needs; see `check_whole_groups`."""
        check_whole_groups(args)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        rollout = super()._generate_and_score_completions(inputs)
        if self.args.ref_policy == "old" and self.model.training:
            rollout["ref_per_token_logps"] = rollout["old_per_token_logps"]
        return rollout
