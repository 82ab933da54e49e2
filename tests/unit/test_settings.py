"""Every number of every setting: not finite is refused, and what `plan` accepts `run` accepts."""

import copy
import dataclasses
import json
import math
import random
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from gcpo.trainers import METHODS
from gcpo.trainers.rest_mcts import RestMCTSConfig
from gcpo.trainers.settings import RANGES, check_numbers
from repro import cli, config
from repro.bases import finetune, make, packaged
from repro.cells import bases, plan, run
from repro.cells.pool import Outcome
from repro.config import Profile, profile_names
from repro.errors import BadInput
from repro.methods.registry import Method
from repro.tasks.benchmarks import taskset as benchmark_tasks
from repro.tasks.procedural import taskset as procedural_tasks
from repro.tasks.words import taskset as word_tasks

NOT_FINITE = (math.nan, math.inf, -math.inf)
CONFIGS = (*(config_class for config_class, _ in METHODS.values()), RestMCTSConfig)


# --- numbers that are not finite -----------------------------------------------


def models(model: type[BaseModel], seen: set) -> Iterator[type[BaseModel]]:
    """A schema and every schema inside it."""
    if model not in seen:
        seen.add(model)
        yield model
        for field in model.model_fields.values():
            for kind in plain(field.annotation):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from models(kind, seen)


def plain(hint: Any) -> Iterator[Any]:
    """The types that a hint is made of."""
    yield hint
    yield getattr(hint, "__origin__", None)
    for part in get_args(hint):
        yield from plain(part)


def numbers_of_the_schema() -> list[tuple[type[BaseModel], str, bool]]:
    """(schema, field, whether its numbers stand in a mapping) of every field that has numbers."""
    found = []
    for model in models(Profile, set()):
        for name, field in model.model_fields.items():
            kinds = set(plain(field.annotation)) - {None}
            if kinds & {int, float}:
                found.append((model, name, dict in kinds))
    return found


def numbers_of_the_configurations() -> list[tuple[type, str]]:
    """(configuration, field) of every field whose type names a number, as text or as types."""
    return [
        (config_class, field.name)
        for config_class in CONFIGS
        for field in dataclasses.fields(config_class)
        if field.init and any(word in str(field.type) for word in ("int", "float"))
        and not any(word in str(field.type) for word in ("Interval", "Hint"))
    ]  # fmt: skip


def test_the_walks_find_what_they_should():
    schema = {(model.__name__, name) for model, name, _ in numbers_of_the_schema()}
    assert {("EvaluateSpec", "temperature"), ("ResourceSpec", "base_cost"), ("SearchSpec", "exploration")} <= schema
    configurations = {(config_class.__name__, name) for config_class, name in numbers_of_the_configurations()}
    assert {("GCPOConfig", "alpha"), ("RestMCTSConfig", "mix"), ("GC2POConfig", "std_eps")} <= configurations
    assert len(schema) > 20 and len(configurations) > 300
    known = {name for _, name in configurations}
    assert set(RANGES) <= known, "a range for a setting that no configuration has"


@examples(max_examples=100, deadline=None)
@given(st.sampled_from(numbers_of_the_schema()), st.sampled_from(NOT_FINITE))
def test_the_schema_takes_no_number_that_is_not_finite(place, value):
    model, name, mapping = place
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: {"x": value} if mapping else value})
    assert any(fault["loc"] == () or fault["loc"][0] == name for fault in caught.value.errors())


@examples(max_examples=300, deadline=None)
@given(st.sampled_from(numbers_of_the_configurations()), st.sampled_from((*NOT_FINITE, "nan", "high", True)))
def test_no_configuration_takes_a_number_that_is_none_or_not_finite(place, value):
    config_class, name = place
    field = next(each for each in dataclasses.fields(config_class) if each.name == name)
    if isinstance(value, str) and "str" in str(field.type):
        return  # such as pad_to_multiple_of="auto"
    with pytest.raises(ValueError, match=name) as caught:
        config_class(output_dir="unused", use_cpu=True, **{name: value})
    assert "\n" not in str(caught.value)


@examples(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(RANGES)), st.sampled_from((-1, -0.5, 0, 1, 2, 1e30)))
def test_a_range_decides_and_says_what_would_be_right(name, value):
    config_class = next(each for each in CONFIGS if name in {field.name for field in dataclasses.fields(each)})
    made = config_class(output_dir="unused", use_cpu=True)
    setattr(made, name, value)
    holds, words = RANGES[name]
    if holds(value):
        return
    with pytest.raises(ValueError) as caught:
        check_numbers(made)
    assert str(caught.value) in (f"{name} is {value}; want {words}", f"{name} is {value}; want a whole number")


@pytest.mark.parametrize("key", ["generation_kwargs", "model_init_kwargs"])
def test_a_number_inside_a_mapping_is_looked_at(key):
    with pytest.raises(ValueError, match=f"{key} holds nan; want finite numbers"):
        METHODS["grpo"][0](output_dir="unused", use_cpu=True, **{key: {"a": [1.0, math.nan]}})


