"""Search at test time on a tiny random model: keys are reused rightly, batches, bad input, finite outcomes."""

import json

import numpy as np
import pytest
import torch

from gcpo.search.mcts import MCTSConfig, SearchQuestion, SearchResult, confidence, p_true, search, split_steps
from gcpo.search.policy import Policy, Request, delimiter_ids, nucleus
from gcpo.search.tree import ROOT

EOS = 1
STOP = frozenset([EOS])
PROMPTS = [[3, 13, 4, 16], [5], [9, 14, 9, 13, 2, 16], [7, 7, 16]]


@pytest.fixture
def policy(tiny_model) -> Policy:
    return Policy(tiny_model.eval(), eos=EOS)


def questions(prompts=PROMPTS) -> list[SearchQuestion]:
    return [SearchQuestion(f"q{number}", prompt, 100 + number) for number, prompt in enumerate(prompts)]


def last_token(ids, ended):
    return ids[-1] if ids and ended else None


def run(policy, tiny_tokenizer, asked=None, answer_of=last_token, classes=list, **settings):
    config = MCTSConfig(**({"simulations": 8, "path_tokens": 12, "step_tokens": 5} | settings))
    return search(
        policy,
        questions() if asked is None else asked,
        config,
        delimiters=delimiter_ids(tiny_tokenizer, ";"),
        answer_of=answer_of,
        classes=classes,
    )


def write(policy, prompts, seeds, limit=10, stop=STOP):
    slots = policy.open(prompts)
    requests = [Request(s, p[-1], limit, seed) for s, p, seed in zip(slots, prompts, seeds, strict=True)]
    return policy.write(requests, stop)


@torch.inference_mode()
def plain_log_probs(model, prompt, ids):
    """The same tokens scored by one plain forward pass over the whole text."""
    logits = model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(dim=-1)
    return [float(logits[len(prompt) - 1 + place, token]) for place, token in enumerate(ids)]


def test_a_continuation_of_a_continuation_has_the_log_probs_of_one_pass_over_the_whole_text(policy):
    first = write(policy, PROMPTS, range(4), limit=4, stop=frozenset())
    requests = [Request(each.slots, each.ids[-1], 6, 50 + row) for row, each in enumerate(first)]
    second = policy.write(requests, frozenset())
    for prompt, one, two in zip(PROMPTS, first, second, strict=True):
        wanted = plain_log_probs(policy.model, prompt, one.ids + two.ids)
        assert one.log_probs + two.log_probs == pytest.approx(wanted, abs=1e-4)
        assert len(two.slots) == len(prompt) + 9  # all tokens but the last


def test_keys_are_stored_for_rows_that_end_early_too(policy):
    drawn = write(policy, PROMPTS * 5, range(20), limit=30)
    early = [row for row, each in enumerate(drawn) if each.stopped]
    assert len(early) > 0 and len({len(drawn[row].ids) for row in early}) > 2
    for row in early:
        prompt, each = (PROMPTS * 5)[row], drawn[row]
        (after,) = policy.write([Request(each.slots, each.ids[-1], 3, 9)], frozenset())
        wanted = plain_log_probs(policy.model, prompt, each.ids + after.ids)[-3:]
        assert after.log_probs == pytest.approx(wanted, abs=1e-4)


def test_what_a_row_draws_does_not_depend_on_its_company(policy):
    alone = [write(policy, [prompt], [seed])[0].ids for seed, prompt in enumerate(PROMPTS)]
    together = [each.ids for each in write(policy, PROMPTS, range(4))]
    assert alone == together
    assert len(set(map(tuple, together))) == 4


def test_draws_follow_the_models_distribution(policy):
    first = [each.ids[0] for each in write(policy, [PROMPTS[0]] * 4000, range(4000), limit=1)]
    found = np.bincount(first, minlength=policy.model.config.vocab_size) / 4000
    with torch.inference_mode():
        wanted = policy.model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].softmax(dim=-1).numpy()
    assert np.abs(found - wanted).max() < 0.03
    assert wanted.max() < 0.9


