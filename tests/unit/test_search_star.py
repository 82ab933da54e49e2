"""MCTS*, its value model and the self-training loop on a tiny random model."""

import logging
import math

import pytest
import torch

from gcpo.search.mcts import SearchQuestion
from gcpo.search.mcts_star import ANSWERING, MCTSStarConfig, grow
from gcpo.search.policy import Policy, delimiter_ids
from gcpo.search.tree import ROOT, tree_values
from gcpo.search.value_model import (
    StepValues,
    ValueModel,
    check_fits,
    fit,
    load_weights,
    rollout_tree,
    value_examples,
)
from gcpo.trainers.rest_mcts import RestMCTS, RestMCTSConfig

EOS = 1
PROMPTS = [[3, 13, 4, 16], [5], [9, 14, 9, 13, 2, 16]]


@pytest.fixture
def policy(tiny_model) -> Policy:
    return Policy(tiny_model.eval(), eos=EOS)


def value_model(model, seed=0) -> ValueModel:
    """A value model whose head is not zero, so that values differ."""
    value = ValueModel.from_policy(model).eval()
    torch.manual_seed(seed)
    torch.nn.init.normal_(value.head.weight, std=0.3)
    return value


def grown(policy, tiny_tokenizer, value=None, **settings):
    config = MCTSStarConfig(**({"iterations": 6, "path_tokens": 12, "step_tokens": 4, "end_gate": 2.0} | settings))
    asked = [SearchQuestion(f"q{number}", prompt, number) for number, prompt in enumerate(PROMPTS)]
    values = StepValues(value or value_model(policy.model))
    return grow(policy, values, asked, config, delimiters=delimiter_ids(tiny_tokenizer, ";"))


def test_values_of_steps_read_with_reused_keys_equal_one_pass_over_the_whole_text(policy, tiny_tokenizer):
    value = value_model(policy.model)
    for prompt, each in zip(PROMPTS, grown(policy, tiny_tokenizer, value, mix=0.0), strict=True):
        leaves = [node for node in range(1, len(each.steps)) if not each.tree.children[node]]
        assert leaves
        for node in leaves:
            with torch.inference_mode():
                found = value(input_ids=torch.tensor([prompt + each.ids(node)])).values[0, -1].clamp(0, 1)
            assert each.tree.values[node] == pytest.approx(float(found), abs=1e-4)


def test_each_iteration_visits_the_root_once_and_opens_at_most_branch_children(policy, tiny_tokenizer):
    for each in grown(policy, tiny_tokenizer, iterations=9):
        assert each.tree.visits[ROOT] == 9
        assert sum(each.tree.visits[child] for child in each.tree.children[ROOT]) == 9
        for node, children in enumerate(each.tree.children):
            assert len(children) <= 3
            assert len({each.steps[child] for child in children}) == len(children)  # equal proposals are one
            assert node == ROOT or each.tree.visits[node] >= sum(each.tree.visits[child] for child in children)
        assert all(0 <= value <= 1 for value in each.tree.values)


def test_tokens_are_counted_per_tree_lookahead_included(policy, tiny_tokenizer):
    trees = grown(policy, tiny_tokenizer)
    assert sum(each.tokens for each in trees) == policy.tokens
    in_tree = sum(len(step) for each in trees for step in each.steps)
    assert policy.tokens > in_tree
    policy.tokens = 0
    assert grown(policy, tiny_tokenizer, roll_forward=0)
    assert policy.tokens > 0


def test_the_lookahead_mixes_the_best_value_seen_into_the_chosen_child(policy, tiny_tokenizer):
    plain = grown(policy, tiny_tokenizer, iterations=1, mix=0.0)
    mixed = grown(policy, tiny_tokenizer, iterations=1, mix=1.0, roll_forward=3, roll_branch=2)
    raised = [
        after - before
        for one, other in zip(plain, mixed, strict=True)
        for before, after in zip(one.tree.values[1:], other.tree.values[1:], strict=True)
    ]
    assert all(each >= -1e-6 for each in raised)
    assert 1 <= sum(each > 1e-6 for each in raised) <= len(PROMPTS)


