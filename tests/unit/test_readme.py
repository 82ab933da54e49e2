"""The pages for people: their commands exist, their numbers are the published ones, their links lead somewhere, the
example runs.
"""

import re
import shlex
import shutil
import subprocess
from dataclasses import replace

import pytest

from repro.bases import sft
from repro.cells.experiments import EXPERIMENTS
from repro.cli import build_parser
from repro.config import load_profile, profile_names
from repro.errors import BadInput
from repro.paths import REPO_ROOT
from repro.reporting import documents, readme, results_page
from repro.reporting.published import profiles, published, stamp
from repro.tables import write_table1
from repro.tables.finding import finding
from repro.tasks.benchmarks import loading
from repro.tasks.benchmarks.training_sets import SETS
from repro.tasks.procedural import build_tokenizer

TEXT = (REPO_ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*documents.DOCUMENTS, REPO_ROOT / "gcpo" / "README.md", REPO_ROOT / "CONTRIBUTING.md"]
LINKS = sorted(
    {
        (page.relative_to(REPO_ROOT).as_posix(), target)
        for page in PAGES
        for pattern in (r"\]\(([^)#\s]+)\)", r'<img src="([^"]+)"')
        for target in re.findall(pattern, page.read_text(encoding="utf-8"))
        if not target.startswith("http")
    }
)


def code_blocks(language, text=TEXT):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def written(text):
    """What of a page is written by hand."""
    return re.sub(r"<!-- generated: .*?<!-- end generated -->", "", text, flags=re.DOTALL)


def commands():
    """Lines of code blocks, and commands between backquotes; not those that a table prints as its own."""
    found = set()
    for page in PAGES:
        text = re.sub(
            r"<!-- generated: .*?<!-- end generated -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        found |= {line.partition("#")[0].strip() for block in code_blocks("bash", text) for line in block.splitlines()}
        found |= set(re.findall(r"`(?:\.venv/bin/)?((?:make|python -m repro) [^`]+)`", text))
    return sorted(line.removeprefix("GCPO_DATA=folder/of/benchmark/files ") for line in found if line)


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make")])
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_make_line_names_targets_that_exist(line):
    done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=REPO_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_help_has_a_line_with_its_cost_for_every_table_that_is_built():
    makefile = (REPO_ROOT / "Makefile").read_text(encoding="utf-8")
    for name in (name for name, experiment in EXPERIMENTS.items() if experiment.built):
        assert re.search(rf"reproduce-{name} .*smoke (\d+ min|none), micro \d+ min", makefile), name


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("python -m repro")])
def test_every_repro_line_parses(line):
    build_parser().parse_args(shlex.split(line)[3:])


def test_the_two_commands_stand_in_front():
    first = code_blocks("bash")[0]
    assert "make reproduce-table1" in first and "make test" in first


def test_it_starts_with_the_claim_and_its_date():
    assert "replication" in TEXT[:400] and "2026-11" in TEXT[:600]


@pytest.mark.parametrize("page", documents.DOCUMENTS, ids=lambda page: page.relative_to(REPO_ROOT).as_posix())
def test_the_generated_blocks_are_what_is_published(page):
    assert documents.current(page) == page.read_text(encoding="utf-8"), "run `make readme`"


SUITE = (REPO_ROOT / "repro" / "README.md").read_text(encoding="utf-8")


def test_the_table_of_profiles_has_a_row_for_each():
    assert sorted(re.findall(r"^\| `([\w-]+)`(?: \(default\))? \|", written(SUITE), re.MULTILINE)) == profile_names()


def test_every_benchmark_file_is_named_with_what_to_do_without():
    files = {each.benchmark.file for each in loading.SUITES.values()} | {
        each.file for each in SETS.values() if each.file
    }
    assert files and not [name for name in files if f"`{name}`" not in SUITE]
    assert "--hub-data" in TEXT and "--hub-data" in SUITE


def test_values_that_the_pages_set_through_make_hold_no_blank_and_are_read():
    found = re.findall(r"SET=([^`\s]+)", written(SUITE))
    assert "tasks.train_sets.default=train_aime_1983_2023" in found and not any("'" in each for each in found)
    sets = load_profile("gpu", ["tasks.train_sets.default=train_aime_1983_2023"]).tasks.train_sets
    assert sets["default"] == "train_aime_1983_2023"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name == "README.md"], ids=lambda p: p.parent.name)
def test_a_page_that_says_python_says_where_from(page):
    text = written(page.read_text(encoding="utf-8"))
    assert not re.search(r"(?<![\w/])python -m", text) or ". .venv/bin/activate" in text


def test_the_verdict_names_the_command_behind_its_numbers_and_the_default():
    front = readme.front()
    text = readme.blocks()["verdict"]
    seeds = {len(arm.seeds) for arm in front.table.arms if arm.arm not in front.table.head.checkpoints and arm.seeds}
    more = f" (those of arms with more seeds with `SEEDS={max(seeds)}`)" if len(seeds) > 1 else ""
    assert f"`{front.head['command']}` gives these numbers{more}: profile `{front.profile}`" in text
    assert load_profile(front.profile).title in text
    assert (front.profile == "micro") == ("The default profile `micro`" not in text)


