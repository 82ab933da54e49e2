"""What a base can do: sampled accuracy per suite, and how it integrates candidates' answers into one."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from repro.bases.make import load_base
from repro.bases.sft import encode
from repro.config import EvaluateSpec
from repro.evaluation.draw import Pass, by_batch
from repro.evaluation.engines.transformers_engine import TransformersEngine
from repro.evaluation.policy import settings_of
from repro.evaluation.store import SAMPLED
from repro.tasks.encoding import encode_prompt
from repro.tasks.procedural import build_tokenizer, final_answer, integration_prompt, load_suite, verify
from repro.tasks.procedural.families import Problem
from repro.tasks.procedural.tokenizer import EOS
from repro.tasks.protocol import Question

MAX_NEW_TOKENS = 96  # the longest worked solution has 81

Completions = list[list[tuple[str, bool]]]  # per problem, per sample: text and whether it ended


def measure_base(
    path: Path, suites: Mapping[str, int], k: int = 8, seed: int = 0, batch_size: int = 256, order: str = "sampled"
) -> dict[str, Any]:
    """pass@1 and pass@k per suite, and the integration report of each suite, at temperature 1.

    suites: name -> number of questions; order: of the candidates in a context, as the base was trained on.
    Returns {"suites": {name: {"n", "pass_at_1", "pass_at_k", "families"}}, "integration": {name: integration_report}}.
    Raises BadInput for a damaged base or an unknown suite.
    """
    model, tokenizer = load_base(path), build_tokenizer()
    spec = EvaluateSpec(samples=k, temperature=1.0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS, batch_size=batch_size)
    report: dict[str, Any] = {"suites": {}, "integration": {}}
    for name, questions in suites.items():
        problems = load_suite(name, questions)
        prompts = [problem.prompt for problem in problems]
        candidates = complete(model, tokenizer, prompts, spec, seed, f"{name}/candidates")
        right = correctness(problems, candidates)
        report["suites"][name] = {
            "n": len(problems),
            "pass_at_1": fmean(fmean(row) for row in right),
            "pass_at_k": fmean(any(row) for row in right),
            "families": {
                family: fmean(fmean(row) for row, p in zip(right, problems, strict=True) if p.family == family)
                for family in sorted({problem.family for problem in problems})
            },
        }
        fresh = complete(model, tokenizer, prompts, spec, seed, f"{name}/fresh")
        views = [[final_answer(text, ended=ended) for text, ended in row] for row in candidates]
        contexts = [integration_prompt(prompt, row, order) for prompt, row in zip(prompts, views, strict=True)]
        integrated = complete(model, tokenizer, contexts, spec, seed, f"{name}/integrated")
        report["integration"][name] = {
            **integration_report(problems, views, correctness(problems, fresh), correctness(problems, integrated)),
            **context_shift(model, problems, candidates, views, order),
        }
    return report


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    spec: EvaluateSpec,
    seed: int,
    label: str,
) -> Completions:
    """`spec.samples` completions of every prompt, in the prompts' order."""
    engine = TransformersEngine.of(model, tokenizer, batch_size=spec.batch_size, seeds="batch")
    questions = [Question(str(index), prompt, "") for index, prompt in enumerate(prompts)]
    encoded = {question.id: encode_prompt(tokenizer, question.text) for question in questions}
    drawn = Pass(SAMPLED, spec.samples, settings_of(spec, (tokenizer.eos_token_id,)))
    rows: Completions = [[("", False)] * spec.samples for _ in prompts]
    for requests in by_batch(label, questions, encoded, drawn, set(), seed, spec.batch_size):
        for place, completion in engine.generate(requests, drawn.settings):
            ids = completion.token_ids[:-1] if completion.ended else completion.token_ids
            request = requests[place]
            rows[int(request.question_id)][request.sample] = (tokenizer.decode(list(ids)), completion.ended)
    return rows


def correctness(problems: Sequence[Problem], completions: Completions) -> list[list[bool]]:
    """Verdict of every completion."""
    return [
        [verify(text, problem.answer, ended=ended)[0] for text, ended in row]
        for problem, row in zip(problems, completions, strict=True)
    ]


def majority_share(answers: Sequence[str | None], right: str) -> float:
    """Expected correctness of the plurality vote, ties broken at random; 0 when nothing was answered."""
    votes = Counter(answer for answer in answers if answer is not None)
    leaders = [answer for answer, count in votes.items() if count == max(votes.values())]
    return (right in leaders) / len(leaders) if leaders else 0.0


def integration_report(
    problems: Sequence[Problem],
    views: Sequence[Sequence[str | None]],
    single: Sequence[Sequence[bool]],
    integrated: Sequence[Sequence[bool]],
) -> dict[str, Any]:
    """Accuracy of one fresh sample, of the vote and of integration, by how many of the candidates are right.

    Groups: `all`, `all_wrong`, `mixed`, `all_right`, and `by_right` (number right -> integrated accuracy). An empty
    group is {"n": 0}. `single` is drawn apart from the candidates, which choose the groups, so it is unbiased.
    """
    right = [sum(answer == p.answer for answer in row) for p, row in zip(problems, views, strict=True)]
    size = max(len(row) for row in views)
    groups = {
        "all": range(len(problems)),
        "all_wrong": [i for i, count in enumerate(right) if count == 0],
        "mixed": [i for i, count in enumerate(right) if 0 < count < size],
        "all_right": [i for i, count in enumerate(right) if count == size],
    }
    report: dict[str, Any] = {}
    for name, members in groups.items():
        report[name] = {"n": len(members)}
        if members:
            report[name] |= {
                "single": fmean(fmean(single[i]) for i in members),
                "majority": fmean(majority_share(views[i], problems[i].answer) for i in members),
                "integrated": fmean(fmean(integrated[i]) for i in members),
            }
    report["by_right"] = {
        count: fmean(fmean(integrated[i]) for i, c in enumerate(right) if c == count) for count in sorted(set(right))
    }
    return report


@torch.no_grad()
def context_shift(
    model: PreTrainedModel,
    problems: Sequence[Problem],
    candidates: Completions,
    views: Sequence[Sequence[str | None]],
    order: str = "sampled",
) -> dict[str, float]:
    """Mean of log pi(y_0 | x_0) - log pi(y_0 | q) per token, over all tokens and over the answer token alone.

    x_0 shows the other candidates' answers and, as the integrated output's, one of them drawn at random.
    """
    rng = random.Random(0)
    everywhere, at_answer = [], []
    for problem, row, view in zip(problems, candidates, views, strict=True):
        text, ended = row[0]
        if not ended or view[0] is None:
            continue
        completion = encode(text + EOS)
        context = integration_prompt(problem.prompt, [*view[1:], rng.choice(view[1:])], order)
        plain, shown = (completion_logps(model, encode(prefix), completion) for prefix in (problem.prompt, context))
        everywhere.append((shown - plain).mean().item())
        at_answer.append((shown - plain)[-2].item())  # the answer stands before EOS
    if not everywhere:
        return {"logp_shift_per_token": float("nan"), "logp_shift_answer": float("nan")}
    return {"logp_shift_per_token": fmean(everywhere), "logp_shift_answer": fmean(at_answer)}


def completion_logps(model: PreTrainedModel, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Log-probability of each completion token after the prompt: [len(completion)] float32."""
    ids = torch.tensor([prompt + completion])
    logps = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
    return logps.gather(1, ids[0, len(prompt) :, None])[:, 0]
