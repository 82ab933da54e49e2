"""What GCPO's forms and GC2PO cost beside a GRPO step: same rollouts, interleaved in one process, split by phase.

Every form trains its own copy of one base at a learning rate of 0, so that all of them sample the same completions in
the same round. On a shared machine only ratios within a round are firm: they are of processor time, with intervals.
"""

import ctypes
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro.bench.ratios import Step, growth, ratio_row, target_rows
from repro.cells.records import CORRECTED
from repro.config import Profile

# ceil(kappa_row_fraction n) = n rows, Eq. 12 as printed
_ALL_ROWS = {"eq13": "mean", "kappa_row_fraction": 1.0}
_MC = {"estimator": "mc", "num_integrated": 2, "num_context_outputs": 1, **_ALL_ROWS}
_LITERAL = {"estimator": "literal", "eq13": "sum", "kappa_row_fraction": 1.0}
_FULL = {"candidate_view": "full"}
_LINES = {"segmentation": "delimiter", "episode_delimiter": ";", "latent_position": "content"}
FORMS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "grpo, a second one": {},  # the noise of a ratio
    "centroid, kappa 0": {"kappa": 0.0},
    "expected": {},
    "expected, shared_kv": {"context_encoding": "shared_kv"},
    "teacher_forced m=2 f=1": {"estimator": "teacher_forced", **_ALL_ROWS},
    "mc m=2 R=1 f=1": _MC,
    "mc m=2 R=1 f=1, cached_text": {**_MC, "context_encoding": "cached_text"},
    "mc m=2 R=1 f=1, shared_kv": {**_MC, "context_encoding": "shared_kv"},
    "corrected m=2 R=1 f=1/8": CORRECTED,
    "corrected m=2 R=1 f=1/8, cached_text": {**CORRECTED, "context_encoding": "cached_text"},
    "corrected m=2 R=1 f=1/8, shared_kv": {**CORRECTED, "context_encoding": "shared_kv"},
    "gc2po K<=4": {**_LINES, "max_scored_episodes": 4},
    "gc2po K=all": {**_LINES, "max_scored_episodes": None},
    "gc2po, credit alone": {**_LINES, "episodic_reward": "none"},
}
# whole candidates in every context: what there is to read again
LITERAL_FORMS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "literal, all re-prefilled": {**_LITERAL, **_FULL},
    "literal, cached_text": {**_LITERAL, **_FULL, "context_encoding": "cached_text"},
    "literal, shared_kv": {**_LITERAL, **_FULL, "context_encoding": "shared_kv"},
}
# forms a few percent dearer than GRPO, at the n of their targets: only many rounds tell such a ratio from noise
CLOSE_FORMS = ("grpo", "grpo, a second one", "centroid, kappa 0", "expected", "expected, shared_kv", "gc2po K<=4")
CLOSE_N = 8
# the forms of Figure 8: GRPO, the weights alone, and the two forms of Table 1
FIGURE_FORMS = ("grpo", "centroid, kappa 0", "expected", "mc m=2 R=1 f=1")


def method_of(form: str) -> str:
    """The method that a form's name begins with; those of GCPO bear their estimator's name alone."""
    return next((method for method in ("grpo", "gc2po") if form.startswith(method)), "gcpo")


