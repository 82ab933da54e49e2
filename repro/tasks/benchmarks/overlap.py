"""Which training problems repeat a test problem: equal after normalisation, or sharing most of their word n-grams.

Does: find copies, copies with another layout, and rewordings that keep long stretches of words. Does not: find a
translation, a problem told in other words, or a shared idea; and a problem with other numbers counts as near when most
of its words stayed, which is why every pair also says whether the golds agree.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

NGRAM = 5  # words: long enough that a stock phrase ("find the value of") is no hit by itself
# measured: finds all 467 pairs that the training files mark as near-duplicates of an AIME problem, and 63 more, most of
# them one problem with another final question; 0.4 finds 116 more, half of them stock phrases; 0.8 misses 8
THRESHOLD = 0.5
MIN_NGRAMS = 4  # for a problem of fewer than NGRAM + 3 words only equality counts: one stock phrase would be its half

EXACT, NEAR = "exact", "near"
_SPACING = re.compile(r"\\(?:[,;:! ]|q?quad\b|left\b|right\b|displaystyle\b)|[$~]|\\[\[\]()]")
_FONT = re.compile(r"\\(?:text|mathrm|mathbf|mathit|textbf|textit|emph|mbox)\s*(?=\{)")
_FRACTION = re.compile(r"\\[dt]frac\b")
_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class Pair:
    """A training problem that repeats a test problem. kind: EXACT or NEAR. share: of the shorter text's n-grams."""

    train_id: str
    test_id: str
    kind: str
    share: float


def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a problem in lower case, without the mark-up that two layouts of it may differ in."""
    plain = unicodedata.normalize("NFKC", text)
    plain = _FRACTION.sub(r"\\frac", _FONT.sub("", _SPACING.sub(" ", plain)))
    return tuple(_WORD.findall(plain.casefold()))


def ngrams(text: str) -> frozenset[tuple[str, ...]]:
    """The distinct runs of NGRAM words."""
    parts = words(text)
    return frozenset(parts[start : start + NGRAM] for start in range(len(parts) - NGRAM + 1))


class ProblemIndex:
    """Test problems, ready to be compared with training problems one at a time."""

    def __init__(self, test: Mapping[str, str]) -> None:
        """test: problem by id."""
        self._by_words: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        self._by_ngram: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        self._sizes: dict[str, int] = {}
        for test_id, problem in test.items():
            self._by_words[words(problem)].append(test_id)
            grams = ngrams(problem)
            self._sizes[test_id] = len(grams)
            for gram in grams:
                self._by_ngram[gram].append(test_id)

    def pairs(self, train_id: str, problem: str, *, threshold: float = THRESHOLD) -> list[Pair]:
        """The test problems that a training problem repeats, by test id.

        NEAR means that the two share at least `threshold` of the distinct n-grams of the one that has fewer, and that
        one has at least MIN_NGRAMS. Raises ValueError for a threshold outside (0, 1].
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is {threshold}; want above 0 and at most 1")
        exact = set(self._by_words.get(words(problem), ()))
        found = [Pair(train_id, test_id, EXACT, 1.0) for test_id in exact]
        grams = ngrams(problem)
        shared = Counter(test_id for gram in grams for test_id in self._by_ngram.get(gram, ()))
        for test_id, count in shared.items():
            fewer = min(len(grams), self._sizes[test_id])
            if test_id not in exact and fewer >= MIN_NGRAMS and count >= threshold * fewer:
                found.append(Pair(train_id, test_id, NEAR, count / fewer))
        return sorted(found, key=lambda pair: pair.test_id)
