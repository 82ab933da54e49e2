"""What a table says of the tokens that training generated, and of the projection drawn twice."""

import json

import pytest

from gcpo import GCPOConfig
from repro.cells.training import training_record, with_training
from repro.config import load_profile
from repro.reporting import footnotes
from repro.reporting.footnotes import generation_notes, kappa_notes, retest_notes


@pytest.fixture
def summaries():
    train = [{"generated_tokens": 700, "traces": 7}, {"generated_tokens": 900, "traces": 3}]
    return [
        {"base": "b", "arm": "grpo", "cell_id": "g0", "train": {}},
        *({"base": "b", "arm": "rest_mcts", "cell_id": f"r{seed}", "train": each} for seed, each in enumerate(train)),
    ]


def metrics(folder, rows):
    folder.mkdir()
    spec = {"train": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}}
    (folder / "config.json").write_text(json.dumps(spec))
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_tokens_of_both_methods_are_means_over_seeds_and_a_trace_costs_the_mean_of_ratios(summaries, tmp_path):
    lengths = [{"completions/mean_length": length, "reward": 0.5} for length in (10.0, 20.0)]
    metrics(tmp_path / "g0", [*lengths, {"x": 1}])
    summaries[0] = with_training(summaries[0], tmp_path / "g0")
    # 8 completions x (10 + 20); (700 + 900) / 2; (100 + 300) / 2
    (note,) = generation_notes(summaries)
    assert "ReST-MCTS* 800, GRPO 240; 5 traces kept, 200 tokens per kept trace" in note


def test_without_metrics_grpo_is_left_out_and_without_the_search_there_is_no_note(summaries, tmp_path):
    assert with_training(summaries[0], tmp_path / "gone") == summaries[0]
    assert "GRPO" not in generation_notes(summaries)[0]
    assert generation_notes(summaries[:1]) == []


def test_two_draws_of_psi_are_averaged_over_steps_and_seeds_that_drew_them(tmp_path):
    rows = {"m0": [(0.1, -0.2), (None, None)], "m1": [(0.3, 0.4)], "plain": [(None, None)]}
    for cell, pairs in rows.items():
        keys = ("upsilon/psi_retest_cosine", "upsilon/psi_retest_correlation", "reward")
        metrics(tmp_path / cell, [dict(zip(keys, (*pair, 1), strict=True)) for pair in pairs])
    cells = [("gcpo_mc", "m0"), ("gcpo_mc", "m1"), ("gcpo_expected", "plain"), ("grpo", "gone")]
    summaries = [with_training({"base": "b", "arm": arm, "cell_id": cell}, tmp_path / cell) for arm, cell in cells]
    (note,) = retest_notes(summaries)
    assert "on b, GCPO mc: cosine of the two draws 0.200, correlation" in note
    assert "similarity 0.100 (means of 2 steps)" in note


def test_the_record_holds_rewards_tokens_and_retests_and_nothing_where_nothing_was_logged(tmp_path):
    metrics(tmp_path / "c", [{"reward": 0.25, "upsilon/psi_retest_cosine": 0.5, "upsilon/psi_retest_correlation": 0.1}])
    assert training_record(tmp_path / "c") == {"reward": [0.25], "generated_tokens": None, "psi_retest": [[0.5, 0.1]]}
    assert training_record(tmp_path / "none") is None


def test_a_table_says_where_the_divergence_has_not_the_papers_weight():
    (note,) = kappa_notes(load_profile("micro"), ["base", "grpo", "gcpo_expected", "gcpo_no_kl", "gcpo_mc"])
    assert note.endswith("kappa = 0.01 on 12.5 % of the rows (GCPO expected); 0.01 on 25 % of the rows (GCPO mc).")
    as_printed = ["arms.gcpo_expected.kappa=0.06", "arms.gcpo_expected.kappa_row_fraction=1.0"]
    assert not kappa_notes(load_profile("micro", as_printed), ["base", "grpo", "gcpo_expected"])
    assert GCPOConfig.__dataclass_fields__["kappa_row_fraction"].default == footnotes._ROWS