def test_a_leaf_past_the_end_gate_ends_and_is_completed_for_data_and_stops_an_answer(policy, tiny_tokenizer):
    sure = ValueModel.from_policy(policy.model).eval()  # 0.5 everywhere
    for each in grown(policy, tiny_tokenizer, sure, end_gate=0.4, iterations=4):
        assert each.tree.ended[each.tree.children[ROOT][0]] or each.finished[each.tree.children[ROOT][0]]
        assert all(len(each.tree.path(node)) <= 5 for node in each.leaves())
    for each in grown(policy, tiny_tokenizer, sure, end_gate=0.4, iterations=50, stop_at_gate=True):
        assert each.stopped and each.tree.visits[ROOT] == 2


def test_published_settings_of_both_uses_are_the_defaults():
    data = MCTSStarConfig()
    assert (data.iterations, data.exploration, data.roll_forward, data.end_gate, data.first_visit_value) == (
        50, 0.5, 1, 0.8, 0.9)  # fmt: skip
    assert (ANSWERING.iterations, ANSWERING.exploration, ANSWERING.roll_forward, ANSWERING.end_gate,
            ANSWERING.first_visit_value) == (100, 0.4, 2, 0.9, 0.8)  # fmt: skip
    assert (data.branch, data.roll_branch, data.mix, RestMCTSConfig(output_dir="x").temperature) == (3, 1, 0.5, 0.7)


@pytest.mark.parametrize(("name", "value"), [("iterations", 0), ("branch", 0), ("roll_branch", 0), ("roll_forward", -1),
                                             ("mix", 1.5), ("end_gate", math.nan)])  # fmt: skip
def test_settings_that_no_search_can_run_with_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        MCTSStarConfig(**{name: value})


def test_the_model_is_never_called_with_a_batch_of_one(policy, tiny_tokenizer):
    values = StepValues(value_model(policy.model))
    grow(policy, values, [SearchQuestion("q", PROMPTS[0], 0)], MCTSStarConfig(iterations=3, branch=1, path_tokens=9),
         delimiters=delimiter_ids(tiny_tokenizer, ";"))  # fmt: skip
    assert policy.keys.fewest == values.keys.fewest == 2


def test_a_value_model_of_another_size_is_refused(tiny_model):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = tiny_model.config.to_dict() | {"layer_types": None}
    wider = ValueModel.from_policy(Qwen2ForCausalLM(Qwen2Config(**(sizes | {"vocab_size": 31}))))
    with pytest.raises(ValueError, match="value model has vocab_size 31"):
        check_fits(wider, tiny_model)
    shorter = ValueModel.from_policy(Qwen2ForCausalLM(Qwen2Config(**(sizes | {"max_position_embeddings": 16}))))
    with pytest.raises(ValueError, match="value model has max_position_embeddings 16, the policy 256"):
        check_fits(shorter, tiny_model)
    other = ValueModel.from_policy(Qwen2ForCausalLM(Qwen2Config(**(sizes | {"hidden_size": 16}))))
    with pytest.raises(ValueError, match="have shape"):
        load_weights(ValueModel.from_policy(tiny_model), other.state_dict())
    same = ValueModel.from_policy(tiny_model)
    assert load_weights(same, value_model(tiny_model).state_dict()).head.weight.abs().sum() > 0


def test_training_a_value_model_leaves_the_policy_alone_and_lowers_the_error(tiny_model):
    before = {name: each.clone() for name, each in tiny_model.state_dict().items()}
    value = ValueModel.from_policy(tiny_model)
    examples = value_examples([5, 6], [-1, 0, 0, 1], [[], [7, 13], [8, 13], [9, 1]], [False, False, False, True])
    log = fit(value, examples, epochs=30, rate=1e-2, rows=2, seed=0)
    assert log["loss_last"] < 0.2 * log["loss_first"]
    assert all(torch.equal(before[name], each) for name, each in tiny_model.state_dict().items())
    with pytest.raises(ValueError, match="no examples"):
        fit(value, [], epochs=1, rate=1e-2, rows=2, seed=0)


