"""Trains methods on fixed rollouts, in as many processes as it is started in: what each rank ends with goes to disk.

Arguments: the names of forms with commas between, the model's folder, the folder to write to (each form to a folder of
its name in it), the number of ranks that must be there, and optionally the step after which to stop and save. Where a
form's folder holds a checkpoint, its training goes on from it. One start serves all forms, because most of the time of
a start is imports. A form that fails leaves its traceback in place of its record, and the next one is trained.
The completions of a context depend on its tokens and on how often it was asked, not on weights or ranks. So every
number of processes sees the same rollouts, and what differs is the arithmetic of training alone.
"""

import hashlib
import json
import random
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from datasets import Dataset
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from gcpo import GCPOConfig, GCPOTrainer
from gcpo.trainers.drgrpo import DrGRPOConfig, DrGRPOTrainer
from gcpo.trainers.grpo import PaperGRPOConfig, PaperGRPOTrainer
from gcpo.trainers.gvpo import GVPOConfig, GVPOTrainer
from repro.methods.checkpoints import StopBetweenRollouts, is_main, newest_checkpoint

_MC = {"estimator": "mc", "num_integrated": 2, "num_context_outputs": 1, "eq13": "mean", "kappa_row_fraction": 1.0}
FORMS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "grpo": (PaperGRPOTrainer, PaperGRPOConfig, {}),
    "gvpo": (GVPOTrainer, GVPOConfig, {}),
    "drgrpo": (DrGRPOTrainer, DrGRPOConfig, {}),
    "gcpo_expected": (GCPOTrainer, GCPOConfig, {"kappa_row_fraction": 1.0}),
    "gcpo_mc": (GCPOTrainer, GCPOConfig, _MC),
    "gcpo_corrected": (GCPOTrainer, GCPOConfig, {**_MC, "phi_sampling": "resample"}),
}
# Behind a form's name: an adapter is trained and not the model; with torch's own checkpoints, or as TRL chooses
LORA, LORA_REENTRANT = "+lora", "+lora_reentrant"
WEIGHTS = {False: "model.safetensors", True: "adapter_model.safetensors"}  # of a model, of an adapter
GENERATIONS, ROWS, PROMPTS, STEPS, RATE, LONGEST = 4, 4, 4, 3, 1e-3, 8


def fixed_continuations(contexts: list[list[int]], vocabulary: int, eos: int) -> list[list[int]]:
    """One continuation of each context: a function of its tokens and of its count among equal ones before it."""
    seen: dict[tuple[int, ...], int] = {}
    drawn = []
    for context in map(tuple, contexts):
        seen[context] = seen.get(context, 0) + 1
        digest = hashlib.sha256(json.dumps([context, seen[context]]).encode()).digest()
        rng = random.Random(digest)
        length = rng.randint(2, LONGEST - 1)
        drawn.append([*(rng.randrange(3, vocabulary) for _ in range(length)), eos])
    return drawn


