"""Loss, gradient norm and KL of 30 steps are what they were; a small change of the method is not.

Tolerances: on the machine of the recording the numbers repeat exactly. Another BLAS rounds differently; initial weights
perturbed by 1e-7 of their size, as rounding would, moved these trajectories by less than a tenth of the tolerance.
Loss and KL pass through zero, so they are compared absolutely.
"""

import json
from pathlib import Path

import pytest
from trajectories import FORMS, QUANTITIES, RECORDED, STEPS, trajectory

ABSOLUTE = {"loss": 1e-3, "grad_norm": 0.0, "kl": 1e-4}
RELATIVE = {"loss": 0.0, "grad_norm": 1e-2, "kl": 0.0}


def differs(found: dict[str, list[float]], form: str) -> list[str]:
    """The quantities and steps at which a trajectory leaves the recorded one."""
    wanted = json.loads(RECORDED.read_text())[form]
    return [
        f"{name} at step {step}: {a} instead of {b}"
        for name in QUANTITIES
        for step, (a, b) in enumerate(zip(found[name], wanted[name], strict=True), start=1)
        if a != pytest.approx(b, abs=ABSOLUTE[name], rel=RELATIVE[name])
    ]


@pytest.mark.parametrize("form", FORMS)
def test_thirty_steps_are_those_recorded(tiny_model_dir: Path, form: str) -> None:
    found = trajectory(form, tiny_model_dir)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(QUANTITIES, STEPS)
    assert differs(found, form) == []


def test_one_percent_of_alpha_is_seen(tiny_model_dir: Path) -> None:
    assert differs(trajectory("gcpo expected", tiny_model_dir, alpha=2.02), "gcpo expected")


def test_the_recorded_forms_differ_from_each_other() -> None:
    recorded = json.loads(RECORDED.read_text())
    assert set(recorded) == set(FORMS)
    assert differs(recorded["gcpo expected"], "grpo") and differs(recorded["gcpo mc"], "gcpo expected")
