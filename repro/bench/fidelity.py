"""How faithful each estimator of Upsilon is to the literal one, beside what it costs: same base, same candidates.

The reference is the literal form's own mean over many redraws (m = R = n = 4). Of every other estimator: the rank
correlation of one draw with it, bias and variance over draws, and the cosine between the policy gradients that both
give. The gradient is linear in B = A · Upsilon, so a Gram matrix of the candidates' score functions gives every cosine.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from gcpo import trl_adapter
from gcpo.advantages import group_advantages
from gcpo.estimators import Estimator, Sampling
from gcpo.scm import Group
from gcpo.shared_kv.context import SharedLayout
from gcpo.trainers.gcpo_policy import TrainerPolicy
from gcpo.trainers.pooled_policy import CachedTextPolicy, SharedPolicy
from gcpo.upsilon import constant_control, shuffled_control, upsilon
from repro.config import Profile
from repro.errors import BadInput
from repro.methods.trl import make_reward, rows_of
from repro.seeds import derive_seed
from repro.tasks.build import make_taskset

REFERENCE = "literal m=4 R=4"
_MC = {"estimator": "mc", "num_integrated": 2, "num_context_outputs": 1}
# name in the table: (Sampling, encoding of contexts, control)
ESTIMATORS: dict[str, tuple[dict[str, Any], str, str]] = {
    REFERENCE: ({"estimator": "literal", "num_integrated": 4, "num_context_outputs": 4}, "cached_text", "none"),
    "mc m=2 R=1": (_MC, "cached_text", "none"),
    "mc m=2 R=4": ({**_MC, "num_context_outputs": 4}, "cached_text", "none"),
    "mc m=4 R=1": ({**_MC, "num_integrated": 4}, "cached_text", "none"),
    "teacher_forced m=2": ({"estimator": "teacher_forced", "num_integrated": 2}, "cached_text", "none"),
    "teacher_forced m=4": ({"estimator": "teacher_forced", "num_integrated": 4}, "cached_text", "none"),
    "centroid": ({}, "text", "none"),
    "corrected, drop m=2 R=1": ({**_MC, "phi_sampling": "drop"}, "cached_text", "none"),
    "corrected, resample m=2 R=1": ({**_MC, "phi_sampling": "resample"}, "cached_text", "none"),
    "mc m=2 R=1, shared_kv": (_MC, "shared_kv", "none"),
    "constant": ({}, "text", "constant"),
    "shuffled": ({}, "text", "shuffled"),
}


class Batch:
    """Groups of one optimizer step: candidates, advantages, features z, and the Gram matrix of their scores."""

    def __init__(self, trainer: Any, groups: list[Group], rewards: torch.Tensor) -> None:
        self.groups, self.n = groups, len(groups[0].candidates)
        self.advantages = group_advantages(rewards, self.n).view(-1, self.n)
        policy = TrainerPolicy(trainer, trainer.layout, seed=0)
        outputs = [y for group in groups for y in group.candidates]
        prompts = [group.prompt_ids for group in groups for _ in range(self.n)]
        self.z = policy.features(prompts, outputs).view(len(groups), self.n, -1)
        self.gram = score_gram(trainer.model, prompts, outputs)

    def cosine(self, one: np.ndarray, other: np.ndarray) -> float:
        """Cosine of the policy gradients under two sets of weights Upsilon, [groups, n] each."""
        a, b = ((self.advantages.numpy() * weights).ravel() for weights in (one, other))
        return float(a @ self.gram @ b / np.sqrt((a @ self.gram @ a) * (b @ self.gram @ b)))


def score_gram(model: Any, prompts: list[list[int]], outputs: list[list[int]]) -> np.ndarray:
    """Inner products of grad (1/T_i) sum_t log pi(y_it | q, y_i<t) over all parameters, [rows, rows], float64."""
    rows = []
    for prompt, output in zip(prompts, outputs, strict=True):
        model.zero_grad()
        logits = model(torch.tensor([prompt + output])).logits[0, len(prompt) - 1 : -1]
        logits.log_softmax(-1).gather(-1, torch.tensor(output).unsqueeze(-1)).mean().backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    model.zero_grad()
    scores = torch.stack(rows)
    return (scores @ scores.T).double().numpy()


def measure_fidelity(
    profile: Profile,
    *,
    batches: int = 2,
    groups: int = 16,
    n: int = 4,
    redraws: int = 24,
    draws: int = 12,
    report: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """One row per estimator of `ESTIMATORS`, on groups of the profile's first base whose rewards differ.

    redraws: of the literal form, whose mean is the reference; draws: of every other one. `cost`: processor seconds of a
    GRPO step plus the estimator's, over the step's (kappa = 0). Raises BadInput when the base has not been made.
    """
    torch.set_num_threads(profile.resources.threads)
    with tempfile.TemporaryDirectory() as folder:
        form = _trainer(profile, n, groups, folder)
        found = _batches(form.trainer, profile, batches, groups, n)
        step = _grpo_seconds(form, profile, groups, n)
        drawn: dict[str, list[np.ndarray]] = {}
        seconds: dict[str, float] = {}
        for name in ESTIMATORS:
            count = redraws if name == REFERENCE else draws
            started = time.process_time()
            drawn[name] = [
                np.stack([draw(form.trainer, batch, name, derive_seed(name, b, k)) for k in range(count)])
                for b, batch in enumerate(found)
            ]
            seconds[name] = (time.process_time() - started) / count / len(found)
            report(f"{name}: {seconds[name]:.2f} s per draw")
    rows = [
        {"estimator": name, "draws": len(drawn[name][0]), **fidelity(found, drawn[REFERENCE], drawn[name], name),
         "cost": 1 + seconds[name] / step}
        for name in ESTIMATORS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def draw(trainer: Any, batch: Batch, name: str, seed: int) -> np.ndarray:
    """One draw of Upsilon (alpha = 1) for every candidate of a batch, [groups, n]."""
    settings, encoding, control = ESTIMATORS[name]
    layout = trainer.layout
    if encoding == "shared_kv":
        policy = SharedPolicy(trainer, SharedLayout(layout), seed=seed, groups=batch.groups, recorded=None)
    elif encoding == "cached_text":
        policy = CachedTextPolicy(trainer, layout, seed=seed, groups=batch.groups)
    else:
        policy = TrainerPolicy(trainer, layout, seed=seed)
    evidence = Estimator(Sampling(**settings), policy.layout, policy).evidence(batch.groups, z=batch.z)
    weight = upsilon(evidence.z, evidence.x_mean, evidence.phi_mean, alpha=1.0)
    if control == "constant":
        weight = constant_control(weight)
    elif control == "shuffled":
        weight = shuffled_control(weight, generator=torch.Generator().manual_seed(seed))
    return weight.numpy()


def fidelity(batches: list[Any], reference: list[np.ndarray], drawn: list[np.ndarray], name: str) -> dict[str, float]:
    """Agreement of draws [draws, groups, n] per batch with the reference's mean over its redraws.

    A redraw of the reference itself is compared with the mean of the others. `spearman_within`: ranks among the
    candidates of a group, ties averaged, groups without spread left out.
    """
    pooled, within, cosines, biases, variances = [], [], [], [], []
    for batch, whole, values in zip(batches, reference, drawn, strict=True):
        for index, one in enumerate(values):
            target = (np.delete(whole, index, axis=0) if name == REFERENCE else whole).mean(axis=0)
            cosines.append(batch.cosine(one, target))
            if one.std() > 0:
                pooled.append(spearmanr(one.ravel(), target.ravel()).statistic)
            within += [spearmanr(a, b).statistic for a, b in zip(one, target, strict=True) if np.ptp(a) > 1e-9]
        biases.append(values.mean(axis=0) - whole.mean(axis=0))
        variances.append(values.var(axis=0, ddof=1))
    low, high = np.quantile(cosines, [0.05, 0.95])
    bias = np.stack(biases)
    # the reference's own mean is noisy: what is left of its variance after averaging is no bias of the other
    noise = np.mean([w.var(axis=0, ddof=1) / len(w) for w in reference])
    noise += np.mean([v / len(d) for v, d in zip(variances, drawn, strict=True)])
    return {
        "spearman": float(np.mean(pooled)) if pooled else float("nan"),
        "spearman_within": float(np.mean(within)) if within else float("nan"),
        "bias": float(bias.mean()),
        "rms_bias": 0.0 if name == REFERENCE else float(np.sqrt(max((bias**2).mean() - noise, 0.0))),
        "variance": float(np.mean(variances)),
        "gradient_cosine": float(np.mean(cosines)),
        "gradient_cosine_5": float(low),
        "gradient_cosine_95": float(high),
    }


def _trainer(profile: Profile, n: int, groups: int, folder: str) -> Any:
    from repro.bench.overhead import make_form

    questions = make_taskset(profile.tasks).training_questions(next(iter(profile.bases)), 0, groups)
    return make_form(profile, "centroid, kappa 0", {"kappa": 0.0}, n, groups, questions, folder)


def _grpo_seconds(form: Any, profile: Profile, groups: int, n: int) -> float:
    """Processor seconds of a GRPO step on as many groups (centroid weights cost one percent of it)."""
    tasks = make_taskset(profile.tasks)
    data = rows_of(tasks, tasks.training_questions(next(iter(profile.bases)), 0, groups))  # those that the form rewards
    rows = [row for row in data for _ in range(n)]
    return float(np.median([form.step(rows, seed=k).cpu for k in range(4)][1:]))


def _batches(trainer: Any, profile: Profile, count: int, groups: int, n: int) -> list[Batch]:
    tasks = make_taskset(profile.tasks)
    questions = tasks.training_questions(next(iter(profile.bases)), 2, 3 * count * groups)
    reward = make_reward(tasks, trainer.processing_class, questions, trainer.eos_token_ids)
    data = rows_of(tasks, questions)
    prompts = trl_adapter.tokenize_prompts(trainer, [row["prompt"] for row in data])
    torch.manual_seed(0)
    outputs = trl_adapter.generate_continuations(trainer, [ids for ids in prompts for _ in range(n)])
    rewards = torch.tensor(reward(outputs, [row["question"] for row in data for _ in range(n)])).view(-1, n)
    used = [g for g in range(len(data)) if rewards[g].min() < rewards[g].max()]
    if len(used) < count * groups:
        raise BadInput(f"only {len(used)} of {len(data)} groups have rewards that differ; want {count * groups}")
    parts = [used[b * groups : (b + 1) * groups] for b in range(count)]
    return [
        Batch(
            trainer,
            [Group(prompts[g], outputs[g * n : (g + 1) * n], data[g]["prompt"]) for g in part],
            rewards[part].flatten(),
        )
        for part in parts
    ]


def save(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write tables/estimators.csv and figures/estimators.{png,svg} under a folder of results; returns the paths."""
    from repro import figures
    from repro.figures.estimators import fidelity_over_cost

    path = folder / "tables" / "estimators.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    return [path, *figures.save(fidelity_over_cost(pd.read_csv(path)), folder / "figures", "estimators")]
