"""What a context shows of a candidate under a tokenizer that merges letters: found in the text, cut at tokens."""

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from gcpo.scm import ContextLayout, TextMarker, candidate_view, feature_index, has_open_thought, rfind
from gcpo.shared_kv.context import readable
from gcpo.trainers.contexts import CHAT_INTEGRATION_TEMPLATE, EmptyViews, context_settings

EOS = 1
SPELLINGS = [
    "The answer is \\boxed{14}.",
    "so $\\boxed{14}$",
    "\\[\\boxed{14}\\]",
    "\\(\\boxed{14}\\)",
    "**Answer:** \\boxed{14}",
    "x =\\boxed{14}",
    "hence\n\\boxed{14}",
    "($\\boxed{14}$)",
    "\\boxed{14}",
    "é → 14: $$\\boxed{14}$$ 🙂",
]


@pytest.fixture(scope="module")
def bpe() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        SPELLINGS * 50,
        trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, special_tokens=["<pad>", "<eos>"]),
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")


def marker(bpe, text: str = "\\boxed", **kwargs) -> TextMarker:
    return TextMarker(lambda ids: bpe.decode(ids, clean_up_tokenization_spaces=False), text, **kwargs)


def ids_of(bpe, text: str) -> list[int]:
    return bpe(text, add_special_tokens=False)["input_ids"] + [EOS]


def test_matching_by_ids_misses_what_the_tokenizer_has_merged(bpe) -> None:
    pattern = bpe("\\boxed", add_special_tokens=False)["input_ids"]
    assert sum(rfind(ids_of(bpe, text), pattern) < 0 for text in SPELLINGS) >= 4


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_boxed_answer_is_found_and_cut_at_the_token_that_begins_it(bpe, text: str) -> None:
    ids, find = ids_of(bpe, text), marker(bpe)
    view = candidate_view(ids, view="final_answer", marker_ids=find, eos_ids=[EOS])
    shown = bpe.decode(view)
    assert "\\boxed{14}" in shown and text.endswith(shown)
    assert shown.index("\\boxed") <= 3 and "\\boxed" not in bpe.decode(view[1:])
    seen = readable(ids, view="final_answer", marker_ids=find, eos_ids=[EOS])
    assert [i for i, s in zip(ids, seen.tolist(), strict=False) if s] == view
    index, found = feature_index(ids, position="answer_marker", marker_ids=find, eos_ids=[EOS])
    assert found and bpe.decode(ids[: index + 1]).endswith("\\boxed")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>\\boxed{1}</think>\\boxed{2}", "\\boxed{2}"),
        ("<think>\\boxed{1}</think>none", ""),
        ("<think>a</think>\\boxed{1}<think>\\boxed{2}", ""),
        ("<think>\\boxed{1}", ""),
        ("it would be \\box", ""),
    ],
)
def test_an_answer_inside_a_thought_or_cut_off_is_none(bpe, text: str, shown: str) -> None:
    view = candidate_view(ids_of(bpe, text), view="final_answer", marker_ids=marker(bpe), eos_ids=[EOS])
    assert bpe.decode(view) == shown


def test_a_thought_that_the_prompt_opens_must_end_before_an_answer_counts(bpe) -> None:
    for text, found in (("\\boxed{1}", False), ("hm</think>\\boxed{1}", True)):
        assert (marker(bpe, opened=True)(ids_of(bpe, text)[:-1]) is not None) == found
    assert has_open_thought("<|im_start|>assistant\n<think>\n") and not has_open_thought("<think></think>")


def settings(**overrides) -> SimpleNamespace:
    defaults = {"integration_template": None, "candidate_view": None, "answer_marker": None}
    rest = {"context_encoding": "text", "num_generations": 8, "max_completion_length": 100}
    return SimpleNamespace(**(defaults | rest | overrides))


CHAT = [{"role": "user", "content": "1 + 1?"}]


@pytest.mark.parametrize(
    ("overrides", "prompt", "budget", "want"),
    [
        ({}, "1 + 1 =", 500, (None, "final_answer", "#")),
        ({}, "Answer in \\boxed{}: 1 + 1", 5000, (None, "final_answer", "\\boxed")),
        ({}, CHAT, None, (CHAT_INTEGRATION_TEMPLATE, "full", "\\boxed")),
        ({}, CHAT, 800, (CHAT_INTEGRATION_TEMPLATE, "full", "\\boxed")),
        ({}, CHAT, 799, (CHAT_INTEGRATION_TEMPLATE, "final_answer", "\\boxed")),
        ({"context_encoding": "shared_kv"}, CHAT, 200, (None, "full", "\\boxed")),
        ({"answer_marker": "####", "candidate_view": "full"}, "q", 10, (None, "full", "####")),
        ({"integration_template": "{candidates}"}, CHAT, 10, ("{candidates}", "final_answer", "\\boxed")),
    ],
)  # fmt: skip
def test_what_is_left_open_is_what_the_prompts_ask_for(overrides, prompt, budget, want) -> None:
    found = context_settings(settings(**overrides), prompt, budget=budget)
    assert (found.template, found.view, found.marker) == want


def layout(bpe) -> ContextLayout:
    return ContextLayout([5], [5], marker(bpe), [EOS])


def one_process() -> SimpleNamespace:
    return SimpleNamespace(accelerator=SimpleNamespace(num_processes=1))


def group(bpe, *texts: str) -> SimpleNamespace:
    return SimpleNamespace(candidates=[ids_of(bpe, text) for text in texts])


def test_a_first_rollout_that_shows_nothing_stops_with_what_to_set(bpe) -> None:
    with pytest.raises(ValueError, match=r"all 2 candidates of the first.*set answer_marker") as error:
        EmptyViews().check(one_process(), layout(bpe), [group(bpe, "14", "so 3")])
    assert "\n" not in str(error.value)


def test_a_later_rollout_that_shows_little_warns_once(bpe) -> None:
    views = EmptyViews()
    assert views.check(one_process(), layout(bpe), [group(bpe, "\\boxed{1}", "so 3")]) == 0.5
    with pytest.warns(UserWarning, match="100% of the candidates' views are empty, more than 50%") as caught:
        assert views.check(one_process(), layout(bpe), [group(bpe, "1", "so 3")]) == 1.0
        assert views.check(one_process(), layout(bpe), [group(bpe, "1", "so 3")]) == 1.0
    assert len(caught) == 1
