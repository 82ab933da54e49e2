"""Time and memory of the encodings of a context, each computing the same thing: Eq. 13's targets, Eq. 12's pass.

Whole candidates in every context. Targets: probabilities of every y_i after every x_{i,l}, no gradient, m = 2. Pass:
forward and backward of log pi(y_i | x_i) for every y_i, beside a GRPO forward and backward on the same completions.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gcpo import trl_adapter
from gcpo.scm import Group
from gcpo.shared_kv.context import Drawn, SharedContext, SharedLayout, readable
from gcpo.shared_kv.keys import packed_forward, score, token_logps
from gcpo.shared_kv.packing import COPY, graph
from gcpo.trainers.gcpo_policy import TrainerPolicy, padded
from gcpo.trainers.pooled_policy import CachedTextPolicy
from repro.bench.overhead import Peak, make_form
from repro.bench.ratios import median_interval
from repro.config import Profile
from repro.methods.trl import rows_of
from repro.tasks.build import make_taskset

_DRAWS = 2


class Case:
    """Groups of sampled candidates, their integrated outputs, and one trainer."""

    def __init__(self, trainer: Any, profile: Profile, groups: int, n: int) -> None:
        self.trainer, self.model = trainer, trainer.model
        # no budget: two encodings of four would stand within it, and only cost is compared here
        self.layout = replace(trainer.layout, view="full", budget=None)
        tasks = make_taskset(profile.tasks)
        data = rows_of(tasks, tasks.training_questions(next(iter(profile.bases)), 3, groups))
        prompts = trl_adapter.tokenize_prompts(trainer, [row["prompt"] for row in data])
        torch.manual_seed(0)
        outputs = trl_adapter.generate_continuations(trainer, [ids for ids in prompts for _ in range(n + _DRAWS)])
        parts = [outputs[g * (n + _DRAWS) :][: n + _DRAWS] for g in range(groups)]
        self.groups = [Group(q, part[:n]) for q, part in zip(prompts, parts, strict=True)]
        self.integrated = [part[n:] for part in parts]
        self.triples = [(g, i, draw) for g in range(groups) for i in range(n) for draw in range(_DRAWS)]

    def text(self) -> tuple[list, list]:
        contexts = [self.layout.without(self.groups[g], i, [self.integrated[g][d]]) for g, i, d in self.triples]
        return contexts, [self.groups[g].candidates[i] for g, i, _ in self.triples]

    def re_prefilled(self) -> None:
        TrainerPolicy(self.trainer, self.layout, seed=0).score(*self.text(), features=False)

    def cached_text(self) -> None:
        policy = CachedTextPolicy(self.trainer, self.layout, seed=0, groups=self.groups)
        policy.score(*self.text(), features=False)

    @torch.no_grad()
    def packed(self) -> None:
        n, lead = len(self.groups[0].candidates), self.layout.closing_ids

        def seen(ids: list[int], before: int) -> torch.Tensor:
            flags = torch.zeros(before + len(ids), dtype=torch.bool)
            part = readable(ids, view="full", marker_ids=self.layout.marker_ids, eos_ids=self.layout.eos_ids)
            flags[before : before + len(part)] = part
            return flags

        for group, integrated in zip(self.groups, self.integrated, strict=True):
            nodes = graph(n, _DRAWS)
            copies = [[*lead, *group.candidates[node.candidate]] for node in nodes if node.kind == COPY]
            tokens = [group.prompt_ids, *group.candidates, *([*lead, *y] for y in integrated), *copies]
            flags = [torch.ones(len(group.prompt_ids), dtype=torch.bool), *(seen(y, 0) for y in group.candidates)]
            flags += [seen(y, len(lead)) for y in integrated] + [torch.zeros(len(c), dtype=torch.bool) for c in copies]
            states = packed_forward(self.model, nodes, tokens, flags).split([len(part) for part in tokens])
            for part, copy in zip(states[-len(copies) :], copies, strict=True):
                token_logps(self.model, part[len(lead) - 1 : -1], torch.tensor(copy[len(lead) :]), 1.0)

    @torch.no_grad()
    def shared(self) -> None:
        references = SharedLayout(self.layout)
        context = SharedContext(self.model, references)
        context.add_groups(self.groups)
        drawn = [
            [Drawn(y, references.collider(g)) for y in ys] for g, ys in zip(self.groups, self.integrated, strict=True)
        ]
        readings = [references.without(self.groups[g], i, [drawn[g][d]]) for g, i, d in self.triples]
        outputs = [self.groups[g].candidates[i] for g, i, _ in self.triples]
        readers, size = context.readers(readings, COPY), self.trainer.args.per_device_train_batch_size
        for start in range(0, len(outputs), size):
            part = slice(start, start + size)
            leads = [context.lead] * len(outputs[part])
            score(self.model, context.pool, readers[part], leads, outputs[part], temperature=1.0)

    def _rows(self) -> list[tuple[Group, int]]:
        return [(group, i) for group in self.groups for i in range(len(group.candidates))]

    def grpo_pass(self) -> None:
        self._text_pass([group.prompt_ids for group, _ in self._rows()])

    def text_pass(self) -> None:
        self._text_pass([self.layout.without(group, i) for group, i in self._rows()])

    def _text_pass(self, contexts: list[list[int]]) -> None:
        device = self.trainer.accelerator.device
        outputs = padded([group.candidates[i] for group, i in self._rows()], side="right", device=device)
        batch = (*padded(contexts, side="left", device=device), *outputs)
        trl_adapter.per_token_logps(self.trainer, self.model, *batch).sum().backward()
        self.model.zero_grad()

    def shared_pass(self, *, context_grad: bool = False) -> None:
        references = SharedLayout(self.layout)
        context = SharedContext(self.model, references)
        with torch.set_grad_enabled(context_grad):
            context.add_groups(self.groups)
            readers = context.readers([references.without(group, i) for group, i in self._rows()], COPY)
        outputs = [group.candidates[i] for group, i in self._rows()]
        leads = [context.lead] * len(outputs)
        score(self.model, context.pool, readers, leads, outputs, temperature=1.0)[0].sum().backward()
        self.model.zero_grad()

    def shared_pass_with_gradient(self) -> None:
        self.shared_pass(context_grad=True)


TARGETS = {
    "text, all re-prefilled": Case.re_prefilled,
    "cached_text": Case.cached_text,
    "shared_kv, one packed row per group": Case.packed,
    "shared_kv, cache reuse": Case.shared,
}
PASSES = {
    "GRPO, y_i after q": Case.grpo_pass,
    "text": Case.text_pass,
    "shared_kv, candidates encoded anew, frozen": Case.shared_pass,
    "shared_kv, gradient through the context": Case.shared_pass_with_gradient,
}


def bench_encodings(
    profile: Profile, *, groups: int = 4, n: int = 8, rounds: int = 7, report: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Processor seconds over the first row's, with intervals, and peak memory, of targets and of the kappa pass."""
    torch.set_num_threads(profile.resources.threads)
    with tempfile.TemporaryDirectory() as folder:
        questions = make_taskset(profile.tasks).training_questions(next(iter(profile.bases)), 3, groups)
        form = make_form(profile, "centroid, kappa 0", {"kappa": 0.0}, n, groups, questions, folder)
        case = Case(form.trainer, profile, groups, n)
        tables = {}
        for name, table in (("targets", TARGETS), ("kappa_pass", PASSES)):
            taken: dict[str, list[tuple[float, float]]] = {way: [] for way in table}
            for number in range(rounds + 1):
                for way, run in table.items():
                    peak = Peak(form.trainer.accelerator.device)
                    started = time.process_time()
                    run(case)
                    taken[way].append((time.process_time() - started, peak.mib()))
                report(f"encodings, {name}: round {number} of {rounds}")
            tables[name] = _rows(taken)
    lengths = [len(y) for group in case.groups for y in group.candidates]
    return {"groups": groups, "n": n, "m": _DRAWS, "length": float(np.mean(lengths)), **tables}


def _rows(taken: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    first = [seconds for seconds, _ in next(iter(taken.values()))[1:]]
    rows = []
    for way, runs in taken.items():
        ratios = [seconds / other for (seconds, _), other in zip(runs[1:], first, strict=True)]
        rows.append(
            {
                "encoding": way,
                "ratio": float(np.median(ratios)),
                "ratio_ci": list(median_interval(ratios)),
                "cpu_seconds": float(np.median([seconds for seconds, _ in runs[1:]])),
                "peak_mib": float(np.median([mib for _, mib in runs[1:]])),
            }
        )
    return rows
