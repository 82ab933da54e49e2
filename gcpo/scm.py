"""A group laid out as the paper's graph: q → y_i (fork), all y_i → y_n (collider), and the contexts read off it.

Does: token ids in, token ids out: what y_n is conditioned on, x_i = {q, y_0..y_n} \\ {y_i}, and x_{i,l}, in which
y_{n,l} stands for y_n. Does not: tokenize (a template is rendered by the callable it is given) or run a model.
The paper prints no prompt for y_n or x_i and does not say whether a candidate enters with its reasoning: the layout,
the view and the order are switches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

CANDIDATE_VIEWS = ("final_answer", "full")
CANDIDATE_ORDERS = ("sampled", "shuffled", "agreement")
CONTEXT_OVERFLOWS = ("error", "tails")
FEATURE_POSITIONS = ("eos", "last_content", "answer_marker")

NO_ANSWER = "(no final answer)"  # what stands in a rendered context for a candidate of which nothing may be seen
_THOUGHT, _THOUGHT_END = "<think>", "</think>"

Ids = list[int]
Span = tuple[int, int]
# where an output's answer marker is: the marker's token ids, or a search of its own such as `TextMarker`
Marker = Sequence[int] | Callable[[Ids], Span | None]


@dataclass(frozen=True)
class Group:
    """One query and its candidates: q as ids and as the data set gave it, and y_0..y_{n-1} with their EOS, if any."""

    prompt_ids: Ids
    candidates: list[Ids]
    prompt: Any = None


def rfind(ids: Sequence[int], pattern: Sequence[int]) -> int:
    """Start of the last occurrence of `pattern` in `ids`, −1 if there is none or the pattern is empty."""
    width = len(pattern)
    for start in range(len(ids) - width, -1, -1) if width else ():
        if list(ids[start : start + width]) == list(pattern):
            return start
    return -1


def marker_span(ids: Sequence[int], marker: Marker) -> Span | None:
    """The tokens (start, end) of an output's last answer marker, None without one."""
    if callable(marker):
        return marker(list(ids))
    start = rfind(ids, marker)
    return None if start < 0 else (start, start + len(marker))


def has_open_thought(text: str, *, opened: bool = False) -> bool:
    """Whether a `<think>` of the text, or with `opened` one of the prompt before it, is left without its end."""
    closed = text.rfind(_THOUGHT_END)
    return text.rfind(_THOUGHT) > closed or (opened and closed < 0)


class TextMarker:
    """An answer marker that is looked for in an output's text: BPE merges its first letters with what stands before.

    decode: token ids to text, such that more ids give a longer text. opened: the prompt itself opens a `<think>`.
    Returns the tokens that hold the marker's last occurrence, so the first may begin with other letters. A marker
    inside a thought does not count: the search begins at the last `</think>`, and a thought left open has no answer.
    """

    def __init__(self, decode: Callable[[Ids], str], marker: str, *, opened: bool = False) -> None:
        self.decode, self.marker, self.opened = decode, marker, opened
        self._found: dict[tuple[int, ...], Span | None] = {}  # every context of a group asks for the same candidates

    def __call__(self, ids: Ids) -> Span | None:
        key = tuple(ids)
        if key not in self._found:
            self._found[key] = self._search(ids)
        return self._found[key]

    def forget(self) -> None:
        """Drop what was found so far: outputs of an earlier rollout do not come back."""
        self._found.clear()

    def _search(self, ids: Ids) -> Span | None:
        text = self.decode(ids)
        at = text.rfind(self.marker, max(text.rfind(_THOUGHT_END), 0))
        if at < 0 or has_open_thought(text, opened=self.opened):
            return None

        @cache  # both searches begin with the same halves
        def length(k: int) -> int:
            return len(self.decode(ids[:k]))

        first, last = (
            bisect_right(range(len(ids) + 1), at + offset, key=length) - 1 for offset in (0, len(self.marker) - 1)
        )
        return first, last + 1


def strip_eos(ids: Sequence[int], eos_ids: Sequence[int]) -> Ids:
    """`ids` without trailing end-of-sequence tokens: an EOS inside a context would end it."""
    end = len(ids)
    while end and ids[end - 1] in eos_ids:
        end -= 1
    return list(ids[:end])


def candidate_view(ids: Sequence[int], *, view: str, marker_ids: Marker, eos_ids: Sequence[int]) -> Ids:
    """What the other candidates' contexts see of one candidate, without EOS.

    "full": all of it, a truncated one as far as it goes. "final_answer": from its last answer marker on, empty when it
    has none, as a candidate that was cut off before its answer or inside a thought.
    """
    if view not in CANDIDATE_VIEWS:
        raise ValueError(f"candidate_view is {view!r}; want one of {CANDIDATE_VIEWS}")
    content = strip_eos(ids, eos_ids)
    if view == "full":
        return content
    span = marker_span(content, marker_ids)
    return [] if span is None else content[span[0] :]


