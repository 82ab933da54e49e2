import base64
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from synthetic_cells import BASES, make_cells
from synthetic_cells import synthetic_table as build

from repro import notebooks, tables
from repro.errors import BadInput
from repro.paths import REPO_ROOT

pytest.importorskip("ipykernel")


def source(folder: Path, *cells: str) -> Path:
    path = folder / "small.py"
    path.write_text("".join(f"# %%\n{cell}\n" for cell in cells))
    return path


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_no_line_of_a_formula_begins_a_list_or_a_heading(path):
    for cell in jupytext.read(path, fmt="py:percent").cells:
        open_formula = False
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            assert not (open_formula and re.match(r"\s*([-+*=#>]|\d+[.)])\s", line)), line
            open_formula ^= line.count("$") % 2 == 1


def test_failing_cell_is_named_and_nothing_is_written(tmp_path):
    out = tmp_path / "out.ipynb"
    with pytest.raises(BadInput, match=r"small\.py, cell 1 \(x = 1 / 0\): ZeroDivisionError"):
        notebooks.render(source(tmp_path, "print('fine')", "x = 1 / 0"), out, {})
    assert not out.exists()


def test_dead_kernel_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"cell 0 \(import os\): the kernel died"):
        notebooks.render(source(tmp_path, "import os\nos._exit(1)"), tmp_path / "out.ipynb", {})


def test_missing_source_is_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        notebooks.render(tmp_path / "none.py", tmp_path / "out.ipynb", {})


def test_normalising_removes_ids_timings_and_chunks_but_keeps_tags_and_results():
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["keep"], "execution": {"started": "now"}})
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="a"),
        nbformat.v4.new_output("stream", name="stdout", text="b\n"),
        nbformat.v4.new_output("stream", name="stderr", text="c"),
        nbformat.v4.new_output("execute_result", data={"text/plain": "2"}, metadata={"x": 1}, execution_count=1),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# t"), cell], metadata={"jupytext": {}})
    notebooks.normalise(notebook)
    assert [c["id"] for c in notebook.cells] == ["c00", "c01"]
    assert notebook.cells[1].metadata == {"tags": ["keep"]} and "jupytext" not in notebook.metadata
    assert [output.get("text") for output in notebook.cells[1].outputs] == ["ab\n", "c", None]
    assert notebook.cells[1].outputs[2].metadata == {} and notebook.cells[1].outputs[2].data == {"text/plain": "2"}
    nbformat.validate(notebook)


def test_parameters_are_stored_in_the_first_cell_and_only_what_it_assigns_can_be_set(tmp_path):
    code = source(tmp_path, 'WHERE = "here"  # a folder\nOTHER = "x"', "print(WHERE)")
    out = notebooks.render(code, tmp_path / "out.ipynb", {}, {"WHERE": "there"})
    cells = nbformat.read(out, as_version=4).cells
    assert cells[0].source == 'WHERE = "there"  # a folder\nOTHER = "x"' and cells[1].outputs[0].text == "there\n"
    with pytest.raises(BadInput, match=r'no line `WHAT = "\.\.\."`'):
        notebooks.render(code, tmp_path / "out.ipynb", {}, {"WHAT": "x"})


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_every_source_starts_with_its_parameters_and_has_at_most_ten_cells(path):
    cells = jupytext.read(path, fmt="py:percent").cells
    assert len(cells) <= 10
    assert cells[0].cell_type == "code" and cells[0].source.startswith("# Every parameter.")


@pytest.mark.slow
def test_table1_notebook_shows_table_and_figures_and_renders_byte_identically(tmp_path):
    table = build(make_cells(2, bases=BASES[:2], arms=("base", "grpo", "gcpo_expected"), questions=10))
    tables.write_table1(table, tmp_path / "local" / "micro" / "tables")
    env, named = {"GCPO_RESULTS": str(tmp_path)}, {"KIND": "local"}
    notebook = REPO_ROOT / "notebooks" / "table.py"
    first = notebooks.render(notebook, tmp_path / "a.ipynb", env, named)
    second = notebooks.render(notebook, tmp_path / "b.ipynb", env, named)
    assert first.read_bytes() == second.read_bytes()
    read = nbformat.read(first, as_version=4)
    assert len(read.cells) <= 10
    data = [output.data for cell in read.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in each for each in data) == 2
    assert all(base64.b64decode(each["image/png"])[:4] == b"\x89PNG" for each in data if "image/png" in each)
    shown = "".join(each.get("text/markdown", "") for each in data)
    assert tables.headline_markdown(table) in shown and tables.to_markdown(table).partition("## Notes")[2] in shown
    assert 'KIND = "local"  # published:' in read.cells[0].source  # Run All shows this table again