def test_a_nucleus_keeps_the_smallest_set_that_holds_its_mass():
    kept = nucleus(torch.tensor([[0.1, 0.5, 0.3, 0.1]]), 0.8)
    assert (kept > 0).tolist() == [[False, True, True, False]]
    assert (nucleus(torch.tensor([[0.1, 0.5, 0.3, 0.1]]), 0.81) > 0).sum() == 3


def test_the_model_is_never_called_with_a_batch_of_one(policy, tiny_tokenizer):
    run(policy, tiny_tokenizer, questions(PROMPTS[:1]), simulations=4)
    assert policy.keys.fewest == 2
    assert policy.keys.calls > 4


def test_every_simulation_is_a_visit_of_the_root_and_a_completion_or_a_revisit(policy, tiny_tokenizer):
    for result in run(policy, tiny_tokenizer, simulations=20, branch=2, exploration=0.5):
        assert result.tree["visits"][ROOT] == 20
        assert len(result.answers) + result.revisits == 20
        assert len(result.curve) == 20
        assert result.curve[-1] == (result.tokens, result.answer)
        below = sum(visits for visits, parent in zip(result.tree["visits"], result.tree["parents"], strict=True)
                    if parent == ROOT)  # fmt: skip
        assert below == 20
        assert all(0 <= value <= 1 for value in result.tree["values"])


def test_the_first_simulation_is_a_plain_sample_and_later_ones_share_its_tokens(policy, tiny_tokenizer):
    results = run(policy, tiny_tokenizer, simulations=12)
    drawn = sum(each.tokens for each in results)
    assert drawn == policy.tokens
    written = sum(len(ids) for each in results for ids in _paths(each))
    assert written > drawn  # prefixes of the tree are not drawn again


def _paths(result: SearchResult) -> list[list[int]]:
    paths = []
    for leaf in result.leaves:
        node, parts = leaf, []
        while node != -1:
            parts.append(result.tree["steps"][node])
            node = result.tree["parents"][node]
        paths.append([token for part in reversed(parts) for token in part])
    return paths


def test_equal_seeds_give_equal_trees_and_other_seeds_give_others(tiny_model, tiny_tokenizer):
    def searched(shift):
        asked = [SearchQuestion(q.id, q.prompt, q.seed + shift) for q in questions()]
        return [r.as_json() for r in run(Policy(tiny_model.eval(), eos=EOS), tiny_tokenizer, asked)]

    assert searched(0) == searched(0) != searched(1)


def test_equal_answers_in_other_words_are_one_vote(policy, tiny_tokenizer):
    def classes(answers):
        return [None if answer is None else answer % 3 for answer in answers]

    in_words = run(policy, tiny_tokenizer, simulations=12, classes=classes)
    by_class = run(policy, tiny_tokenizer, simulations=12, answer_of=lambda *a: classes([last_token(*a)])[0])
    apart = run(policy, tiny_tokenizer, simulations=12)
    assert [(r.values, r.tree, r.leaves) for r in in_words] == [(r.values, r.tree, r.leaves) for r in by_class]
    assert [classes(r.answers) for r in in_words] == [r.answers for r in by_class]
    assert [classes([r.answer]) for r in in_words] == [[r.answer] for r in by_class]
    assert any(a.values != b.values for a, b in zip(in_words, apart, strict=True))


def test_a_result_survives_json(policy, tiny_tokenizer):
    result = run(policy, tiny_tokenizer)[0]
    back = SearchResult(**json.loads(json.dumps(result.as_json())))
    assert back.tree == result.tree and back.answers == result.answers


@pytest.mark.parametrize(
    ("name", "value"),
    [("simulations", 0), ("branch", 0), ("step_tokens", 0), ("path_tokens", -1), ("exploration", -0.1),
     ("first_visit_value", float("inf")), ("exploration", float("nan"))],
)  # fmt: skip
def test_settings_that_no_search_can_run_with_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        MCTSConfig(**{name: value})


@pytest.mark.parametrize("delimiter", ["", "\n\n", "step"])
def test_a_delimiter_outside_the_vocabulary_is_refused(tiny_tokenizer, delimiter):
    with pytest.raises(ValueError, match="step delimiter"):
        delimiter_ids(tiny_tokenizer, delimiter)


