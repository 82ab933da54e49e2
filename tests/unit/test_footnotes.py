"""What a table says of the tokens that training generated, and of the projection drawn twice."""

import json

import pytest

from repro.reporting.footnotes import generation_notes, retest_notes


@pytest.fixture
def summaries():
    train = [{"generated_tokens": 700, "traces": 7}, {"generated_tokens": 900, "traces": 3}]
    return [
        {"base": "b", "arm": "grpo", "cell_id": "g0", "train": {}},
        *({"base": "b", "arm": "rest_mcts", "cell_id": f"r{seed}", "train": each} for seed, each in enumerate(train)),
    ]


def test_tokens_of_both_methods_are_means_over_seeds_and_a_trace_costs_the_mean_of_ratios(summaries, tmp_path):
    (tmp_path / "g0").mkdir()
    spec = {"train": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}}
    (tmp_path / "g0" / "config.json").write_text(json.dumps(spec))
    rows = [
        {"completions/mean_length": 10.0, "reward": 0.5},
        {"completions/mean_length": 20.0, "reward": 0.5},
        {"x": 1},
    ]
    (tmp_path / "g0" / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # 8 completions x (10 + 20); (700 + 900) / 2; (100 + 300) / 2
    (note,) = generation_notes(summaries, tmp_path)
    assert "ReST-MCTS* 800, GRPO 240; 5 traces kept, 200 tokens per kept trace" in note


def test_without_metrics_grpo_is_left_out_and_without_the_search_there_is_no_note(summaries, tmp_path):
    assert "GRPO" not in generation_notes(summaries, tmp_path)[0]
    assert generation_notes(summaries[:1], tmp_path) == []


def test_two_draws_of_psi_are_averaged_over_steps_and_seeds_that_drew_them(tmp_path):
    rows = {
        "m0": [(0.1, -0.2), (None, None)],
        "m1": [(0.3, 0.4)],
        "plain": [(None, None)],
    }
    for cell, pairs in rows.items():
        (tmp_path / cell).mkdir()
        lines = [{"upsilon/psi_retest_cosine": a, "upsilon/psi_retest_correlation": b, "reward": 1} for a, b in pairs]
        (tmp_path / cell / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    cells = [("gcpo_mc", "m0"), ("gcpo_mc", "m1"), ("gcpo_expected", "plain"), ("grpo", "gone")]
    summaries = [{"base": "b", "arm": arm, "cell_id": cell} for arm, cell in cells]
    (note,) = retest_notes(summaries, tmp_path)
    assert "on b, GCPO mc: cosine of the two draws 0.200, correlation" in note
    assert "similarity 0.100 (means of 2 steps)" in note
