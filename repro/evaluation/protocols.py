"""Sampling protocols as data: how many samples, how hot, how long. Each line carries where it comes from.

A preset fixes every field that moves a sample; nothing is taken from a model's generation config.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from repro.errors import BadInput
from repro.evaluation.engines import SamplingSettings
from repro.tasks.benchmarks.loading import Suite

SMALL, LARGE, CODE = "small", "large", "code"
GROUP_OF = {
    # 30 to 83 questions: a single pass has a standard error of 7 to 8 points
    "AIME24": SMALL,
    "AIME25": SMALL,
    "AMC23": SMALL,
    "AMC83": SMALL,
    # 272 to 675 questions: 1.6 to 2.8 points
    "MATH500": LARGE,
    "Minerva": LARGE,
    "OlympiadBench": LARGE,
    "HumanEval": CODE,
}
# not stated: chosen because HumanEval's longest solution has 31 lines; longer answers are loops
CODE_NEW_TOKENS = 2048
# Appendix: "The maximum prompt length is 4,096 tokens"
PROMPT_CAP = 4096


@dataclass(frozen=True)
class Preset:
    """A sampling protocol. samples: per group of suites; greedy: groups that also get one greedy pass.

    top_k 0 means off. max_new_tokens holds for mathematics; code has CODE_NEW_TOKENS.
    """

    name: str
    samples: Mapping[str, int]
    greedy: tuple[str, ...] = (SMALL, LARGE, CODE)  # not stated: beside avg@k, what removing noise alone would give
    # not stated: chosen because L2T (arXiv 2505.10425), which the paper follows, and DeepSeek-R1 use 0.6 and 0.95
    temperature: float = 0.6
    top_p: float = 0.95  # not stated: as above
    top_k: int = 0  # not stated: off, because a model's generation config would otherwise decide (20 for Qwen2)
    min_p: float = 0.0  # not stated: off
    repetition_penalty: float = 1.0  # not stated: off (Qwen2-7B-Instruct's own config says 1.05)
    # "all training and evaluation stages are constrained to a token budget of 16,384"
    max_new_tokens: int = 16_384
    note: str = ""


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            {SMALL: 16, LARGE: 4, CODE: 16},  # not stated: chosen to see 5 points on AIME; not for tables
            note="internal, not for tables",
        ),
        Preset(
            "standard",
            {SMALL: 64, LARGE: 8, CODE: 64},  # not stated: chosen because 64 see a gap of 2.4 points on AIME24
        ),
        Preset(
            "long",
            {SMALL: 64, LARGE: 8},
            max_new_tokens=32_768,  # what DeepSeek's card, DeepScaleR and A Sober Look allow
            note="against sources that allow 32k tokens",
        ),
        Preset("match-cmu", {SMALL: 64, LARGE: 64}, note="beside CMU MRT v0.1 (16k tokens, 64 samples)"),
        Preset("paper20", {SMALL: 20, LARGE: 20}, note="the 20 samples per question that L2T and MRT state"),
        Preset(
            "sober",
            {SMALL: 10, LARGE: 3},  # A Sober Look (arXiv 2504.07086): 10 seeds on AIME and AMC, 3 on the others
            temperature=0.8,  # A Sober Look: its setting for the distilled models
            top_p=0.9,  # A Sober Look
            max_new_tokens=32_768,  # A Sober Look
            note="samples of one question stand for its seeds of one pass each",
        ),
    )
}
PRESET_OF_PROFILE = {"smoke": "quick", "micro": "quick", "gpu": "quick", "paper": "standard"}


@dataclass(frozen=True)
class Protocol:
    """A preset resolved for one suite: what one pass is. greedy: whether a greedy pass goes with the samples."""

    preset: str
    samples: int
    greedy: bool
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_new_tokens: int
    prompt_cap: int = PROMPT_CAP

    def settings(self, stop_token_ids: tuple[int, ...]) -> SamplingSettings:
        """What an engine is told."""
        own = {each.name for each in fields(self)}
        names = [each.name for each in fields(SamplingSettings) if each.name in own]
        return SamplingSettings(**{name: getattr(self, name) for name in names}, stop_token_ids=stop_token_ids)

    def as_json(self) -> dict[str, Any]:
        """The fields as plain data."""
        return asdict(self)


def get_preset(name: str) -> Preset:
    """The preset of a name. Raises BadInput with the known ones."""
    if name not in PRESETS:
        raise BadInput(f"unknown preset {name!r}; want one of {', '.join(PRESETS)}")
    return PRESETS[name]


def resolve(
    preset: Preset,
    suite: Suite,
    *,
    samples: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
) -> Protocol:
    """The protocol of one suite; the arguments stand above the preset. At temperature 0 there is one greedy sample.

    Raises BadInput if the preset does not cover the suite or a value is impossible.
    """
    group = GROUP_OF[suite.benchmark.name]
    if group not in preset.samples and samples is None:
        raise BadInput(f"preset {preset.name!r} has no protocol for {suite.name}; pass --samples, or --preset standard")
    count = samples if samples is not None else preset.samples[group]
    if count < 1:
        raise BadInput(f"--samples is {count}; want at least 1")
    tokens = CODE_NEW_TOKENS if group == CODE else preset.max_new_tokens
    tokens = tokens if max_new_tokens is None else max_new_tokens
    if tokens < 1:
        raise BadInput(f"--max-new-tokens is {tokens}; want at least 1")
    heat = preset.temperature if temperature is None else temperature
    if not 0 <= heat <= 10:
        raise BadInput(f"--temperature is {heat:g}; want 0 (greedy) to 10")
    if heat == 0 and count > 1:
        raise BadInput(f"--temperature 0 gives one sample, not {count}; pass --samples 1")
    return Protocol(
        preset=preset.name,
        samples=count,
        greedy=group in preset.greedy and heat > 0,
        temperature=heat,
        top_p=preset.top_p,
        top_k=preset.top_k,
        min_p=preset.min_p,
        repetition_penalty=preset.repetition_penalty,
        max_new_tokens=tokens,
    )
