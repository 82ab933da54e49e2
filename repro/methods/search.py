"""Search at test time with a trained policy: MCTS, and beside it majority vote and best-of-N at equal generated tokens.

All three answer each question once. Votes and best-of-N share their samples, k per suite: the search's tokens over the
tokens of its first completions, which are plain samples, floored. Reference answers are read after everything is
answered. Finished chunks of questions are stored, so that an interrupted search goes on where it was.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gcpo.search.mcts import MCTSConfig, SearchQuestion, SearchResult, confidence, p_true, search
from gcpo.search.policy import Continuation, Policy, Request, delimiter_ids
from gcpo.search.tree import weighted_vote
from repro.config import EvaluateSpec, Profile, SearchSpec
from repro.errors import BadInput
from repro.evaluation.draw import judge
from repro.evaluation.store import SAMPLED, Sample
from repro.references import resolve
from repro.seeds import derive_seed
from repro.tasks.encoding import encode_prompt
from repro.tasks.protocol import Question, Response, TaskSet

_JUDGE = "\nIs this solution right? Answer True or False:"  # not stated: the wording of P(True)
_SHOWN_ANSWERS = 3  # the tree shown is the first one whose completions disagree this much
Report = Callable[[float, str], None]


def mcts_config(spec: SearchSpec, new_tokens: int, where: str) -> MCTSConfig:
    """The search's settings. Raises BadInput for values that no search can run with."""
    names = ("simulations", "branch", "exploration", "first_visit_value", "step_tokens")
    try:
        return MCTSConfig(path_tokens=new_tokens, **{name: getattr(spec, name) for name in names})
    except ValueError as error:
        raise BadInput(f"{where}: search: {error}") from None


@dataclass(frozen=True)
class Answered:
    """One question's answer by one kind: the completion that gives it, and the tokens spent on the question.

    curve: (tokens so far, text so far or None without an answer) as the budget grows.
    """

    text: str
    ended: bool
    tokens: int
    curve: list[tuple[int, str | None]]


