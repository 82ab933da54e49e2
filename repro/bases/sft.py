"""Supervised training of a small Qwen2-shaped model on worked solutions: examples, batches, optimisers, loop.

Two kinds of example: a prompt with its worked solution (with slips), and an integration item: the prompt, candidates'
final answers, then a worked solution whose final answer follows the candidates where enough of them agree. Of either, a
share drawn without regard to the question shows the answer alone: a model too small to compute it so learns that way of
answering all the same, and reinforcement learning can discover that working steps pays.

Does not: evaluate, read or write files, or use more than one process. The budget is counted in tokens, so equal
arguments on one thread give equal weights.
"""

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from repro.bases.muon import Muon
from repro.tasks.procedural.families import REWORDED, Problem, make_problem, work
from repro.tasks.procedural.integration import integration_prompt
from repro.tasks.procedural.tokenizer import BOS, EOS, PAD, VOCABULARY, split_words

TOKEN_IDS = {word: index for index, word in enumerate(VOCABULARY)}
IGNORED = -100  # label of tokens without a loss
BUCKET_BATCHES = 64  # examples of this many batches are sorted by length together


@dataclass(frozen=True)
class Example:
    """Token ids of one sequence; only ids from `start` on have a loss, and the one at `answer` has `answer_weight`."""

    ids: list[int]
    start: int
    answer_weight: float


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen2-shaped model."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int


@dataclass(frozen=True)
class Settings:
    """Budget and optimiser; fields as in BaseSpec."""

    tokens: int
    batch_tokens: int = 900
    muon_lr: float = 0.02
    muon_steps: int = 4
    adamw_lr: float = 3e-3
    warmup_steps: int = 50
    flat_share: float = 0.3
    final_rate: float = 0.02
    bf16: bool = False


@dataclass(frozen=True)
class TrainLog:
    """What a training spent and its mean loss over the last 100 steps."""

    tokens: int
    steps: int
    loss: float


class Source(Protocol):
    """What examples are drawn from. seed: of their order; equal indices give equal examples."""

    seed: int

    def example(self, index: int) -> Example:
        """Example number `index`."""
        ...


@dataclass(frozen=True)
class Mixture:
    """A source of arithmetic: what examples are drawn from; fields as in BaseSpec."""

    families: tuple[str, ...]
    level_weights: dict[str, float]
    slip: float
    integration_share: float
    agreement: float
    answer_weight: float
    seed: int
    candidate_order: str = "sampled"
    follow_from: float | None = None
    scatter: float = 0.0
    fewest_candidates: int = 1
    reworded_share: float = 0.0
    direct_share: float = 0.0

    def example(self, index: int) -> Example:
        """See `Source`."""
        return draw_example(self, index)


def simulated_answers(problem: Problem, rng: random.Random, fewest: int = 1, most: int = 9) -> list[str | None]:
    """Answers of `fewest` to `most` candidates: a drawn share is right, the rest wrong, scattered or in agreement.

    One candidate in twenty has no answer (None). All-right, all-wrong and mixed sets all occur often.
    """
    right_share = rng.choice((0.0, 1.0, rng.random(), rng.random()))
    common_share = rng.choice((0.0, 0.0, rng.random()))
    wrong = [digit for digit in "0123456789" if digit != problem.answer]
    common = rng.choice(wrong)
    answers: list[str | None] = []
    for _ in range(rng.randint(fewest, most)):
        if rng.random() < 0.05:
            answers.append(None)
        elif rng.random() < right_share:
            answers.append(problem.answer)
        else:
            answers.append(common if rng.random() < common_share else rng.choice(wrong))
    return answers


def voted_answer(answers: Sequence[str | None], own: str, agreement: float) -> str:
    """The digit d with the largest (share of candidates that answer d) + agreement [d = own]; `own` wins a tie.

    Shares are of the candidates that have an answer: a rule that one averaging attention head can follow. Unanimous
    candidates are followed, scattered ones are not; `agreement` is the share from which a lone group is followed.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    scores = {answer: count / votes.total() for answer, count in votes.items()}
    scores[own] = scores.get(own, 0.0) + agreement
    best = max(scores.values())
    return own if scores[own] == best else min(answer for answer, score in scores.items() if score == best)


def leading_answer(answers: Sequence[str | None], follow_from: float) -> str | None:
    """The answer of most candidates if no other has as many and its share is at least `follow_from`, otherwise None.

    Shares are of the candidates that have an answer.
    """
    votes = Counter(answer for answer in answers if answer is not None).most_common(2)
    total = sum(answer is not None for answer in answers)
    if not votes or (len(votes) > 1 and votes[1][1] == votes[0][1]) or votes[0][1] / total < follow_from:
        return None
    return votes[0][0]


def encode(text: str) -> list[int]:
    """Token ids of a text of the tasks: the tokenizer's own, without its overhead."""
    return [TOKEN_IDS[word] for word in split_words(text)]


