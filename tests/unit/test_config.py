"""Profiles: every file parses, every line says where its value comes from, unknown words are refused in one line."""

import itertools
import re

import pytest

from repro.cells.experiments import ARMS, EXPERIMENTS, get_arm, get_experiment
from repro.cells.plan import make_cell
from repro.cells.records import Experiment
from repro.config import PROFILE_DIR, load_profile, profile_names
from repro.errors import BadInput
from repro.methods.registry import get_method


def test_the_profiles_exist():
    of_their_own = ["gpu", "integrate", "micro", "micro-slips", "paper", "pretrained", "smoke"]
    assert profile_names() == sorted([*of_their_own, "code-gpu", "code-paper", "programs", "programs-smoke"])


@pytest.mark.parametrize("name", profile_names())
def test_profile_parses_and_its_suites_arms_and_costs_are_complete(name):
    profile = load_profile(name)
    assert profile.name == name
    assert set(profile.arms) <= set(ARMS)
    assert set(profile.resources.base_cost) == set(profile.bases)
    for suite in profile.tasks.suites:
        assert profile.evaluate.samples_of(suite) >= 1
    for base, arm in itertools.product(profile.bases, get_experiment("table1").arms + get_experiment("gc2po").arms):
        cell = make_cell(profile, base, get_arm(arm), 0)
        if cell.trained:
            where = f"profile {name}, arm {arm}"
            get_method(cell.spec["method"]).settings(cell.spec["train"], seed=0, output_dir="x", where=where)


def unexplained_lines(text):
    """Lines that set a value and neither quote the paper nor say why the value was chosen."""
    bad = []
    for number, line in enumerate(text.splitlines(), start=1):
        body, _, comment = line.partition(" #")
        sets_value = re.match(r"^\s*(- )?[\w.\-]+:\s*\S", body) or re.match(r"^\s*- \S", body)
        if sets_value and not re.search(r'"[^"]{8,}"|not stated: \w.{3,}|measured: \w', comment):
            bad.append(f"{number}: {line.strip()}")
    return bad


@pytest.mark.parametrize("name", ["code-gpu", "code-paper", "programs", "programs-smoke"])
def test_a_profile_of_code_parses_and_every_arm_of_figure_3_has_settings(name):
    profile, figure = load_profile(name), get_experiment("figure3")
    assert figure.why_not(profile) == ""
    assert set(profile.resources.base_cost) == set(profile.bases)
    for base, arm in itertools.product(profile.bases, figure.arms):
        cell = make_cell(profile, base, get_arm(arm), 0)
        if cell.trained:
            where = f"profile {name}, arm {arm}"
            get_method(cell.spec["method"]).settings(cell.spec["train"], seed=0, output_dir="x", where=where)


@pytest.mark.parametrize(
    ("name", "other"),
    [("smoke", "programs-smoke"), ("micro", "programs"), ("gpu", "code-gpu"), ("paper", "code-paper")],
)
def test_a_target_of_its_own_has_another_profiles_values_under_the_profiles_name(name, other):
    own, of_target = load_profile(name), load_profile(name, target="figure3")
    assert own == load_profile(name, target="table1")
    assert of_target == load_profile(other).model_copy(update={"name": name})
    assert get_experiment("figure3").in_profile(of_target).panels
    with pytest.raises(BadInput, match=f"figure3 asks for programs; profile {name} has "):
        get_experiment("figure3").in_profile(own)
    changed = load_profile(name, ["train.max_steps=7"], target="figure3")
    assert changed.train["max_steps"] == 7


def test_a_word_for_another_target_is_left_out_only_where_all_are_meant():
    words = ["tasks.suites.modten-smoke=6", "evaluate.samples=3"]
    changed = load_profile("smoke", words, target="figure3", all_targets=True)
    assert changed.evaluate.samples == 3 and list(changed.tasks.suites) == ["programs-0shot", "programs-5shot"]
    with pytest.raises(BadInput, match=r"no key 'tasks\.suites\.modten-smoke'"):
        load_profile("smoke", words, target="figure3")
    with pytest.raises(BadInput, match=r"no key 'tasks\.suites\.nowhere'"):
        load_profile("smoke", ["tasks.suites.nowhere=6"], target="figure3", all_targets=True)


@pytest.mark.parametrize("name", profile_names())
def test_every_value_carries_the_papers_words_or_a_reason(name):
    assert unexplained_lines((PROFILE_DIR / f"{name}.yaml").read_text()) == []


