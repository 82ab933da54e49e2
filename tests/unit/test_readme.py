"""The README: its commands exist, its numbers are the published ones, its links lead somewhere, its example runs."""

import re
import shlex
import shutil
import subprocess

import pytest

from repro.bases import sft
from repro.cells.experiments import EXPERIMENTS
from repro.cli import build_parser
from repro.paths import REPO_ROOT
from repro.reporting import readme
from repro.tasks.procedural import build_tokenizer

TEXT = (REPO_ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands():
    lines = [line.partition("#")[0].strip() for block in code_blocks("bash") for line in block.splitlines()]
    inline = re.findall(r"`((?:make|python -m repro) [^`]+)`", TEXT)
    return sorted({line for line in [*lines, *inline] if line})


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make")])
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_make_line_names_targets_that_exist(line):
    done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=REPO_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_help_has_a_line_with_its_cost_for_every_table_that_is_built():
    makefile = (REPO_ROOT / "Makefile").read_text(encoding="utf-8")
    for name in (name for name, experiment in EXPERIMENTS.items() if experiment.built):
        assert re.search(rf"reproduce-{name} .*smoke \d+ min, micro \d+ min", makefile), name


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("python -m repro")])
def test_every_repro_line_parses(line):
    build_parser().parse_args(shlex.split(line)[3:])


def test_the_two_commands_stand_in_front():
    first = code_blocks("bash")[0]
    assert "make reproduce-table1" in first and "make test" in first


def test_it_starts_with_the_claim_and_its_date():
    assert "replication" in TEXT[:400] and "2026-11" in TEXT[:600]


def test_the_generated_blocks_are_what_is_published():
    assert readme.filled(TEXT, readme.blocks()) == TEXT, "run `python -m repro publish table1`"


def test_a_typed_number_would_be_caught():
    new = {"table1": "a table\n", "bases": "b", "cost": "c"}
    text = "".join(f"<!-- generated: {name} -->\n9.9\n<!-- end generated -->\n" for name in new)
    assert "9.9" not in readme.filled(text, new)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_every_relative_link_leads_to_a_file(target):
    if not target.startswith("http"):
        assert (REPO_ROOT / target).exists()


def test_the_example_of_gcpo_alone_trains(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    tokenizer = build_tokenizer()
    shape = sft.Shape(hidden=16, layers=1, heads=2, kv_heads=1, intermediate=16)
    sft.build_model(shape, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    example = next(block for block in code_blocks("python") if "GCPOTrainer" in block)
    example = example.replace("path/to/model", str(folder)).replace("max_steps=10", "max_steps=1, use_cpu=True")
    scope = {"__name__": "example"}
    exec(compile(example, "README.md", "exec"), scope)
    assert scope["trainer"].state.global_step == 1
