"""The switches of GC2PO: the papers' words, or "Not stated" and what was assumed, for every line.

GC2PO is arXiv 2602.06475, L2T arXiv 2505.10425. The body of GC2PO's version 2 was not available and version 1 defines
neither its perturbation nor q(answer | latent): the method here is a reconstruction, and its name says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gcpo.gc2po.credit import TOKEN_WEIGHTS, TRIM_SIDES
from gcpo.gc2po.episodes import LATENT_POSITIONS, OUTSIDE_CREDITS, SEGMENTATIONS
from gcpo.gc2po.reward import EFFECTIVENESS_FORMS, EPISODIC_REWARDS
from gcpo.trainers.grpo import PaperGRPOConfig, changes

_CHOICES = {
    "segmentation": SEGMENTATIONS,
    "outside_credit": OUTSIDE_CREDITS,
    "latent_position": LATENT_POSITIONS,
    "effectiveness": EFFECTIVENESS_FORMS,
    "episodic_reward": EPISODIC_REWARDS,
    "token_weights": TOKEN_WEIGHTS,
    "trim_sides": TRIM_SIDES,
}
_MIN_TOKENS = {"blank_line": 64}  # for marks that also stand inside a move


@dataclass
class GC2POConfig(PaperGRPOConfig):
    """Settings of GC2PO on top of the paper's GRPO. Raises ValueError with the reason for a value without meaning."""

    # ---- episodes
    # L2T: "<episode_1>..</episode_1>", numbered tags that the system prompt asks for. "blank_line" and "delimiter" are
    # for models that obey no tags. Not stated by GC2PO: L2T's
    segmentation: str = "tags"
    # Not stated: the text that ends an episode under "delimiter", such as the task's own end of a step
    episode_delimiter: str | None = None
    # L2T, Sec. 4.3: "at most 30" episodes; the rest of a longer completion belongs to the last
    max_episodes: int = 30
    # Not stated: ASSUMED 64 under "blank_line", whose marks also stand inside a move, and 1 otherwise
    min_episode_tokens: int | None = None
    # Not stated: ASSUMED "episode", a token between episodes and the answer itself count with the episode before them.
    # L2T's released code gives them nothing ("none"); "sequence" gives them the row's own advantage
    outside_credit: str = "episode"

    # ---- q(answer | latent)
    # Not stated: where the final answer begins in a completion, as text
    answer_marker: str = "#"
    # Not stated: where it ends, such as "}" after "\\boxed{"; None for the end of the completion
    answer_end: str | None = None
    # Not stated: ASSUMED the marker: what is put behind an episode to ask for its answer
    answer_prefix: str | None = None
    # Not stated: ASSUMED 32; a longer one is no answer, and its row adds none to the group's
    max_answer_tokens: int = 32
    # Not stated: ASSUMED on, one more option with the mass that the group's answers leave; without it a group of one
    # distinct answer is stable whatever happens
    answer_other: bool = True
    # "the last token's latent of an episode", in a third-party reading; that of the closing tag in L2T's released code
    # ("end"). "content": the token before the mark, since nothing later may read a state that holds no part of the step
    latent_position: str = "end"
    # Not stated: ASSUMED floor(2L/3); a state after the last layer would reach no later token
    latent_layer: int | None = None

    # ---- perturbation
    # "remain stable under counterfactual perturbations". Not stated: ASSUMED z + rho ||z|| u, rho = .1, u uniform on
    # the sphere; 0 is a control, under which both terms are 1 for every episode
    perturbation_size: float = 0.1
    # Not stated: ASSUMED M = 4 perturbed copies beside the clean one
    num_perturbations: int = 4
    # Not stated: ASSUMED 4 random episodes of a row, the others get their mean; the cost grows with it. None: all
    max_scored_episodes: int | None = 4

    # ---- episodic reward
    # "an episodic causal counterfactual reward". Not stated, controls of ours: "non_causal" (variance for robustness,
    # entropy for effectiveness, no perturbation), "permuted" over the batch, "none" (the credit alone)
    episodic_reward: str = "causal"
    # "robustness, encouraging the answer distribution induced by a reasoning step to remain stable": weight .9, from a
    # third-party reading; 0 turns it off
    robustness_weight: float = 0.9
    # "effectiveness, enforcing sufficient variability": weight .8, from a third-party reading; 0 turns it off
    effectiveness_weight: float = 0.8
    # "norm ratio" in a third-party reading. Not stated in what form: ASSUMED that of the state at the answer position.
    # "variability" follows the abstract's "sufficient variability"
    effectiveness: str = "norm_ratio"

    # ---- token credit
    # L2T, Alg. 1: "w = -log pi_old", shares of R_ik within the episode. Not stated, controls of ours: "uniform" shares,
    # "whole" (every token gets R_ik)
    token_weights: str = "surprise"
    # L2T, Alg. 1: the "95 % truncated mean" over the row's token rewards
    trim_share: float = 0.05
    # Not stated: ASSUMED both ends, int(.025 T) each; "upper" drops int(.05 T) at the top
    trim_sides: str = "both"
    # L2T, Alg. 1: the mean over tokens of shares that sum to sum_k R_ik, so it falls as 1/T. Not stated: True undoes it
    length_neutral: bool = False
    # Not stated: ASSUMED 1e-8, beside a spread that is of the order of 1/T
    std_eps: float = 1e-8
    # Not stated: ASSUMED 1e-6, the smallest sum of surprises in an episode
    weight_floor: float = 1e-6
    # Not stated: ASSUMED 1e-4 on |r~| T: below it the ratio r_t / r~ means nothing and A_t is the row's own advantage
    mean_floor: float = 1e-4
    # Not stated: ASSUMED [0, 5], the range of r_t / r~; None for no limit
    ratio_cap: float | None = 5.0

    # ---- cost
    # Not stated: completions per forward of the suffixes, None for the train batch
    extra_batch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_episode_tokens is None:
            self.min_episode_tokens = _MIN_TOKENS.get(self.segmentation, 1)
        if self.answer_prefix is None:
            self.answer_prefix = self.answer_marker
        for message in self._refusals():
            raise ValueError(message)

    @property
    def reads_answers(self) -> bool:
        """Whether any suffix is run at all."""
        return self.episodic_reward != "none" and (self.robustness_weight != 0 or self.effectiveness_weight != 0)

    def _refusals(self) -> list[str]:
        """One line per reason why these settings have no meaning."""
        values = {name: getattr(self, name) for name in _CHOICES}
        bad = [f"{k} is {v!r}; want one of {_CHOICES[k]}" for k, v in values.items() if v not in _CHOICES[k]]
        counts = ("max_episodes", "min_episode_tokens", "max_answer_tokens", "num_perturbations")
        bad += [f"{name} is {getattr(self, name)}; want at least 1" for name in counts if getattr(self, name) < 1]
        sizes = ("perturbation_size", "std_eps", "weight_floor", "mean_floor")
        bad += [
            f"{name} is {getattr(self, name)}; want a finite number >= 0"
            for name in (*sizes, "robustness_weight", "effectiveness_weight")
            if not 0 <= getattr(self, name) < math.inf
        ]
        limit, cap, n = self.max_scored_episodes, self.ratio_cap, self.num_generations
        rules = [
            (n < 2, f"num_generations is {n}; want at least 2, since advantages are relative to a group"),
            (
                (self.segmentation == "delimiter") != bool(self.episode_delimiter),
                f"segmentation is {self.segmentation!r} with episode_delimiter {self.episode_delimiter!r}; want a "
                "delimiter for 'delimiter', and none otherwise",
            ),
            (not self.answer_marker, "answer_marker is empty; want the text before a final answer"),
            (
                limit is not None and limit < 1,
                f"max_scored_episodes is {limit}; want at least 1, None for all, or episodic_reward='none' for none",
            ),
            (not 0 <= self.trim_share < 1, f"trim_share is {self.trim_share}; want a share in [0, 1)"),
            (
                self.episodic_reward == "non_causal" and self.effectiveness != "norm_ratio",
                f"effectiveness={self.effectiveness!r} has no effect under episodic_reward='non_causal'; leave it",
            ),
            (cap is not None and cap <= 0, f"ratio_cap is {cap}; want a number above 0, or None for no limit"),
            (
                self.mask_truncated_completions,
                "mask_truncated_completions hides the tokens that episodes are made of; want False",
            ),
            (self.use_liger_kernel, "use_liger_kernel takes one advantage per completion, GC2PO has one per token"),
        ]
        return bad + [message for wrong, message in rules if wrong]


def gc2po_form_name(config: GC2POConfig) -> str:
    """The form's name in tables, with what is not default: "GC2PO reconstruction", "... reward=none"."""
    shown = {
        "segmentation": "episodes",
        "outside_credit": "outside",
        "answer_other": "other",
        "latent_position": "at",
        "latent_layer": "layer",
        "perturbation_size": "rho",
        "num_perturbations": "M",
        "max_scored_episodes": "K",
        "episodic_reward": "reward",
        "robustness_weight": "rob",
        "effectiveness_weight": "eff",
        "effectiveness": "eff_form",
        "token_weights": "weights",
        "trim_share": "trim",
        "trim_sides": "trim_sides",
        "length_neutral": "length_neutral",
        "std_eps": "std_eps",
        "weight_floor": "weight_floor",
        "mean_floor": "mean_floor",
        "ratio_cap": "ratio_cap",
    }
    return " ".join(["GC2PO reconstruction", *changes(config, shown)])