def test_a_number_without_a_dot_is_a_number():
    assert load_profile("smoke", ["train.learning_rate=4e-4"]).train["learning_rate"] == 4e-4
    assert load_profile("smoke", ["train.lr_scheduler_type=constant"]).train["lr_scheduler_type"] == "constant"


def test_what_a_profile_says_of_a_base_wins_over_all_bases_and_loses_to_an_arm():
    micro = load_profile("micro-slips")

    def rate(base, arm):
        return make_cell(micro, base, get_arm(arm), 0).spec["train"]["learning_rate"]

    assert rate("nano-s", "grpo") == micro.train["learning_rate"]
    assert rate("nano-m", "grpo") == micro.bases["nano-m"].train["learning_rate"] != rate("nano-s", "grpo")
    assert rate("nano-m", "gvpo") == rate("nano-s", "gvpo") == micro.arms["gvpo"]["learning_rate"]


def test_table2_stands_on_the_base_in_the_role_of_the_papers():
    table2 = get_experiment("table2")
    assert table2.bases(load_profile("micro")) == ["duo-s-hard"]
    assert table2.bases(load_profile("smoke")) == list(load_profile("smoke").bases)[:1]


def test_every_control_of_gc2po_is_another_arm_but_for_one_setting():
    default = get_method("gc2po").settings({"max_steps": 1}, seed=0, output_dir="x", where="")
    for name in profile_names():
        profile = load_profile(name)
        base = get_experiment("gc2po").bases(profile)[0]
        values = {
            arm: make_cell(profile, base, get_arm(arm), 0).spec["train"]
            for arm in get_experiment("gc2po").arms
            if arm.startswith("gc2po")
        }
        assert len(values) == 9
        for arm, own in values.items():
            beside = values["gc2po_neutral" if arm == "gc2po_neutral_noncausal" else "gc2po"]
            changed = {key for key in own | beside if own.get(key) != beside.get(key)}
            assert len(changed) == (arm != "gc2po"), (name, arm, changed)
            assert all(own.get(key, getattr(default, key)) != beside.get(key) for key in changed)
        assert values["gc2po_perturbation_0"]["perturbation_size"] == 0


def test_a_bare_value_would_be_caught():
    assert unexplained_lines("train:\n  beta: 0.04\n  alpha: 2  # not stated: because x\n") == ["2: beta: 0.04"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seedz=3"], "no key 'seedz'; did you mean 'seeds'"),
        (["seeds=0"], "seeds: Input should be greater than or equal to 1"),
        (["evaluate.samplez=3"], "did you mean 'samples'"),
        (["evaluate.temperature=-1"], "evaluate.temperature"),
        (["nowhere.key=3"], "no section 'nowhere'"),
        (["seeds"], "want KEY=VALUE"),
    ],
)
def test_bad_overrides_are_one_line_with_what_would_be_right(overrides, message):
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        load_profile("smoke", overrides)
    assert "\n" not in str(caught.value)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'micro'"):
        load_profile("mikro")
    with pytest.raises(BadInput, match="did you mean 'table1'"):
        get_experiment("tabel1")
    with pytest.raises(BadInput, match="did you mean 'grpo'"):
        get_arm("grppo")


def test_a_registered_target_that_is_not_built_says_so(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "figure9", Experiment("figure9", "to come", "figure", note="not built yet"))
    with pytest.raises(BadInput, match="not built yet; built: table1"):
        get_experiment("figure9")


def test_all_tables_and_figures_of_the_paper_are_registered():
    assert {
        "table1",
        "table2",
        "table3",
        "figure3",
        "figure4a",
        "figure4b",
        "figure4c",
        "figure5",
        "figure6",
        "figure7",
        "figure8",
    } <= set(EXPERIMENTS)


def test_every_claim_compares_arms_of_its_table():
    for experiment in EXPERIMENTS.values():
        for claim in experiment.claims:
            assert {claim.better, claim.worse} <= set(experiment.arms)


def test_a_profile_that_extends_another_differs_in_what_it_gives_alone():
    micro, integrate = load_profile("micro"), load_profile("integrate")
    assert integrate.train == micro.train
    assert integrate.evaluate == micro.evaluate
    assert integrate.bases["duo-s"] == micro.bases["duo-s"]
    assert list(integrate.bases) == ["duo-s", "duo-s-votes"]  # null leaves a base out
    assert integrate.arms["gcpo_mc"] == micro.arms["gcpo_mc"] | {"candidate_order": "agreement", "retest_every": 5}
    assert get_experiment("table2").bases(integrate) == ["duo-s-votes"]
    changed = load_profile("integrate", ["train.max_steps=3"])
    assert (changed.train["max_steps"], changed.name) == (3, "integrate")
