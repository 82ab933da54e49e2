r"""What the words after a value say: of what it is a number (a unit, counted things), times what, or something else.

Units are those of pint's registry, kept as words in `units.txt`; counted things are English plurals. Words that may
change the value (numerals, "squared", "less", "K" for a thousand) are no units, so that a text holding one is refused.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path

from repro.grading.vocabulary import BARE_GREEK, FUNCTIONS, split_set

_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBER_WORDS = {word: value for value, word in enumerate(_CARDINALS.split())}
SCALE_WORDS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "dozen": 12, "score": 20, "gross": 144, "lakh": 10**5, "crore": 10**7,
}  # fmt: skip
_NUMERAL = re.compile(
    rf"(?:{'|'.join((*NUMBER_WORDS, *SCALE_WORDS))}|(?:twen|thir|for|fif|six|seven|eigh|nine)(?:ty|tie)"
    r"|half|halve|third|quarter|fif|eigh|nin|twelf|double|triple|twice|thrice|thou|quad)(?:th|eth)?(?:e?s)?"
)
# Words that change what a text says of a value; with one of them it is no name of a unit.
CHANGING_WORDS = split_set(
    "or and not nor no none never neither either if unless except without least most more less than greater fewer "
    "between maybe perhaps possibly cannot impossible undefined unknown other another mod modulo plus minus times "
    "over divided approximately about to through am pm below under above negative inverse squared cubed factorial"
)
_IRREGULAR_PLURALS = split_set("people men women children feet teeth mice dice radii data sheep fish")
CURRENCIES = split_set("usd eur gbp rs inr us dollars dollar")
_EXTRA_UNITS = CURRENCIES | split_set(
    "unit rupee euro cent pence person way sq square cu cubic kmh solar atm atmosphere"
)
_JOINTS = split_set("per of square cubic sq cu a an the in")
_PLURAL = re.compile(r"[a-z]{2,}[^\Wsui]s|[a-z]{3,}sses")
_OF = re.compile(r"of (?:the|a|an|all|its|their|his|her|this|that)\b[ a-z]*")
# Letters that name a unit after a plain number. Not those of a multiplier or a prefix above a thousand (K, M, B, T).
UNIT_LETTERS = frozenset("mgshLlNJWVCFA")
# Two letters are a unit without a text command only where they hardly ever are a product of symbols.
BARE_PAIRS = split_set("cm mm km nm dm kg mg ml ft yd mi lb oz hr yr kj hz pa ev pc au ly rs us sq cu")
_EXPONENT = re.compile(r"\^\{?-?\d\}?")
_DIGIT = re.compile(r"(?<![A-Za-z])\d")  # of a number; one behind a letter is an exponent, as in `m2`
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_HAN_UNIT = re.compile(
    "(?:平方|立方)?[千百公英海厘分毫微纳]?(?:米|克|升|里|斤|尺|吨|秒|瓦|伏|安|顷|吋|磅|焦耳|牛顿)|个?小时|分钟?|个?单位"
    "|[个只人元角岁天年月日周时度次种名位本张条块件组页题根棵支把辆台间户层级班队颗粒枚项句字点步盒袋瓶杯倍]"
)


@cache
def _registry() -> tuple[frozenset[str], tuple[str, ...]]:
    lines = Path(__file__).with_name("units.txt").read_text(encoding="utf-8").splitlines()[1:]
    names = " ".join(lines).split()
    return frozenset(n for n in names if n[-1] != "-"), tuple(n[:-1] for n in names if n[-1] == "-")


def is_numeral(word: str) -> bool:
    """Whether a lower-case word is a number, an ordinal, a fraction or a collective such as "dozens"."""
    return _NUMERAL.fullmatch(word) is not None


@cache
def is_unit(word: str) -> bool:
    """Whether a word names a unit of measure, in the singular or the plural, prefixed or not."""
    units, prefixes = _registry()
    lower = word.lower()
    if is_numeral(lower) or lower in CHANGING_WORDS or word in BARE_GREEK:
        return False
    if any(form in units or form in _EXTRA_UNITS for form in (word, lower, lower.removesuffix("s"))):
        return True
    return any(
        word.startswith(prefix) and (rest := word[len(prefix) :]) and (rest.removesuffix("s") in units
                                                                       or (len(prefix) == 1 and rest in UNIT_LETTERS))
        for prefix in prefixes
    )  # fmt: skip


def is_counted(word: str) -> bool:
    """Whether a lower-case word is a plural noun by its form, and neither a numeral nor a function."""
    if is_numeral(word) or word in CHANGING_WORDS or word in FUNCTIONS:
        return False
    return word in _IRREGULAR_PLURALS or _PLURAL.fullmatch(word) is not None


def split_scale(phrase: str) -> tuple[int, str]:
    """The number that leading scale words multiply by, and the rest: `million people` is (1000000, "people")."""
    factor, rest = 1, phrase.strip(" .~")
    while rest:
        word = re.match("[A-Za-z]*", rest.lower()).group()
        name = word if word in SCALE_WORDS else word.removesuffix("s")
        if name in SCALE_WORDS:
            factor, rest = factor * SCALE_WORDS[name], rest[len(word) :].lstrip(" ,")
        elif not _HAN_UNIT.fullmatch(rest) and (size := _han_scale(rest[0])):
            factor, rest = factor * size, rest[1:]
        else:
            break
    return factor, rest


def _han_scale(char: str) -> int:
    size = unicodedata.numeric(char, 0)
    return int(size) if size >= 100 else 0


def says_what(phrase: str, *, one: bool = False) -> bool:
    """Whether a text after a value only says of what it is a number. `one`: the value is 1, a singular noun may follow.

    True for `cm`, `kg m/s`, `square units`, `distinct ways`, `of the total`, `(minimum)`, `厘米`; False for `squared`,
    `K`, `tenths`, `or more`, `pairs of 2`.
    """
    text = phrase.strip(" .~")
    if _HAN.search(text):
        return _HAN_UNIT.fullmatch(text) is not None
    words = re.findall("[A-Za-z]+", text)
    lowered = [word.lower() for word in words]
    if not words or not text.isascii() or _DIGIT.search(_EXPONENT.sub("", text)):
        return False
    if any(word in CHANGING_WORDS or is_numeral(word) for word in lowered) or "pm" in text.replace(".", ""):
        return False
    if _OF.fullmatch(text.lower()):
        return True
    if text[0] == "(" and text[-1] == ")":
        return not any(word.endswith("ed") for word in lowered)
    if len(words) == 1 and len(words[0]) == 1:
        return words[0] in UNIT_LETTERS
    if all(len(word) == 1 or word in _JOINTS or is_unit(word) for word in words):
        return words[0] != "of"
    if one and len(words) == 1 and lowered[0] not in FUNCTIONS and not lowered[0].endswith("ed"):
        return True
    return any(len(word) > 2 and (is_unit(word) or is_counted(word.lower())) for word in words)
