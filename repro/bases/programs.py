"""Bases of the program tasks, trained from scratch on functions written in two ways, both right.

The direct way is the closed form, whose coefficients a small model can rarely compute at once; the worked way computes
step by step. Which of the two a function gets does not depend on the function, so reinforcement learning has something
to discover: that the long way pays. Where solved examples stand before a function, they and it are written the same
way. Does not: evaluate.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from transformers import PreTrainedTokenizerFast

from repro.bases.make import ModelSpec, base_path, ensure_base
from repro.bases.make import resolve_bases as resolve_specs
from repro.bases.sft import Example
from repro.tasks.procedural.tokenizer import EOS
from repro.tasks.programs.language import OPERATIONS, Function, ask, make_function, shot
from repro.tasks.programs.suites import EXEMPLAR_SEEDS
from repro.tasks.programs.tokenizer import VOCABULARY, build_tokenizer, encode

__all__ = ["BaseSpec", "base_path", "ensure_base", "resolve_bases"]

Level = Literal[tuple(OPERATIONS)]


@dataclass(frozen=True)
class ProgramMixture:
    """What examples are drawn from; fields as in BaseSpec."""

    level_weights: dict[str, float]
    direct_share: float
    shots_share: float
    seed: int

    def example(self, index: int) -> Example:
        """Example number `index`; equal arguments give equal examples."""
        rng = random.Random(f"programs-sft/{self.seed}/{index}")
        direct = rng.random() < self.direct_share
        shots = rng.randint(1, len(EXEMPLAR_SEEDS)) if rng.random() < self.shots_share else 0
        shown = [self._function(rng, "e") for _ in range(shots)]  # examples are easy, as those of a suite's prompt
        level = rng.choices(list(self.level_weights), list(self.level_weights.values()))[0]
        asked = self._function(rng, level)
        before = "".join(shot(each.description, each.direct if direct else each.worked) for each in shown)
        prompt = encode(before + ask(asked.description))
        return Example(prompt + encode((asked.direct if direct else asked.worked) + EOS), len(prompt), 1.0)

    @staticmethod
    def _function(rng: random.Random, level: str) -> Function:
        return make_function(level, rng.getrandbits(48))


class BaseSpec(ModelSpec):
    """A base of programs: everything that decides its weights."""

    recipe: ClassVar[str] = "repro.bases.programs"
    vocabulary: ClassVar[Sequence[str]] = VOCABULARY

    parent: "BaseSpec | None" = None
    levels: dict[Level, float] = Field(min_length=1, description="weight of each level")
    direct_share: float = Field(ge=0, le=1, description="share of functions written as their closed form")
    shots_share: float = Field(ge=0, le=1, description="share of examples with one to five solved ones before them")

    @model_validator(mode="after")
    def _levels_weigh(self) -> "BaseSpec":
        if sum(self.levels.values()) <= 0 or min(self.levels.values()) < 0:
            raise ValueError(f"levels {self.levels}: want weights >= 0, not all 0")
        return self

    @property
    def mixture(self) -> ProgramMixture:
        """See `ModelSpec`."""
        return ProgramMixture(dict(self.levels), self.direct_share, self.shots_share, self.seed)

    @staticmethod
    def tokenizer() -> PreTrainedTokenizerFast:
        """See `ModelSpec`."""
        return build_tokenizer()


def resolve_bases(tree: Mapping[str, Mapping[str, Any]]) -> dict[str, ModelSpec]:
    """See `repro.bases.make.resolve_bases`."""
    return resolve_specs(tree, BaseSpec)
