"""The paper's three inputs at test time, under a trained policy: q, x = {q, y_1..y_{n-1}} and the projection.

q is the policy's own cell. Here, from n - 1 candidates that the policy samples for a question:

x           one answer written after the candidates, in the context that training uses
projected   one answer written token by token from clamp(π(·|x,y_{n,0}) − mean_l π(·|x,y_{n,l}) + π(·|q)), renormalised
features    the same projection of last hidden states, read through the head
vote        no model at all: the commonest answer of the same candidates; the control that the paper lacks

The paper's sentence feeds "the causally projected input Ψ·π*(x) + π*(q)" into a model and does not say how: see
`gcpo.projection` for the two readings, and for why x needs an integrated output (with x as printed the projection is
π(·|q), which is the first input again). π* is the trained policy itself, n and m are those of the profile's GCPO mc.
Every sampled answer has candidates of its own; the greedy answers use those of the first. Finished chunks of questions
are stored; an interrupted cell goes on from there.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gcpo.projection import projected_logits, projected_probabilities
from gcpo.scm import ContextLayout, Group, Ids
from gcpo.search.joint import Combine, decode_jointly
from gcpo.search.policy import Policy, Request
from gcpo.search.tree import weighted_vote
from gcpo.trainers.gcpo import GCPOTrainer
from gcpo.trainers.gcpo_config import GCPOConfig
from repro.config import EvaluateSpec, Profile
from repro.errors import BadInput
from repro.evaluation.draw import judge
from repro.evaluation.store import GREEDY, SAMPLED, Sample, append_samples, read_samples
from repro.methods.registry import get_method
from repro.methods.trl import rows_needed
from repro.seeds import derive_seed
from repro.tasks.encoding import encode_prompt
from repro.tasks.protocol import Question, Response, TaskSet, response_of

KINDS = ("x", "projected", "features", "vote")
Report = Callable[[float, str], None]


def settings_of(values: dict[str, Any], where: str, *, output_dir: str = "unused", cpu: bool = True) -> GCPOConfig:
    """The GCPO settings whose contexts, n and m are used. Raises BadInput where they make no context."""
    alone = {**values, "beta": 0.0, "use_vllm": False}  # nothing is trained: no reference model and no engine
    config = get_method("gcpo").settings(alone, seed=0, output_dir=output_dir, where=where, cpu=cpu)
    if config.is_plain_grpo or config.context_encoding == "shared_kv":
        raise BadInput(f"{where}: its contexts are none or no texts; want context_encoding='text' and a GCPO term")
    return config


def _softmax(logits: Tensor) -> Tensor:
    return logits[:, 0].softmax(dim=-1)


def _projected(logits: Tensor) -> Tensor:
    probs = logits.softmax(dim=-1)
    return projected_probabilities(probs[:, 0], probs[:, 1], probs[:, 1:].transpose(1, 2))


def _features(logits: Tensor) -> Tensor:
    return projected_logits(logits[:, 0], logits[:, 1], logits[:, 1:].transpose(1, 2)).softmax(dim=-1)


_COMBINE: dict[str, Combine] = {"x": _softmax, "projected": _projected, "features": _features}


class InputAnswers:
    """A policy with what it takes to answer questions from the inputs. Reads no reference answer."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        source: Path,
        tasks: TaskSet,
        evaluate: EvaluateSpec,
        cell: dict[str, Any],
        where: str,
    ) -> None:
        self.tokenizer, self.tasks, self.evaluate, self.seed, self.where = (
            tokenizer,
            tasks,
            evaluate,
            cell["seed"],
            where,
        )
        self.stops = frozenset(tasks.stop_ids(tokenizer, source))
        asked = tasks.questions(next(iter(cell["tasks"]["suites"])))[0]
        self.config, self.layout = _layout(model, tokenizer, tasks.prompt(asked), cell["inputs"], where)
        self.policy = Policy(
            model.eval(), eos=tokenizer.eos_token_id, temperature=evaluate.temperature, top_p=evaluate.top_p
        )

    def answers(self, suite: str, questions: Sequence[Question]) -> dict[str, list[Sample]]:
        """Ungraded answers of every kind: as many sampled ones as the profile asks, and a greedy one where it does.

        Raises BadInput for a context that the model has no room for.
        """
        k, n = self.evaluate.samples_of(suite), self.config.num_generations
        asked = [(question, number) for question in questions for number in range(k)]
        prompts = [self.prompt_ids(question) for question, _ in asked]
        try:
            candidates = self._sample(prompts, n - 1, self._seeds("candidate", asked, n - 1))
            groups = [
                Group(ids, outputs, self.tasks.prompt(question))
                for ids, outputs, (question, _) in zip(prompts, candidates, asked, strict=True)
            ]
            x = [self.layout.collider(group) for group in groups]
            m = self.config.num_integrated
            integrated = self._sample(x, m, self._seeds("integrated", asked, m))
            x_l = [
                [self.layout.context(group, [*group.candidates, y]) for y in outputs]
                for group, outputs in zip(groups, integrated, strict=True)
            ]
            contexts = {"x": [[ids] for ids in x]}
            contexts["projected"] = [[q, *each] for q, each in zip(prompts, x_l, strict=True)]
            contexts["features"] = contexts["projected"]
            spent = {"x": [sum(map(len, outputs)) for outputs in candidates]}
            spent["projected"] = [
                tokens + sum(map(len, outputs)) for tokens, outputs in zip(spent["x"], integrated, strict=True)
            ]
            spent["features"] = spent["projected"]
            found = {
                kind: self._written(kind, suite, asked, contexts[kind], spent[kind]) for kind in KINDS if kind != "vote"
            }
        except ValueError as error:
            raise BadInput(f"{self.where}, suite {suite}: {error}") from None
        found["vote"] = [
            self._voted(suite, question, number, outputs)
            for (question, number), outputs in zip(asked, candidates, strict=True)
        ]
        return found

    def prompt_ids(self, question: Question) -> Ids:
        """The tokens of the first input, q."""
        return list(encode_prompt(self.tokenizer, self.tasks.prompt(question)).token_ids)

    def _seeds(self, what: str, asked: Sequence[tuple[Question, int]], count: int) -> list[list[int]]:
        return [
            [derive_seed(self.seed, what, question.id, r, place) for place in range(count)] for question, r in asked
        ]

    def _sample(self, contexts: Sequence[Ids], count: int, seeds: Sequence[Sequence[int]]) -> list[list[Ids]]:
        """`count` outputs of each context, at the evaluation's temperature."""
        new, outputs = self.evaluate.max_new_tokens, []
        for batch in batched(range(len(contexts)), max(1, self.evaluate.batch_size // count)):
            self.policy.keys.clear()
            for place in batch:
                self.policy.check_room(str(place), contexts[place], new)
            slots = self.policy.open([contexts[place] for place in batch])
            requests = [
                Request(each, contexts[place][-1], new, seed)
                for place, each in zip(batch, slots, strict=True)
                for seed in seeds[place]
            ]
            flat = iter(self.policy.write(requests, self.stops, keep=False))
            outputs += [[next(flat).ids for _ in range(count)] for _ in batch]
        return outputs

    def _written(
        self,
        kind: str,
        suite: str,
        asked: Sequence[tuple[Question, int]],
        contexts: Sequence[Sequence[Ids]],
        spent: Sequence[int],
    ) -> list[Sample]:
        """The answers of one kind. spent: tokens of each answer's candidates and integrated outputs."""
        samples = []
        passes = [(SAMPLED, range(len(asked)))]
        if self.evaluate.greedy:
            passes.append((GREEDY, [place for place, (_, number) in enumerate(asked) if number == 0]))
        for draw, places in passes:
            for batch in batched(places, max(1, self.evaluate.batch_size // len(contexts[0]))):
                seeds = [derive_seed(self.seed, kind, asked[place][0].id, asked[place][1]) for place in batch]
                outputs = decode_jointly(
                    self.policy,
                    [contexts[place] for place in batch],
                    _COMBINE[kind],
                    stop=self.stops,
                    limit=self.evaluate.max_new_tokens,
                    seeds=seeds if draw == SAMPLED else None,
                )
                samples += [
                    self._sample_of(suite, *asked[place], draw, ids, spent[place] + len(ids))
                    for place, ids in zip(batch, outputs, strict=True)
                ]
        return samples

    def _voted(self, suite: str, question: Question, number: int, candidates: Sequence[Ids]) -> Sample:
        """The first candidate that gives the commonest answer (a tie: seen first); the first one if none answers."""
        responses = [self._response(question, ids) for ids in candidates]
        votes = list(self.tasks.classes([self.tasks.final_answer(each) for each in responses]))
        winner = weighted_vote(votes, [1.0] * len(votes))
        chosen = candidates[0 if winner is None else votes.index(winner)]
        return self._sample_of(suite, question, number, SAMPLED, chosen, sum(map(len, candidates)))

    def _response(self, question: Question, ids: Ids) -> Response:
        thinking = encode_prompt(self.tokenizer, self.tasks.prompt(question)).thinking
        return response_of(self.tasks, self.tokenizer, ids, self.stops, thinking)

    def _sample_of(self, suite: str, question: Question, number: int, draw: str, ids: Ids, tokens: int) -> Sample:
        response = self._response(question, ids)
        return Sample(
            suite=suite,
            question_id=question.id,
            draw=draw,
            sample=number,
            seed=0,  # every candidate has its own
            text=response.text,
            prompt_tokens=0,
            tokens=tokens,
            ended=response.ended,
            thinking=response.thinking,
            correct=False,
            reason="",
            detail="",
            extracted=None,
        )


def batched(places: Iterable[int], size: int) -> Iterator[list[int]]:
    """Places in lists of at most `size`."""
    rest = list(places)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def _layout(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: Any, values: dict[str, Any], where: str
) -> tuple[GCPOConfig, ContextLayout]:
    """The settings, and the layout that a trainer with them makes for such prompts."""
    with tempfile.TemporaryDirectory() as folder:
        config = settings_of(values, where, output_dir=folder, cpu=model.device.type == "cpu")
        try:
            trainer = GCPOTrainer(
                model=model,
                reward_funcs=lambda completions, **_: [0.0] * len(completions),
                args=config,
                train_dataset=Dataset.from_list([{"prompt": prompt}] * rows_needed(config)),
                processing_class=tokenizer,
            )
        except ValueError as error:
            raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None
        return config, trainer.layout


def answer_suites(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: Path,
    tasks: TaskSet,
    profile: Profile,
    cell: dict[str, Any],
    folder: Path,
    report: Report,
) -> dict[str, list[Sample]]:
    """Graded answers per kind to every suite. cell: the specification of the cell that asks.

    `folder` holds samples_<kind>.jsonl.zst, added to chunk by chunk; what is there is not answered again.
    """
    answerer = InputAnswers(model, tokenizer, source, tasks, profile.evaluate, cell, f"profile {profile.name}")
    paths = {kind: folder / f"samples_{kind}.jsonl.zst" for kind in KINDS}
    known = {kind: {sample.key: sample for sample in read_samples(path, mend=True)} for kind, path in paths.items()}
    chunks = [
        (suite, [questions[place] for place in batch])
        for suite in profile.tasks.suites
        for questions in [list(tasks.questions(suite))]
        for batch in batched(
            range(len(questions)), max(1, profile.evaluate.batch_size // profile.evaluate.samples_of(suite))
        )
    ]
    last = KINDS[-1]  # stored after the others: a chunk that is there is whole
    for number, (suite, questions) in enumerate(chunks):
        report(number / len(chunks), f"answering {suite}, chunk {number + 1}/{len(chunks)}")
        if all((suite, question.id, SAMPLED, 0) in known[last] for question in questions):
            continue
        by_id = {question.id: question for question in questions}
        for kind, samples in answerer.answers(suite, questions).items():
            fresh = [sample for sample in samples if sample.key not in known[kind]]
            if fresh:
                append_samples(paths[kind], judge(tasks, [by_id[sample.question_id] for sample in fresh], fresh))
    return {kind: read_samples(path) for kind, path in paths.items()}
