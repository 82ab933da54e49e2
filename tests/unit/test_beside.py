"""A user's own numbers beside the published ones: tables and figures, the file, the page, the notebook."""

import shutil
from dataclasses import replace

import nbformat
import pytest
from synthetic_cells import FIGURE_SETS, figure_cells, make_cells

from repro import notebooks
from repro.cells.experiments import EXPERIMENTS
from repro.config import load_profile
from repro.errors import BadInput
from repro.figuredata import sweep
from repro.figuredata.compare import compare_with_published
from repro.paths import REPO_ROOT
from repro.reporting import build
from repro.reporting.order import BESIDE, BESIDE_TITLE, Order
from repro.reporting.page import page
from repro.reporting.variant import PLAIN
from repro.tables.compare import NO_INTERVAL, Comparison, comparison_markdown

FIGURE = EXPERIMENTS["figure4b"]
SMALL = replace(FIGURE, arms=("base", "grpo", "gcpo_no_kl", "gcpo_kappa_06"))


def profile():
    return load_profile("micro-slips", FIGURE_SETS)


def measured(cells):
    return sweep.measure(profile(), FIGURE, cells, REPO_ROOT, "make reproduce-figure4b")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder for results; notebooks are written as empty files."""
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))

    def render(source, out, env, parameters):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("{}", encoding="utf-8")

    monkeypatch.setattr(notebooks, "render", render)
    return tmp_path


def built(experiment, cells):
    return build._build(Order(profile(), experiment, cells, 2, PLAIN, "local", False))


def publish(results, room):
    shutil.copytree(results / "local" / "micro-slips" / room, results / "published" / "micro-slips" / room)


def test_the_same_figure_lies_in_its_own_intervals_and_another_one_outside_them():
    cells = figure_cells(SMALL, {}, seeds=2)
    theirs = measured(cells)
    same = compare_with_published(theirs, theirs)
    assert same and {row.verdict for row in same} == {"within CI"}
    other = measured(figure_cells(SMALL, {"gcpo_kappa_06": 0.3}, seeds=2))
    verdicts = {(row.place["arm"], row.what): row.verdict for row in compare_with_published(other, theirs)}
    assert verdicts["gcpo_kappa_06", "avg@k"] == verdicts["gcpo_kappa_06", "minus grpo"] == "outside CI"
    assert verdicts["gcpo_no_kl", "avg@k"] == "within CI"
    part = measured([cell for cell in cells if cell["arm"] != "gcpo_kappa_06"])
    verdicts = {(row.place["arm"], row.what): row.verdict for row in compare_with_published(theirs, part)}
    assert verdicts["gcpo_kappa_06", "avg@k"] == "not run"
    with pytest.raises(BadInput, match="figure4b/gpu are different"):
        compare_with_published(theirs, replace(theirs, head=replace(theirs.head, profile="gpu")))


def test_a_published_number_without_an_interval_is_shown_and_not_judged():
    rows = [Comparison({"base": "a", "seed": ""}, "spread", 0.5, 0.4, None, None)]
    assert rows[0].verdict == NO_INTERVAL
    text = comparison_markdown(rows, "{:.4g}".format)
    assert "0 of 0 of your numbers" in text and "| a | spread | 0.5 | 0.4 | no interval published |" in text
    assert "seed" not in text  # a heading under which nothing stands


@pytest.mark.parametrize(
    ("experiment", "room", "cells"),
    [
        (EXPERIMENTS["table1"], "tables", make_cells(2, bases=["nano-s"], arms=("base", "grpo"), questions=10)),
        (FIGURE, "figures", figure_cells(SMALL, {}, seeds=2)),
    ],
    ids=["table", "figure"],
)
def test_a_run_is_set_beside_the_published_one_of_its_profile(results, monkeypatch, experiment, room, cells):
    if room == "tables":
        monkeypatch.setitem(globals(), "FIGURE_SETS", [])
        monkeypatch.setattr("repro.figures.table1.write_figures", lambda *_: None)
    beside = results / "local" / "micro-slips" / room / f"{experiment.id}{BESIDE}"
    assert BESIDE_TITLE not in built(experiment, cells).text and not beside.exists()
    publish(results, room)
    report = built(experiment, cells)  # the published run is new, ours is not
    assert BESIDE_TITLE in report.text and str(beside) in report.files
    text = beside.read_text(encoding="utf-8")
    assert "yours | published [95 % CI] | yours in its interval |" in text and "outside CI" not in text
    shutil.rmtree(results / "published")
    assert BESIDE_TITLE not in built(experiment, cells).text and not beside.exists()


def test_a_notebook_is_rendered_again_when_what_stands_beside_it_is_published_anew(results, monkeypatch):
    cells, rendered = figure_cells(SMALL, {}, seeds=2), []
    built(FIGURE, cells)
    monkeypatch.setattr(notebooks, "render", lambda source, out, *_: rendered.append(out))
    built(FIGURE, cells)
    assert rendered == []
    publish(results, "figures")
    built(FIGURE, cells)
    built(FIGURE, cells)
    assert len(rendered) == 1


def test_the_report_shows_a_figures_numbers_beside_the_published_ones(results, monkeypatch):
    built(FIGURE, figure_cells(SMALL, {}, seeds=2))
    publish(results, "figures")
    built(FIGURE, figure_cells(SMALL, {"gcpo_kappa_06": 0.3}, seeds=2))
    monkeypatch.setattr("repro.reporting.page._cells", lambda made, kind: [])
    text = page(profile(), "local")
    assert BESIDE_TITLE in text and "<td>outside CI</td>" in text
    assert "kappa = 0.06 is best (primary)" in text  # of a figure of one base the sentences are claims, too


@pytest.mark.slow
def test_the_notebook_shows_a_figures_numbers_beside_the_published_ones(tmp_path, monkeypatch):
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    built(FIGURE, figure_cells(SMALL, {}, seeds=2))
    publish(tmp_path, "figures")
    built(FIGURE, figure_cells(SMALL, {}, seeds=2))
    read = nbformat.read(tmp_path / "local" / "micro-slips" / "notebooks" / "figure4b.ipynb", as_version=4)
    shown = [
        out.data.get("text/markdown", "") for cell in read.cells for out in cell.get("outputs", []) if "data" in out
    ]
    assert any(BESIDE_TITLE in text for text in shown)
