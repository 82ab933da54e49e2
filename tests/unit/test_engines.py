"""Engines: a sample is its seed's, greedy is greedy, a replayed answer comes back as it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.bases.files import fingerprint, resolve_model
from repro.errors import BadInput
from repro.evaluation.engines import Request, SamplingSettings, make_engine
from repro.evaluation.engines.replay import ReplayEngine, byte_tokenizer, oracle_text, read_answers
from repro.evaluation.engines.transformers_engine import TransformersEngine, _GumbelNoise
from repro.tasks.encoding import stop_token_ids


def settings(**changes) -> SamplingSettings:
    fields = {
        "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 12,
        "stop_token_ids": (1,),
    }  # fmt: skip
    return SamplingSettings(**(fields | changes))


def drawn(engine, requests, **changes):
    return dict(engine.generate(requests, settings(**changes)))


@pytest.fixture(scope="module")
def requests(tiny_tokenizer):
    prompts = [tuple(tiny_tokenizer(text)["input_ids"]) for text in ("1 + 2 =", "3 * 4 - 5 + 6 =", "7", "8 - 9 =")]
    return [Request(f"q{place}", n, prompt, 100 * place + n) for place, prompt in enumerate(prompts) for n in range(3)]


@pytest.fixture(scope="module")
def engine(tiny_model_dir):
    return TransformersEngine(str(tiny_model_dir), batch_size=12)


def test_a_sample_depends_on_its_seed_and_not_on_its_batch(engine, requests, tiny_model_dir):
    together = drawn(engine, requests)
    alone = {}
    for index, request in enumerate(requests):
        alone[index] = dict(TransformersEngine.generate(engine, [request], settings()))[0]
    assert alone == together
    engine_of_five = TransformersEngine(str(tiny_model_dir), batch_size=5)
    assert drawn(engine_of_five, requests[::-1]) == {11 - index: each for index, each in together.items()}
    texts = {together[index].token_ids for index in range(3)}
    assert len(texts) == 3  # one question, three seeds
    same = [Request(r.question_id, r.sample, r.prompt, 5) for r in requests[:3]]
    assert len({each.token_ids for each in drawn(engine, same).values()}) == 1


def test_inside_a_batch_the_engine_says_how_far_it_is_and_draws_the_same(engine, requests):
    alone, seen = drawn(engine, requests), []
    engine.watch = lambda done, tokens: seen.append((done, tokens))
    try:
        watched = drawn(engine, requests)
    finally:
        engine.watch = None
    assert watched == alone
    assert len(seen) == max(len(each.token_ids) for each in alone.values())  # one look per token of the longest
    assert seen == sorted(seen) and 0 < seen[0][0] < len(requests)
    assert seen[-1] == (len(requests), sum(len(each.token_ids) for each in alone.values()))


def test_greedy_completions_are_those_of_plain_generate(engine, requests):
    for index, completion in drawn(engine, requests, temperature=0.0, top_p=0.5).items():
        ids = torch.tensor([requests[index].prompt])
        plain = engine.model.generate(input_ids=ids, max_new_tokens=12, do_sample=False, eos_token_id=1, pad_token_id=0)
        assert list(completion.token_ids) == plain[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("seeds", ["sample", "batch"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_completion_begins_with_a_forbidden_token_and_later_ones_may_hold_it(
    tiny_model_dir, requests, seeds, temperature
):
    engine = TransformersEngine(str(tiny_model_dir), batch_size=12)
    engine.seeds = seeds
    free = drawn(engine, requests, temperature=temperature)
    forbidden = free[0].token_ids[0]
    found = drawn(engine, requests, temperature=temperature, forbidden_first=(forbidden,))
    assert all(each.token_ids[0] != forbidden for each in found.values())
    assert any(forbidden in each.token_ids[1:] for each in found.values())
    if seeds == "sample" or temperature == 0:  # who did not begin with it is not disturbed
        kept = [index for index, each in free.items() if each.token_ids[0] != forbidden]
        assert [found[index] for index in kept] == [free[index] for index in kept]


def test_noise_draws_from_the_softmax_and_never_what_a_filter_removed():
    scores = torch.tensor([[0.0, 1.0, 2.0, -float("inf")]]).repeat(6000, 1)
    drawn_tokens = _GumbelNoise(range(6000), torch.device("cpu"))(None, scores).argmax(dim=1)
    share = np.bincount(drawn_tokens.numpy(), minlength=4) / 6000
    wanted = torch.softmax(scores[0], dim=0).numpy()
    assert share == pytest.approx(wanted, abs=4 * np.sqrt(0.25 / 6000))
    assert share[3] == 0


def test_a_nucleus_smaller_than_the_best_token_is_greedy(engine, requests):
    assert drawn(engine, requests, top_p=1e-6) == drawn(engine, requests, temperature=0.0)
    assert drawn(engine, requests, top_k=1) == drawn(engine, requests, temperature=0.0)
    assert drawn(engine, requests) != drawn(engine, requests, temperature=0.0)


def test_completions_end_with_their_first_stop_token_or_at_the_limit(engine, requests):
    stops = (1, 5)
    found = drawn(engine, requests, stop_token_ids=stops, max_new_tokens=9)
    ended = [each for each in found.values() if each.ended]
    cut = [each for each in found.values() if not each.ended]
    assert ended and all(each.token_ids[-1] in stops and not set(each.token_ids[:-1]) & set(stops) for each in ended)
    assert cut and all(len(each.token_ids) == 9 and not set(each.token_ids) & set(stops) for each in cut)


def test_a_generation_config_beside_the_weights_changes_nothing(tiny_model_dir, tmp_path, requests):
    import json
    import shutil

    folder = tmp_path / "hot"
    shutil.copytree(tiny_model_dir, folder)
    sampling = {"do_sample": True, "temperature": 0.01, "top_k": 1, "repetition_penalty": 9.0, "eos_token_id": 1}
    (folder / "generation_config.json").write_text(json.dumps(sampling))
    plain, hot = (TransformersEngine(str(each), batch_size=12) for each in (tiny_model_dir, folder))
    assert drawn(plain, requests) == drawn(hot, requests)


def test_the_fingerprint_is_the_models_and_not_its_places(tiny_model_dir, tmp_path):
    import shutil

    shutil.copytree(tiny_model_dir, tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == fingerprint(tiny_model_dir)
    weights = tmp_path / "moved" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(tmp_path / "moved") != fingerprint(tiny_model_dir)


def test_end_tokens_come_from_tokenizer_and_configuration(tiny_model_dir, tiny_tokenizer, tmp_path):
    assert stop_token_ids(tiny_model_dir, tiny_tokenizer) == (1,)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    assert stop_token_ids(tmp_path, tiny_tokenizer) == (1, 7, 9)


def test_missing_parts_of_a_model_folder_are_named(tmp_path):
    with pytest.raises(BadInput, match="neither a folder nor a hub id"):
        resolve_model(str(tmp_path / "none"))
    with pytest.raises(BadInput, match=r"no config\.json"):
        resolve_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="no weights"):
        resolve_model(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(BadInput, match="no tokenizer"):
        resolve_model(str(tmp_path))


def test_broken_weights_and_impossible_settings_are_one_line(tiny_model_dir, tmp_path):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(tiny_model_dir, folder)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(BadInput, match="cannot be loaded") as error:
        make_engine("transformers", str(folder))
    assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match="--dtype is 'int3'"):
        make_engine("transformers", str(tiny_model_dir), dtype="int3")
    with pytest.raises(BadInput, match="--batch-size is 0"):
        make_engine("transformers", str(tiny_model_dir), batch_size=0)
    with pytest.raises(BadInput, match="unknown engine 'vlm'; want one of transformers, vllm, replay"):
        make_engine("vlm", str(tiny_model_dir))


# --- replayed answers ---------------------------------------------------------


@given(st.text(max_size=60))
def test_the_byte_tokenizer_gives_every_text_back(text):
    tokenizer = byte_tokenizer()
    ids = tokenizer(text)["input_ids"]
    if not any(special in text for special in tokenizer.all_special_tokens):
        assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text


def write_lines(folder, *lines):
    path = folder / "answers.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_answers_come_back_in_sample_order_and_are_cut_at_the_limit(tmp_path):
    path = write_lines(
        tmp_path, '{"id": "a", "text": "eins"}', "", '{"id": "a", "text": "zwei"}', '{"id": "b", "text": "x"}'
    )
    engine = ReplayEngine(str(path))
    asked = [Request(name, number, (1,), 0) for name, number in (("a", 0), ("a", 1), ("b", 0), ("b", 7))]
    found = dict(engine.generate(asked, settings(max_new_tokens=4)))
    texts = [engine.tokenizer.decode(each.token_ids, skip_special_tokens=True) for _, each in sorted(found.items())]
    assert texts == ["eins", "zwei", "x", "x"]
    assert [each.ended for _, each in sorted(found.items())] == [False, False, True, True]  # four bytes and an end
    for bad in (Request("a", 2, (1,), 0), Request("c", 0, (1,), 0)):
        with pytest.raises(BadInput, match=f"no answer {bad.sample} to question '{bad.question_id}'"):
            list(engine.generate([bad], settings()))


@pytest.mark.parametrize("line", ["no json", "[]", '{"id": 3, "text": "x"}', '{"id": "a"}'])
def test_a_bad_line_of_answers_is_named(tmp_path, line):
    with pytest.raises(BadInput, match=r"line 2 of .*want an object with the strings id and text"):
        read_answers(write_lines(tmp_path, '{"id": "a", "text": "x"}', line))


def test_the_oracle_spoils_only_the_last_step():
    from repro.tasks.protocol import Question

    right, wrong = (oracle_text(Question("p", "?", "33"), wrong=each) for each in (False, True))
    assert "\\boxed{33}" in right and "\\boxed{3 (33) + 7}" in wrong
    assert wrong.startswith(right.split(".")[0])