@dataclass
class Form:
    """A trainer of one form with clocks around the calls that make up its step."""

    name: str
    trainer: Any
    clocks: dict[str, float] = field(default_factory=dict)
    generated: int = 0

    def __post_init__(self) -> None:
        trainer = self.trainer
        trainer.create_optimizer_and_scheduler(num_training_steps=10**6)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.generate = self._first_only(trainer.model.generate, "rollout")
        trainer.compute_loss = self._timed(trainer.compute_loss, "loss forward")
        trainer.accelerator.backward = self._timed(trainer.accelerator.backward, "backward")

    def _timed(self, call: Callable, phase: str) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = call(*args, **kwargs)
            self.clocks[phase] = self.clocks.get(phase, 0.0) + time.perf_counter() - started
            return result

        return timed

    def _first_only(self, call: Callable, phase: str) -> Callable:
        """The first call of a step is the rollout; later ones are GCPO's own and are timed by it."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs) if phase in self.clocks else self._timed(call, phase)(*args, **kwargs)

        return timed

    def step(self, batch: list[dict[str, Any]], seed: int) -> Step:
        """One step from the same weights and generator state as every other form's."""
        import torch

        trainer, device = self.trainer, self.trainer.accelerator.device
        self.clocks.clear()
        torch.manual_seed(seed)
        memory = Peak(device)
        synchronize = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
        synchronize()
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.training_step(trainer.model, batch, None)
        with_optimizer = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        synchronize()
        cpu, ended = time.process_time() - cpu, time.perf_counter()
        trainer.state.global_step += 1
        trainer.log({})
        logged = trainer.state.log_history.pop()
        phases = self._phases(logged, ended - wall, ended - with_optimizer)
        tokens = {kind: _own(logged, f"tokens_{kind}") for kind in ("sampled", "featured", "scored")}
        length = logged["completions/mean_length"]
        tokens["rollout"] = length * len(batch)
        return Step(cpu, ended - wall, phases, tokens, memory.mib(), logged.get("gcpo/groups_used", 1.0), length)

    def _phases(self, logged: dict[str, float], wall: float, optimizer: float) -> dict[str, float]:
        extras = {name: _own(logged, f"seconds_{name}") for name in ("sampled", "featured", "scored", "extras")}
        kappa = _number(logged.get("causal_kl/seconds"))
        named = sum(extras[name] for name in ("sampled", "featured", "scored"))
        phases = {
            "rollout": self.clocks["rollout"],
            "sampled": extras["sampled"],
            "featured": extras["featured"],
            "scored": extras["scored"],
            "other extras": extras["extras"] - named,
            "loss forward": self.clocks["loss forward"] - kappa,
            "kappa forward": kappa,
            "backward": self.clocks["backward"],
            "optimizer": optimizer,
        }
        return phases | {"rest": wall - sum(phases.values())}


def _own(logged: dict[str, float | None], name: str) -> float:
    """What a method logs of its own work, 0 where it does none of the kind."""
    return sum(_number(logged.get(f"{method}/{name}")) for method in ("gcpo", "gc2po"))


def _number(value: float | None) -> float:
    return 0.0 if value is None or math.isnan(value) else value


class Peak:
    """Peak memory in MiB from its making on: of the device, or of this process where there is none.

    The second needs Linux, which can reset its mark.
    """

    def __init__(self, device: Any) -> None:
        import torch

        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            ctypes.CDLL(None).malloc_trim(0)  # memory that an earlier form has freed is no part of this one's
            Path("/proc/self/clear_refs").write_text("5")

    def mib(self) -> float:
        """The peak so far."""
        import torch

        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def bench_overhead(
    profile: Profile,
    *,
    sizes: tuple[int, ...] = (4, 8, 16),
    prompts: int = 16,
    rounds: int = 9,
    literal_rounds: int = 6,
    close_rounds: int = 0,
    only: list[str] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Cost of every form over n and length, as `python -m repro bench overhead` prints it.

    sizes: values of n; prompts: groups per step; rounds: measured steps per form, after one that is dropped;
    close_rounds: further ones of `CLOSE_FORMS` at n = `CLOSE_N`.
    only: names of `FORMS` to measure beside GRPO, all by default. Lengths are those of the profile's levels, a model's
    own completions: two levels give two lengths.
    Raises BadInput when the profile's first base has not been made.
    """
    import torch

    torch.set_num_threads(profile.resources.threads)
    rows: list[dict[str, Any]] = []
    forms = {name: FORMS[name] for name in FORMS if only is None or name in only or name == "grpo"}
    for level in _levels(profile):
        for n in sizes:
            more = close_rounds if n == CLOSE_N else 0
            rows += _measure(profile, level, n, prompts, rounds, forms, "grpo", report, more)
    literal = _measure(profile, _levels(profile)[-1], 4, max(prompts // 2, 1), literal_rounds, LITERAL_FORMS,
                       "literal, all re-prefilled", report) if only is None else []  # fmt: skip
    fitted = growth(rows)
    return {
        "what": "seconds of one training step over a GRPO step on the same rollouts, interleaved in one process; "
        "ratio and its 95 % interval are of processor time, medians over rounds; seconds are wall time by phase",
        "setting": {"prompts": prompts, "rounds": rounds, "base": next(iter(profile.bases)), "sizes": list(sizes)},
        "rows": rows,
        "literal": {
            "what": "n = 4, whole candidates in every context; ratio is to the form that re-reads all of it",
            "rows": literal,
        },
        "growth": fitted[max(fitted, key=float)] if fitted else {},
        "growth_by_length": fitted,
        "targets": target_rows(rows, literal),
        "load_average": os.getloadavg()[0],
    }


def bench_base(profile: Profile, base: str, report: Callable[[float, str], None]) -> dict[str, Any]:
    """What a step of `FIGURE_FORMS` costs on one base, at the profile's group size and its highest training level.

    Returns rows as `ratio_row` and the base's parameters. Raises BadInput when the base has not been made.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from repro.cells.bases import base_source

    bench, n = profile.bench, profile.train["num_generations"]
    others = {name: ref for name, ref in profile.bases.items() if name != base}
    alone = profile.model_copy(update={"bases": {base: profile.bases[base], **others}})
    forms, done = {name: FORMS[name] for name in FIGURE_FORMS}, iter(range(1, bench.rounds + 2))

    def tell(text: str) -> None:
        report(next(done) / (bench.rounds + 1), text)

    level = (profile.tasks.train_levels or [""])[-1]  # benchmarks have no levels
    rows = _measure(alone, level, n, bench.prompts, bench.rounds, forms, "grpo", tell)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base_source(profile, base)[0]))
    return {"rows": rows, "parameters": model.num_parameters()}


