"""Grade-school problems from reasoning-gym's generator `gsm_symbolic`, split by template.

Source: reasoning-gym 0.1.25 (Apache-2.0), `reasoning_gym.arithmetic.gsm_symbolic`, after GSM-Symbolic (Mirzadeh et al.,
arXiv 2410.05229) and GSM8K (Cobbe et al., arXiv 2110.14168). Of its 85 templates those are kept whose question is short
and whose published solution states every step as an equation of whole numbers: the worked solution is those equations.
Instances with numbers above LARGEST are drawn again. The templates of TRAIN may appear in demonstrations; those of EVAL
never do.
"""

import re
from functools import cache
from random import Random
from typing import Any

from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import GSMSymbolicDataset, GSMSymbolicDatasetConfig

from repro.tasks.words.problem import Draft

TRAIN_TEMPLATES = (20, 31, 43, 58, 72)
EVAL_TEMPLATES = (14, 39, 54, 62, 95)
LARGEST = 100
ATTEMPTS = 2000

_UNIT = r"(?: ?[A-Za-z][A-Za-z/ ]*?)?"  # "34 girls x 4 boys/girl"
_EQUATION = re.compile(rf"(\d+{_UNIT}(?: ?[-+*/] ?\d+{_UNIT})+) ?= ?(\d+)(?![\d.])")


def equations(solution: str) -> tuple[str, ...]:
    """The equations of whole numbers in a published solution, without units; empty where one of them is not exact."""
    text = re.sub(r"[$€£]", "", solution.split("####")[0]).replace(" x ", " * ").replace("×", "*").replace("÷", "/")
    found = []
    for match in _EQUATION.finditer(text):
        left = re.sub(r"[A-Za-z]+(?:/[A-Za-z]+)?", "", match.group(1)).replace(" ", "")
        if not re.fullmatch(r"\d+([-+*/]\d+)+", left) or _value(left) != int(match.group(2)):
            return ()
        found.append(f"{left}={match.group(2)}")
    return tuple(found)


def draft_gsm(rng: Random, *, templates: tuple[int, ...]) -> Draft:
    """A problem with small numbers, its template drawn evenly. Raises RuntimeError if none is found."""
    template = rng.choice(templates)  # once, so that a template that is often refused is as frequent as the others
    for _ in range(ATTEMPTS):
        item = _generators()[template](Random(rng.getrandbits(32)), 1.0)
        steps = equations(item["metadata"]["answer_cot"])
        numbers = [int(number) for step in steps for number in re.findall(r"\d+", step)]
        if steps and steps[-1].endswith(f"={item['answer']}") and max(numbers) <= LARGEST:
            return Draft(f"gsm:{template}:{','.join(steps)}", item["question"], item["answer"], steps)
    raise RuntimeError(f"gsm_symbolic gave no usable problem of template {template} in {ATTEMPTS} draws")


def _value(expression: str) -> float:
    """The value of a chain of numbers and + - * /, products first."""
    total = 0.0
    for sign, product in re.findall(r"([-+]?)([^-+]+)", expression):
        numbers = re.split(r"[*/]", product)
        value = float(numbers[0])
        for operator, number in zip(re.findall(r"[*/]", product), numbers[1:], strict=True):
            value = value * float(number) if operator == "*" else value / float(number)
        total += -value if sign == "-" else value
    return total


@cache
def _generators() -> dict[int, Any]:
    """reasoning-gym's generators by template; each takes a random source and a difficulty."""
    return GSMSymbolicDataset(GSMSymbolicDatasetConfig(seed=0, size=1)).generators
