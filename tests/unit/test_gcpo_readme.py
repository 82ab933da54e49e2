"""The package's README names exactly the switches that exist."""

import dataclasses
import re
from pathlib import Path

import gcpo
from gcpo import GC2POConfig, GCPOConfig, PaperGRPOConfig

README = Path(gcpo.__file__).parent / "README.md"


def test_the_list_of_readings_names_every_switch_of_the_configuration_and_no_other() -> None:
    table = README.read_text(encoding="utf-8").split("## Readings")[1].split("Not switches")[0]
    named = re.findall(r"`(\w+)`", table)
    own = {field.name for field in dataclasses.fields(GCPOConfig)} - {
        f.name for f in dataclasses.fields(PaperGRPOConfig)
    }
    assert len(named) == len(set(named))
    assert set(named) == own | {"ref_policy"}


def test_the_readme_is_about_a_page() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 75


def test_the_list_of_gc2pos_readings_names_every_switch_of_its_configuration_and_no_other() -> None:
    text = (README.parent / "gc2po" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`", text.split("## Readings")[1].split("Each has")[0])
    inherited = {field.name for field in dataclasses.fields(PaperGRPOConfig)}
    assert sorted(named) == sorted({field.name for field in dataclasses.fields(GC2POConfig)} - inherited)
    for link in re.findall(r"\]\((.+?)\)", text):
        assert (README.parent / "gc2po" / link).exists(), link
    assert len(text.splitlines()) < 60
