"""What GCPO's mechanism does on a model of yours: `python -m repro bench mechanism --model M --data D`.

On groups of n candidates sampled from D: what Upsilon follows, whether Psi comes back when it is drawn again, whether
the model can integrate candidates, what a context does to their probability, and which gradients the forms give. Each
figure with a 95 % bootstrap interval over questions. Nothing is trained. Imports nothing heavy until it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

ARMS = ("grpo", "constant", "shuffled", "centroid", "mc", "corrected")
SKETCH = 1 << 15  # inner products of gradients to about 1/sqrt(SKETCH), whatever the model's size
RESAMPLES = 2000
Report = Callable[[str], None]


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The options of this measurement; the premise of GC2PO has --n and --seed too."""
    group = bench.add_argument_group("mechanism")
    group.add_argument("--model", help="a folder or hub id")
    group.add_argument("--data", type=Path, metavar="FILE", help="JSON lines with 'prompt' and 'answer'")
    group.add_argument("--n", type=int, default=8, help="candidates per question (default 8)")
    group.add_argument("--max-new-tokens", type=int, default=384, metavar="T", help="longest output (default 384)")
    group.add_argument("--batch-size", type=int, default=16, help="rows per forward and call (default 16)")
    group.add_argument("--encoding", default="text", help="of contexts: text (default), cached_text or shared_kv")
    group.add_argument("--seed", type=int, default=0, help="seed of all samples (default 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table. Progress goes to standard error."""
    from repro.verbs.show_context import read_rows

    if args.model is None or args.data is None:
        raise BadInput("bench mechanism: want --model M and --data FILE (see python -m repro bench --help)")
    rows = read_rows(args.data)
    if any("answer" not in row for row in rows):
        raise BadInput(f"--data {args.data}: a line without 'answer'; want the gold answer of every question")
    if args.n < 2 or args.prompts < 2 or args.batch_size < 1:
        raise BadInput(f"--n {args.n}, --prompts {args.prompts}, --batch-size {args.batch_size}: want at least 2, 2, 1")
    found = measure_mechanism(
        args.model, rows[: args.prompts], n=args.n, max_new_tokens=args.max_new_tokens, batch_size=args.batch_size,
        encoding=args.encoding, seed=args.seed, report=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(json.dumps(found, indent=1) if args.json else describe(found))
    return 0


def measure_mechanism(
    model: str,
    rows: list[dict[str, Any]],
    *,
    n: int,
    max_new_tokens: int,
    batch_size: int,
    encoding: str = "text",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    right: Callable[[list[str], list[str]], list[bool]] | None = None,
    report: Report = lambda _: None,
) -> dict[str, Any]:
    """{"model", "n", "questions", "mixed", "figures": {name: (value, low, high)}}.

    settings: of `GCPOConfig`, for how contexts are laid out. right: texts and golds to verdicts, our grader by default.
    """
    import torch

    from gcpo import trl_adapter
    from gcpo.scm import Group

    right = right or _graded
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(model, rows, n, max_new_tokens, output_dir=folder, extra_batch_size=batch_size,
                           context_encoding=encoding, **(settings or {}))  # fmt: skip
        prompts = trl_adapter.tokenize_prompts(trainer, [row["prompt"] for row in rows])
        torch.manual_seed(seed)
        outputs = trl_adapter.generate_continuations(
            trainer, [ids for ids in prompts for _ in range(n)], preserve_rng=False, batch_size=batch_size
        )
        report(f"{len(outputs)} candidates of {len(rows)} questions")
        groups = [Group(q, outputs[g * n : (g + 1) * n], rows[g]["prompt"]) for g, q in enumerate(prompts)]
        golds = [str(row["answer"]) for row in rows for _ in range(n)]
        correct = np.array(right(_texts(trainer, outputs), golds), dtype=float).reshape(-1, n)
        mixed = [g for g in range(len(groups)) if 0 < correct[g].sum() < n]
        if len(mixed) < 2:
            raise BadInput(f"{len(mixed)} of {len(groups)} questions have right and wrong candidates; want at least 2")
        figures = _integration(trainer, groups, correct, golds[::n], right, seed)
        report("integrated answers")
        figures |= _weights(trainer, [groups[g] for g in mixed], correct[mixed], seed, report)
    return {"model": model, "n": n, "questions": len(groups), "mixed": len(mixed), "figures": figures}


def _trainer(model: str, rows: list[dict[str, Any]], n: int, max_new_tokens: int, **settings: Any) -> Any:
    from datasets import Dataset

    from gcpo import GCPOConfig, GCPOTrainer
    from repro.bases.load import load_tokenizer
    from repro.device import decide

    try:
        config = GCPOConfig(
            use_cpu=decide().type == "cpu", num_generations=n, per_device_train_batch_size=n,
            gradient_accumulation_steps=1, max_completion_length=max_new_tokens, beta=0.0, estimator="mc",
            disable_tqdm=True, **settings,
        )  # fmt: skip
        return GCPOTrainer(
            model, lambda completions, **_: [0.0] * len(completions), config,
            train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in rows]),
            processing_class=load_tokenizer(model),
        )  # fmt: skip
    except ValueError as error:
        raise BadInput(str(error)) from None


