"""Resolved settings of the baselines: a snapshot of every field, each with its reason in the source.

`python tests/unit/test_grpo_settings.py` writes the snapshot anew; commit that alone, with the cause.
"""

import inspect
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig

from gcpo.trainers import METHODS
from gcpo.trainers.drgrpo import DrGRPOConfig
from gcpo.trainers.grpo import PaperGRPOConfig
from gcpo.trainers.gvpo import GVPOConfig

SNAPSHOT = Path(__file__).parent / "snapshots" / "baseline_settings.json"
BASELINES = ("grpo", "drgrpo", "gvpo")


def recorded_fields() -> list[str]:
    """Every field TRL's GRPOConfig declares (its version is exact), and every field our configurations name."""
    names = set(re.findall(r"^    (\w+): ", inspect.getsource(GRPOConfig), re.MULTILINE))
    for config_class in (PaperGRPOConfig, DrGRPOConfig, GVPOConfig):
        names |= set(vars(config_class)["__annotations__"])
    return sorted(names - {"fixed_fields"})


def resolved(method: str, folder: str) -> dict[str, Any]:
    config = METHODS[method][0](output_dir=folder, use_cpu=True)
    values = {name: getattr(config, name) for name in recorded_fields() if hasattr(config, name)}
    return {name: getattr(value, "value", value) for name, value in values.items()}


def snapshot(folder: str) -> dict[str, dict[str, Any]]:
    """GRPO in full, the other methods as their differences from it."""
    grpo = resolved("grpo", folder)
    differences = {}
    for method in BASELINES[1:]:
        differences[method] = {k: v for k, v in resolved(method, folder).items() if k not in grpo or v != grpo[k]}
    return json.loads(json.dumps({"grpo": grpo, **differences}))


def test_the_resolved_settings_of_every_baseline_equal_the_snapshot(tmp_path: Path) -> None:
    recorded = json.loads(SNAPSHOT.read_text())
    assert len(recorded["grpo"]) > 80  # an empty recording would equal an empty snapshot
    assert snapshot(str(tmp_path)) == recorded


def test_stock_trl_defaults_are_another_method(tmp_path: Path) -> None:
    stock = GRPOConfig(output_dir=str(tmp_path), use_cpu=True)
    paper = PaperGRPOConfig(output_dir=str(tmp_path), use_cpu=True)
    differing = {
        name: (getattr(stock, name), getattr(paper, name))
        for name in ("loss_type", "beta", "use_bias_correction_kl", "vllm_importance_sampling_correction")
    }
    assert differing == {
        "loss_type": ("dapo", "grpo"),
        "beta": (0.0, 0.04),
        "use_bias_correction_kl": (True, False),
        "vllm_importance_sampling_correction": (True, False),
    }


@pytest.mark.parametrize("config_class", [PaperGRPOConfig, DrGRPOConfig, GVPOConfig])
def test_every_setting_is_preceded_by_a_quotation_or_by_not_stated_and_a_reason(config_class: type) -> None:
    lines = inspect.getsource(config_class).splitlines()
    fields = [i for i, line in enumerate(lines) if re.match(r"    \w+: (?!ClassVar).* = ", line)]
    assert len(fields) >= 3
    for i in fields:
        comment, j = "", i - 1
        while lines[j].strip().startswith("#"):
            comment, j = lines[j] + comment, j - 1
        assert re.search(r'"[^"]{5,}"|Not stated', comment), (
            f"{config_class.__name__}: no reason above {lines[i].strip()}"
        )


@pytest.mark.parametrize("method", BASELINES)
def test_an_override_that_makes_it_another_method_is_refused(method: str, tmp_path: Path) -> None:
    config_class = METHODS[method][0]
    wrong = {
        "loss_type": "dapo",
        "scale_rewards": "batch",
        "importance_sampling_level": "sequence",
        "use_bias_correction_kl": True,
        "delta": 1.5,
        "top_entropy_quantile": 0.5,
        "off_policy_mask_threshold": 0.5,
        "multi_objective_aggregation": "normalize_then_sum",
        "beta": 0.3,
    }
    assert set(config_class.fixed_fields) <= set(wrong)
    for name in config_class.fixed_fields:
        with pytest.raises(ValueError, match=rf"{name} is .*; {config_class.__name__} is defined by"):
            config_class(output_dir=str(tmp_path), use_cpu=True, **{name: wrong[name]})


def test_one_optimizer_step_is_256_completions_by_default_on_one_process_and_by_division_on_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PaperGRPOConfig(output_dir=str(tmp_path), use_cpu=True).completions_per_update == 256
    monkeypatch.setattr(PaperGRPOConfig, "world_size", property(lambda self: 8))
    config = PaperGRPOConfig(output_dir=str(tmp_path), use_cpu=True, gradient_accumulation_steps=4)
    assert (config.completions_per_update, config.generation_batch_size) == (256, 256)


if __name__ == "__main__":
    SNAPSHOT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        SNAPSHOT.write_text(json.dumps(snapshot(scratch), indent=1, sort_keys=True) + "\n")