def _levels(profile: Profile) -> list[str]:
    levels = list(profile.tasks.train_levels)
    return levels if len(levels) > 1 else [*levels, "m"]


def _measure(
    profile: Profile,
    level: str,
    n: int,
    prompts: int,
    rounds: int,
    forms: dict[str, dict[str, Any]],
    reference: str,
    report: Callable[[str], None],
    close_rounds: int = 0,
) -> list[dict[str, Any]]:
    from repro.methods.trl import rows_of
    from repro.tasks.build import make_taskset

    tasks = make_taskset(profile.tasks.model_copy(update={"train_levels": [level]}))
    base = next(iter(profile.bases))
    questions = tasks.training_questions(base, 0, prompts * (rounds + close_rounds + 1))
    data = rows_of(tasks, questions)
    with tempfile.TemporaryDirectory() as folder:
        built = [make_form(profile, name, values, n, prompts, questions, folder) for name, values in forms.items()]
        steps: dict[str, list[Step]] = {form.name: [] for form in built}
        for number in range(rounds + close_rounds + 1):
            batch = [row for row in data[number * prompts : (number + 1) * prompts] for _ in range(n)]
            running = built if number <= rounds else [form for form in built if form.name in CLOSE_FORMS]
            for form in running if number % 2 == 0 else reversed(running):
                steps[form.name].append(form.step(batch, seed=number))
            report(f"level {level}, n {n}: round {number} of {rounds + close_rounds}")
    measured = {name: taken[1:] for name, taken in steps.items()}
    return [
        {**ratio_row(name, n, taken, measured[reference], measured["grpo"]), "level": level}
        for name, taken in measured.items()
    ]


def make_form(
    profile: Profile,
    name: str,
    values: dict[str, Any],
    n: int,
    prompts: int,
    questions: Sequence[Any],
    folder: str,
    *,
    base: str | None = None,
) -> Form:
    """A trainer of one form on a base, by default the profile's first, and some questions, at a learning rate of 0."""
    from datasets import Dataset
    from transformers import PrinterCallback

    from repro.bases.load import load_model, load_tokenizer
    from repro.cells.bases import base_source
    from repro.device import decide
    from repro.methods.registry import get_method
    from repro.methods.trl import make_reward, rows_of
    from repro.references import resolve
    from repro.tasks.build import make_taskset

    source, _ = base_source(profile, base or next(iter(profile.bases)))
    tokenizer, tasks, device = load_tokenizer(source), make_taskset(profile.tasks), decide(profile.resources.device)
    stops = tasks.stop_ids(tokenizer, source)
    method = get_method(method_of(name))
    ours = {
        "per_device_train_batch_size": n * prompts,
        "gradient_accumulation_steps": 1,
        "num_generations": n,
        "learning_rate": 0.0,
        "max_steps": 10**6,
    }
    config = method.settings(
        {**profile.train, **values, **ours},
        seed=0,
        output_dir=folder,
        where=f"form {name}",
        cpu=device.type == "cpu",
    )
    trainer = resolve(method.trainer)(
        model=load_model(source, device, stop_ids=stops),
        args=config,
        reward_funcs=make_reward(tasks, tokenizer, questions, stops),
        train_dataset=Dataset.from_list(rows_of(tasks, questions)),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return Form(name, trainer)
