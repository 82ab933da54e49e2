"""What GCPO's mechanism does on a model of yours: `python -m repro bench mechanism --model M --data D`.

Without `--model` the profile's first base is measured, without `--data` on what the profile trains on.

On groups of n candidates sampled from D: what Upsilon follows, whether Psi comes back when it is drawn again, whether
the model can integrate candidates, what a context does to their probability, and which gradients the forms give. Each
figure with a 95 % bootstrap interval over questions. Nothing is trained. Imports nothing heavy until it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.errors import BadInput

if TYPE_CHECKING:
    from repro.bench.mechanism_figures import Measured
    from repro.config import Profile

SKETCH = 1 << 15  # inner products of gradients to about 1/sqrt(SKETCH), whatever the model's size
TOGETHER = 4  # questions that are measured at a time: their contexts' keys are held in memory
_OF_MIXED = ("z", "lengths", "after_q", "after_x", "sketches")
_DATA_SEED = 2**29  # of the questions taken from a profile's training set; no arm's seed reaches it
Report = Callable[[str], None]
Right = Callable[[list[list[int]], list[int]], list[bool]]


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The options of this measurement; the premise of GC2PO has --n and --seed too."""
    group = bench.add_argument_group("mechanism")
    group.add_argument("--model", help="a folder or hub id (default: the profile's first base)")
    data = "JSON lines with 'prompt' and 'answer' (default: questions that the profile trains on)"
    group.add_argument("--data", type=Path, metavar="FILE", help=data)
    group.add_argument("--n", type=int, default=8, help="candidates per question (default 8)")
    group.add_argument("--max-new-tokens", type=int, default=384, metavar="T", help="longest output (default 384)")
    group.add_argument("--batch-size", type=int, default=16, help="rows per forward and call (default 16)")
    group.add_argument("--encoding", default="text", help="of contexts: text (default), cached_text or shared_kv")
    group.add_argument("--seed", type=int, default=0, help="seed of all samples (default 0)")