class Searcher:
    """A policy with what the search and the votes need to know of its texts; no reference answer is among it."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        tasks: TaskSet,
        spec: SearchSpec,
        evaluate: EvaluateSpec,
        seed: int,
        where: str,
    ) -> None:
        self.spec, self.tokenizer, self.tasks, self.seed = spec, tokenizer, tasks, seed
        self.config = mcts_config(self.spec, evaluate.max_new_tokens, where)
        try:
            self.policy = Policy(
                model, eos=tokenizer.eos_token_id, temperature=evaluate.temperature, top_p=evaluate.top_p
            )
            self.delimiters = delimiter_ids(tokenizer, self.spec.delimiter)
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
        self.leaf_values = None
        if self.spec.value == "confidence":
            self.leaf_values = confidence
        elif self.spec.value == "p_true":
            words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in (" True", " False")]
            if any(len(ids) != 1 or ids[0] == tokenizer.unk_token_id for ids in words):
                raise BadInput(f"{where}: value p_true needs ' True' and ' False' as words of the vocabulary")
            judge = tokenizer(_JUDGE, add_special_tokens=False)["input_ids"]
            self.leaf_values = p_true(self.policy, question=judge, true=words[0][0], false=words[1][0])

    def ids(self, question: Question) -> list[int]:
        return list(encode_prompt(self.tokenizer, self.tasks.prompt(question)).token_ids)

    def text(self, ids: Sequence[int]) -> tuple[str, bool]:
        """A completion's text without its end token, and whether it ended."""
        ended = bool(ids) and ids[-1] == self.tokenizer.eos_token_id
        return self._decode(ids[:-1] if ended else ids), ended

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=not self.tasks.keep_special_tokens)

    def vote(self, ids: list[int], ended: bool) -> str | None:
        return self.tasks.final_answer(Response(self._decode(ids), ended))

    def trees(self, questions: Sequence[Question]) -> list[SearchResult]:
        """MCTS on all questions, side by side."""
        asked = [SearchQuestion(each.id, self.ids(each), derive_seed(self.seed, "mcts", each.id)) for each in questions]
        try:
            return search(
                self.policy,
                asked,
                self.config,
                delimiters=self.delimiters,
                answer_of=self.vote,
                classes=self.tasks.classes,
                leaf_values=self.leaf_values,
            )
        except ValueError as error:
            raise BadInput(str(error)) from None

    def samples(self, questions: Sequence[Question], k: Sequence[int]) -> list[list[Continuation]]:
        """k plain samples of each question."""
        prompts = [self.ids(each) for each in questions]
        drawn: list[list[Continuation]] = []
        start = 0
        while start < len(questions):
            end, rows = start, 0
            while end < len(questions) and (end == start or rows + k[end] <= self.spec.rows_at_once):
                rows, end = rows + k[end], end + 1
            self.policy.keys.clear()
            slots = self.policy.open(prompts[start:end])
            requests = [
                Request(each, prompts[place][-1], self.config.path_tokens,
                        derive_seed(self.seed, "vote", questions[place].id, number))
                for place, each in zip(range(start, end), slots, strict=True)
                for number in range(k[place])
            ]  # fmt: skip
            flat = iter(self.policy.write(requests, frozenset([self.policy.eos]), keep=False))
            drawn += [[next(flat) for _ in range(k[place])] for place in range(start, end)]
            start = end
        return drawn

    def searched(self, result: SearchResult) -> Answered:
        """The search's answer: the best-valued completion among those that give it."""
        texts = _completions(result)
        of_answer: dict[str | None, tuple[float, int]] = {}
        for place, (answer, value) in enumerate(zip(result.answers, result.values, strict=True)):
            if answer not in of_answer or value > of_answer[answer][0]:
                of_answer[answer] = value, place
        chosen = {answer: self.text(texts[place])[0] for answer, (_, place) in of_answer.items()}
        text, ended = self.text(texts[of_answer[result.answer][1]]) if result.answer is not None else ("", False)
        curve = [(tokens, None if answer is None else chosen[answer]) for tokens, answer in result.curve]
        return Answered(text, ended, result.tokens, curve)

    def voted(self, drawn: Sequence[Continuation], kind: str) -> Answered:
        """The answer of plain samples: the commonest (a tie: seen first), or the most probable completion's."""
        texts = [self.text(each.ids) for each in drawn]
        votes = self.tasks.classes([self.tasks.final_answer(Response(*each)) for each in texts])
        scores = [float(np.mean(each.log_probs)) for each in drawn]
        tokens, curve, chosen = 0, [], None
        for number, each in enumerate(drawn, start=1):
            tokens += len(each.ids)
            if kind == "maj":
                answer = weighted_vote(votes[:number], [1.0] * number)
                chosen = None if answer is None else votes.index(answer)
            else:
                answered = [place for place in range(number) if votes[place] is not None]
                chosen = max(answered, key=scores.__getitem__, default=None)
            curve.append((tokens, None if chosen is None else texts[chosen][0]))
        text, ended = ("", False) if chosen is None else texts[chosen]
        return Answered(text, ended, tokens, curve)


def _completions(result: SearchResult) -> list[list[int]]:
    """Token ids of every completion of a search, in order."""
    parents, steps = result.tree["parents"], result.tree["steps"]
    texts = []
    for leaf in result.leaves:
        node, parts = leaf, []
        while node != -1:
            parts.append(steps[node])
            node = parents[node]
        texts.append([token for part in reversed(parts) for token in part])
    return texts


def search_suites(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: TaskSet,
    profile: Profile,
    cell: dict[str, Any],
    folder: Path,
    report: Report,
) -> tuple[dict[str, list[Sample]], dict[str, Any]]:
    """(graded answers per kind: mcts, maj, best, one per question in suite order; the record of what the search did).

    cell: the specification of the cell that searches. `folder` holds finished chunks; a chunk found there is not
    searched again.
    """
    where = f"profile {profile.name}"
    searcher = Searcher(model, tokenizer, tasks, profile.search, profile.evaluate, cell["seed"], where)
    if profile.search.value == "value_model":
        fitted = resolve("repro.methods.search_value:fitted_values")
        searcher.leaf_values = fitted(
            model, tokenizer, tasks, cell["value_model"], cell["seed"], f"{where}, search.value value_model"
        )
    questions = [(suite, each) for suite in profile.tasks.suites for each in tasks.questions(suite)]
    results = _stored_trees(searcher, [each for _, each in questions], folder, report)
    k = _budgets([suite for suite, _ in questions], results)
    report(0.6, "voting")
    drawn = searcher.samples([each for _, each in questions], [k[suite] for suite, _ in questions])
    answered = {
        "mcts": [searcher.searched(each) for each in results],
        "maj": [searcher.voted(each, "maj") for each in drawn],
        "best": [searcher.voted(each, "best") for each in drawn],
    }
    samples = {kind: _graded(questions, each, tasks) for kind, each in answered.items()}  # golds are read here
    record = {
        "k": k,
        "tokens_per_question": {kind: sum(a.tokens for a in each) / len(each) for kind, each in answered.items()},
        "curves": {kind: _curves(questions, each, tasks) for kind, each in answered.items()},
        "revisits": sum(each.revisits for each in results),
        "cut": sum(each.cut for each in results),
        "empty": sum(each.empty for each in results),
        "smallest_batch": searcher.policy.keys.fewest,
        "example": _example(questions, results, searcher),
    }
    return samples, record


