"""What a cell costs in GPU-hours before it runs, and afterwards what it did cost beside what was planned.

The rates stand in throughput.csv with their sources: estimates, none measured by us. Seconds are those of the whole
node, hours those of one GPU. MFU counts 6 floating-point operations per parameter and trained token, as is usual.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from repro.cluster.models import Shape
from repro.errors import BadInput

PEAK_FLOPS = {"a100-40": 312e12, "a100-80": 312e12, "h100-80": 989e12}  # bfloat16, dense, by the makers' sheets
# Tokens of a completion, on average: chosen for reasoning models of this size under a limit of 16,384.
TRAINING_TOKENS = 9000
_HARD, _OTHER = 10_200, 4_670
SUITE_TOKENS = {"AIME24": _HARD, "AIME25": _HARD, "AMC23": _HARD, "MATH500": _OTHER, "Minerva": _OTHER}
QUESTIONS = {"AIME24": 30, "AIME25": 30, "AMC23": 40, "MATH500": 500, "Minerva": 272}
_SYNC_SECONDS = {"1.5B": 15.0, "7B": 20.0}  # of a step: weights to vLLM, waking it, putting it to sleep
CONFIRM_HOURS = 100.0


@dataclass(frozen=True)
class Rates:
    """decode_per_gpu: tokens/s of one full engine; one_stream: of a lone sequence; mfu: of the training pass."""

    size: str
    card: str
    decode_per_gpu: float
    one_stream: float
    mfu: float
    source: str


@cache
def _table() -> tuple[Rates, ...]:
    with Path(__file__).with_name("throughput.csv").open(newline="", encoding="utf-8") as lines:
        return tuple(
            Rates(
                row["model"],
                row["card"],
                float(row["decode_per_gpu"]),
                float(row["one_stream"]),
                float(row["mfu"]),
                row["source"],
            )
            for row in csv.DictReader(lines)
        )


def rates_of(shape: Shape, card: str) -> Rates:
    """The rates of a model's size on a card. Raises BadInput where the table has none for the card.

    Of the sizes that the table has, the nearest in parameters; a card without rows of its own is not guessed at.
    """
    rows = [row for row in _table() if row.card == card]
    if not rows:
        raise BadInput(f"throughput.csv has no rates for card {card!r}; add its rows with their source")
    return min(rows, key=lambda row: abs(float(row.size.rstrip("B")) * 1e9 - shape.parameters))


@dataclass(frozen=True)
class Step:
    """One optimizer step. completions: over all ranks; limit: the longest completion in tokens; reference: beta > 0."""

    completions: int
    ranks: int
    limit: int
    reference: bool = True

    @property
    def mean_tokens(self) -> float:
        """Tokens of a completion, on average."""
        return min(TRAINING_TOKENS, self.limit)


def step_seconds(shape: Shape, rates: Rates, step: Step) -> float:
    """Seconds of a GRPO step on all ranks: sampling, scoring by the reference, training, synchronisation.

    Sampling takes the longer of the bulk (all tokens at full rate) and the tail (the longest row alone), plus half of
    the shorter: rows of mixed length share the engine for about half of it.
    """
    tokens = step.completions * step.mean_tokens
    bulk = tokens / (step.ranks * rates.decode_per_gpu)
    tail = step.limit / rates.one_stream
    compute = step.ranks * PEAK_FLOPS[rates.card] * rates.mfu
    # forward, backward and the forward made again by checkpointing: 2 + 4 + 2 operations per parameter
    per_token = 2 * shape.parameters + 2 * shape.layers * shape.hidden * step.mean_tokens
    passes = 4 + (1 if step.reference else 0)
    return max(bulk, tail) + min(bulk, tail) / 2 + tokens * passes * per_token / compute + _SYNC_SECONDS[rates.size]


def training_hours(shape: Shape, rates: Rates, step: Step, steps: int, factor: float = 1.0) -> float:
    """GPU-hours of a training. factor: what an arm costs beside GRPO."""
    return step_seconds(shape, rates, step) * factor * steps * step.ranks / 3600


def evaluation_tokens(samples: dict[str, int], limit: int, questions: dict[str, int]) -> float:
    """Tokens of an evaluation. samples: per question, by suite; questions: asked, 0 for all; limit: of a completion."""
    return sum(
        (questions[suite] or QUESTIONS[suite]) * count * min(SUITE_TOKENS[suite], limit)
        for suite, count in samples.items()
    )


def evaluation_hours(rates: Rates, tokens: float) -> float:
    """GPU-hours of an evaluation, one engine per GPU."""
    return tokens / rates.decode_per_gpu / 3600


def model_flops_utilisation(shape: Shape, card: str, tokens: float, seconds: float, ranks: int) -> float:
    """The share of the cards' peak that training `tokens` in `seconds` used, sampling included in the seconds."""
    return 6 * shape.parameters * tokens / (seconds * ranks * PEAK_FLOPS[card])


def check_hours(hours: float, *, yes: bool) -> None:
    """Raise BadInput above CONFIRM_HOURS GPU-hours unless they were agreed to."""
    if hours > CONFIRM_HOURS and not yes:
        raise BadInput(
            f"this takes about {hours:,.0f} GPU-hours, more than {CONFIRM_HOURS:.0f}; look at `make plan` and pass "
            "--yes (make: YES=1), or narrow it with --seeds, --arms, --bases"
        )