def run(args: argparse.Namespace) -> int:
    """Measure, save where asked, print the table. Progress goes to standard error."""
    from repro.bench.step import save
    from repro.verbs.common import profile_of

    if args.n < 2 or args.prompts < 2 or args.batch_size < 1:
        raise BadInput(f"--n {args.n}, --prompts {args.prompts}, --batch-size {args.batch_size}: want at least 2, 2, 1")
    started, profile = time.process_time(), profile_of(args)
    given = None if args.data is None else _rows(args.data)
    model = _model(args.model, profile)
    rows, right = _of_profile(profile, model, args.prompts) if given is None else (given[: args.prompts], None)
    found = measure_mechanism(
        str(model), rows, n=args.n, max_new_tokens=args.max_new_tokens, batch_size=args.batch_size,
        encoding=args.encoding, seed=args.seed, right=right, keep=_folder(args, model),
        report=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    found["cpu_seconds_of_this_call"] = round(time.process_time() - started, 1)
    if args.save:
        save(profile, "mechanism", found)
    print(json.dumps(found, indent=1) if args.json else describe(found))
    return 0


def _folder(args: argparse.Namespace, model: Path) -> Path:
    """Where this measurement keeps what it has: in the cache, by all that decides it but the number of questions."""
    from repro.bases.files import fingerprint
    from repro.closure import code_hash
    from repro.files import sha256_text
    from repro.paths import cache_dir

    data = args.profile if args.data is None else sha256_text(args.data.read_text(encoding="utf-8"))
    decides = (fingerprint(model), data, args.n, args.max_new_tokens, args.encoding, args.seed)
    code = code_hash(("repro.bench.mechanism", "repro.bench.mechanism_figures"))
    return cache_dir() / "mechanism" / sha256_text(repr((decides, code)))[:16]


def _model(asked: str | None, profile: Profile) -> Path:
    from repro.bases.files import resolve_model
    from repro.cells.bases import base_source

    return base_source(profile, next(iter(profile.bases)))[0] if asked is None else resolve_model(asked)


def _rows(data: Path) -> list[dict[str, Any]]:
    from repro.verbs.show_context import read_rows

    rows = read_rows(data)
    if any("answer" not in row for row in rows):
        raise BadInput(f"--data {data}: a line without 'answer'; want the gold answer of every question")
    return rows


def _of_profile(profile: Profile, model: Path, count: int) -> tuple[list[dict[str, Any]], Right]:
    """Rows of questions that a profile trains on, and its tasks' verdict on outputs."""
    from repro.bases.load import load_tokenizer
    from repro.methods.trl import make_reward
    from repro.tasks.build import make_taskset

    tasks, tokenizer = make_taskset(profile.tasks), load_tokenizer(model)
    questions = tasks.training_questions(next(iter(profile.bases)), _DATA_SEED, count)
    reward = make_reward(tasks, tokenizer, questions, tasks.stop_ids(tokenizer, model))

    def right(outputs: list[list[int]], rows: list[int]) -> list[bool]:
        return [value > 0 for value in reward(outputs, rows)]

    rows = [{"prompt": tasks.prompt(question), "answer": question.gold} for question in questions]
    return rows, right


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
    right: Right | None = None,
    keep: Path | None = None,
    report: Report = lambda _: None,
) -> dict[str, Any]:
    """{"model", "sha256", "n", ..., "questions", "mixed", "figures": {name: (value, low, high)}}.

    settings: of `GCPOConfig`, for how contexts are laid out. right: token ids of outputs and the places of their
    questions in `rows` to verdicts; by default our grader, on the rows' "answer". keep: a folder in which what was
    measured of `TOGETHER` questions at a time is kept, so that a further call goes on from there.
    """
    from repro.bases.files import fingerprint, resolve_model
    from repro.bench.mechanism_figures import figures_of, joined

    source, parts, started = resolve_model(model), [], time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(model, rows, n, max_new_tokens, output_dir=folder, extra_batch_size=batch_size,
                           context_encoding=encoding, **(settings or {}))  # fmt: skip
        right = right or _grader(trainer, [str(row["answer"]) for row in rows])
        for first in range(0, len(rows), TOGETHER):
            places = list(range(first, min(first + TOGETHER, len(rows))))
            path = None if keep is None else keep / f"{first}-{len(places)}.npz"
            parts.append(_kept(path, lambda: _measure(trainer, rows, places, n, right, seed + first)))  # noqa: B023
            report(f"{places[-1] + 1} of {len(rows)} questions, {time.process_time() - started:.0f} s of processor")
    whole = joined(parts)
    if whole.mixed.sum() < 2:
        few = f"{whole.mixed.sum()} of {len(rows)} questions"
        raise BadInput(f"{few} have right and wrong candidates; want at least 2")
    return {
        "what": "value and 95 % bootstrap interval over questions; figures of Upsilon, Psi, log-probs and gradients "
        "are of the questions that have right and wrong candidates",
        "model": source.name,
        "sha256": fingerprint(source),
        "n": n,
        "max_new_tokens": max_new_tokens,
        "encoding": encoding,
        "candidate_view": trainer.layout.view,
        "seed": seed,
        "questions": len(rows),
        "mixed": int(whole.mixed.sum()),
        "mean_length": float(whole.lengths.mean()),
        "figures": figures_of(whole, seed),
    }


def _kept(path: Path | None, measure: Callable[[], Measured]) -> Measured:
    """What the file holds, or else what is measured now, and kept there."""
    from repro.bench.mechanism_figures import Measured

    if path is not None and path.exists():
        with np.load(path) as arrays:
            return Measured(**arrays)
    measured = measure()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **vars(measured))
        part.replace(path)  # whole or not at all
    return measured


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


def _grader(trainer: Any, golds: list[str]) -> Right:
    from repro.grading.pool import default_pool

    def right(outputs: list[list[int]], places: list[int]) -> list[bool]:
        texts = trainer.processing_class.batch_decode(outputs, skip_special_tokens=True)
        pairs = [(golds[place], text) for place, text in zip(places, texts, strict=True)]
        return [verdict.correct for verdict in default_pool().grade_many(pairs)]

    return right


