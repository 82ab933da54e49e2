"""Prompts, thoughts and protocols."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.evaluation.draw import passes
from repro.evaluation.engines.replay import byte_tokenizer
from repro.evaluation.protocols import PRESETS, get_preset, resolve
from repro.tasks.benchmarks.loading import SUITES
from repro.tasks.benchmarks.prompts import SENTENCE, prompt_of
from repro.tasks.encoding import answer_part, encode_prompt
from repro.tasks.protocol import Question

MATH = SUITES["MATH500"]
PROBLEM = Question("p", "What is $1+1$?", "2")
FIRST_R1 = (
    "{% for m in messages %}<｜User｜>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)
LATER_R1 = FIRST_R1.replace("<｜Assistant｜>", "<｜Assistant｜><think>\n")


def build_prompt(tokenizer, question, form, *, template=None):
    return encode_prompt(tokenizer, prompt_of(question, form), template=template)


TAG_FREE = st.text(alphabet="ab \n{}\\<>", max_size=40)


def test_a_chat_prompt_is_the_template_around_problem_and_sentence_without_a_system_turn():
    prompt = build_prompt(byte_tokenizer(), PROBLEM, "chat")
    assert prompt.text == f"<|user|>What is $1+1$?\n{SENTENCE}<|end|><|assistant|>"
    assert not prompt.thinking
    assert byte_tokenizer().decode(prompt.token_ids) == prompt.text


def test_the_other_forms_leave_out_the_sentence_and_the_template():
    bare = build_prompt(byte_tokenizer(), PROBLEM, "chat-bare")
    assert bare.text == "<|user|>What is $1+1$?<|end|><|assistant|>"
    assert build_prompt(byte_tokenizer(), PROBLEM, "raw").text == "What is $1+1$?"


@pytest.mark.parametrize("template", [FIRST_R1, LATER_R1])
def test_both_generations_of_r1_templates_end_inside_exactly_one_open_thought(template):
    prompt = build_prompt(byte_tokenizer(), PROBLEM, "chat", template=template)
    assert prompt.thinking
    assert prompt.text.endswith("<｜Assistant｜><think>\n") and prompt.text.count("<think>") == 1
    assert byte_tokenizer().decode(prompt.token_ids) == prompt.text


def test_a_tokenizer_without_a_template_is_refused_except_for_raw_prompts():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(BadInput, match="no chat template; pass --chat-template FILE, or --prompt raw"):
        build_prompt(tokenizer, PROBLEM, "chat")
    assert build_prompt(tokenizer, PROBLEM, "raw").token_ids


def test_unknown_forms_and_shots_without_chat_are_refused():
    with pytest.raises(BadInput, match="unknown prompt form 'chatty'; want one of chat, chat-bare, raw"):
        build_prompt(byte_tokenizer(), PROBLEM, "chatty")
    with pytest.raises(BadInput, match="worked examples need the prompt form 'chat'"):
        build_prompt(byte_tokenizer(), dataclasses.replace(PROBLEM, shots=5), "raw")


@pytest.mark.parametrize(
    ("text", "thinking", "answer", "thought"),
    [
        ("so \\boxed{2}", False, "so \\boxed{2}", False),
        ("hm \\boxed{1}</think> \\boxed{2}", True, " \\boxed{2}", True),
        ("hm \\boxed{1} and then", True, None, True),  # cut in the middle of a thought: no answer, whatever it boxes
        ("<think>hm</think>\\boxed{2}", False, "\\boxed{2}", True),
        ("\n <think>hm \\boxed{1}", False, None, True),
        ("hm</think>so</think>\\boxed{3}", True, "\\boxed{3}", True),
        ("hm</think>\\boxed{2}", False, "\\boxed{2}", True),  # a template opened the thought without our noticing
        ("the tag <think> in passing \\boxed{2}", False, "the tag <think> in passing \\boxed{2}", False),
    ],
)
def test_the_answer_is_what_follows_the_last_thought(text, thinking, answer, thought):
    result = answer_part(text, thinking=thinking)
    assert (result.text, result.thought) == (answer, thought)


@given(thought=TAG_FREE, answer=TAG_FREE, thinking=st.booleans())
def test_any_closed_thought_is_cut_off_and_any_open_one_has_no_answer(thought, answer, thinking):
    head = "" if thinking else "<think>"
    assert answer_part(f"{head}{thought}</think>{answer}", thinking=thinking).text == answer
    assert answer_part(head + thought, thinking=thinking).text is None


def test_the_standard_preset_draws_what_the_tables_need():
    standard = get_preset("standard")
    counts = {name: resolve(standard, suite).samples for name, suite in SUITES.items()}
    assert counts["AIME24"] == counts["AIME25"] == counts["AMC23"] == counts["AMC83"] == counts["HumanEval"] == 64
    assert counts["MATH500"] == counts["Minerva"] == 8
    five = {"AIME24": 30, "AIME25": 30, "AMC23": 40, "AMC83": 83, "MATH500": 500, "Minerva": 272}
    assert sum(counts[name] * rows for name, rows in five.items()) == 17_888
    assert all(resolve(get_preset(name), SUITES["AIME24"]).greedy for name in PRESETS)
    assert all(resolve(standard, suite).greedy for suite in SUITES.values())
    assert not resolve(standard, MATH, samples=1, temperature=0.0).greedy  # the samples are greedy themselves
    assert resolve(standard, SUITES["HumanEval"]).max_new_tokens == 2048
    assert resolve(standard, MATH).max_new_tokens == 16_384


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_sets_every_field_of_sampling(name):
    preset = get_preset(name)
    suite = SUITES["AIME24"]
    protocol = resolve(preset, suite)
    assert (protocol.top_k, protocol.min_p, protocol.repetition_penalty) == (0, 0.0, 1.0)
    assert (protocol.temperature, protocol.top_p) == ((0.8, 0.9) if name == "sober" else (0.6, 0.95))
    assert protocol.max_new_tokens == (32_768 if name in ("long", "sober") else 16_384)
    assert protocol.prompt_cap == 4096 and protocol.samples >= 10


def test_a_greedy_pass_is_one_sample_at_temperature_zero_and_equal_otherwise():
    protocol = resolve(get_preset("standard"), SUITES["HumanEval"])
    sampled, greedy = passes(protocol.samples, protocol.settings((7, 9)), greedy=protocol.greedy)
    assert (sampled.samples, sampled.settings.temperature, sampled.settings.stop_token_ids) == (64, 0.6, (7, 9))
    assert (greedy.samples, greedy.settings.temperature) == (1, 0.0)
    assert dataclasses.replace(greedy.settings, temperature=0.6) == sampled.settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "--samples is 0"),
        ({"max_new_tokens": 0}, "--max-new-tokens is 0"),
        ({"temperature": -0.1}, "--temperature is -0.1"),
        ({"temperature": 0.0}, "temperature 0 gives one sample, not 8"),
    ],
)
def test_impossible_protocols_are_refused(changes, message):
    with pytest.raises(BadInput, match=message):
        resolve(get_preset("standard"), MATH, **changes)


def test_unknown_presets_and_suites_a_preset_does_not_cover_are_refused():
    with pytest.raises(BadInput, match="unknown preset 'fast'; want one of quick, standard"):
        get_preset("fast")
    with pytest.raises(BadInput, match="preset 'long' has no protocol for HumanEval"):
        resolve(get_preset("long"), SUITES["HumanEval"])