def _texts(trainer: Any, outputs: list[list[int]]) -> list[str]:
    return trainer.processing_class.batch_decode(outputs, skip_special_tokens=True)


def _graded(texts: list[str], golds: list[str]) -> list[bool]:
    from repro.grading.pool import default_pool

    return [verdict.correct for verdict in default_pool().grade_many(list(zip(golds, texts, strict=True)))]


def _policy(trainer: Any, groups: list, seed: int) -> Any:
    from gcpo.trainers.pooled_policy import policy_for

    rollout = {"prompt_mask": []}  # no keys of a rollout are at hand
    return policy_for(trainer, trainer.layout, seed=seed, groups=groups, used=[], rollout=rollout, caches=[])


def _integration(
    trainer: Any, groups: list, correct: np.ndarray, golds: list[str], right: Callable, seed: int
) -> dict[str, tuple[float, float, float]]:
    """y_n right, beside one candidate and the vote of all: the most frequent final answer, the first of equals."""
    from gcpo.scm import by_agreement, candidate_view

    policy, layout = _policy(trainer, groups, seed + 1), trainer.layout
    integrated = policy.sample([policy.layout.collider(group) for group in groups])
    y_n = np.array(right(_texts(trainer, integrated), golds), dtype=float)
    votes = []
    for group, row in zip(groups, correct, strict=True):
        views = [
            candidate_view(y, view="final_answer", marker_ids=layout.marker_ids, eos_ids=layout.eos_ids)
            for y in group.candidates
        ]
        votes.append(row[by_agreement(views)[0]])
    parts = {"y_n right": y_n, "one candidate right": correct.mean(axis=1), "vote right": np.array(votes)}
    parts["y_n right - one candidate right"] = y_n - correct.mean(axis=1)
    return {name: interval(values[:, None], lambda sums: sums[0]) for name, values in parts.items()}


def _weights(
    trainer: Any, groups: list, correct: np.ndarray, seed: int, report: Report
) -> dict[str, tuple[float, float, float]]:
    """What Upsilon follows, whether Psi comes back, what contexts do to y_i, and the gradients of the forms."""
    import torch

    from gcpo.advantages import group_advantages
    from gcpo.estimators import Estimator, Sampling
    from gcpo.upsilon import centroid_upsilon, constant_control, shuffled_control, upsilon

    n = correct.shape[1]
    mc = Sampling(estimator="mc")

    def drawn(sampling: Sampling, draw: int, z: Tensor | None = None) -> Any:
        policy = _policy(trainer, groups, seed + 1000 * draw)
        found = Estimator(sampling, policy.layout, policy).evidence(groups, z=z)
        report(f"draw {draw} of 3")
        return found

    first = drawn(mc, 1)
    second = drawn(mc, 2, first.z)
    corrected = drawn(Sampling(estimator="mc", phi_sampling="resample"), 3, first.z)
    weights = {
        name: upsilon(e.z, e.x_mean, e.phi_mean, alpha=1.0) for name, e in (("mc", first), ("corrected", corrected))
    }
    weights["centroid"] = centroid_upsilon(first.z, alpha=1.0)
    weights["grpo"] = torch.ones_like(weights["mc"])
    weights["constant"] = constant_control(weights["mc"])
    weights["shuffled"] = shuffled_control(weights["mc"], generator=torch.Generator().manual_seed(seed))
    values = {name: weight.double().cpu().numpy() for name, weight in weights.items()}
    lengths = np.array([[len(y) for y in group.candidates] for group in groups], dtype=float)
    figures: dict[str, tuple[float, float, float]] = {}
    for name in ("mc", "centroid", "corrected"):
        figures[f"Upsilon {name}: mean"] = interval(values[name].mean(axis=1)[:, None], lambda sums: sums[0])
        spread = values[name].std(axis=1, ddof=1)[:, None]
        figures[f"Upsilon {name}: spread within a group"] = interval(spread, lambda sums: sums[0])
        figures[f"Upsilon {name}: correlation with right"] = within(values[name], correct)
        figures[f"Upsilon {name}: correlation with length"] = within(values[name], lengths)
    figures["Upsilon: correlation of mc with centroid"] = within(values["mc"], values["centroid"])
    psi = [(e.x_mean - e.phi_mean).double().cpu() for e in (first, second)]
    cosine = torch.cosine_similarity(*psi, dim=-1).mean(dim=1).numpy()
    figures["Psi drawn twice: cosine between the draws"] = interval(cosine[:, None], lambda sums: sums[0])
    ratio = (psi[0].norm(dim=-1) / first.z.double().cpu().mean(dim=1, keepdim=True).norm(dim=-1)).mean(dim=1).numpy()
    figures["Psi: norm over the centroid's"] = interval(ratio[:, None], lambda sums: sums[0])
    figures |= _probabilities(trainer, groups, correct, seed)
    report("log-probs in context")
    advantages = group_advantages(torch.tensor(correct).flatten(), n).view(-1, n).numpy()
    sketches = _sketched_scores(trainer, groups, seed)
    report("gradients")
    gradients = np.stack([np.einsum("gi,gik->gk", advantages * values[arm], sketches) for arm in ARMS])
    for a, one in enumerate(ARMS):
        for b in range(a + 1, len(ARMS)):
            figures[f"gradient cosine: {one}, {ARMS[b]}"] = gradient_cosine(gradients[a], gradients[b])
    return figures