def _measure(trainer: Any, rows: list[dict[str, Any]], places: list[int], n: int, right: Right, seed: int) -> Measured:
    """Everything about the questions at some places of `rows`, from their own seed."""
    import torch

    from gcpo import trl_adapter
    from gcpo.estimators import Estimator, Sampling
    from gcpo.scm import Group
    from gcpo.trainers.pooled_policy import policy_for
    from repro.bench.mechanism_figures import Measured, mixed

    prompts = trl_adapter.tokenize_prompts(trainer, [rows[place]["prompt"] for place in places])
    torch.manual_seed(seed)
    outputs = trl_adapter.generate_continuations(trainer, [q for q in prompts for _ in range(n)], preserve_rng=False)
    verdicts = right(outputs, [place for place in places for _ in range(n)])
    correct = np.array(verdicts, dtype=float).reshape(-1, n)
    groups = [
        Group(q, outputs[k * n : (k + 1) * n], rows[place]["prompt"])
        for k, (q, place) in enumerate(zip(prompts, places, strict=True))
    ]
    # one policy for all draws: where it keeps keys, what the draws' contexts share is read once
    policy = policy_for(
        trainer, trainer.layout, seed=seed, groups=groups, used=[], rollout={"prompt_mask": []}, caches=[]
    )
    y_n = right(policy.sample([policy.layout.collider(group) for group in groups]), places)
    votes = [row[_vote(trainer.layout, group)] for group, row in zip(groups, correct, strict=True)]
    groups = [group for group, kept in zip(groups, mixed(correct), strict=True) if kept]
    drawn: dict[str, np.ndarray] = dict.fromkeys(_OF_MIXED, np.zeros((0, n)))
    drawn |= dict.fromkeys(("first", "second", "corrected"), np.zeros((2, 0, n)))
    if groups:
        mc, corrected = Sampling(estimator="mc"), Sampling(estimator="mc", phi_sampling="resample")
        found = Estimator(mc, policy.layout, policy).evidence(groups)
        drawn["z"] = found.z.double().cpu().numpy()
        for name, sampling in (("first", mc), ("second", mc), ("corrected", corrected)):
            if name != "first":
                found = Estimator(sampling, policy.layout, policy).evidence(groups, z=found.z)
            drawn[name] = torch.stack([found.x_mean, found.phi_mean]).double().cpu().numpy()
        prompts = [group.prompt_ids for group in groups for _ in range(n)]
        contexts = [policy.layout.without(group, i) for group in groups for i in range(n)]
        drawn["after_q"], drawn["after_x"] = (_mean_logps(policy, before, groups) for before in (prompts, contexts))
        drawn["sketches"] = _sketched_scores(trainer, groups, 0)  # one set of signs for all groups
        drawn["lengths"] = np.array([[len(y) for y in group.candidates] for group in groups], dtype=float)
    return Measured(correct, np.array(y_n, dtype=float), np.array(votes), **drawn)


def _vote(layout: Any, group: Any) -> int:
    """The candidate that the vote is for: one with the most frequent final answer, the first of equals."""
    from gcpo.scm import by_agreement, candidate_view

    return by_agreement(
        [
            candidate_view(y, view="final_answer", marker_ids=layout.marker_ids, eos_ids=layout.eos_ids)
            for y in group.candidates
        ]
    )[0]


def _mean_logps(policy: Any, contexts: list, groups: list) -> np.ndarray:
    """Mean log-prob per token of every candidate after its context, [groups, n]."""
    outputs = [y for group in groups for y in group.candidates]
    lengths = np.array([len(y) for y in outputs])
    probs, _ = policy.score(contexts, outputs, features=False)
    logps = probs.double().clamp(min=1e-30).log().cpu().numpy()
    real = np.arange(logps.shape[1]) < lengths[:, None]
    return (np.where(real, logps, 0).sum(axis=1) / lengths).reshape(len(groups), -1)


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


def describe(found: dict[str, Any]) -> str:
    """The table as text."""
    head = f"{found['model']}: n = {found['n']}, {found['questions']} questions, {found['mixed']} with right and wrong"
    width = max(map(len, found["figures"]))
    rows = [(name.ljust(width), *values) for name, values in found["figures"].items()]
    return "\n".join([head, *(f"{name}  {v: .3f}  [{low: .3f}, {high: .3f}]" for name, v, low, high in rows)])
