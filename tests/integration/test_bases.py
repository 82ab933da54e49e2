"""A base is trained once, equal specs give equal weights, and a damaged folder is noticed."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from repro.bases import make as bases
from repro.bases.keep import is_whole
from repro.bases.make import BaseSpec, base_path, ensure_base, load_base, make_base, resolve_bases
from repro.bases.sft import encode
from repro.errors import BadInput
from repro.evaluation.base_quality import integration_report, majority_share, measure_base
from repro.tasks.procedural import make_problem
from repro.tasks.procedural.families import FAMILIES

FIELDS = {
    "hidden": 16,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "intermediate": 24,
    "families": ["shop"],
    "levels": {"e": 1.0},
    "slip": 0.1,
    "integration_share": 0.2,
    "agreement": 0.3,
    "answer_weight": 1.0,
    "tokens": 6_000,
    "batch_tokens": 400,
    "muon_lr": 0.02,
    "muon_steps": 4,
    "adamw_lr": 3e-3,
    "warmup_steps": 5,
    "flat_share": 0.3,
    "final_rate": 0.02,
    "seed": 0,
}


def spec(**changes) -> BaseSpec:
    return resolve_bases({"tiny": {**FIELDS, **changes}})["tiny"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_equal_specs_give_equal_weights_whatever_the_global_seed(tmp_path):
    torch.manual_seed(1)
    first = make_base(spec(), tmp_path / "a")
    torch.manual_seed(2)
    second = make_base(spec(), tmp_path / "b")
    other = make_base(spec(seed=1), tmp_path / "c")
    assert first["weights_sha256"] == second["weights_sha256"] != other["weights_sha256"]
    assert first["tokens"] >= 6_000


def test_the_folder_is_a_standard_one_and_generates(tmp_path):
    make_base(spec(), tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert model.config.model_type == "qwen2"
    for family in FAMILIES:
        problem = make_problem(family, "m", 0)
        assert tokenizer(problem.prompt + problem.solution)["input_ids"] == encode(problem.prompt + problem.solution)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    prompt = tokenizer(make_problem("shop", "e", 0).prompt, return_tensors="pt")
    assert model.generate(**prompt, max_new_tokens=4).shape[1] > prompt["input_ids"].shape[1]


def test_a_base_is_trained_once_and_again_only_when_damaged():
    calls = []
    folder = ensure_base(spec(), progress=lambda share, text: calls.append(share))
    assert folder == base_path(spec())
    before = (folder / "base.json").read_text()
    ensure_base(spec(), progress=lambda share, text: pytest.fail("trained again"))
    assert (folder / "base.json").read_text() == before

    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"corrupt!")
    assert not is_whole(folder)
    with pytest.raises(BadInput, match="delete the folder"):
        load_base(folder)
    assert ensure_base(spec()) == folder
    assert is_whole(folder)
    assert json.loads((folder / "base.json").read_text())["weights_sha256"] == json.loads(before)["weights_sha256"]
    assert [path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")] == [folder.name]


def test_weights_that_come_with_the_project_take_the_place_of_a_training(monkeypatch, tmp_path):
    made = ensure_base(spec())
    shipped = tmp_path / "project" / "results" / "published" / "micro" / "bases" / made.name
    shutil.copytree(made, shipped)
    monkeypatch.setattr("repro.bases.make.REPO_ROOT", tmp_path / "project")
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "fresh"))
    folder = ensure_base(spec(), progress=lambda share, text: pytest.fail("trained"))
    assert folder == tmp_path / "fresh" / "bases" / made.name and is_whole(folder)
    assert (folder / "base.json").read_text() == (made / "base.json").read_text()

    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "anew"))
    monkeypatch.setenv("BASES", "train")
    assert (ensure_base(spec()) / "base.json").read_text() != (made / "base.json").read_text()  # its seconds

    monkeypatch.delenv("BASES")
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "third"))
    (shipped / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(BadInput, match="set BASES=train"):
        ensure_base(spec())


@pytest.mark.parametrize("damage", ["model.safetensors", "base.json"])
def test_a_missing_file_makes_a_base_incomplete(damage):
    folder = ensure_base(spec())
    (folder / damage).unlink()
    assert not is_whole(folder)
    with pytest.raises(BadInput, match="missing"):
        load_base(folder)


def test_an_interrupted_training_leaves_no_base_and_no_rubbish(cache):
    def stop(share, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_base(spec(tokens=60_000), progress=stop)
    assert [path.name for path in (cache / "bases").iterdir() if not path.name.endswith(".lock")] == []


def test_spec_and_recipe_decide_where_a_base_lives(monkeypatch):
    here = base_path(spec())
    assert here == base_path(spec())
    assert here != base_path(spec(slip=0.2))
    monkeypatch.setattr(bases, "recipe_hash", lambda spec: "another recipe")
    assert here != base_path(spec())


def test_a_continued_base_starts_from_its_parent_and_inherits_its_fields(tmp_path):
    tree = {"child": {"continue_from": "tiny", "levels": {"m": 1.0}, "tokens": 2_000}, "tiny": FIELDS}
    child = resolve_bases(tree)["child"]
    assert (child.parent.name, child.hidden, child.tokens) == ("tiny", 16, 2_000)
    record = make_base(child, tmp_path / "child")
    parent = base_path(child.parent)
    assert record["parent_weights_sha256"] == json.loads((parent / "base.json").read_text())["weights_sha256"]
    moved = [
        (a - b).abs().max().item()
        for a, b in zip(load_base(tmp_path / "child").parameters(), load_base(parent).parameters(), strict=True)
    ]
    assert max(moved) > 0
    tree["tiny"] = {**FIELDS, "seed": 7}
    assert base_path(resolve_bases(tree)["child"]) != base_path(child)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"tiny": {**FIELDS, "slipp": 0.1}}, "slipp"),
        ({"tiny": {**FIELDS, "heads": 3}}, "multiple"),
        ({"tiny": {**FIELDS, "levels": {"z": 1}}}, "levels"),
        ({"tiny": {**FIELDS, "levels": {"e": 0}}}, "levels"),
        ({"tiny": {key: value for key, value in FIELDS.items() if key != "slip"}}, "slip"),
        ({"tiny": {"continue_from": "tinny"}}, "tinny"),
        ({"a": {"continue_from": "b"}, "b": {"continue_from": "a"}}, "continues itself"),
        ({"tiny": FIELDS, "wide": {"continue_from": "tiny", "hidden": 32}}, "another shape"),
    ],
)
def test_a_bad_spec_is_one_line(tree, message):
    with pytest.raises(BadInput, match=message) as error:
        resolve_bases(tree)
    assert "\n" not in str(error.value)


def test_measuring_reports_every_suite_and_group(tmp_path):
    make_base(spec(), tmp_path / "base")
    report = measure_base(tmp_path / "base", {"modten-smoke": 4}, k=2)
    suite = report["suites"]["modten-smoke"]
    assert suite["n"] == 4
    assert 0 <= suite["pass_at_1"] <= suite["pass_at_k"] <= 1
    assert set(suite["families"]) == {"shop"}
    groups = report["integration"]["modten-smoke"]
    assert groups["all"]["n"] == 4 == sum(groups[name]["n"] for name in ("all_wrong", "mixed", "all_right"))


def test_integration_groups_are_told_apart_by_the_candidates():
    problems = [make_problem("shop", "e", seed) for seed in range(3)]
    a, b, c = (problem.answer for problem in problems)
    wrong = "0" if c != "0" else "1"
    views = [[a, a], [b, None], [wrong, None]]
    single = [[True, True], [True, False], [False, False]]
    integrated = [[True, True], [False, True], [True, False]]
    report = integration_report(problems, views, single, integrated)
    assert report["all_right"] == {"n": 1, "single": 1.0, "majority": 1.0, "integrated": 1.0}
    assert report["mixed"] == {"n": 1, "single": 0.5, "majority": 1.0, "integrated": 0.5}
    assert report["all_wrong"] == {"n": 1, "single": 0.0, "majority": 0.0, "integrated": 0.5}
    assert report["by_right"] == {0: 0.5, 1: 0.5, 2: 1.0}
    assert majority_share(["1", "2", None], "2") == 0.5
    assert majority_share([None], "2") == 0.0
