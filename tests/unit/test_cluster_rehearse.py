"""A rehearsal: what it replaces and what it keeps, and its made problems."""

from types import SimpleNamespace

import pytest

from repro.cells.experiments import get_experiment
from repro.cells.plan import plan_cells
from repro.cells.run import check_settings
from repro.cluster.rehearse import STAMP, overrides, tiny_model
from repro.config import load_profile
from repro.methods.trl import rows_needed
from repro.tasks.benchmarks.rehearsal import sums
from repro.tasks.build import make_taskset
from repro.tasks.protocol import Response

METHOD = ("alpha", "kappa", "beta", "candidate_view", "answer_marker", "learning_rate", "bf16")


@pytest.fixture
def small(tiny_model_dir):
    paper = load_profile("paper")
    return load_profile("paper", overrides(paper, ranks=2, deepspeed=False), base=str(tiny_model_dir))


def test_arms_keep_their_method_and_lose_their_size(small, tiny_model_dir):
    paper = load_profile("paper")
    table = get_experiment("table1")
    there = {cell.arm: cell for cell in plan_cells(paper, table, 1, bases=["r1-distill-7b"])}
    here = {cell.arm: cell for cell in plan_cells(small, table, 1)}
    assert set(here) == set(there)
    for arm in ("grpo", "gvpo", "drgrpo", "gcpo_expected", "gcpo_mc"):
        for name in METHOD:
            assert here[arm].spec["train"].get(name) == there[arm].spec["train"].get(name), (arm, name)
        assert here[arm].spec["train"]["max_completion_length"] == 64
    check_settings(small, list(here.values()))


def test_a_rehearsal_is_stamped_and_has_a_folder_of_its_own(small):
    assert small.stamp == STAMP and small.name == "paper-rehearsal"
    assert small.cluster.ranks == 2 and small.cluster.layout("x", "grpo").zero == 0


def test_made_problems_are_graded_by_the_real_grader(small):
    with make_taskset(small.tasks) as tasks:
        (question,) = tasks.training_questions("any", 0, 1)
        assert tasks.prompt(question)[0]["content"].endswith("\\boxed{}.")
        right, wrong = (Response(f"so \\boxed{{{n}}}", True) for n in (question.gold, "77"))
        assert [each.correct for each in tasks.grade([question] * 2, [right, wrong])] == [True, False]
        assert all(len(tasks.questions(suite)) == 4 for suite in small.tasks.suites)
    assert sums("a", 0, 5) == sums("a", 0, 5) != sums("a", 1, 5)


@pytest.mark.slow
def test_the_tiny_model_boxes_digits(tmp_path, monkeypatch):
    import torch

    from repro.bases.load import load_model, load_tokenizer
    from repro.tasks.encoding import encode_prompt

    monkeypatch.setenv("GCPO_CACHE", str(tmp_path))
    folder = tiny_model()
    assert tiny_model() == folder
    tokenizer, model = load_tokenizer(folder), load_model(folder, torch.device("cpu"))
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (2, 64)
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "What is 1 plus 1?"}])
    torch.manual_seed(0)
    ids = model.generate(
        torch.tensor([prompt.token_ids] * 16), do_sample=True, max_new_tokens=24, eos_token_id=tokenizer.eos_token_id
    )
    texts = tokenizer.batch_decode(ids[:, len(prompt.token_ids) :])
    assert sum("\\boxed{" in text for text in texts) > 8


def test_a_training_on_several_processes_reads_as_many_prompts_as_all_of_them_need():
    def config(ranks):
        return SimpleNamespace(
            max_steps=3, gradient_accumulation_steps=4, steps_per_generation=8, num_iterations=1,
            per_device_train_batch_size=8, num_generations=8, world_size=ranks,
        )  # fmt: skip

    # two rollouts of 8 prompts on each process
    assert [rows_needed(config(ranks)) for ranks in (1, 2, 8)] == [16, 32, 128]
