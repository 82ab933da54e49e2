"""Memory and costs of the paper's models: sums of the published estimates, what is refused and with which advice."""

from dataclasses import replace

import pytest

from repro.cells.experiments import get_arm
from repro.cells.plan import make_cell
from repro.cluster import costs
from repro.cluster.memory import (
    CARDS,
    Setup,
    advice,
    check_memory,
    checkpoints_gib,
    head_gib,
    layer_gib,
    problems,
    resident_gib,
    sequences,
    training_gib,
)
from repro.cluster.models import SHAPES, Shape, shape_of
from repro.cluster.preflight import check_batch, check_cells, measured_cost, price, setup_of
from repro.config import load_profile
from repro.errors import BadInput

SMALL = SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
LARGE = SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
TOKENS = 16_384 + 1_024
ONE = Setup(rows=1, tokens=TOKENS, ranks=8, zero_stage=3, card=CARDS["a100-40"])


def peaks(shape: Shape, *, offload: bool) -> list[int]:
    return [round(training_gib(shape, replace(ONE, rows=rows, offload=offload))) for rows in (1, 2, 8)]


@pytest.mark.parametrize(
    ("shape", "resident", "offloaded", "activations", "fused", "peak", "peak_offloaded"),
    [
        (SMALL, 3.7, 1.2, [3, 6, 24], 2, [13, 16, 34], [11, 14, 31]),
        (LARGE, 16.0, 5.3, [7, 13, 53], 4, [31, 37, 77], [20, 27, 67]),
    ],
    ids=["1.5B", "7B"],
)
def test_the_formula_gives_the_published_table(
    shape, resident, offloaded, activations, fused, peak, peak_offloaded
) -> None:
    assert resident_gib(shape, ONE) == pytest.approx(resident, abs=0.05)
    assert resident_gib(shape, replace(ONE, offload=True)) == pytest.approx(offloaded, abs=0.05)
    found = [checkpoints_gib(shape, rows, TOKENS) + layer_gib(shape, rows, TOKENS) for rows in (1, 2, 8)]
    assert found == pytest.approx(activations, abs=0.5)
    assert head_gib(shape, ONE) == pytest.approx(fused, abs=0.4)
    assert head_gib(shape, replace(ONE, fused_head=False)) == pytest.approx(15, abs=0.3)
    assert peaks(shape, offload=False) == pytest.approx(peak, abs=1)
    assert peaks(shape, offload=True) == pytest.approx(peak_offloaded, abs=1)


def test_vllms_room_is_that_of_the_published_table() -> None:
    def room(shape, share, ranks):
        return sequences(shape, replace(ONE, vllm_share=share, vllm_ranks=ranks), TOKENS)

    assert (SMALL.kv_bytes, LARGE.kv_bytes) == (28_672, 57_344)
    assert room(SMALL, 0.5, 1) == pytest.approx(29, abs=1)
    assert [room(LARGE, 0.5, ranks) for ranks in (1, 2, 4)] == pytest.approx([3, 21, 58], abs=1)
    assert room(LARGE, 0.8, 2) == pytest.approx(46, abs=1)


def test_shards_of_every_stage_add_up_to_the_whole() -> None:
    per_parameter = {0: 18.0, 2: 12 / 8 + 2 / 8 + 2 + 2, 3: 18 / 8}
    for stage, wanted in per_parameter.items():
        assert resident_gib(SMALL, replace(ONE, zero_stage=stage)) == pytest.approx(SMALL.parameters * wanted / 2**30)
    assert resident_gib(SMALL, replace(ONE, reference=False)) == pytest.approx(SMALL.parameters * 16 / 8 / 2**30)


def test_what_the_profile_once_said_is_refused_with_what_to_change() -> None:
    once = replace(ONE, rows=8, vllm_share=0.8, max_model_tokens=131_072)
    assert len(problems(LARGE, once)) >= 2 and problems(SMALL, once)
    with pytest.raises(BadInput, match=r"GiB per GPU; set .*vllm_enable_sleep_mode to true") as caught:
        check_memory(LARGE, once, "profile paper, grpo on r1-distill-7b")
    assert "per_device_train_batch_size to" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"vllm_sleep": False}, {"vllm_share": 0.8}, {"rows": 4}, {"zero_stage": 2}, {"flash": False, "rows": 2}],
    ids=lambda changed: next(iter(changed)),
)
def test_following_the_advice_makes_it_fit(changed) -> None:
    fits = replace(ONE, vllm_share=0.5, vllm_ranks=2, vllm_sleep=True, max_model_tokens=20_480)
    assert problems(LARGE, fits) == []
    broken = replace(fits, **changed)
    assert problems(LARGE, broken) != []
    assert advice(LARGE, broken) is not None


def test_what_no_setting_can_fit_is_said_so() -> None:
    with pytest.raises(BadInput, match="no setting makes it fit 1 such cards"):
        check_memory(LARGE, replace(ONE, ranks=1, zero_stage=0), "x")


def test_a_sequence_longer_than_vllms_room_is_refused() -> None:
    tight = replace(ONE, vllm_share=0.45, vllm_sleep=True, max_model_tokens=131_072)
    assert any("no room for one sequence of 131072 tokens" in line for line in problems(LARGE, tight))


@pytest.fixture(scope="module")
def paper():
    return load_profile("paper")


