"""Episodes of a completion and its final answer, read off the texts of its tokens.

Does: texts in, token indices out. Does not: tokenize, run a model, or put the request for tags into a prompt by itself:
`with_episode_request` is for the data set, so that every arm of a comparison reads the same prompts.
L2T (arXiv 2505.10425) asks for numbered tags in the system prompt; GC2PO v1 does not say how it splits.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

SEGMENTATIONS = ("tags", "blank_line", "delimiter")
OUTSIDE_CREDITS = ("episode", "sequence", "none")
LATENT_POSITIONS = ("end", "content")
OUTSIDE = -1  # the segment of a token in no episode
PROMPT_END = -1  # the latent of an episode without a token of its own: the last token of the prompt

_TAGS = re.compile(r"<episode_(\d+)>.*?(</episode_\1>)", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")

# ASSUMED wording: L2T describes its request (one logical move per numbered segment, at most 30) and prints no prompt
EPISODE_REQUEST = (
    "Split your reasoning into numbered segments <episode_1>...</episode_1>, <episode_2>...</episode_2>, and so on: "
    "one logical move in each, at most 30 of them. Give the final answer after the last segment."
)


def with_episode_request(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The conversation with `EPISODE_REQUEST` in its system message, which is added where there is none."""
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{EPISODE_REQUEST}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": EPISODE_REQUEST}, *messages]


@dataclass(frozen=True)
class Episodes:
    """The episodes of one completion of T tokens.

    segments: [T], the number 0..K-1 of each token's episode, or `OUTSIDE`. latents: [K], the index of the token whose
    hidden state stands for the episode, always before the answer, or `PROMPT_END`. parsed: whether the marks that
    were asked for are there; without them the completion is one episode.
    """

    segments: list[int]
    latents: list[int]
    parsed: bool


def final_answer(text: str, marker: str, end: str | None) -> str | None:
    """What stands after the last `marker`, stripped; None without a marker or with nothing after it.

    end: where it stops, None for the end of the text. Where the marker's last character opens what `end` closes, as in
    "\\boxed{" and "}", inner pairs are skipped; an answer that is never closed is None.
    """
    start = text.rfind(marker)
    if start < 0:
        return None
    rest = text[start + len(marker) :]
    if end is None:
        return rest.strip() or None
    depth = 0
    for place, character in enumerate(rest):
        if rest.startswith(end, place):
            if depth == 0:
                return rest[:place].strip() or None
            depth -= 1
        elif character == marker[-1]:
            depth += 1
    return None


def find_episodes(
    texts: Sequence[str],
    ended: int,
    *,
    segmentation: str,
    delimiter: str | None,
    marker: str,
    max_episodes: int,
    min_tokens: int,
    outside: str,
    latent_position: str,
) -> Episodes:
    """The episodes of a completion, from the text of each of its tokens, of which the first `ended` precede its EOS.

    "tags": matching pairs of numbered tags. "blank_line", "delimiter": contiguous, each ends with the mark; one shorter
    than `min_tokens` joins the next. More than `max_episodes`: the rest belongs to the last one.
    No episode holds the answer's own tokens, from the last `marker` on: behind the answer its latent would be asked for
    what has just been said. latent_position: "end", an episode's last token, or "content", the last one before its mark
    (its last token where it has no mark, or nothing before it).
    outside: what the tokens in no episode belong to: "episode", the episode before them (the first one for those in
    front); otherwise `OUTSIDE`. Without marks, or without reasoning, K is 1.
    """
    if segmentation not in SEGMENTATIONS:
        raise ValueError(f"segmentation is {segmentation!r}; want one of {SEGMENTATIONS}")
    if latent_position not in LATENT_POSITIONS:
        raise ValueError(f"latent_position is {latent_position!r}; want one of {LATENT_POSITIONS}")
    pattern = _BLANK_LINE
    if segmentation == "delimiter":
        if not delimiter:
            raise ValueError("segmentation='delimiter' needs a delimiter, the text that ends an episode")
        pattern = re.compile(re.escape(delimiter))
    text = "".join(texts[:ended])
    starts = list(accumulate(map(len, texts), initial=0))[:-1]
    answer = text.rfind(marker)
    content = ended if answer < 0 else _token_at(starts, answer)
    reasoning = "".join(texts[:content])
    if segmentation == "tags":
        tags = list(_TAGS.finditer(reasoning))
        marks = [match.span(2) for match in tags]
        spans = _apart([(_token_at(starts, tag.start()), _token_at(starts, tag.end() - 1)) for tag in tags])
    else:
        marks = [match.span() for match in pattern.finditer(reasoning)]
        spans = _joined(_between([_token_at(starts, b - 1) for _, b in marks], content), min_tokens)
    if not spans and content:
        spans = [(0, content - 1)]
    if len(spans) > max_episodes:
        spans = [*spans[: max_episodes - 1], (spans[max_episodes - 1][0], spans[-1][1])]
    if not spans:  # an answer without reasoning
        return Episodes([0] * len(texts), [PROMPT_END], parsed=False)
    segments = [OUTSIDE] * len(texts)
    for number, (first, last) in enumerate(spans):
        segments[first : last + 1] = [number] * (last + 1 - first)
    if outside == "episode":
        for place, number in enumerate(segments):
            if number == OUTSIDE:
                segments[place] = segments[place - 1] if place else 0
    before = {_token_at(starts, b - 1): _token_at(starts, a) - 1 for a, b in marks if latent_position == "content"}
    latents = [before.get(last, last) for _, last in spans]
    latents = [last if at < first else at for at, (first, last) in zip(latents, spans, strict=True)]
    return Episodes(segments, latents, parsed=bool(marks))


def _token_at(starts: list[int], character: int) -> int:
    """The token that holds a character of the joined text."""
    return bisect_right(starts, character) - 1


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order without a token in two of them: a token may hold the end of one tag and the start of the next."""
    kept: list[tuple[int, int]] = []
    for first, last in spans:
        first = max(first, kept[-1][1] + 1) if kept else first
        if first <= last:
            kept.append((first, last))
    return kept


def _between(ends: list[int], total: int) -> list[tuple[int, int]]:
    """Contiguous spans of `total` tokens, each up to one of `ends`, and what is left after the last."""
    borders = sorted({-1, *ends, total - 1})
    return [(a + 1, b) for a, b in pairwise(borders)]


def _joined(spans: list[tuple[int, int]], min_tokens: int) -> list[tuple[int, int]]:
    """Contiguous spans of at least `min_tokens`: a short one joins the next, a short last one the one before."""
    kept: list[tuple[int, int]] = []
    first = 0
    for _, last in spans:
        if last + 1 - first >= min_tokens:
            kept.append((first, last))
            first = last + 1
    if spans and first <= spans[-1][1]:
        kept = [*kept[:-1], (kept[-1][0] if kept else 0, spans[-1][1])]
    return kept


def choose_scored(counts: Sequence[int], limit: int | None, generator: torch.Generator) -> list[list[int]]:
    """Which episodes of each completion are scored: all, or `limit` random ones, in order. One draw per completion."""
    orders = [torch.randperm(count, generator=generator).tolist() for count in counts]
    return [sorted(order[:limit]) for order in orders]
