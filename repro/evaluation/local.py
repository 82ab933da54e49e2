"""Measures a policy: k sampled answers per question, graded, stored, and summed up per suite."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import zstandard
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from repro.config import EvaluateSpec
from repro.errors import BadInput
from repro.seeds import derive_seed
from repro.stats import maj_at_k, mean_accuracy, pass_at_k
from repro.tasks.protocol import Question, TaskSet


@dataclass(frozen=True)
class Sample:
    """One answer to one question, with the verdict. `tokens` counts the end token."""

    suite: str
    question_id: str
    sample: int
    text: str
    answer: str
    correct: bool
    reason: str
    tokens: int
    ended: bool


@torch.inference_mode()
def sample_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    spec: EvaluateSpec,
    seed: int,
    label: str,
) -> Iterator[tuple[Question, int, list[int], bool]]:
    """Yields (question, sample index, completion token ids with the end token, ended) for k samples of every question.

    The generator of each batch is seeded from (seed, label, batch), so the answers depend on nothing that ran before.
    Questions are
    batched by prompt length; all samples of a question stand in one batch.
    """
    generation = GenerationConfig(
        do_sample=True,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=0,  # transformers' default would cut the tail at 50
        max_new_tokens=spec.max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoded = [tokenizer(question.prompt, add_special_tokens=False)["input_ids"] for question in questions]
    order = sorted(range(len(questions)), key=lambda index: (len(encoded[index]), index))
    per_batch = max(1, spec.batch_size // spec.samples)
    for batch_number, start in enumerate(range(0, len(order), per_batch)):
        chosen = order[start : start + per_batch]
        rows = [encoded[index] for index in chosen for _ in range(spec.samples)]
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row_number, row in enumerate(rows):
            ids[row_number, width - len(row) :] = torch.tensor(row)
            mask[row_number, width - len(row) :] = 1
        torch.manual_seed(derive_seed(seed, label, batch_number))
        output = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=generation
        )
        for row_number, completion in enumerate(output[:, width:].tolist()):
            ended = tokenizer.eos_token_id in completion
            length = completion.index(tokenizer.eos_token_id) + 1 if ended else len(completion)
            yield questions[chosen[row_number // spec.samples]], row_number % spec.samples, completion[:length], ended


def evaluate_suite(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: TaskSet,
    suite: str,
    spec: EvaluateSpec,
    seed: int,
) -> list[Sample]:
    """All graded samples of a suite, ordered by (question in suite order, sample index)."""
    questions = tasks.questions(suite)
    position = {question.id: number for number, question in enumerate(questions)}
    drawn = list(sample_answers(model, tokenizer, questions, spec, seed, suite))
    drawn.sort(key=lambda item: (position[item[0].id], item[1]))
    texts = [tokenizer.decode(ids[:-1] if ended else ids) for _, _, ids, ended in drawn]
    verdicts = tasks.grade(texts, [question.answer for question, _, _, _ in drawn], [ended for _, _, _, ended in drawn])
    return [
        Sample(suite, question.id, index, text, question.answer, correct, reason, len(ids), ended)
        for (question, index, ids, ended), text, (correct, reason) in zip(drawn, texts, verdicts, strict=True)
    ]


def summarise(samples: Sequence[Sample], final_answer: Callable[[str, bool], str | None]) -> dict[str, Any]:
    """The suite's entry of summary.json: counts per question and the numbers that follow from them.

    samples: of one suite, ordered by question. `final_answer(text, ended)` gives the answer a sample votes for in
    maj@k, or None.
    Raises BadInput when the questions do not all have the same number of samples.
    """
    by_question: dict[str, list[Sample]] = {}
    for sample in samples:
        by_question.setdefault(sample.question_id, []).append(sample)
    sizes = {len(group) for group in by_question.values()}
    if len(sizes) != 1:
        raise BadInput(f"stored samples are incomplete: questions have {sorted(sizes)} samples; want one number")
    k = sizes.pop()
    correct = [sum(sample.correct for sample in group) for group in by_question.values()]
    majority = [
        maj_at_k([final_answer(sample.text, sample.ended) for sample in group], [sample.correct for sample in group], k)
        for group in by_question.values()
    ]
    total = len(samples)
    return {
        "k": k,
        "n": len(correct),
        "question_ids": list(by_question),
        "correct": correct,
        "avg_at_k": mean_accuracy(correct, k),
        "pass_at_k": pass_at_k(k, correct, k),
        "maj_at_k": sum(majority) / len(majority),
        "reasons": dict(sorted(Counter(sample.reason for sample in samples).items())),
        "truncated": sum(not sample.ended for sample in samples) / total,
        "mean_tokens": sum(sample.tokens for sample in samples) / total,
    }


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Store samples as zstd-compressed JSON lines, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as raw:
        with zstandard.ZstdCompressor(level=6).stream_writer(raw, closefd=False) as packed:
            for sample in samples:
                packed.write((json.dumps(sample.__dict__, sort_keys=True, ensure_ascii=False) + "\n").encode())
        raw.flush()
        os.fsync(raw.fileno())
    os.replace(temporary, path)


def read_samples(path: Path) -> list[Sample]:
    """The stored samples. Raises BadInput for a missing or damaged file."""
    if not path.exists():
        raise BadInput(f"samples {path} do not exist; run the cell first")
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        lines = unpacker.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
        if not unpacker.eof:  # a cut file unpacks without an error
            raise BadInput(f"samples {path} are damaged (cut at line {len(lines)}); delete {path.parent} and run again")
        return [Sample(**json.loads(line)) for line in lines]
    except (zstandard.ZstdError, json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise BadInput(f"samples {path} are damaged ({error}); delete {path.parent} and run again") from None