def train(form: str, model_dir: str, output_dir: str, ranks: int, stop_after: int) -> dict[str, Any]:
    """Train the form and return the logs of this rank; rank 0 saves the weights to `output_dir`/final."""
    flag = Path(output_dir, "stop")

    class StopAfter(StopBetweenRollouts):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == stop_after and is_main():
                flag.touch()
            super().on_step_end(args, state, control)

    form, plus, adapter = form.partition("+")
    trainer_class, config_class, extra = FORMS[form]
    accumulations = PROMPTS * GENERATIONS // (ROWS * ranks)
    if form == "gvpo":  # several updates per rollout, each of all its groups: of a part, ranks would take other parts
        extra = {**extra, "num_iterations": 2, "steps_per_generation": accumulations}
    config = config_class(
        output_dir=output_dir,
        use_cpu=True,
        num_generations=GENERATIONS,
        per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=accumulations,
        max_completion_length=LONGEST,
        max_steps=STEPS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        warmup_steps=0,
        disable_tqdm=True,
        gradient_checkpointing=True,
        **({} if form in ("gvpo", "drgrpo") else {"beta": 0.04}),
        **({"candidate_separator": ";"} if form.startswith("gcpo") else {}),
        **extra,
    )
    data = Dataset.from_list([{"prompt": f"{a} + {b} ="} for a in range(8) for b in range(8)])
    tokenizer = AutoTokenizer.from_pretrained(model_dir)

    def reward(completions: list[str], **_: object) -> list[float]:
        return [c.count("1") + 0.1 * len(set(c)) for c in completions]

    class Replay(trainer_class):  # the method's own wrappers around sampling come and go with the instance
        def _generate_single_turn(self, contexts: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
            return fixed_continuations(contexts, len(tokenizer), tokenizer.eos_token_id), None

    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM") if plus else None
    trainer = Replay(model_dir, reward, config, train_dataset=data, processing_class=tokenizer, peft_config=lora)
    if plus:
        # TRL wants reentrant checkpoints of an adapter under ZeRO-3. Those give a weight one gradient per forward and
        # DeepSpeed takes one per backward, so that GCPO's second forward (κ > 0) fails. Torch's own do not.
        trainer.args.gradient_checkpointing_kwargs = {"use_reentrant": plus + adapter == LORA_REENTRANT}
        start_adapter(trainer.model, Path(output_dir, "initial"))
    trainer.add_callback(StopAfter(flag if stop_after else None))
    if trainer.accelerator.num_processes != ranks:
        raise ValueError(f"{trainer.accelerator.num_processes} processes; want {ranks}")
    last = newest_checkpoint(Path(output_dir), ranks, print)
    flag.unlink(missing_ok=True)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    final = Path(output_dir, "final")
    trainer.save_model(str(final))
    return {
        "ranks": trainer.accelerator.num_processes,
        "rank": trainer.accelerator.process_index,
        "distributed": str(trainer.accelerator.distributed_type),
        "resumed_from": None if last is None else last.name,
        # under ZeRO-3: its weights, and those it does not share out because they are small
        "weights": sum(hasattr(weight, "ds_id") for weight in trainer.model.parameters()),
        "whole_weights": sum(getattr(weight, "ds_persist", False) for weight in trainer.model.parameters()),
        "logs": [entry for entry in trainer.state.log_history if "loss" in entry],
    }


def start_adapter(model: torch.nn.Module, folder: Path) -> None:
    """Give the adapter numbers that depend on names alone, and save them to `folder`.

    PEFT draws them from torch's generator, which has come to another place under ZeRO-3 than in one process. Neither
    half is zero, so that the adapter differs from its reference, and both halves move, from the first step on.
    """
    for name, value in model.named_parameters():
        if "lora_" in name:
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
            value.data.normal_(0, 0.2, generator=torch.Generator().manual_seed(seed))
    if is_main():
        folder.mkdir(exist_ok=True)
        state = {name: value.detach().clone() for name, value in get_peft_model_state_dict(model).items()}
        save_file(state, folder / WEIGHTS[True])


def update_of(form: str, model_dir: Path, output_dir: Path) -> torch.Tensor:
    """All trained weights at the end minus those at the start, one float64 vector in the order of names."""
    adapted = "+" in form
    old = load_file((output_dir / "initial" if adapted else model_dir) / WEIGHTS[adapted])
    new = load_file(output_dir / "final" / WEIGHTS[adapted])
    if old.keys() != new.keys():
        raise ValueError(f"other weights than at the start: {sorted(old.keys() ^ new.keys())}")
    return torch.cat([(new[name].double() - old[name].double()).flatten() for name in sorted(old)])


def main(forms: str, model_dir: str, output_dir: str, ranks: str, stop_after: str = "0") -> None:
    torch.set_num_threads(1)
    for form in forms.split(","):
        folder = Path(output_dir, form)
        folder.mkdir(exist_ok=True)
        try:
            record = train(form, model_dir, str(folder), int(ranks), int(stop_after))
        except Exception:  # all of a form's ranks fail alike, or the start runs into its time limit
            record = {"error": traceback.format_exc()}
        (folder / f"rank{PartialState().process_index}.json").write_text(json.dumps(record))
        # the next form's configuration starts anew: what DeepSpeed was told of this one would stay
        AcceleratorState._reset_state()
        GradientState._reset_state()


if __name__ == "__main__":
    main(*sys.argv[1:])
