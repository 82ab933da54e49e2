"""The GVPO loss: hand vectors A to E, the un-detached surrogate, and one-line faults that must be caught."""

import inspect
from types import SimpleNamespace

import pytest
import torch

import gcpo.advantages
from gcpo.advantages import gvpo_loss, gvpo_weights
from gcpo.trainers import GVPOConfig

BETA = 0.1
# id: R, l, l', L, gradient of L by l
VECTORS = {
    "A": (
        [1, 0, 1, 0],
        [-12.5, -30.25, -20, -41.75],
        [-13, -29, -21.5, -40],
        0.284375,
        [-0.0425, 0.04, -0.0325, 0.035],
    ),
    "B": ([1, 0, 0], [-5, -6, -7], [-5, -6, -7], 1 / 3, [-2 / 30, 1 / 30, 1 / 30]),
    "C": ([1, 1, 1], [-5, -6, -7.5], [-5.5, -6, -7], 0.0025, [0.005, 0, -0.005]),
    "D": ([1, 0, 1], [5, -6, 3], [-5, -6, -7], 0.0, [0, 0, 0]),
    "E": ([1, 0], [-1.75, -2.5], [-1.75, -2.5], 0.25, [-0.05, 0.05]),
}


def loss_and_gradient(name: str, loss_function: object = gvpo_loss) -> tuple[float, list[float], int]:
    rewards, new, old, _, _ = VECTORS[name]
    logps = torch.tensor(new, dtype=torch.float64, requires_grad=True)
    loss = loss_function(
        logps, torch.tensor(old, dtype=torch.float64), torch.tensor(rewards, dtype=torch.float64), len(new), BETA
    )
    assert loss.shape == (1,)
    loss.sum().backward()
    return loss.item(), logps.grad.tolist(), len(new)


def holds_the_vectors(module: object) -> bool:
    for name, (_, _, _, expected_loss, expected_gradient) in VECTORS.items():
        loss, gradient, n = loss_and_gradient(name, module.gvpo_loss)
        if abs(loss * (n - 1) - expected_loss) > 1e-9:
            return False
        if max(abs(g * (n - 1) - e) for g, e in zip(gradient, expected_gradient, strict=True)) > 1e-9:
            return False
    return True


def test_loss_and_gradient_equal_the_hand_vectors_a_to_e() -> None:
    assert holds_the_vectors(gcpo.advantages)


def test_vector_a_has_the_official_value_and_gradient() -> None:
    loss, gradient, _ = loss_and_gradient("A")
    assert loss == pytest.approx(0.0947916666667, abs=1e-12)
    assert gradient == pytest.approx([-0.0141666667, 0.0133333333, -0.0108333333, 0.0116666667], abs=1e-9)


def test_weights_of_vectors_a_and_c_equal_the_hand_values_and_sum_to_zero() -> None:
    for name, expected in {"A": [0.425, -0.4, 0.325, -0.35], "C": [-0.05, 0, 0.05]}.items():
        rewards, new, old, _, _ = VECTORS[name]
        tensors = (torch.tensor(v, dtype=torch.float64) for v in (new, old, rewards))
        weights = gvpo_weights(*tensors, len(new), BETA)
        assert weights.tolist() == pytest.approx(expected, abs=1e-12)
        assert abs(weights.sum().item()) < 1e-12


def test_a_group_of_equal_rewards_still_has_a_gradient() -> None:
    _, gradient, _ = loss_and_gradient("C")
    assert max(abs(g) for g in gradient) > 1e-3


def test_the_surrogate_whose_weights_are_not_detached_has_the_right_value_and_a_wrong_gradient() -> None:
    rewards, new, old, _, _ = VECTORS["A"]
    centred_rewards = torch.tensor(rewards, dtype=torch.float64) - 0.5
    gradients = {}
    for detach in (True, False):
        logps = torch.tensor(new, dtype=torch.float64, requires_grad=True)
        log_ratio = logps - torch.tensor(old, dtype=torch.float64)
        weights = centred_rewards - BETA * (log_ratio - log_ratio.mean())
        surrogate = -BETA * ((weights.detach() if detach else weights) * logps).sum() / 3
        surrogate.backward()
        assert surrogate.item() == pytest.approx(-0.4966666667, abs=1e-9)
        gradients[detach] = logps.grad.tolist()
    _, ours, _ = loss_and_gradient("A")
    assert gradients[True] == pytest.approx(ours, abs=1e-12)
    assert gradients[False] == pytest.approx([0.03125, -0.00041667, 0.00958333, -0.04041667], abs=1e-8)
    assert all(wrong * right < 0 for wrong, right in zip(gradients[False], ours, strict=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(centred_rewards - beta *", "(centred_rewards + beta *"),
        ("(centred_rewards - beta *", "(centred_rewards.detach() - beta * beta *"),
        ("log_ratio.mean(dim=1, keepdim=True).detach()", "log_ratio.mean(dim=1, keepdim=True).detach() * 0"),
        ("sequence_logps - old_sequence_logps, num_generations", "sequence_logps, num_generations"),
        ("grouped_rewards - grouped_rewards.mean(dim=1, keepdim=True)", "grouped_rewards"),
        (".square()", ".abs()"),
        (".square()", ".detach().square()"),
        ("/ (2 * (num_generations - 1))", "/ (2 * num_generations)"),
        ("/ (2 * (num_generations - 1))", "/ (num_generations - 1)"),
    ],
)
def test_a_one_line_fault_breaks_the_hand_vectors(old: str, new: str) -> None:
    source = inspect.getsource(gcpo.advantages)
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    names: dict[str, object] = {}
    exec(compile(source.replace(old, new), "mutant", "exec"), names)
    try:
        survived = holds_the_vectors(SimpleNamespace(**names))
    except RuntimeError as error:  # a graph cut by the fault
        assert "does not require grad" in str(error)
        survived = False
    assert not survived


def test_groups_do_not_mix() -> None:
    alone, _, _ = loss_and_gradient("B")
    rewards, new, old, _, _ = VECTORS["B"]
    pair = gvpo_loss(
        torch.tensor([*new, -1.0, -9.0, -4.0]),
        torch.tensor([*old, -2.0, -2.0, -2.0]),
        torch.tensor([*rewards, 5.0, 0, 1]),
        3,
        BETA,
    )
    assert pair[0].item() == pytest.approx(alone, abs=1e-6)
    assert pair[1].item() > 1


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="want equal shapes"):
        gvpo_loss(torch.zeros(4), torch.zeros(4), torch.zeros(2), 2, BETA)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"gvpo_beta": 0.0}, "gvpo_beta is 0.0; want a positive number"),
        ({"gvpo_reduction": "max"}, "gvpo_reduction is 'max'; want 'mean' or 'sum'"),
        ({"steps_per_generation": 2}, "gives one update per rollout, where GVPO is REINFORCE"),
    ],
)
def test_settings_that_are_not_gvpo_are_refused(tmp_path, overrides: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GVPOConfig(output_dir=str(tmp_path), use_cpu=True, gradient_accumulation_steps=2, **overrides)


def test_the_default_is_four_updates_per_rollout_and_iterations_count_as_updates(tmp_path) -> None:
    base = {"output_dir": str(tmp_path), "use_cpu": True, "gradient_accumulation_steps": 2}
    assert GVPOConfig(**base).steps_per_generation == 8
    reused = GVPOConfig(**base, num_iterations=4)
    assert (reused.steps_per_generation, reused.num_iterations) == (2, 4)
