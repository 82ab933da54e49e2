"""Thirty steps of GRPO and GCPO on a tiny model: what is recorded in trajectories.json, and how to record it again.

`python tests/invariant/trajectories.py` rewrites the file; do so only for a change that is meant to move numbers.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "trajectories.json"
QUANTITIES = ("loss", "grad_norm", "kl")
STEPS = 30
FORMS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "gcpo expected": {},
    "gcpo mc": {"estimator": "mc", "eq13": "mean", "kappa_row_fraction": 1.0},
}


def trajectory(form: str, model_dir: Path, **overrides: Any) -> dict[str, list[float]]:
    """Each quantity at every step of one form, trained on the model in `model_dir`."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    from gcpo.trainers import METHODS

    config_class, trainer_class = METHODS[form.split()[0]]
    ours = {} if form == "grpo" else {"candidate_separator": ";", **FORMS[form]}
    settings = {
        "use_cpu": True,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 8,
        "max_steps": STEPS,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "disable_tqdm": True,
    }

    def reward(completions: list[str], digit: list[str], **_: object) -> list[float]:
        return [c.count(d) + 0.1 * len(set(c)) for c, d in zip(completions, digit, strict=True)]

    rows = [{"prompt": f"{a} + {b} =", "digit": str((a + b) % 10)} for a in range(6) for b in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_class(
            str(model_dir),
            reward,
            config_class(output_dir=folder, **(settings | ours | overrides)),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(model_dir),
        )
        trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: [entry[name] for entry in logs] for name in QUANTITIES}


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conftest import build_tiny_model

    with tempfile.TemporaryDirectory() as folder:
        build_tiny_model(Path(folder))
        recorded = {form: trajectory(form, Path(folder)) for form in FORMS}
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
