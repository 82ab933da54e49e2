"""What a context holds for a trainer: the settings that its prompts ask for, the layout, and whether it says a thing.

Does: read the first prompt, fill in what the configuration leaves open, render chat contexts, stop a run whose contexts
are empty. Does not: sample or score.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from gcpo import trl_adapter
from gcpo.scm import NO_ANSWER, ContextLayout, Group, Ids, TextMarker, has_open_thought

EMPTY_VIEWS_WARN = 0.5  # not stated: from half on, most of what a context should show is missing

# For pretrained chat models: the paper prints no integration prompt, so this wording is ours.
CHAT_INTEGRATION_TEMPLATE = (
    "{question}\n\nHere are several candidate solutions to this problem. Some may be wrong.\n\n{candidates}\n\n"
    "Using them, write one complete solution to the problem in the usual form."
)


@dataclass(frozen=True)
class ContextSettings:
    """`integration_template`, `candidate_view` and `answer_marker` with nothing left open."""

    template: str | None
    view: str
    marker: str


def context_settings(args: Any, prompt: Any, *, budget: int | None) -> ContextSettings:
    """The configuration's settings, and for those that it leaves open what the prompt asks for.

    A chat prompt (messages): `CHAT_INTEGRATION_TEMPLATE`, whole candidates where n of them fit into `budget`, else
    their final answers, from `\\boxed` on. A text prompt: ids with separators, final answers, from `\\boxed` on where
    the prompt speaks of it, else from "#" on.
    """
    chat = not isinstance(prompt, str)
    template = args.integration_template
    if template is None and chat and args.context_encoding != "shared_kv":
        template = CHAT_INTEGRATION_TEMPLATE
    marker = args.answer_marker
    if marker is None:
        marker = "\\boxed" if chat or "\\boxed" in prompt else "#"
    view = args.candidate_view
    if view is None:
        fits = budget is None or _longest(args, 0) <= budget
        view = "full" if chat and fits else "final_answer"
    return ContextSettings(template, view, marker)


def context_layout(trainer: Any) -> ContextLayout:
    """The layout that a trainer's configuration, prompts, tokenizer and model ask for.

    Raises ValueError before training where a separator or marker is not in the vocabulary, or where the longest
    candidates cannot fit the budget.
    """
    args, tokenizer = trainer.args, trainer.processing_class
    positions = getattr(trainer.model.config.get_text_config(), "max_position_embeddings", None)
    budget = args.max_context_length
    if budget is None and positions is not None:
        budget = positions - args.max_completion_length
    prompt = trl_adapter.first_prompt(trainer)
    settings = context_settings(args, prompt, budget=budget)
    closing = args.candidate_separator if args.closing_separator is None else args.closing_separator
    needs_ids = settings.template is None
    marker = _text_marker(trainer, settings.marker, prompt)
    if settings.view == "final_answer" or args.feature_position == "answer_marker":
        token_ids(tokenizer, settings.marker, "answer_marker")  # refuses what the tokenizer cannot write
    layout = ContextLayout(
        separator_ids=token_ids(tokenizer, args.candidate_separator, "candidate_separator") if needs_ids else [],
        closing_ids=token_ids(tokenizer, closing, "closing_separator") if needs_ids else [],
        marker_ids=marker,
        eos_ids=list(trainer.eos_token_ids),
        view=settings.view,
        agreement=args.candidate_order == "agreement",
        budget=budget,
        overflow=args.context_overflow,
        render=None if needs_ids else lambda prompt, views: _render(trainer, settings.template, prompt, views),
    )
    _check_budget(args, layout)
    return layout


def _longest(args: Any, separator: int) -> int:
    if args.context_encoding == "shared_kv":  # positions: one stage of candidates, one of integrated outputs
        return 2 * args.max_completion_length + separator
    return args.num_generations * (args.max_completion_length + separator)


def _check_budget(args: Any, layout: ContextLayout) -> None:
    shared, budget = args.context_encoding == "shared_kv", layout.budget
    longest = _longest(args, len(layout.closing_ids if shared else layout.separator_ids))
    if budget is None or longest <= budget:
        return
    if shared:
        raise ValueError(
            f"shared keys put x_i at positions up to {longest} and a prompt, over the budget of {budget}; want a "
            "shorter max_completion_length"
        )
    if layout.view == "full" and layout.overflow == "error":
        raise ValueError(
            f"candidate_view='full' may put {longest} tokens ({args.num_generations} candidates of "
            f"{args.max_completion_length}) into a context, over the budget of {budget}; want "
            "candidate_view='final_answer', a shorter max_completion_length, or context_overflow='tails'"
        )


def token_ids(tokenizer: Any, text: str, name: str) -> Ids:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids or tokenizer.unk_token_id in ids:
        raise ValueError(f"{name} {text!r} is not in the tokenizer's vocabulary; want a text that it can encode")
    return ids


def _text_marker(trainer: Any, marker: str, prompt: Any) -> TextMarker:
    def decode(ids: Ids) -> str:
        # special tokens too: a model may have its marks of a thought among them
        return trainer.processing_class.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    # a tokenizer of words writes "= #" as "=#"
    written = decode(trainer.processing_class(marker, add_special_tokens=False)["input_ids"])
    if "".join(written.split()) == "".join(marker.split()):
        marker = written
    before = decode(trl_adapter.tokenize_prompts(trainer, [prompt])[0])
    return TextMarker(decode, marker, opened=has_open_thought(before))


def _render(trainer: Any, template: str, prompt: Any, views: list[Ids]) -> Ids:
    """A text context: the question, the numbered candidates, and the request for one solution."""
    args = trainer.args
    entries = [
        args.candidate_template.replace("{number}", str(k)).replace("{answer}", _shown(answer))
        for k, answer in enumerate(trainer.processing_class.batch_decode(views, skip_special_tokens=True), start=1)
    ]

    def fill(question: str) -> str:
        before, after = template.split("{candidates}", 1)  # a question may hold braces of its own
        return before.replace("{question}", question) + "\n\n".join(entries) + after.replace("{question}", question)

    if isinstance(prompt, str):
        return trl_adapter.tokenize_prompts(trainer, [fill(prompt)])[0]
    last = prompt[-1]
    return trl_adapter.tokenize_prompts(trainer, [[*prompt[:-1], {**last, "content": fill(last["content"])}]])[0]


def _shown(answer: str) -> str:
    """One candidate's text: a thought left open is closed, so that what follows it does not read as thought."""
    answer = answer.strip()
    return answer + "\n</think>" if has_open_thought(answer) else answer or NO_ANSWER