@pytest.mark.parametrize("arm", ["grpo", "gvpo", "drgrpo", "gcpo_expected", "gcpo_mc", "gcpo_corrected"])
def test_every_arm_of_the_paper_profile_fits_on_every_base(paper, arm) -> None:
    check_cells(paper, [make_cell(paper, base, get_arm(arm), 0) for base in paper.bases])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bases.r1-distill-7b.train.per_device_train_batch_size=8", "2048 completions per update; want 256"),
        ("train.vllm_enable_sleep_mode=false", "vllm_enable_sleep_mode to true"),
        ("cluster.ranks=4", "128 completions per update; want 256"),
    ],
)
def test_a_setting_of_the_profile_that_cannot_run_is_refused(override, message) -> None:
    profile = load_profile("paper", [override])
    with pytest.raises(BadInput, match=message):
        check_cells(profile, [make_cell(profile, base, get_arm("grpo"), 0) for base in profile.bases])


def test_gvpo_row_by_row_is_refused_under_zero_3(paper) -> None:
    layouts = {"default": paper.cluster.layout("r1-distill-7b", "grpo")}
    profile = paper.model_copy(update={"cluster": paper.cluster.model_copy(update={"layouts": layouts})})
    with pytest.raises(BadInput, match=r"gvpo_rows_per_pass .* set cluster\.layouts 'gvpo@r1-distill-7b' to zero 2"):
        check_cells(profile, [make_cell(profile, "r1-distill-7b", get_arm("gvpo"), 0)])


def test_a_batch_of_prompts_costs_as_many_times_as_a_prompt_has_completions(paper) -> None:
    wide = load_profile("paper", ["cluster.batch_of=prompts"])
    cells = [make_cell(profile, "r1-distill-7b", get_arm("grpo"), 0) for profile in (paper, wide)]
    check_batch(wide.cluster, cells[1].spec["train"], "x")
    assert cells[0].id != cells[1].id
    # the tail of a rollout and the synchronisation do not grow with the batch
    ratio = price(wide, cells[1]).train / price(paper, cells[0]).train
    assert 5 < ratio < 8
    step = cells[1].spec["train"]
    assert step["steps_per_generation"] == step["gradient_accumulation_steps"] == 8 * 32


def test_kappas_second_forward_is_counted(paper) -> None:
    setups = {
        arm: setup_of(paper, make_cell(paper, "r1-distill-7b", get_arm(arm), 0)) for arm in ("grpo", "gcpo_expected")
    }
    assert setups["grpo"].extra_tokens == 0 and setups["gcpo_expected"].extra_tokens == 4096 + 16384
    assert training_gib(LARGE, setups["gcpo_expected"]) - training_gib(LARGE, setups["grpo"]) > 3


STEP = costs.Step(completions=256, ranks=8, limit=16_384)


@pytest.mark.parametrize(
    ("shape", "minutes", "aime", "numina", "evaluation"),
    [(SMALL, (4, 5.5), (16, 21), (69, 90), 3.4), (LARGE, (8, 11), (31, 44), (135, 190), 10.2)],
    ids=["1.5B", "7B"],
)
def test_costs_are_those_of_the_published_estimates(shape, minutes, aime, numina, evaluation) -> None:
    rates = costs.rates_of(shape, "a100-40")
    assert minutes[0] <= costs.step_seconds(shape, rates, STEP) / 60 <= minutes[1]
    assert aime[0] <= costs.training_hours(shape, rates, STEP, 29) <= aime[1]
    assert numina[0] <= costs.training_hours(shape, rates, STEP, 125) <= numina[1]
    tokens = costs.evaluation_tokens(dict.fromkeys(costs.QUESTIONS, 16), 16_384, dict.fromkeys(costs.QUESTIONS, 0))
    assert tokens == pytest.approx(74e6, rel=0.01)
    assert costs.evaluation_hours(rates, tokens) == pytest.approx(evaluation, rel=0.02)


def test_grpo_on_every_arm_of_table_1_and_three_seeds_takes_2000_hours(paper) -> None:
    cells = [make_cell(paper, base, get_arm("grpo"), seed) for base in paper.bases for seed in range(3)]
    assert 5 * sum(price(paper, cell).train for cell in cells) == pytest.approx(2000, rel=0.1)


def test_rates_without_a_source_or_of_another_card_are_not_guessed() -> None:
    assert all(len(row.source) > 20 for row in costs._table())
    with pytest.raises(BadInput, match="no rates for card 'h100-80'"):
        costs.rates_of(SMALL, "h100-80")


def test_more_than_a_hundred_gpu_hours_must_be_agreed_to() -> None:
    costs.check_hours(99.0, yes=False)
    costs.check_hours(5000.0, yes=True)
    with pytest.raises(BadInput, match=r"about 2,000 GPU-hours, more than 100; .*--yes"):
        costs.check_hours(2000.0, yes=False)


def test_costs_afterwards_stand_beside_the_plan(paper) -> None:
    cell = make_cell(paper, "r1-distill-7b", get_arm("grpo"), 0)
    planned = price(paper, cell).train
    seconds = 2 * planned * 3600 / 8
    found = measured_cost(paper, cell, LARGE, seconds, 8, tokens=66e6)
    assert found["gpu_hours"] == pytest.approx(2 * planned)
    assert found["measured_over_planned"] == pytest.approx(2.0)
    assert found["tokens_per_second"] == pytest.approx(66e6 / seconds)
    assert found["mfu"] == pytest.approx(6 * 7.62e9 * 66e6 / (seconds * 8 * 312e12))


def test_the_shape_of_a_model_is_read_from_its_folder(tiny_model_dir) -> None:
    from transformers import AutoModelForCausalLM

    shape = shape_of(str(tiny_model_dir))
    assert (shape.layers, shape.hidden, shape.kv_heads) == (2, 32, 1)
    whole = AutoModelForCausalLM.from_pretrained(tiny_model_dir).num_parameters()
    assert shape.parameters == pytest.approx(whole, rel=0.05)
    with pytest.raises(BadInput, match="its shape cannot be read"):
        shape_of("/nowhere/at/all")