def test_a_delimiter_that_never_occurs_leaves_steps_of_the_longest_length(policy):
    config = MCTSConfig(simulations=6, path_tokens=12, step_tokens=5)
    results = search(policy, questions(), config, delimiters=frozenset(), answer_of=lambda ids, ended: None)
    lengths = {len(step) for each in results for step in each.tree["steps"][1:]}
    assert max(lengths) == 5
    assert all(each.answer is None and len(each.answers) + each.revisits == 6 for each in results)


def test_steps_end_at_delimiters_at_the_longest_length_and_at_the_end():
    assert split_steps([7, 9, 7, 7, 7, 7, 2], frozenset([9]), 3) == [(7, 9), (7, 7, 7), (7, 2)]
    assert split_steps([], frozenset([9]), 3) == []


def biased(model, token, by):
    """The model with one token's logit moved, so that it always or never comes."""
    forward = model.forward

    def moved(**inputs):
        output = forward(**inputs)
        output.logits[..., token] += by
        return output

    model.forward = moved
    return model.eval()


def test_a_policy_that_emits_nothing_gives_no_answer_and_is_counted(tiny_model, tiny_tokenizer):
    results = run(Policy(biased(tiny_model, EOS, 1e4), eos=EOS), tiny_tokenizer, simulations=5)
    for result in results:
        assert result.answer is None
        assert result.empty == len(result.answers) >= 1
        assert result.tokens == len(result.answers)


def test_a_policy_that_never_ends_is_cut_and_counted(tiny_model, tiny_tokenizer):
    results = run(Policy(biased(tiny_model, EOS, -1e4), eos=EOS), tiny_tokenizer, simulations=5)
    for result in results:
        assert result.answer is None
        assert result.cut == len(result.answers) >= 1
        assert max(len(ids) for ids in _paths(result)) == 12


def test_a_question_longer_than_the_context_is_refused_by_name(policy, tiny_tokenizer):
    with pytest.raises(ValueError, match="question q0: 250 prompt tokens and 12 new ones; the model's context has 256"):
        run(policy, tiny_tokenizer, questions([[3] * 250]))


def test_an_empty_prompt_is_refused_by_name(policy, tiny_tokenizer):
    with pytest.raises(ValueError, match="question q0: the prompt has no tokens"):
        run(policy, tiny_tokenizer, questions([[]]))


def test_no_questions_give_no_results(policy, tiny_tokenizer):
    assert run(policy, tiny_tokenizer, []) == []


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_sampling_that_cannot_be_is_refused(tiny_model, settings):
    with pytest.raises(ValueError, match="want temperature > 0"):
        Policy(tiny_model, eos=EOS, **settings)


def test_values_by_confidence_are_the_mean_log_probability_of_the_completion(policy, tiny_tokenizer):
    config = MCTSConfig(simulations=3, path_tokens=8)
    results = search(policy, questions(), config, delimiters=delimiter_ids(tiny_tokenizer, ";"),
                     answer_of=lambda ids, ended: tuple(ids), leaf_values=confidence)  # fmt: skip
    for question, result in zip(questions(), results, strict=True):
        for ids, value in zip(_paths(result), result.values, strict=True):
            wanted = np.exp(np.mean(plain_log_probs(policy.model, question.prompt, ids)))
            assert value == pytest.approx(wanted, abs=1e-4)


def test_p_true_is_the_share_of_the_true_word_after_the_judges_question(policy, tiny_tokenizer):
    asked, true, false = [14, 15], 3, 4
    values = p_true(policy, question=asked, true=true, false=false)
    config = MCTSConfig(simulations=2, path_tokens=8)
    results = search(policy, questions(), config, delimiters=delimiter_ids(tiny_tokenizer, ";"),
                     answer_of=lambda ids, ended: tuple(ids), leaf_values=values)  # fmt: skip
    for question, result in zip(questions(), results, strict=True):
        for ids, value in zip(_paths(result), result.values, strict=True):
            with torch.inference_mode():
                logits = policy.model(input_ids=torch.tensor([question.prompt + ids + asked])).logits[0, -1]
            assert value == pytest.approx(float(logits[[true, false]].softmax(dim=-1)[0]), abs=1e-4)
    with pytest.raises(ValueError, match="both token 3"):
        p_true(policy, question=asked, true=3, false=3)