def test_a_typed_number_would_be_caught():
    new = {"table1": "a table\n", "bases": "b", "cost": "c"}
    text = "".join(f"<!-- generated: {name} -->\n9.9\n<!-- end generated -->\n" for name in new)
    assert "9.9" not in documents.filled(text, new)


def test_a_block_without_a_place_and_a_place_without_a_block_are_refused():
    with pytest.raises(BadInput, match="has no block '<!-- generated: cost -->'"):
        documents.filled("nothing here", {"cost": "c"})
    with pytest.raises(BadInput, match="generated: prize -->' is filled by nothing"):
        documents.filled("<!-- generated: prize -->\n<!-- end generated -->", {"cost": "c"})


def test_the_readme_is_short_and_its_first_screen_has_the_verdict_and_the_audits_findings():
    lines = TEXT.splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:30])
    assert finding(readme.front().table) in first
    for found in ("smaller than the noise", "were printed before", "stated cost"):
        assert found in first


def test_outside_its_blocks_the_readme_types_no_result():
    prose = re.sub(r"```.*?```", "", written(TEXT), flags=re.DOTALL)
    assert not re.findall(r"[-+]?\d+\.\d+ (?:points|percent|%)|\[[-+]\d", prose)


def test_the_sizes_of_the_models_are_those_of_the_bases():
    rows = re.findall(r"^\| duo-[^|]+\| ([\d,]+) \|", results_page.blocks()["bases"], re.MULTILINE)
    sizes = [f"{int(each.replace(',', '')) / 1e6:.1f}" for each in rows[:3]]
    assert f"The three models have {', '.join(sizes[:2])} and {sizes[2]} million parameters" in TEXT


def test_the_contents_of_the_page_of_results_lead_to_its_sections():
    blocks = results_page.blocks()
    anchors = re.findall(r'<a id="([^"]+)"></a>', blocks["tables"])
    assert len(anchors) == len(set(anchors)) and set(re.findall(r"\(#([^)]+)\)", blocks["contents"])) == set(anchors)


def test_what_was_tried_of_other_rates_stands_in_front_with_the_bases_where_the_rule_picks_another():
    figure = next(each.figure for each in published("micro") if each.target == "rates_elsewhere")
    lost = [each for each in figure.decisions if each.verdict == "reversed" and each.base != "all"]
    (line,) = [line for line in TEXT.splitlines() if line.startswith("- Every method has the learning rate")]
    assert lost and all(f"`{each.base}`" in line for each in lost)


def test_every_published_table_stands_on_the_page_of_results():
    text = (REPO_ROOT / "results" / "README.md").read_text(encoding="utf-8")
    made = [each for name in profiles() for each in published(name)]
    assert made and all(f"(published/{each.profile}/" in text and each.text.name in text for each in made)


def test_a_published_smoke_run_is_marked_as_no_result_and_never_stands_in_front(tmp_path, monkeypatch):
    folder = tmp_path / "published" / "smoke" / "tables"
    folder.mkdir(parents=True)
    front = readme.front()
    stamped = replace(front.table, head=replace(front.table.head, profile="smoke", stamp=stamp("smoke")))
    write_table1(stamped, folder)
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    assert stamp("smoke") == "smoke: not a result" and not stamp("micro")
    assert "| `smoke` (smoke: not a result) |" in readme.reproduced()
    text = results_page.blocks()["tables"]
    assert text.splitlines()[2] == "**smoke: not a result**"
    assert (
        "/smoke/tables/table1.md): " in text
        and "*Seen.*" not in text
        and "smoke" not in results_page.blocks()["contents"]
    )
    with pytest.raises(BadInput, match="no table1 is published whole"):
        readme.front()


@pytest.mark.parametrize("page, target", LINKS)
def test_every_relative_link_leads_to_a_file(page, target):
    assert ((REPO_ROOT / page).parent / target).exists()


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


def test_the_rows_in_front_are_of_trained_methods_and_what_is_reproduced_says_with_how_many_seeds():
    table = readme.front().table
    rows = readme.six_rows(table).splitlines()[2:]
    trained = [arm for arm in table.head.arms if any(table.row(base, arm).gain for base in table.head.bases)]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [table.head.arms[arm] for arm in trained]
    made = [each for name in profiles() for each in published(name) if each.figure]
    for each in made:
        counts = {int(row.get("seeds") or each.figure.head.seeds) for row in each.figure.rows}
        words = "1 seed" if counts == {1} else f"{min(counts)} seeds" if len(counts) == 1 else (
            f"{min(counts)} to {max(counts)} seeds")  # fmt: skip
        assert f"[{words}]({each.text.relative_to(REPO_ROOT)})" in TEXT
