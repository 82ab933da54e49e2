"""GVPO inside TRL's own loop: whole groups in every micro-batch, and the official gradient at every update."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gcpo.trainers import GVPOConfig, GVPOTrainer, PaperGRPOConfig, PaperGRPOTrainer


class Recording(GVPOTrainer):
    """Keeps every micro-batch, the policy of each rollout, and the gradient of each update."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[dict[str, Any]] = []
        self.rollout_policy: dict[str, torch.Tensor] = {}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.rollout_policy = copy.deepcopy(self.model.state_dict())
        return super()._generate_and_score_completions(inputs)

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        self.seen.append(
            {
                "inputs": inputs,
                "policy": copy.deepcopy(self.model.state_dict()),
                "old_policy": self.rollout_policy,
                "training": self.model.training,
            }
        )
        return super()._compute_loss(model, inputs)

    def training_step(self, *args: Any) -> torch.Tensor:
        loss = super().training_step(*args)
        self.seen[-1]["gradient"] = {name: p.grad.clone() for name, p in self.model.named_parameters()}
        self.seen[-1]["loss"] = loss.item()
        return loss


def real_tokens(inputs: dict[str, Any], row: int) -> tuple[list[int], list[int]]:
    prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist()
    return prompt, inputs["completion_ids"][row][inputs["completion_mask"][row].bool()].tolist()


