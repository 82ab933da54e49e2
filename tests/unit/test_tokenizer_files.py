"""Tokenizer files as others save them: what cannot be read is one line."""

import json

import pytest

from repro.bases.load import load_tokenizer
from repro.errors import BadInput


@pytest.mark.parametrize(
    "content",
    ["{}", '{"tokenizer_class": null}', "[]", "{", "\ufeff{}", '{"tokenizer_class": "NoSuchTokenizer"}', '"x"'],
)
def test_a_config_that_names_no_class_loads_or_is_refused_in_one_line(tiny_model_dir, tmp_path, content):
    for name in ("config.json", "tokenizer.json", "special_tokens_map.json"):
        if (tiny_model_dir / name).exists():
            (tmp_path / name).write_bytes((tiny_model_dir / name).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(content, encoding="utf-8")
    try:
        tokenizer = load_tokenizer(tmp_path)
    except BadInput as error:
        assert str(tmp_path) in str(error) and "\n" not in str(error)
        return
    assert isinstance(json.loads(content), dict)  # what is no object is never passed over
    assert tokenizer.padding_side == "left"


def test_a_folder_without_any_tokenizer_is_refused_in_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"tokenizer of .* cannot be loaded") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
