"""GCPO's settings: reasons in the source, combinations that are refused, and the names of the forms."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from gcpo import GCPOConfig, form_name


def make(tmp_path: Path, **overrides: Any) -> GCPOConfig:
    return GCPOConfig(output_dir=str(tmp_path), use_cpu=True, **overrides)


def test_every_setting_is_preceded_by_a_quotation_or_by_not_stated_and_a_reason() -> None:
    lines = inspect.getsource(GCPOConfig).splitlines()
    fields = [i for i, line in enumerate(lines) if re.match(r"    \w+: .* = ", line)]
    assert len(fields) > 30
    for i in fields:
        comment, j = "", i - 1
        while lines[j].strip().startswith("#"):
            comment, j = lines[j] + comment, j - 1
        assert re.search(r'"[^"]{5,}"|Not stated', comment), f"no reason above {lines[i].strip()}"


def test_the_default_is_the_expected_form_with_the_papers_coefficients(tmp_path: Path) -> None:
    config = make(tmp_path)
    assert (config.alpha, config.kappa, config.estimator, config.eq13) == (2.0, 0.06, "centroid", "p_q")
    assert not config.needs_integration and not config.is_plain_grpo


REFUSED = [
    ({"estimator": "montecarlo"}, "estimator is 'montecarlo'; want one of"),
    ({"eq13": "median"}, "eq13 is 'median'"),
    ({"candidate_view": "summary"}, "candidate_view is 'summary'"),
    ({"feature_position": "first"}, "feature_position is 'first'"),
    ({"similarity": "manhattan"}, "similarity is 'manhattan'"),
    ({"upsilon_control": "random"}, "upsilon_control is 'random'"),
    ({"alpha": float("nan")}, "alpha is nan"),
    ({"kappa": -0.1}, "kappa is -0.1; want >= 0"),
    ({"kappa": float("inf")}, "kappa is inf"),
    ({"estimator": "mc", "num_integrated": 1}, "num_integrated is 1: .*want at least 2"),
    ({"eq13": "mean", "num_integrated": 1}, "num_integrated is 1: .*want at least 2"),
    ({"num_integrated": 0}, "num_integrated is 0"),
    ({"estimator": "mc", "num_context_outputs": 0}, "num_context_outputs is 0"),
    ({"estimator": "literal", "num_generations": 8}, "n = 8 samples 528 outputs per prompt; want n <= 4"),
    ({"estimator": "literal", "num_generations": 4, "num_integrated": 2}, "literal' means m = R = n = 4"),
    ({"estimator": "teacher_forced", "eq13": "p_q"}, "scores every term of Eq. 13 anyway"),
    ({"estimator": "teacher_forced", "eq13": "mean", "feature_input": "o"}, "feature_input must be 'context'"),
    ({"estimator": "teacher_forced", "eq13": "mean", "num_context_outputs": 2}, "num_context_outputs must be 1"),
    ({"phi_sampling": "drop"}, "has no effect where nothing is integrated"),
    ({"phi_includes_l0": False, "num_integrated": 1}, "leaves nothing"),
    ({"upsilon_control": "one", "estimator": "mc"}, "never reads what estimator='mc' samples"),
    ({"causal_ref_floor": 0.0}, "causal_ref_floor is 0.0"),
    ({"log_ratio_cap": 0.0}, "log_ratio_cap is 0.0"),
    ({"kappa_row_fraction": 0.0}, "kappa_row_fraction is 0.0"),
    ({"kappa_row_fraction": 1.5}, "kappa_row_fraction is 1.5"),
    ({"gcpo_every": 0}, "gcpo_every is 0"),
    ({"retest_every": -1}, "retest_every is -1"),
    ({"retest_every": 2}, "retest_every=2 draws Psi again, of which estimator='centroid'"),
    ({"retest_every": 3, "gcpo_every": 2, "estimator": "mc"}, "retest_every is 3, but Psi is drawn every 2 rollouts"),
    ({"mask_truncated_completions": True}, "mask_truncated_completions hides"),
    ({"integration_template": "{question} only"}, "must hold {question} and {candidates}"),
    ({"candidate_template": "no answer"}, "must hold {answer}"),
    ({"loss_type": "dapo"}, "loss_type is 'dapo'; GCPOConfig is defined by 'grpo'"),
]


@pytest.mark.parametrize(("overrides", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_a_combination_without_meaning_is_refused_with_one_line(tmp_path: Path, overrides: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        make(tmp_path, **overrides)
    assert "\n" not in str(refusal.value)


def test_one_candidate_per_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2"):
        make(tmp_path, num_generations=1)


def test_literal_resolves_its_counts_to_n_and_can_be_forced(tmp_path: Path) -> None:
    config = make(tmp_path, estimator="literal", num_generations=4)
    assert (config.num_integrated, config.num_context_outputs) == (4, 4)
    assert make(tmp_path, estimator="literal", force_literal=True).num_context_outputs == 8


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "GCPO expected"),
        ({"kappa": 0.0}, "GCPO expected kappa=0"),
        ({"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0}, "GCPO mc m=2 R=1 eq13=mean f=1"),
        ({"estimator": "mc", "phi_sampling": "drop"}, "GCPO corrected m=2 R=1 phi=drop"),
        ({"estimator": "literal", "num_generations": 4}, "GCPO literal m=4 R=4"),
        ({"eq13": "sum", "num_integrated": 4}, "GCPO centroid m=4 eq13=sum"),
        ({"candidate_view": "full", "gcpo_every": 4}, "GCPO expected k=4 view=full"),
        ({"upsilon_control": "shuffled"}, "GCPO expected control=shuffled"),
    ],
)
def test_a_form_is_named_by_its_estimator_and_by_what_is_not_default(
    tmp_path: Path, overrides: dict, name: str
) -> None:
    assert form_name(make(tmp_path, **overrides)) == name