def sequence_logp(model: torch.nn.Module, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Sum over tokens of log π, by a plain forward pass of one unpadded sequence."""
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return sum(logits.log_softmax(-1)[t, token] for t, token in enumerate(completion))


def official_gradient(
    model: torch.nn.Module,
    old_model: torch.nn.Module,
    inputs: dict[str, Any],
    rewards: list[float],
    n: int,
    beta: float,
) -> dict[str, torch.Tensor]:
    """-β/(k-1) Σ_i w_i ∇ l_i, mean over the micro-batch's groups; by loops."""
    model.zero_grad()
    rows = len(rewards)
    new = [sequence_logp(model, *real_tokens(inputs, i)) for i in range(rows)]
    with torch.no_grad():
        old = [sequence_logp(old_model, *real_tokens(inputs, i)).item() for i in range(rows)]
    surrogate = 0.0
    for start in range(0, rows, n):
        group = range(start, start + n)
        mean_ratio = sum(new[i].item() - old[i] for i in group) / n
        mean_reward = sum(rewards[i] for i in group) / n
        for i in group:
            weight = (rewards[i] - mean_reward) - beta * ((new[i].item() - old[i]) - mean_ratio)
            surrogate = surrogate - beta * weight * new[i] / (n - 1) / (rows // n)
    surrogate.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("overrides", [{}, {"num_iterations": 2, "steps_per_generation": 2}])
def test_the_gradient_of_every_update_in_trls_loop_equals_the_official_formula(
    make_trainer: Callable, tiny_model: torch.nn.Module, tiny_tokenizer, digit_reward: Callable, overrides: dict
) -> None:
    # prompts are all "a + b =": the wanted digit can be recomputed from the tokens of a micro-batch
    trainer = make_trainer(Recording, GVPOConfig, max_steps=5, **overrides)
    trainer.train()
    assert len(trainer.seen) == 5
    model, old_model = copy.deepcopy(tiny_model), copy.deepcopy(tiny_model)
    log_ratios = []
    for step in trainer.seen:
        inputs = step["inputs"]
        model.load_state_dict(step["policy"])
        old_model.load_state_dict(step["old_policy"])
        texts = [
            [tiny_tokenizer.decode(ids, skip_special_tokens=True) for ids in real_tokens(inputs, i)] for i in range(8)
        ]
        digits = [str((int(prompt[0]) + int(prompt.split("+")[1].strip()[0])) % 10) for prompt, _ in texts]
        rewards = digit_reward(completions=[completion for _, completion in texts], digit=digits)
        expected = official_gradient(model, old_model, inputs, rewards, 4, 0.1)
        assert max(g.abs().max() for g in expected.values()) > 1e-4
        for name, gradient in step["gradient"].items():
            torch.testing.assert_close(
                gradient, expected[name], rtol=2e-3, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}"
            )
        log_ratios.append(
            sum(
                abs(
                    sequence_logp(model, *real_tokens(inputs, i)) - sequence_logp(old_model, *real_tokens(inputs, i))
                ).item()
                for i in range(8)
            )
        )
    assert log_ratios[0] == 0 and log_ratios[4] == 0  # the first update of each rollout is REINFORCE
    assert min(log_ratios[1:4]) > 0.01


def prompts_of(inputs: dict[str, Any]) -> list[tuple[int, ...]]:
    return [tuple(real_tokens(inputs, i)[0]) for i in range(len(inputs["prompt_ids"]))]


def test_every_micro_batch_of_gvpo_holds_whole_groups_in_a_permuted_order(make_trainer: Callable) -> None:
    trainer = make_trainer(Recording, GVPOConfig, max_steps=4, gradient_accumulation_steps=2)
    trainer.train()
    assert len(trainer.seen) == 8
    orders = []
    for step in trainer.seen:
        prompts = prompts_of(step["inputs"])
        assert [len(set(prompts[start : start + 4])) for start in range(0, 8, 4)] == [1, 1]
        orders += (step["inputs"]["row_index"].view(-1, 4)[:, 0] // 4).tolist()
    assert sorted(orders) == list(range(16))  # one rollout of 16 groups, each used once
    assert orders != list(range(16))


def test_stock_row_shuffle_tears_groups_apart(make_trainer: Callable) -> None:
    torn = []

    class Watching(PaperGRPOTrainer):
        def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
            prompts = prompts_of(inputs)
            torn.append(any(len(set(prompts[start : start + 4])) > 1 for start in range(0, 8, 4)))
            return super()._compute_loss(model, inputs)

    make_trainer(Watching, PaperGRPOConfig, gradient_accumulation_steps=2).train()
    assert any(torn)


def test_gvpo_evaluates_with_its_own_group_size(make_trainer: Callable, toy_dataset) -> None:
    trainer = make_trainer(
        Recording, GVPOConfig, eval_dataset=toy_dataset.select(range(4)), num_generations_eval=2, max_steps=1
    )
    assert abs(trainer.evaluate()["eval_loss"]) < 1e3
    evaluated = [step["inputs"] for step in trainer.seen if not step["training"]]
    assert [len(set(prompts_of(inputs)[:2])) for inputs in evaluated] == [1] * len(evaluated)
    assert "row_index" not in evaluated[0]


@pytest.mark.parametrize("rows", [1, 3])
def test_row_by_row_the_gradient_is_that_of_the_whole_micro_batch(make_trainer: Callable, rows: int) -> None:
    runs, widest = [], []
    for rows_per_pass in (None, rows):
        trainer = make_trainer(Recording, GVPOConfig, max_steps=5, gvpo_rows_per_pass=rows_per_pass)
        held: list[int] = []

        def pack(tensor: torch.Tensor, held: list[int] = held) -> torch.Tensor:
            held.append(tensor.numel())
            return tensor

        original = trainer._compute_loss

        def watched(*args: Any, original: Callable = original, pack: Callable = pack) -> torch.Tensor:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                return original(*args)

        trainer._compute_loss = watched
        trainer.train()
        runs.append(trainer)
        widest.append(sum(held))
    for whole, parts in zip(runs[0].seen, runs[1].seen, strict=True):
        assert whole["loss"] == pytest.approx(parts["loss"], abs=1e-6)
        for name, gradient in whole["gradient"].items():
            torch.testing.assert_close(parts["gradient"][name], gradient, rtol=1e-5, atol=1e-6)
    assert max(g.abs().max() for g in runs[0].seen[1]["gradient"].values()) > 1e-3
    assert widest[1] < widest[0] / 10  # nothing but sums is kept between the passes
    entropies = [[entry["entropy"] for entry in t.state.log_history if "loss" in entry] for t in runs]
    assert entropies[0] == pytest.approx(entropies[1], abs=1e-5)