def by_agreement(views: Sequence[Sequence[int]]) -> list[int]:
    """The order in which equal views stand together, the most frequent first, ties by their ids, empty ones last.

    It depends on the views alone, not on the order in which they come: candidates are exchangeable given q.
    """
    keys = [tuple(view) for view in views]
    counts = Counter(keys)
    return sorted(range(len(keys)), key=lambda k: (not keys[k], -counts[keys[k]], keys[k]))


def feature_index(ids: Sequence[int], *, position: str, marker_ids: Marker, eos_ids: Sequence[int]) -> tuple[int, bool]:
    """Which token's hidden state stands for the output (Step 1: "the final token").

    "eos": the last token. "last_content": the last one before the EOS, or the only one. "answer_marker": the last
    token of the last answer marker, whose state predicts the answer; without a marker, last_content.
    Returns (index into ids, whether the position was found as asked). Raises ValueError on an empty output.
    """
    if not ids:
        raise ValueError("an output without tokens has no feature; every sampled output holds at least one token")
    if position not in FEATURE_POSITIONS:
        raise ValueError(f"feature_position is {position!r}; want one of {FEATURE_POSITIONS}")
    if position == "eos":
        return len(ids) - 1, ids[-1] in eos_ids
    content = strip_eos(ids, eos_ids)
    if position == "answer_marker":
        span = marker_span(content, marker_ids)
        if span is not None:
            return span[1] - 1, True
    return max(len(content) - 1, 0), position == "last_content"


@dataclass(frozen=True)
class ContextLayout:
    """How a query and the views of candidates become one context.

    Without `render`: q | view | view | ... view | with `separator_ids` before each view and `closing_ids` at the end.
    With `render(prompt, views)`: whatever ids it returns, such as a chat prompt that lists numbered candidates.
    agreement: lay the views out as `by_agreement` does, after the order of the candidates has been applied.
    budget: the most tokens a context may have, None for no limit; `overflow` "tails" keeps the last tokens of every
    view in equal shares (id layout only), "error" raises.
    """

    separator_ids: Ids
    closing_ids: Ids
    marker_ids: Marker
    eos_ids: Ids
    view: str = "final_answer"
    agreement: bool = False
    budget: int | None = None
    overflow: str = "error"
    render: Callable[[Any, list[Ids]], Ids] | None = None

    def views(self, outputs: Sequence[Ids]) -> list[Ids]:
        """The view of each output, in the order given."""
        return [candidate_view(o, view=self.view, marker_ids=self.marker_ids, eos_ids=self.eos_ids) for o in outputs]

    def context(self, group: Group, outputs: Sequence[Ids]) -> Ids:
        """q followed by the views of `outputs`. Raises ValueError when it is over the budget and must not be cut."""
        views = self.views(outputs)
        if self.agreement:
            views = [views[k] for k in by_agreement(views)]
        ids = self._join(group, views)
        if self.budget is None or len(ids) <= self.budget:
            return ids
        spare = self.budget - len(self._join(group, [[] for _ in views]))
        if self.overflow == "error" or spare < 0:
            raise ValueError(
                f"a context of {len(ids)} tokens ({len(views)} views after a prompt of {len(group.prompt_ids)}) is "
                f"over the budget of {self.budget}; want a larger max_context_length, candidate_view='final_answer', "
                "or context_overflow='tails' to cut the views"
            )
        share = spare // max(len(views), 1)
        return self._join(group, [v[max(len(v) - share, 0) :] for v in views])

    def _join(self, group: Group, views: list[Ids]) -> Ids:
        if self.render is not None:
            return self.render(group.prompt, views)
        ids = list(group.prompt_ids)
        for view in views:
            ids += self.separator_ids + view
        return ids + self.closing_ids

    def collider(self, group: Group, *, order: Sequence[int] | None = None) -> Ids:
        """What y_n and every y_{n,l} are sampled from: (q, y_0, ..., y_{n-1}).

        order: a permutation of the candidates, None for the order in which they were sampled.
        """
        chosen = range(len(group.candidates)) if order is None else order
        return self.context(group, [group.candidates[k] for k in chosen])

    def without(
        self, group: Group, left_out: int, integrated: Sequence[Ids] = (), *, order: Sequence[int] | None = None
    ) -> Ids:
        """x_i = {q, y_0, ..., y_{n-1}, integrated outputs} \\ {y_i}, i = `left_out`.

        integrated: y_n for x_i, y_{n,l} for x_{i,l}, both for "append", none for the context without y_n.
        """
        chosen = range(len(group.candidates)) if order is None else order
        return self.context(group, [group.candidates[k] for k in chosen if k != left_out] + list(integrated))

    def replaced(self, group: Group, left_out: int, fresh: Ids, *, order: Sequence[int] | None = None) -> Ids:
        """The context of y_{n,l}^(−i) with a fresh y_i' in the place of y_i (leave-one-out Φ by resampling)."""
        candidates = list(group.candidates)
        candidates[left_out] = fresh
        return self.collider(Group(group.prompt_ids, candidates, group.prompt), order=order)
