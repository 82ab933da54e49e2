"""What a table says of the tokens that training generated."""

import json

import pytest

from repro.tables import generation_notes


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
