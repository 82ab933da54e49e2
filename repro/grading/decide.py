"""The verdict on one answer, without processes: identical text, then words, then values, then the general engine.

Runs in the main thread of a worker. Bounded: the answer is at most `MAX_ANSWER` characters, every step before the
engine is linear or guarded, the engine runs under an alarm.
"""

import re

import mpmath

from repro.grading import engine, units
from repro.grading.compare import same_answer
from repro.grading.evaluate import DIGITS
from repro.grading.lexer import LexError, tokenize
from repro.grading.nodes import symbols, walk
from repro.grading.operands import WordsMatter
from repro.grading.parser import Parsed, parse_answer
from repro.grading.verdict import CORRECT, TIMEOUT, UNPARSEABLE_PREDICTION, WRONG

ENGINE_SECONDS = 0.8  # of the worker's own time, for both readings and the comparison
INNER_SECONDS = 1.4  # of the worker's own time, for the whole decision

_TEXT_COMMAND = re.compile(r"\\(?:text\w*|mbox|mathrm|mathbf|operatorname|hbox)\s*\{")
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9 .,;'()-]*")
_UNIT_FACTOR = r"\\?[A-Za-z]+(?:\^\{?-?\d\}?)?"
_BARE_UNIT = re.compile(
    rf"(.*[\d}})])(\s|~|\\[,; ])*({_UNIT_FACTOR}(?:(?:\s+|\s*/\s*|\s*\*\s*|\s*\\cdot\s*){_UNIT_FACTOR})*)\s*\.?"
)
_BARE_WORD = re.compile(r"[A-Za-z]{4,}")  # a word or a code: its letters do not commute
_GAPS = re.compile(r"\\[ ,;:!]|~|\\quad|\$|[{}]|\\\\")


def decide(gold: str, answer: str) -> tuple[str, str]:
    """Reason and detail for an answer that stood in a box. Both strings are non-empty; the gold's braces balance."""
    try:
        with engine.alarm(INNER_SECONDS), mpmath.workdps(DIGITS):
            return _decide(gold, answer)
    except engine.OutOfTime:
        return TIMEOUT, "inner_limit"


def _decide(gold: str, answer: str) -> tuple[str, str]:
    if canonical(gold) == canonical(answer):
        return CORRECT, "identical"
    in_text = _TEXT_COMMAND.search(gold) is not None
    gold_words = words(gold, letters=in_text)
    if gold_words and gold_words == words(answer, letters=in_text):
        return CORRECT, "text"
    if gold_words and (_BARE_WORD.fullmatch(gold.strip()) or (in_text and not _is_readable(gold))):
        return WRONG, "text"
    try:
        gold_reading, answer_reading = _reading(gold), _reading(answer)
    except WordsMatter:
        return WRONG, "text"
    if gold_reading and answer_reading:
        verdict = same_answer(gold_reading, answer_reading)
        if verdict is False and not symbols(gold_reading.tree) and symbols(answer_reading.tree):
            bare = without_bare_unit(answer)
            verdict = bool(bare and same_answer(gold_reading, bare))
        if verdict is not None:
            return (CORRECT if verdict else WRONG), "value"
    for_engine = engine.is_for(gold), engine.is_for(answer)
    if answer_reading is None and not for_engine[1]:
        return UNPARSEABLE_PREDICTION, "unreadable"
    if gold_reading is None and not for_engine[0]:
        return WRONG, "gold_read_as_text"
    return _ask_engine(gold, answer) if any(for_engine) else (WRONG, "undecided")


def _ask_engine(gold: str, answer: str) -> tuple[str, str]:
    if not engine.is_safe(gold) or not engine.is_safe(answer):
        return UNPARSEABLE_PREDICTION, "unsafe"
    try:
        with engine.alarm(ENGINE_SECONDS, inner=True):
            answer_reading = engine.read(answer)
            if answer_reading is None:
                return UNPARSEABLE_PREDICTION, "unreadable"
            gold_reading = engine.read(gold)
            if gold_reading is None:
                return WRONG, "gold_read_as_text"
            return (CORRECT if engine.same(gold_reading, answer_reading) else WRONG), "math_verify"
    except engine.OutOfTime:
        return TIMEOUT, "engine_limit"


def _reading(text: str) -> Parsed | None:
    try:
        return parse_answer(text)
    except WordsMatter:
        raise
    except ValueError:  # LexError, ParseError: outside the grammar
        return None


def canonical(text: str) -> str:
    """The text without spacing, redundant commands and the case of words: equal strings are equal answers."""
    try:
        tokens = tokenize(text)
    except LexError:
        return re.sub(r"\s+|\\[,;:! ]|\$", "", text)
    return "\x1f".join(
        token.value.lower().replace(".", "")
        if token.kind == "text" and len(token.value) > 1 and not token.bare
        else token.value
        for token in tokens
    )


def words(text: str, *, letters: bool) -> tuple[str, ...]:
    """The words of an answer that consists of words, in lower case and sorted by item; empty if it does not.

    Single letters count only if `letters`: the name of a choice is a word, a variable is none.
    """
    plain = _GAPS.sub(" ", _TEXT_COMMAND.sub(" ", text)).strip(" .()")
    if not _WORDS.fullmatch(plain) or not (letters or re.search(r"[A-Za-z]{2}", plain)):
        return ()
    folded = re.sub("[A-Za-z]+", lambda word: _folded(word.group(), letters), plain)
    items = re.split(r"[,;]|\band\b", folded.replace(".", ""))
    return tuple(sorted(" ".join(item.strip(" ()").split()) for item in items if item.strip()))


def _folded(word: str, in_text: bool) -> str:
    """A word in lower case; one that may be a product of symbols (`ab`, `AB`) keeps its case."""
    if in_text or len(word) > 3 or word.lower() in ("yes", "no", "and"):
        return word.casefold()
    return word if len(word) < 3 or word.isupper() else word.casefold()


def _is_readable(text: str) -> bool:
    """Whether words stand for values: a number word, or letters that name a choice or a symbol."""
    try:
        reading = _reading(text)
    except WordsMatter:
        return False
    return reading is not None and all(part.kind != "text" for part in walk(reading.tree))


def without_bare_unit(text: str) -> Parsed | None:
    """The answer without a unit that stands after it as plain letters (`5 m/s^2`, `12 handshakes`), else None."""
    match = _BARE_UNIT.fullmatch(text)
    if match is None:
        return None
    value, gap, phrase = match[1], match[2], match[3].replace("\\Omega", "ohm")
    pairs = [word.lower() for word in re.findall("[A-Za-z]+", phrase) if len(word) == 2]
    if not units.says_what(phrase) or not units.BARE_PAIRS.issuperset(pairs):
        return None
    if not (gap or units.is_unit(phrase) or phrase in units.UNIT_LETTERS):
        return None
    reading = _reading(value)
    return None if reading is None or symbols(reading.tree) else reading
