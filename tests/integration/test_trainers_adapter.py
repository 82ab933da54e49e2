"""The one file that calls TRL's private methods: each call against a computation that does not use TRL."""

from collections.abc import Callable

import pytest
import torch
import trl
from hypothesis import given, settings
from hypothesis import strategies as st

from gcpo import trl_adapter
from gcpo.trainers import METHODS, PaperGRPOConfig, PaperGRPOTrainer

CONTEXTS = [[5, 6, 7], [8], [9, 13, 4, 6, 10], [5, 13]]
COMPLETIONS = [[5, 9, 1], [6, 6, 6, 6, 1], [4], [3, 12]]


def padded(rows: list[list[int]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    pads = [[0] * (width - len(row)) for row in rows]
    ids = [p + row if left else row + p for row, p in zip(rows, pads, strict=True)]
    mask = [p + [1] * len(row) if left else [1] * len(row) + p for row, p in zip(rows, pads, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


@pytest.fixture
def trainer(make_trainer: Callable) -> PaperGRPOTrainer:
    return make_trainer(PaperGRPOTrainer, PaperGRPOConfig, temperature=0.7)


def greedy(model: torch.nn.Module, context: list[int], length: int) -> list[int]:
    ids: list[int] = []
    while len(ids) < length and (not ids or ids[-1] != 1):
        ids.append(model(torch.tensor([context + ids])).logits[0, -1].argmax().item())
    return ids


def test_continuations_of_contexts_of_unequal_length_equal_plain_greedy_decoding(make_trainer: Callable) -> None:
    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, top_k=1)
    expected = [greedy(trainer.model, context, 8) for context in CONTEXTS]
    assert trl_adapter.generate_continuations(trainer, CONTEXTS) == expected
    assert trl_adapter.generate_continuations(trainer, CONTEXTS, batch_size=3) == expected
    assert len({tuple(ids) for ids in expected}) > 1


def test_a_sampled_continuation_ends_at_its_first_eos_and_keeps_it(trainer: PaperGRPOTrainer) -> None:
    samples = trl_adapter.generate_continuations(trainer, CONTEXTS * 40)
    assert len(samples) == 160
    assert all(1 <= len(ids) <= 8 and 1 not in ids[:-1] for ids in samples)
    assert any(ids[-1] == 1 for ids in samples) and any(ids[-1] != 1 for ids in samples)


def test_extra_sampling_leaves_the_generator_as_it_was_only_if_asked(trainer: PaperGRPOTrainer) -> None:
    before = torch.get_rng_state()
    first = trl_adapter.generate_continuations(trainer, CONTEXTS)
    assert torch.equal(torch.get_rng_state(), before)
    assert trl_adapter.generate_continuations(trainer, CONTEXTS) == first
    trl_adapter.generate_continuations(trainer, CONTEXTS, preserve_rng=False)
    assert not torch.equal(torch.get_rng_state(), before)


def test_an_empty_context_is_refused_and_no_context_gives_no_continuation(trainer: PaperGRPOTrainer) -> None:
    with pytest.raises(ValueError, match="context 1 of 2 has no tokens"):
        trl_adapter.generate_continuations(trainer, [[3], []])
    assert trl_adapter.generate_continuations(trainer, []) == []


@pytest.mark.parametrize("batch_size", [None, 3])
def test_log_probabilities_and_entropies_equal_those_of_unpadded_rows_at_the_temperature(
    trainer: PaperGRPOTrainer, batch_size: int | None
) -> None:
    inputs = (*padded(CONTEXTS, left=True), *padded(COMPLETIONS, left=False))
    logps, entropies = trl_adapter.per_token_logps_and_entropies(trainer, trainer.model, *inputs, batch_size=batch_size)
    assert torch.equal(logps, trl_adapter.per_token_logps(trainer, trainer.model, *inputs, batch_size=batch_size))
    assert logps.requires_grad
    for row, (context, completion) in enumerate(zip(CONTEXTS, COMPLETIONS, strict=True)):
        logits = trainer.model(torch.tensor([context + completion])).logits[0, len(context) - 1 : -1] / 0.7
        distribution = logits.log_softmax(-1)
        expected = distribution[range(len(completion)), completion]
        torch.testing.assert_close(logps[row, : len(completion)], expected, rtol=1e-4, atol=1e-5)
        expected = -(distribution.exp() * distribution).sum(-1)
        torch.testing.assert_close(entropies[row, : len(completion)], expected, rtol=1e-4, atol=1e-5)
        assert logps[row, len(completion) :].abs().sum() == 0


@pytest.mark.parametrize("setting", ["plain", "adapter", "checkpointing"])
def test_hidden_states_of_a_scoring_pass_equal_the_models_last_hidden_states(
    make_trainer: Callable, setting: str
) -> None:
    overrides: dict[str, object] = {}
    if setting == "adapter":
        from peft import LoraConfig

        overrides["peft_config"] = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, **overrides)
    trainer.model.train()
    if setting == "checkpointing":
        trainer.model.gradient_checkpointing_enable()
    inputs = (*padded(CONTEXTS, left=True), *padded(COMPLETIONS, left=False))
    logps, hidden = trl_adapter.last_hidden_states(trainer, trainer.model, *inputs, batch_size=3)
    assert hidden.shape == (4, 5 + 5, 32)
    assert not hidden.requires_grad and not logps.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(logps, trl_adapter.per_token_logps(trainer, trainer.model, *inputs))
        for row, (context, completion) in enumerate(zip(CONTEXTS, COMPLETIONS, strict=True)):
            output = trainer.model(torch.tensor([context + completion]), output_hidden_states=True)
            start = 5 - len(context)
            torch.testing.assert_close(
                hidden[row, start : start + len(context) + len(completion)],
                output.hidden_states[-1][0],
                rtol=1e-4,
                atol=1e-5,
            )
    assert not trl_adapter.bare_model(trainer, trainer.model).base_model._forward_hooks
    assert trainer.model.is_gradient_checkpointing == (setting == "checkpointing")


def test_a_metric_is_averaged_over_the_logging_step_without_its_nan(make_trainer: Callable) -> None:
    class Logging(PaperGRPOTrainer):
        def _compute_loss(self, model: torch.nn.Module, inputs: dict) -> torch.Tensor:
            for value in (1.0, torch.tensor(4.0), float("nan")):
                trl_adapter.log_metric(self, "mine", value)
            return super()._compute_loss(model, inputs)

    trainer = make_trainer(Logging, PaperGRPOConfig, max_steps=1)
    trainer.train()
    assert trainer.state.log_history[0]["mine"] == 2.5


@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_shuffling_whole_groups_undoes_a_row_shuffle_and_keeps_each_row_together(count: int, n: int, seed: int) -> None:
    rows = count * n
    torch.manual_seed(seed)
    shuffle = torch.randperm(rows)
    rollout = {
        "row_index": torch.arange(rows)[shuffle],
        "pair": torch.arange(rows * 2).view(rows, 2)[shuffle],
        "names": [f"row {i}" for i in shuffle.tolist()],
        "total": torch.tensor(7),
        "nothing": None,
    }
    out = trl_adapter.shuffle_whole_groups(rollout, n)
    index = out["row_index"].view(count, n)
    assert torch.equal(index - index[:, :1], torch.arange(n).expand(count, n))
    assert sorted((index[:, 0] // n).tolist()) == list(range(count))
    assert torch.equal(out["pair"], torch.stack([out["row_index"] * 2, out["row_index"] * 2 + 1], dim=1))
    assert out["names"] == [f"row {i}" for i in out["row_index"].tolist()]
    assert (out["total"].item(), out["nothing"]) == (7, None)


@pytest.mark.parametrize(
    ("extra", "n", "message"),
    [
        ({"per_group": torch.zeros(2)}, 2, "per_group has 2 entries; want one per row, 4"),
        ({}, 3, "has no whole groups"),
    ],
)
def test_a_rollout_with_a_value_per_group_or_with_torn_groups_is_refused(extra: dict, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trl_adapter.shuffle_whole_groups({"row_index": torch.arange(4), **extra}, n)


@pytest.mark.parametrize("method", ["grpo", "drgrpo", "gvpo"])
def test_another_version_of_trl_is_refused_before_training(
    make_trainer: Callable, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl, "__version__", "1.17.0")
    config_class, trainer_class = METHODS[method]
    with pytest.raises(ValueError, match=r"trl is 1\.17\.0; gcpo needs trl==1\.16\.0"):
        make_trainer(trainer_class, config_class)