def _stored_trees(searcher: Searcher, questions: list[Question], folder: Path, report: Report) -> list[SearchResult]:
    folder.mkdir(parents=True, exist_ok=True)
    results: list[SearchResult] = []
    size = searcher.spec.questions_at_once
    for start in range(0, len(questions), size):
        path = folder / f"{start:06d}.json.zst"
        report(0.5 * start / len(questions), f"searching {start}/{len(questions)}")
        if not path.exists():
            chunk = searcher.trees(questions[start : start + size])
            packed = zstandard.compress(json.dumps([each.as_json() for each in chunk]).encode())
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            temporary.write_bytes(packed)
            os.replace(temporary, path)
        try:  # read back also when just written: a resumed search sees what an uninterrupted one sees
            rows = json.loads(zstandard.decompress(path.read_bytes()))
        except (zstandard.ZstdError, json.JSONDecodeError) as error:
            raise BadInput(f"stored trees {path} are damaged ({error}); delete the file and run again") from None
        results += [SearchResult(**row) for row in rows]
    return results


def _budgets(suites: Sequence[str], results: Sequence[SearchResult]) -> dict[str, int]:
    """Plain samples per question that cost no more tokens than the search did, per suite; at least one."""
    k = {}
    for suite in dict.fromkeys(suites):
        own = [each for name, each in zip(suites, results, strict=True) if name == suite]
        k[suite] = max(1, sum(each.tokens for each in own) // max(1, sum(each.curve[0][0] for each in own)))
    return k


def _graded(questions: Sequence[tuple[str, Question]], answered: Sequence[Answered], tasks: TaskSet) -> list[Sample]:
    samples = [
        Sample(
            suite=suite,
            question_id=question.id,
            draw=SAMPLED,
            sample=0,
            seed=0,  # every node of the tree has its own
            text=answer.text,
            prompt_tokens=0,
            tokens=answer.tokens,
            ended=answer.ended,
            thinking=False,
            correct=False,
            reason="",
            detail="",
            extracted=None,
        )
        for (suite, question), answer in zip(questions, answered, strict=True)
    ]
    return judge(tasks, [question for _, question in questions], samples)


def _curves(
    questions: Sequence[tuple[str, Question]], answered: Sequence[Answered], tasks: TaskSet
) -> dict[str, list[list[float]]]:
    """Per suite [(mean tokens per question, accuracy)] as the budget grows."""
    curves = {}
    for suite in dict.fromkeys(name for name, _ in questions):
        own = [(q, a.curve) for (name, q), a in zip(questions, answered, strict=True) if name == suite]
        points = []
        for place in range(len(own[0][1])):
            texts = [curve[place][1] for _, curve in own]
            responses = [Response(text or "", text is not None) for text in texts]
            verdicts = tasks.grade([question for question, _ in own], responses)
            mean = sum(curve[place][0] for _, curve in own) / len(own)
            points.append([mean, sum(verdict.correct for verdict in verdicts) / len(own)])
        curves[suite] = points
    return curves


def _example(
    questions: Sequence[tuple[str, Question]], results: Sequence[SearchResult], searcher: Searcher
) -> dict[str, Any]:
    """The first search whose completions disagree, as texts: what the picture of a tree shows."""
    spread = [len(set(each.answers) - {None}) for each in results]
    place = next((n for n, found in enumerate(spread) if found >= _SHOWN_ANSWERS), spread.index(max(spread)))
    (suite, question), result = questions[place], results[place]
    tree = {name: result.tree[name] for name in ("parents", "values", "visits", "ended")}
    steps = [searcher.tokenizer.decode(ids) for ids in result.tree["steps"]]
    return {"suite": suite, "prompt": question.text, "answer": result.answer, "leaves": result.leaves,
            "answers": result.answers, "steps": steps, **tree}  # fmt: skip
