"""What the workers of several ranks share: a short run on the toy task, and what a rank ends with."""

from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer

SETTINGS = {
    "use_cpu": True,
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "disable_tqdm": True,
}


def trained(trainer_class: type, config: Any, reward: Any, model_dir: str) -> tuple[Any, dict[str, Any]]:
    """(the trainer after its run, what this rank ends with)."""
    data = Dataset.from_list([{"prompt": f"{a} + {b} ="} for a in range(6) for b in range(4)])
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    trainer = trainer_class(model_dir, reward, config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return trainer, {
        "world_size": trainer.accelerator.num_processes,
        "rank": trainer.accelerator.process_index,
        "weights": [p.detach().double().sum().item() for p in trainer.model.parameters()],
        "logs": [entry for entry in trainer.state.log_history if "loss" in entry],
    }
