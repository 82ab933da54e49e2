"""The word-level tokenizer is lossless on the tasks' texts and survives the standard save and load."""

import pytest
from transformers import AutoTokenizer

from repro.tasks import build_tokenizer, integration_prompt, make_problem
from repro.tasks.families import FAMILIES, LEVELS
from repro.tasks.tokenizer import EOS, PAD, UNK, VOCABULARY, split_words


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_text_is_recovered_without_an_unknown_token(tokenizer, family, level):
    for seed in range(50):
        problem = make_problem(family, level, seed)
        text = integration_prompt(problem.prompt, ["3", None, problem.answer]) + problem.solution + EOS
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text
        assert [tokenizer.decode([i]) for i in ids] == split_words(text)


def test_numbers_words_and_signs_are_single_tokens(tokenizer):
    ids = tokenizer("shop 5 cup,8 jar=5*7=5;#9" + EOS)["input_ids"]
    assert len(ids) == 16
    assert ids[-1] == tokenizer.eos_token_id


def test_no_special_token_is_added(tokenizer):
    assert tokenizer("#7")["input_ids"] == [VOCABULARY.index("#"), VOCABULARY.index("7")]


def test_an_unknown_word_maps_to_unk(tokenizer):
    assert tokenizer("rec Z")["input_ids"][1:] == [tokenizer.unk_token_id]
    assert tokenizer.unk_token == UNK


def test_auto_tokenizer_loads_the_saved_folder_unchanged(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "solve x+7-7=4|#4||#3|4+7=1;1-7=4;#4" + EOS
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text.removesuffix(EOS)
    assert (loaded.pad_token, loaded.eos_token, loaded.padding_side) == (PAD, EOS, "left")
    assert len(loaded) == len(VOCABULARY)


def test_batches_are_padded_on_the_left(tokenizer):
    batch = tokenizer(["#7", "#"], padding=True)["input_ids"]
    assert batch[1][0] == tokenizer.pad_token_id
