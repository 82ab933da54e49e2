"""Tables of changed runs: where they are kept, the command under them, the labels of what was changed."""

import shlex

import pytest

from repro.cells.experiments import get_experiment
from repro.cells.plan import plan_cells
from repro.config import load_profile
from repro.reporting.variant import Variant, variant_of
from repro.tables.spec import table_spec
from repro.verbs.common import make_parents

TABLE = get_experiment("table1")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))


def variant(*sets, arms=None, bases=None):
    profile = load_profile("micro", sets)
    return variant_of(profile, TABLE, plan_cells(profile, TABLE, 2, arms, bases))


def test_the_profiles_own_run_has_the_plain_place_and_command():
    own = variant()
    assert own.folder == "" and own.notes() == []
    assert own.command("table1", "micro", 2) == "make reproduce-table1 PROFILE=micro SEEDS=2"


def test_a_run_with_more_seeds_is_the_profiles_own():
    profile = load_profile("smoke")
    assert variant_of(profile, TABLE, plan_cells(profile, TABLE, 5)).folder == ""


def test_sets_arms_and_bases_have_places_of_their_own():
    base = next(iter(load_profile("micro").bases))
    changed = [
        variant("train.max_steps=3"),
        variant("train.max_steps=4"),
        variant(arms=["base", "grpo"]),
        variant(bases=[base]),
        variant("train.max_steps=3", arms=["base", "grpo"]),
    ]
    assert len({each.folder for each in changed} - {""}) == 5
    assert variant("train.max_steps=3", "seeds=1").folder == variant("seeds=1", "train.max_steps=3").folder


def test_two_bases_of_one_profile_have_two_places(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "model").mkdir(parents=True)
    profiles = [load_profile("gpu", base=str(tmp_path / name / "model")) for name in ("one", "two")]
    places = {Variant(base=profile.given_base).folder for profile in profiles}
    assert len(places) == 2 and all(place.startswith("variants/base-model-") for place in places)


def test_the_command_says_what_was_typed():
    plain = variant("train.max_steps=3", "arms.gvpo.beta=0.0", arms=["base", "grpo"])
    assert plain.command("table1", "micro", 2) == (
        'make reproduce-table1 PROFILE=micro SEEDS=2 ARMS=base,grpo SET="train.max_steps=3 arms.gvpo.beta=0.0"'
    )
    odd = variant("tasks.suites={modten-easy: 4}", arms=["base"])  # which make would take apart
    words = shlex.split(odd.command("table1", "micro", 1))
    assert words[:5] == ["python", "-m", "repro", "run", "table1"]
    options = make_parents().profile.parse_known_args(words[5:])[0]
    assert options.overrides == ["tasks.suites={modten-easy: 4}"] and options.profile == "micro"


def test_a_changed_arm_carries_what_was_changed_and_the_others_do_not():
    changed = variant("arms.gcpo_mc.kappa=0.02", "arms.gcpo_mc.alpha=1.0", "train.max_steps=3")
    profile = load_profile("micro")
    before = {arm.id: arm.title for arm in table_spec(profile, TABLE, "").arms}
    after = {arm.id: arm.title for arm in changed.label(table_spec(profile, TABLE, "")).arms}
    assert after.pop("gcpo_mc") == before.pop("gcpo_mc") + " [kappa=0.02, alpha=1.0]"
    assert after == before
    assert changed.notes() == [
        "Not the profile's own run: SET arms.gcpo_mc.kappa=0.02, arms.gcpo_mc.alpha=1.0, train.max_steps=3."
    ]


def test_a_long_selection_has_a_short_name():
    name = variant(arms=[arm for arm in TABLE.arms if arm != "base"]).folder
    assert len(name) < 90