def _probabilities(trainer: Any, groups: list, correct: np.ndarray, seed: int) -> dict[str, tuple[float, float, float]]:
    """Mean log-prob per token of y_i after q and after x_i = {q, y_k : k != i}, of right and of wrong candidates."""
    policy, n = _policy(trainer, groups, seed), correct.shape[1]
    outputs = [y for group in groups for y in group.candidates]
    lengths = np.array([len(y) for y in outputs])
    contexts = [policy.layout.without(group, i) for group in groups for i in range(n)]
    prompts = [group.prompt_ids for group in groups for _ in range(n)]
    after_q, _ = _text_policy(trainer, seed).score(prompts, outputs, features=False)
    after_x, _ = policy.score(contexts, outputs, features=False)
    figures = {}
    for where, probs in (("q", after_q), ("x_i", after_x)):
        logps = probs.double().clamp(min=1e-30).log().cpu().numpy()
        real = np.arange(logps.shape[1]) < lengths[:, None]
        means = (np.where(real, logps, 0).sum(axis=1) / lengths).reshape(-1, n)
        for kind, mask in (("right", correct), ("wrong", 1 - correct)):
            sums = np.stack([(means * mask).sum(axis=1), mask.sum(axis=1)], axis=1)
            figures[f"log-prob per token after {where}: {kind}"] = interval(sums, lambda s: s[0] / s[1])
    return figures


def _text_policy(trainer: Any, seed: int) -> Any:
    from gcpo.trainers.gcpo_policy import TrainerPolicy

    return TrainerPolicy(trainer, trainer.layout, seed=seed)


def _sketched_scores(trainer: Any, groups: list, seed: int) -> np.ndarray:
    """Gradients of (1/T_i) sum_t log pi(y_it | q, y_i<t) over all weights, sketched: [groups, n, SKETCH].

    Entry k sums every SKETCH-th coordinate with random signs, which keeps inner products right on average.
    """
    import torch

    model = trainer.model
    named = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    signs = [
        torch.randint(0, 2, (p.numel(),), generator=generator, dtype=torch.int8).to(p.device) * 2 - 1 for p in named
    ]
    rows = []
    for group in groups:
        for y in group.candidates:
            ids = torch.tensor([group.prompt_ids + y], device=model.device)
            logps = model(input_ids=ids).logits[0, len(group.prompt_ids) - 1 : -1].float().log_softmax(-1)
            loss = logps.gather(-1, torch.tensor(y, device=model.device).unsqueeze(-1)).mean()
            sketch, start = torch.zeros(SKETCH, device=model.device), 0
            for gradient, sign in zip(torch.autograd.grad(loss, named), signs, strict=True):
                flat = torch.nn.functional.pad(gradient.flatten().float() * sign, (start % SKETCH, 0))
                sketch += torch.nn.functional.pad(flat, (0, -len(flat) % SKETCH)).view(-1, SKETCH).sum(dim=0)
                start += gradient.numel()
            rows.append(sketch.cpu().numpy())
    return np.stack(rows).astype(np.float64).reshape(len(groups), -1, SKETCH)


def _resampled(groups: int) -> np.ndarray:
    """How often each group is in each bootstrap sample, [RESAMPLES, groups]."""
    return np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)


def _quantiles(value: float, values: np.ndarray) -> tuple[float, float, float]:
    return float(value), *(float(q) for q in np.nanquantile(values, [0.025, 0.975]))


def interval(sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """(value, low, high) of a figure of the means over groups of per-group quantities, [groups, k]; k first."""
    means = _resampled(len(sums)) @ sums / len(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _quantiles(figure(sums.mean(axis=0)), figure(means.T))


def within(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Pearson's correlation of two quantities of candidates, [groups, n], around the means of their groups."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    sums = np.stack([(a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)], axis=1)
    return interval(sums, lambda s: s[0] / np.sqrt(s[1] * s[2]))


def gradient_cosine(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Cosine of two gradients summed over groups, from each group's part, [groups, k]."""
    counts = np.concatenate([np.ones((1, len(one))), _resampled(len(one))])
    inner = [np.einsum("rg,gh,rh->r", counts, x @ y.T, counts) for x, y in ((one, other), (one, one), (other, other))]
    cosines = inner[0] / np.sqrt(inner[1] * inner[2])
    return _quantiles(cosines[0], cosines[1:])


def describe(found: dict[str, Any]) -> str:
    """The table as text."""
    head = f"{found['model']}: n = {found['n']}, {found['questions']} questions, {found['mixed']} with right and wrong"
    width = max(map(len, found["figures"]))
    rows = [(name.ljust(width), *values) for name, values in found["figures"].items()]
    return "\n".join([head, *(f"{name}  {v: .3f}  [{low: .3f}, {high: .3f}]" for name, v, low, high in rows)])
