"""GC2PO's settings: reasons in the source, values that are refused, and the names of the forms."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from gcpo.trainers.gc2po import GC2POConfig, GC2POTrainer, gc2po_form_name


def make(tmp_path: Path, **overrides: Any) -> GC2POConfig:
    return GC2POConfig(output_dir=str(tmp_path), use_cpu=True, **overrides)


def test_every_setting_is_preceded_by_a_quotation_or_by_not_stated_and_a_reason() -> None:
    lines = inspect.getsource(GC2POConfig).splitlines()
    fields = [i for i, line in enumerate(lines) if re.match(r"    \w+: .* = ", line)]
    assert len(fields) > 25
    for i in fields:
        comment, j = "", i - 1
        while lines[j].strip().startswith("#"):
            comment, j = lines[j] + comment, j - 1
        assert re.search(r'"[^"]{5,}"|Not stated', comment), f"no reason above {lines[i].strip()}"


def test_the_default_is_the_reconstruction_of_the_method_reference(tmp_path: Path) -> None:
    config = make(tmp_path)
    assert (config.robustness_weight, config.effectiveness_weight) == (0.9, 0.8)
    assert (config.perturbation_size, config.num_perturbations, config.max_scored_episodes) == (0.1, 4, 4)
    assert (config.beta, config.epsilon, config.num_generations) == (0.04, 0.2, 8)
    assert (config.segmentation, config.max_episodes, config.min_episode_tokens) == ("tags", 30, 1)
    assert (config.weight_floor, config.mean_floor, config.ratio_cap, config.std_eps) == (1e-6, 1e-4, 5.0, 1e-8)
    assert make(tmp_path, segmentation="blank_line").min_episode_tokens == 64
    assert config.answer_prefix == config.answer_marker


def test_the_docstring_of_the_trainer_begins_with_the_delta_to_grpo() -> None:
    assert GC2POTrainer.__doc__.startswith("The delta to GRPO: ")


@pytest.mark.parametrize(
    ("overrides", "answers"),
    [
        ({}, True),
        ({"episodic_reward": "none"}, False),
        ({"robustness_weight": 0.0}, True),
        ({"robustness_weight": 0.0, "effectiveness_weight": 0.0}, False),
        ({"episodic_reward": "non_causal"}, True),
    ],
)
def test_answers_are_read_only_where_a_term_of_the_reward_needs_them(
    tmp_path: Path, overrides: dict, answers: bool
) -> None:
    assert make(tmp_path, **overrides).reads_answers is answers


REFUSED = [
    ({"segmentation": "sentences"}, "segmentation is 'sentences'; want one of"),
    ({"segmentation": "delimiter"}, "segmentation is 'delimiter' with episode_delimiter None"),
    ({"episode_delimiter": ";"}, "segmentation is 'tags' with episode_delimiter ';'"),
    ({"outside_credit": "half"}, "outside_credit is 'half'"),
    ({"effectiveness": "entropy"}, "effectiveness is 'entropy'"),
    ({"episodic_reward": "random"}, "episodic_reward is 'random'"),
    ({"episodic_reward": "non_causal", "effectiveness": "variability"}, "effectiveness='variability' has no effect"),
    ({"token_weights": "entropy"}, "token_weights is 'entropy'"),
    ({"trim_sides": "lower"}, "trim_sides is 'lower'"),
    ({"max_episodes": 0}, "max_episodes is 0; want at least 1"),
    ({"min_episode_tokens": 0}, "min_episode_tokens is 0"),
    ({"max_answer_tokens": 0}, "max_answer_tokens is 0"),
    ({"num_perturbations": 0}, "num_perturbations is 0"),
    ({"max_scored_episodes": 0}, "max_scored_episodes is 0"),
    ({"perturbation_size": -0.1}, "perturbation_size is -0.1; want a finite number"),
    ({"robustness_weight": float("inf")}, "robustness_weight is inf"),
    ({"effectiveness_weight": float("nan")}, "effectiveness_weight is nan"),
    ({"weight_floor": -1.0}, "weight_floor is -1.0"),
    ({"trim_share": 1.0}, r"trim_share is 1.0; want a share in \[0, 1\)"),
    ({"ratio_cap": 0.0}, "ratio_cap is 0.0"),
    ({"answer_marker": ""}, "answer_marker is empty"),
    ({"mask_truncated_completions": True}, "mask_truncated_completions hides"),
    ({"loss_type": "dapo"}, "loss_type is 'dapo'; GC2POConfig is defined by 'grpo'"),
]


@pytest.mark.parametrize(("overrides", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_a_value_without_meaning_is_refused_with_one_line(tmp_path: Path, overrides: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        make(tmp_path, **overrides)
    assert "\n" not in str(refusal.value)


def test_a_group_of_one_and_another_loss_kernel_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2"):
        make(tmp_path, num_generations=1)
    config = make(tmp_path)
    config.use_liger_kernel = True  # its own check wants the package first
    assert config._refusals() == ["use_liger_kernel takes one advantage per completion, GC2PO has one per token"]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "GC2PO reconstruction"),
        ({"episodic_reward": "none"}, "GC2PO reconstruction reward=none"),
        ({"effectiveness_weight": 0.0}, "GC2PO reconstruction eff=0"),
        ({"perturbation_size": 0.0}, "GC2PO reconstruction rho=0"),
        ({"segmentation": "delimiter", "episode_delimiter": ";"}, "GC2PO reconstruction episodes=delimiter"),
        ({"max_scored_episodes": None, "num_perturbations": 2}, "GC2PO reconstruction M=2 K=None"),
    ],
)
def test_a_form_is_named_by_what_is_not_default(tmp_path: Path, overrides: dict, name: str) -> None:
    assert gc2po_form_name(make(tmp_path, **overrides)) == name
