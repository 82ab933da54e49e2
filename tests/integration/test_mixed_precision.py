"""Why weights are float32 under bf16 autocast: at the paper's rate bfloat16 ones stand still."""

import pytest
import torch

from gcpo import PaperGRPOConfig, PaperGRPOTrainer

PAPER = {  # its optimisation: 29 steps of AdamW at 1e-6, cosine, a tenth of them warm-up
    "max_steps": 29,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "beta": 0.0,
}


def moved_share(trainer) -> float:
    """The share of the weights that get a gradient in some step and end elsewhere than they began."""
    model = trainer.model
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    touched = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in before.items()}
    step = trainer.training_step

    def watched(*args, **kwargs):
        loss = step(*args, **kwargs)
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                touched[name] |= weight.grad != 0
        return loss

    trainer.training_step = watched
    trainer.train()
    moved = sum(((weight != before[name]) & touched[name]).sum().item() for name, weight in model.named_parameters())
    total = sum(mask.sum().item() for mask in touched.values())
    assert total > 5_000, "hardly any weight got a gradient"
    return moved / total


@pytest.mark.slow
def test_at_the_papers_rate_float32_weights_move_under_bf16_autocast_and_bfloat16_weights_do_not(
    make_trainer, tiny_model
):
    assert moved_share(make_trainer(PaperGRPOTrainer, PaperGRPOConfig, bf16=True, **PAPER)) > 0.99
    stands = make_trainer(PaperGRPOTrainer, PaperGRPOConfig, model=tiny_model.bfloat16(), **PAPER)
    assert next(stands.model.parameters()).dtype == torch.bfloat16
    assert moved_share(stands) < 0.5
