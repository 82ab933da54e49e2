"""The word-level tokenizer is lossless on the tasks' texts and survives the standard save and load."""

import itertools

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from repro.bases import sft
from repro.bases.load import load_tokenizer
from repro.tasks.procedural import build_tokenizer, integration_prompt, make_problem
from repro.tasks.procedural.families import FAMILIES, LEVELS
from repro.tasks.procedural.tokenizer import EOS, PAD, UNK, VOCABULARY, split_words


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


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3", "llama"])
def test_auto_tokenizer_gives_the_same_ids_beside_a_model_whose_own_class_it_prefers(tokenizer, tmp_path, model_type):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for seed, (family, level) in enumerate(itertools.product(FAMILIES, LEVELS)):
        problem = make_problem(family, level, seed)
        text = integration_prompt(problem.prompt, ["3", None, problem.answer]) + problem.solution + EOS
        ids = tokenizer(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids) == text
        assert loaded.decode(ids, skip_special_tokens=True) == text.removesuffix(EOS)
    assert (len(loaded), loaded.eos_token_id, loaded.pad_token_id) == (len(VOCABULARY), 2, 0)
    assert loaded.padding_side == "left"


def test_batches_are_padded_on_the_left(tokenizer):
    batch = tokenizer(["#7", "#"], padding=True)["input_ids"]
    assert batch[1][0] == tokenizer.pad_token_id


def test_beside_a_qwen2_model_the_saved_tokenizer_is_the_one_that_loads(tmp_path):
    sft.build_model(sft.Shape(hidden=16, layers=1, heads=2, kv_heads=1, intermediate=16), seed=0).save_pretrained(
        tmp_path
    )
    build_tokenizer().save_pretrained(tmp_path)
    for family in FAMILIES:
        prompt = make_problem(family, "e", 3, split="train").prompt
        assert load_tokenizer(tmp_path)(prompt)["input_ids"] == build_tokenizer()(prompt)["input_ids"]


def test_without_added_tokens_auto_tokenizer_loses_words_in_silence_and_our_loader_does_not(tmp_path):
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("[a-z]+ |."), behavior="isolated")
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=UNK).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    right = [VOCABULARY.index(word) for word in ("rec ", "6", ":")]
    assert load_tokenizer(tmp_path)("rec 6:")["input_ids"] == right
    # Should this fail after an upgrade of transformers, neither the loader nor the added tokens are needed any more.
    assert AutoTokenizer.from_pretrained(tmp_path)("rec 6:")["input_ids"] != right