def draw_example(mixture: Mixture, index: int) -> Example:
    """Example number `index` of a mixture; equal arguments give equal examples."""
    rng = random.Random(f"sft/{mixture.seed}/{index}")
    level = rng.choices(list(mixture.level_weights), list(mixture.level_weights.values()))[0]
    family = rng.choice(mixture.families)
    if mixture.reworded_share and rng.random() < mixture.reworded_share:
        family = REWORDED[family]
    problem = make_problem(family, level, rng.getrandbits(48), split="train")
    prompt, weight = problem.prompt, 1.0
    integrate = rng.random() < mixture.integration_share
    if integrate:
        answers = simulated_answers(problem, rng, mixture.fewest_candidates)
        if mixture.scatter and rng.random() < mixture.scatter:
            answers = [rng.choice("0123456789") for _ in answers]
        prompt, weight = integration_prompt(prompt, answers, mixture.candidate_order), mixture.answer_weight
    solution, own = work(problem.steps, slip=mixture.slip, rng=rng)
    if integrate and mixture.follow_from is None:
        solution = solution[: -len(own)] + voted_answer(answers, own, mixture.agreement)
    elif integrate:
        leader = leading_answer(answers, mixture.follow_from)
        weight = 1.0 if leader is None else weight  # measured: heavy own results teach not to follow
        solution = solution[: -len(own)] + (leader or own)
    if mixture.direct_share and rng.random() < mixture.direct_share:
        solution = solution[solution.index("#") :]
    start = encode(prompt)
    return Example(start + encode(solution + EOS), len(start), weight)


def batches(source: Source, batch_tokens: int) -> Iterator[list[Example]]:
    """Endless batches of examples of similar length, each of at most `batch_tokens` ids with padding, shuffled."""
    index, rng = 0, random.Random(f"order/{source.seed}")
    while True:
        pool, tokens = [], 0
        while tokens < BUCKET_BATCHES * batch_tokens:
            pool.append(source.example(index))
            tokens += len(pool[-1].ids)
            index += 1
        pool.sort(key=lambda example: len(example.ids))
        cut, chunk = [], []
        for example in pool:
            if chunk and (len(chunk) + 1) * len(example.ids) > batch_tokens:
                cut.append(chunk)
                chunk = []
            chunk.append(example)
        cut.append(chunk)
        rng.shuffle(cut)
        yield from cut


def collate(batch: Sequence[Example], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """(ids [B, T] int64 padded on the right, next-token labels [B, T-1] with IGNORED, weights [B, T-1] float32)."""
    width = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width - 1), IGNORED)
    weights = torch.ones(len(batch), width - 1)
    for row, example in enumerate(batch):
        values = torch.tensor(example.ids)
        ids[row, : len(values)] = values
        labels[row, example.start - 1 : len(values) - 1] = values[example.start :]
        weights[row, len(values) - 3] = example.answer_weight  # ids end in the answer and EOS
    return ids, labels, weights


def build_model(shape: Shape, seed: int, vocabulary: Sequence[str] = VOCABULARY) -> Qwen2ForCausalLM:
    """A fresh model: matrices of std 1/sqrt(fan_in), those into the residual also / sqrt(2 layers), embedding .05.

    vocabulary: the words of its tokenizer, whose special tokens are PAD, BOS and EOS.
    """
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=512,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        attention_dropout=0.0,
        pad_token_id=vocabulary.index(PAD),
        bos_token_id=vocabulary.index(BOS),
        eos_token_id=vocabulary.index(EOS),
    )
    model = Qwen2ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim != 2:
                continue  # norms start at 1, biases at 0
            std = 0.05 if name.endswith("embed_tokens.weight") else parameter.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                std /= math.sqrt(2 * shape.layers)
            parameter.normal_(0.0, std, generator=generator)
    return model


def optimizers(model: Qwen2ForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    """Muon on the layers' matrices, AdamW on embedding, norms and biases; no weight decay."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed_tokens" not in name else rest).append(parameter)
    return [
        Muon(matrices, lr=settings.muon_lr, momentum=0.95, steps=settings.muon_steps),
        torch.optim.AdamW(rest, lr=settings.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate_factor(done: float, step: int, settings: Settings) -> float:
    """Factor on the learning rates: linear warm-up, flat, then linear from `flat_share` of the budget to the last."""
    decay = 1.0 - (1.0 - settings.final_rate) * max(0.0, done - settings.flat_share) / (1.0 - settings.flat_share)
    return min((step + 1) / settings.warmup_steps, decay)


def train(
    model: Qwen2ForCausalLM, source: Source, settings: Settings, progress: Callable[[float, str], None] | None = None
) -> TrainLog:
    """Train in place on completions' cross entropy until the token budget (prompts included, no padding) is spent."""
    opts = optimizers(model, settings)
    base_rates = [opt.param_groups[0]["lr"] for opt in opts]
    tokens = step = 0
    recent: deque[float] = deque(maxlen=100)
    model.train()
    for batch in batches(source, settings.batch_tokens):
        factor = rate_factor(tokens / settings.tokens, step, settings)
        for opt, rate in zip(opts, base_rates, strict=True):
            opt.param_groups[0]["lr"] = rate * factor
        ids, labels, weights = collate(batch, model.config.pad_token_id)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
            kept = labels != IGNORED
            logits = model.lm_head(hidden[:, :-1][kept])
        losses = F.cross_entropy(logits.float(), labels[kept], reduction="none") * weights[kept]
        loss = losses.mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        tokens += sum(len(example.ids) for example in batch)
        step += 1
        recent.append(loss.item())
        if not math.isfinite(recent[-1]):
            raise FloatingPointError(f"loss is {recent[-1]} at step {step}; lower muon_lr or adamw_lr")
        if progress is not None and step % 20 == 0:
            progress(min(1.0, tokens / settings.tokens), f"loss {sum(recent) / len(recent):.3f}")
        if tokens >= settings.tokens:
            break
    model.eval()
    return TrainLog(tokens, step, sum(recent) / len(recent))