class EmptyViews:
    """Stops a run none of whose candidates shows anything to the others, and warns once where most of them do not."""

    def __init__(self) -> None:
        self._first, self._warned = True, False

    def check(self, trainer: Any, layout: ContextLayout, groups: list[Group]) -> float:
        """The share of empty views among the candidates of a rollout. Every rank must call it, once per rollout."""
        views = layout.views([y for group in groups for y in group.candidates])
        seen = sum(map(bool, views))
        if self._first and trl_adapter.largest_over_ranks(trainer, seen) == 0:
            raise ValueError(
                f"the views of all {len(views)} candidates of the first rollout are empty, so contexts say nothing: "
                f"{_found_nothing(layout)}; set answer_marker to what stands before an answer, or "
                "candidate_view='full'"
            )
        self._first, share = False, 1 - seen / len(views)
        if share > EMPTY_VIEWS_WARN and not self._warned:
            self._warned = True
            warnings.warn(
                f"{share:.0%} of the candidates' views are empty, more than {EMPTY_VIEWS_WARN:.0%}: "
                f"{_found_nothing(layout)}; see answer_marker and candidate_view",
                stacklevel=2,
            )
        return share


def _found_nothing(layout: ContextLayout) -> str:
    if layout.view == "full":
        return "they hold nothing before their end of sequence"
    marker = layout.marker_ids.marker if isinstance(layout.marker_ids, TextMarker) else layout.marker_ids
    return f"no answer_marker {marker!r} outside an open thought"