# --- one changed key of a profile ------------------------------------------------

VALUES = (
    -1,
    0,
    3,
    10**12,
    1e30,
    0.5,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    "zzz",
    "3",
    "nan",
    "",
    True,
    None,
    [1],
    {"a": 1},
)


def places(tree: Any, where: tuple = ()) -> Iterator[tuple]:
    """The keys that lead to every value of nested mappings."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield (*where, key)
        yield from places(value, (*where, key))


def mutant(tree: dict, rng: random.Random) -> tuple[dict, str]:
    """A copy with one key changed, taken out or put in, and what was done."""
    tree = copy.deepcopy(tree)
    where = rng.choice(list(places(tree)))
    node = tree
    for key in where[:-1]:
        node = node[key]
    change = rng.choice(("value", "value", "value", "value", "missing", "unknown"))
    if change == "value":
        node[where[-1]] = rng.choice(VALUES)
        return tree, f"{'.'.join(map(str, where))} = {node[where[-1]]!r}"
    if change == "missing":
        del node[where[-1]]
        return tree, f"{'.'.join(map(str, where))} taken out"
    node["zzz"] = 1
    return tree, f"{'.'.join(map(str, (*where[:-1], 'zzz')))} = 1 put in"


def remembered(function: Any) -> Any:
    """The function, which is called once for equal arguments, a refusal included."""
    known: dict[str, tuple[Any, BadInput | None]] = {}

    def call(*args: Any, **kwargs: Any) -> Any:
        key = json.dumps([args, kwargs], default=repr)
        if key not in known:
            try:
                known[key] = function(*args, **kwargs), None
            except BadInput as error:
                known[key] = None, error
        found, error = known[key]
        if error is not None:
            raise error
        return found

    return call


@pytest.fixture
def started(tmp_path, monkeypatch):
    """`run` up to the point where it would start its cells; the list says how many tasks it had each time."""
    tasks: list[int] = []

    def pool(given, jobs, **_):
        tasks.append(len(given))
        return Outcome([], {}, {})

    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GCPO_DEVICE", "cpu")  # profiles for GPUs too
    monkeypatch.setattr(run, "run_pool", pool)
    monkeypatch.setattr("repro.reporting.build.build_report", lambda *_, **__: type("Report", (), {"text": ""}))
    for module in (plan, bases):
        monkeypatch.setattr(module, "code_hash", lambda roots: "code")
    monkeypatch.setattr(cli, "build_parser", cache(cli.build_parser))
    # what a profile's numbers do not decide is read once
    monkeypatch.setattr(Method, "settings", remembered(Method.settings))
    monkeypatch.setattr(packaged, "find_gguf", cache(packaged.find_gguf))
    monkeypatch.setattr(finetune, "find_gguf", packaged.find_gguf)
    monkeypatch.setattr(make, "recipe_hash", lambda *_: "recipe")
    monkeypatch.setattr(procedural_tasks, "load_suite", remembered(procedural_tasks.load_suite))
    monkeypatch.setattr(word_tasks, "load_suite", remembered(word_tasks.load_suite))
    monkeypatch.setattr(benchmark_tasks, "load_benchmark", remembered(benchmark_tasks.load_benchmark))
    monkeypatch.setattr(benchmark_tasks, "load_training_set", remembered(benchmark_tasks.load_training_set))
    return tasks


@pytest.mark.parametrize("name", profile_names())
def test_what_plan_refuses_running_refuses_in_the_same_line_and_what_it_accepts_starts(
    name, started, monkeypatch, capsys
):
    whole, rng = config._read_tree(name), random.Random(name)
    cluster = "cluster" in whole  # such a profile is launched and not run
    if cli.main(["plan", "table1", "--profile", name]) == cli.BAD_INPUT:
        pytest.skip(f"this machine cannot run profile {name}: {capsys.readouterr().err}")
    refused = 0
    for number in range(200):
        tree, what = mutant(whole, rng)
        monkeypatch.setattr(config, "_read_tree", lambda _, tree=tree: copy.deepcopy(tree))
        words = ["table1" if number % 2 or cluster else "table3", "--profile", name, "--seeds", "1"]
        capsys.readouterr()
        planned, starts = cli.main(["plan", *words]), len(started)
        line = capsys.readouterr().err
        assert planned in (cli.DONE, cli.BAD_INPUT), what
        assert line.count("\n") == (planned == cli.BAD_INPUT), (what, line)
        refused += planned == cli.BAD_INPUT
        if cluster:
            continue
        assert cli.main(["run", *words]) == planned, (what, line, capsys.readouterr().err)
        assert capsys.readouterr().err == line, what
        assert len(started) - starts == (planned == cli.DONE), what
    assert 60 < refused < 190
