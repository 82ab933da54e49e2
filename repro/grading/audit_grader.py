"""A second, simpler grader that audits the first: string rules and plain arithmetic; they share the box alone.

Does: numbers (separators, decimals, fractions, e-notation, percent), text, lists and tuples of those, identical LaTeX.
Does not: algebra. Where it cannot say, it says so: a disagreement is two graders that are sure of different things.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from repro.grading.extract import last_box

_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|boxed|[,;:! ]|q?quad)(?![a-zA-Z])|\\(?:text|mathrm|mbox|textbf|mathbf)(?=\s*\{)|[$~]"
)
_UNIT = re.compile(r"(?<=[\d}%])\s*(?:\\(?:text|mathrm|mbox)\s*\{[^{}]*\}(?:\^\{?\d\}?)?|\^\{?\\circ\}?)\s*$")
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:\\frac\{(?P<top>\d+)\}\{(?P<bottom>\d+)\}|(?P<left>\d+)/(?P<right>\d+)"
    r"|(?P<decimal>\d+\.?\d*|\.\d+)(?:(?:e|\\times10\^|\\cdot10\^)\{?(?P<exponent>[+-]?\d{1,3})\}?)?)(?P<percent>%?)"
)
MAX_ANSWER = 1000
_RELATIVE = Fraction(1, 10**9)


def simplified(answer: str) -> str:
    """The answer with units, spacing and spelling variants removed."""
    text = _UNIT.sub("", answer.strip().rstrip("."))
    text = (
        text.replace("{,}", "").replace("\\$", "").replace("\\%", "%").replace("dfrac", "frac").replace("tfrac", "frac")
    )
    text = _DROPPED.sub("", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))(?![^(\[{]*[)\]}])", "", text)
    text = re.sub(r"^\{(\w+)\}$", r"\1", re.sub(r"\s+", "", text))
    return re.sub(r"^[a-zA-Z]=(?=[^=]+$)", "", text)


def as_number(text: str) -> Fraction | None:
    """Exact value of a simplified answer that is one literal number, else None."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign = -1 if match["sign"] == "-" else 1
    top, bottom = match["top"] or match["left"], match["bottom"] or match["right"]
    if top:
        if int(bottom) == 0:
            return None
        value = Fraction(int(top), int(bottom))
    else:
        value = Fraction(match["decimal"]) * Fraction(10) ** int(match["exponent"] or 0)
    return sign * value / (100 if match["percent"] else 1)


def opinion(*, gold: str, prediction: str) -> bool | None:
    """True, False, or None where this grader cannot tell."""
    content = last_box(prediction).content
    if content is None or not content.strip() or len(content) > MAX_ANSWER:
        return False
    return _same(simplified(gold), simplified(content))


def _same(gold: str, answer: str) -> bool | None:
    if gold == answer or gold.casefold() == answer.casefold():
        return True
    numbers = as_number(gold), as_number(answer)
    if None not in numbers:
        exact = "." not in gold and "e" not in gold
        close = numbers[0] == numbers[1] or (not exact and abs(numbers[0] - numbers[1]) <= _RELATIVE * abs(numbers[0]))
        if not close and ("%" in gold) != ("%" in answer):
            return as_number(gold.rstrip("%")) == as_number(answer.rstrip("%"))
        return close
    parts = _parts(gold), _parts(answer)
    if len(parts[0]) > 1 and len(parts[1]) > 1 and all(as_number(part) is not None for part in (*parts[0], *parts[1])):
        values = [[as_number(part) for part in side] for side in parts]
        ordered = gold[0] in "([" and answer[0] in "(["
        if ordered:
            return values[0] == values[1] and (gold[0], gold[-1]) == (answer[0], answer[-1])
        return sorted(values[0]) == sorted(values[1]) if gold[0] not in "([" else None
    return None


def _parts(text: str) -> list[str]:
    stripped = text[1:-1] if text[:1] in "([" and text[-1:] in ")]" else text.removeprefix("\\{").removesuffix("\\}")
    return re.split(r"[,;]|and", stripped)


@dataclass
class Audit:
    """samples: how many were compared. silent: how often the second grader could not tell.

    disagreements: (index, first grader's verdict) of each sample on which the two are sure of different things.
    """

    samples: int = 0
    silent: int = 0
    disagreements: list[tuple[int, bool]] = field(default_factory=list)

    def add(self, index: int, gold: str, prediction: str, correct: bool) -> None:
        """Compare one verdict of the first grader with the second's opinion."""
        self.samples += 1
        judged = opinion(gold=gold, prediction=prediction)
        if judged is None:
            self.silent += 1
        elif judged != correct:
            self.disagreements.append((index, correct))

    @property
    def rate(self) -> float:
        """Share of disagreements among the samples on which both graders had an opinion; 0 if there are none."""
        judged = self.samples - self.silent
        return len(self.disagreements) / judged if judged else 0.0


def audit(samples: Iterable[tuple[str, str, bool]]) -> Audit:
    """Compare stored verdicts, given as (gold, prediction, correct), with the second grader's opinions."""
    result = Audit()
    for index, sample in enumerate(samples):
        result.add(index, *sample)
    return result
