"""Both engines on one tiny local model: greedy outputs are compared token by token. Needs vLLM (its CPU build will do).

Run in an environment made from repro/env/vllm_cpu.lock: `python -m pytest tests/integration/test_vllm_engine.py`.
"""

from importlib.util import find_spec

import pytest

from repro.errors import BadInput
from repro.evaluation.engines import Request, SamplingSettings, make_engine
from repro.tasks.procedural import build_tokenizer, load_suite

PROMPTS = 72
needs_vllm = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vllm is not importable here; see repro/env/vllm_cpu.lock for its CPU build"
)


def settings(temperature: float, stops: tuple[int, ...], **changes) -> SamplingSettings:
    fields = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 48} | changes
    return SamplingSettings(temperature=temperature, stop_token_ids=stops, **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Qwen2 of two layers and 32 dimensions per head, the least that vLLM's CPU kernels take, with task words."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            initializer_range=0.2,  # large enough that the likeliest token is clear and changes from place to place
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    place = tmp_path_factory.mktemp("tiny-qwen2")
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def engines(folder):
    return {name: make_engine(name, str(folder), batch_size=32) for name in ("transformers", "vllm")}


@pytest.fixture(scope="module")
def requests(folder):
    tokenizer = build_tokenizer()
    problems = load_suite("modten-easy", PROMPTS // 2) + load_suite("modten-far", PROMPTS // 2)
    return [
        Request(problem.key, number, tuple(tokenizer(problem.prompt)["input_ids"]), 1000 + number)
        for number, problem in enumerate(problems)
    ]


@needs_vllm
@pytest.mark.slow
def test_greedy_outputs_of_both_engines_are_the_same_tokens(engines, requests):
    stops = (engines["vllm"].tokenizer.eos_token_id, *engines["vllm"].tokenizer.convert_tokens_to_ids(["7", ";"]))
    outputs = {name: dict(engine.generate(requests, settings(0.0, stops))) for name, engine in engines.items()}
    assert sorted(outputs["vllm"]) == sorted(outputs["transformers"]) == list(range(PROMPTS))
    assert outputs["vllm"] == outputs["transformers"]
    ended = [completion.ended for completion in outputs["vllm"].values()]
    assert any(ended) and not all(ended)  # both ways to end were compared
    assert len({completion.token_ids for completion in outputs["vllm"].values()}) > PROMPTS // 4


@needs_vllm
@pytest.mark.slow
def test_a_repetition_penalty_means_the_same_to_both_engines(engines, requests):
    penalised = settings(0.0, (2,), repetition_penalty=1.3)
    outputs = [dict(engine.generate(requests[:16], penalised)) for engine in engines.values()]
    assert outputs[0] == outputs[1]
    assert outputs[0] != dict(engines["vllm"].generate(requests[:16], settings(0.0, (2,))))


@needs_vllm
@pytest.mark.slow
def test_a_sample_of_vllm_depends_on_its_seed_and_not_on_its_neighbours(engines, requests):
    drawn = settings(1.0, (2,), top_p=0.95)
    together = dict(engines["vllm"].generate(requests[:8], drawn))
    alone = {place: next(engines["vllm"].generate([requests[place]], drawn))[1] for place in range(8)}
    assert alone == together
    other = [Request(each.question_id, each.sample, each.prompt, each.seed + 1) for each in requests[:8]]
    assert dict(engines["vllm"].generate(other, drawn)) != together


@needs_vllm
@pytest.mark.slow
def test_a_caller_that_stops_early_leaves_nothing_running(engines, requests):
    greedy = settings(0.0, (2,))
    first = engines["vllm"].generate(requests, greedy)
    next(first)
    first.close()
    assert sorted(dict(engines["vllm"].generate(requests[:3], greedy))) == [0, 1, 2]


@needs_vllm
@pytest.mark.slow
def test_the_engine_says_what_can_move_a_sample(engines):
    facts = engines["vllm"].describe()
    assert facts["engine"] == "vllm" and facts["dtype"] in ("float32", "bfloat16")
    assert any(name.startswith("vllm") for name in facts["versions"])
    assert engines["vllm"].context_tokens == 256


@needs_vllm
@pytest.mark.slow
def test_heads_without_a_cpu_kernel_are_refused_before_the_engine_starts(tiny_model_dir):
    import torch

    if torch.cuda.is_available():
        pytest.skip("the limit is that of the CPU kernels")
    with pytest.raises(BadInput, match="heads of 16 dimensions"):
        make_engine("vllm", str(tiny_model_dir))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed here")
def test_without_vllm_the_engine_says_how_to_install_it(folder):
    with pytest.raises(BadInput, match=r"vllm is not installed here.*repro/env/vllm_cpu\.lock"):
        make_engine("vllm", str(folder))