def test_every_node_is_valued_once_at_the_end_of_its_step():
    parents, steps = [-1, 0, 0, 1, 1], [[], [7, 13], [8, 13], [9, 1], [6, 1]]
    correct = [False, False, False, True, False]
    examples = value_examples([5], parents, steps, correct)
    found = sorted((tuple(each.ids[: place + 1]), target) for each in examples
                   for place, target in zip(each.places, each.targets, strict=True))  # fmt: skip
    values = tree_values(parents, correct)
    assert found == sorted([((5, 7, 13), values[1]), ((5, 8, 13), values[2]), ((5, 7, 13, 9, 1), values[3]),
                            ((5, 7, 13, 6, 1), values[4])])  # fmt: skip
    assert value_examples([5], parents, steps, [False] * 5) == []


def test_rollouts_with_equal_prefixes_share_their_nodes():
    parents, steps, leaves = rollout_tree([[(7, 9), (1,)], [(7, 9), (2,)], [(7, 9), (1,)]])
    assert parents == [-1, 0, 1, 1]
    assert steps == [[], [7, 9], [1], [2]]
    assert leaves == [2, 3, 2]


def loop(tiny_model, tiny_tokenizer, tmp_path, grade, **settings):
    values = {
        "output_dir": str(tmp_path), "rounds": 1, "generated_tokens": 600, "iterations": 5, "trees_at_once": 8,
        "rollouts": 4, "path_tokens": 12, "step_tokens": 4, "delimiter": ";", "temperature": 1.0, "num_train_epochs": 1,
        "learning_rate": 1e-2, "value_rate": 1e-3, "use_cpu": True, "disable_tqdm": True, "warmup_steps": 0,
        "value_epochs": 1,
    } | settings  # fmt: skip
    rows = [{"prompt": f"{a} + {b} =", "answer": str((a + b) % 10)} for a in range(5) for b in range(4)]
    return RestMCTS(tiny_model, tiny_tokenizer, RestMCTSConfig(**values), rows=rows, grade=grade)


def test_no_right_leaf_gives_no_data_says_so_and_leaves_the_policy_alone(tiny_model, tiny_tokenizer, tmp_path, caplog):
    before = {name: each.clone() for name, each in tiny_model.state_dict().items()}
    training = loop(tiny_model, tiny_tokenizer, tmp_path, lambda ids, answers, ended: [False] * len(ids))
    with caplog.at_level(logging.WARNING):
        model = training.run()
    record = training.ledger.as_record()
    assert record["traces"] == 0 and record["tokens_per_kept_trace"] is None
    assert record["trees_without_right_leaf"] == record["trees"] > 0
    assert "no right leaf" in caplog.text and "no plain rollout is right" in caplog.text
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


def test_the_loop_trains_on_right_traces_within_its_budget_of_tokens(tiny_model, tiny_tokenizer, tmp_path):
    """Right: an even number of tokens. The policy then moves, and every kept trace is right and was drawn."""
    seen = []

    def grade(ids, answers, ended):
        verdicts = [done and len(each) % 2 == 0 for each, done in zip(ids, ended, strict=True)]
        seen.extend(tuple(each) for each, right in zip(ids, verdicts, strict=True) if right)
        return verdicts

    before = {name: each.clone() for name, each in tiny_model.state_dict().items()}
    training = loop(tiny_model, tiny_tokenizer, tmp_path, grade, rounds=2)
    kept = []
    fine_tune = training.fine_tune
    training.fine_tune = lambda traces: kept.extend(traces) or fine_tune(traces)
    model = training.run()
    record = training.ledger.as_record()
    assert 600 <= record["generated_tokens"] < 900
    assert 0 < record["rollout_tokens"] < record["generated_tokens"]
    assert record["traces"] == len(kept) > 0
    assert {tuple(each["completion"][:-1]) for each in kept} <= set(seen)
    assert record["tokens_per_kept_trace"] == pytest.approx(record["generated_tokens"] / len(kept))
    assert any(not torch.equal(before[name], each) for name, each in model.state_dict().items())


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("generated_tokens", 0), ("rollout_share", 1.0),
                                             ("traces_per_question", -1), ("branch", 0)])  # fmt: skip
def test_impossible_settings_of_the_loop_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        RestMCTSConfig(output_dir="unused", **{name: value})


def test_a_loop_without_questions_is_refused(tiny_model, tiny_tokenizer, tmp_path):
    with pytest.raises(ValueError, match="there are no questions"):
        RestMCTS(tiny_model, tiny_tokenizer, RestMCTSConfig(output_dir=str(tmp_path)), rows=[], grade=lambda *_: [])
