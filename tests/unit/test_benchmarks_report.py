"""The report, its pictures and the notebook of a stored evaluation."""

import json
import shutil

import nbformat
import pytest

from repro import notebooks
from repro.errors import BadInput
from repro.evaluation import report
from repro.evaluation.scores import summarise
from repro.evaluation.store import Sample
from repro.figures import evaluation as pictures
from repro.paper import references
from repro.paths import REPO_ROOT
from repro.reporting.evaluation import build_report


def entry(name: str, title: str, *, model: str = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", row=None, rows=30):
    """A suite's summary as `evaluate` writes it: 30 questions, 4 samples, a third of them cut."""
    from repro.tasks.protocol import Question

    problems = [Question(f"{name}-{number}", "?", "1") for number in range(30)]
    drawn = [
        Sample(name, problem.id, "sampled", k, 0, "", 9, 100 + 7 * n + k, k != 3, False, right, "correct" if right else
               "wrong", "value", "1" if right else "2", {}, 0.1, 0.0)
        for n, problem in enumerate(problems) for k in range(4) for right in [(n + k) % 3 == 0]
    ]  # fmt: skip
    scored = summarise(drawn, problems, 4, lambda answers: answers)
    protocol = {"max_new_tokens": 310, "temperature": 0.6, "top_p": 0.95}
    return scored | {
        "suite": name, "title": title, "kind": "math", "rows": rows, "run": {"preset": "standard", "row": row},
        "config": {
            "model": {"name": model, "sha256": "ab" * 32}, "engine": {"engine": "transformers", "dtype": "float32"},
            "protocol": protocol, "prompt": {"form": "chat"}, "seed": 0, "data": {"file": "f", "sha256": "cd" * 32},
        },
        "env": [{"commit": "e" * 40, "dirty": False}],
        "cost": {"device": "cpu", "generation_seconds": 12.0, "grading_seconds": 0.0, "tokens_per_second": 9.0,
                 "device_hours": 0.0},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name, title in (("AIME24", "AIME 2024"), ("AMC83", "AMC 2022+2023 (83)")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(
            json.dumps(entry(name, title, rows=30 if name == "AIME24" else 83))
        )
    return tmp_path


def test_a_known_model_stands_beside_the_papers_row_and_every_independent_number(folder):
    text = build_report(folder).text
    assert "Stands beside the paper's row R1-Distill-1.5B, base" in text
    line = next(line for line in text.splitlines() if line.startswith("| AIME 2024 |"))
    for words in ("| 28.7 |", "28.7 (Sober)", "27.34 (CMU MRT v0.1)", "avg@4 33.3 [", "30 x 4", "25.0 %", "outside CI"):
        assert words in line
    larger = next(line for line in text.splitlines() if line.startswith("| AMC 2022"))
    assert "62.9 (DeepScaleR blog)" in larger and "69.9" not in larger  # the 83 are not the paper's 40
    assert "Only the first questions were asked of AMC83" in text
    assert json.loads((folder / "summary.json").read_text())["suites"]["AIME24"]["avg_at_k"]["value"] == pytest.approx(
        1 / 3
    )


def test_a_row_given_by_hand_wins_and_an_unknown_one_is_refused():
    assert references.paper_row("any", "DeepScaleR-1.5B/GCPO") == ("DeepScaleR-1.5B", "GCPO")
    assert references.paper_row("some/thing", None) is None
    assert references.printed("Qwen2-7B-Instruct", "GCPO", "HumanEval-5shot").value == 72.0
    assert references.printed("Qwen2-7B-Instruct", "GRPO", "HumanEval") is None  # a bar without a label
    with pytest.raises(BadInput, match="--row is 'R1/base'"):
        references.paper_row("any", "R1/base")


def test_suites_of_two_models_are_not_reported_as_one(folder):
    path = folder / "AMC83" / "summary.json"
    path.write_text(json.dumps(entry("AMC83", "AMC", model="other")))
    with pytest.raises(BadInput, match=r"suites of different models in one folder \(deepseek.*, other\)"):
        build_report(folder)


def test_a_folder_without_a_finished_suite_is_named(tmp_path):
    with pytest.raises(BadInput, match="holds no finished evaluation"):
        build_report(tmp_path)


def test_pictures_are_byte_identical_and_draw_every_reference(folder, tmp_path):
    entries = report.load_evaluation(folder)
    first = pictures.write_figures(entries, tmp_path / "one")
    second = pictures.write_figures(entries, tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    labels = [text.get_text() for text in pictures.accuracy(entries).legends[0].get_texts()]
    assert labels[:2] == ["ours, 95 % interval", "paper"] and "CMU MRT v0.1" in labels
    unknown = {name: each | {"run": {"preset": "standard", "row": None}} for name, each in entries.items()}
    for each in unknown.values():
        each["config"] = each["config"] | {"model": {"name": "mine"}}
    labels = [text.get_text() for text in pictures.accuracy(unknown).legends[0].get_texts()]
    assert labels == ["ours, 95 % interval", "paper: range of its untrained models"]


def test_cut_answers_stand_on_top_of_the_ended_ones(folder):
    axes = pictures.lengths(report.load_evaluation(folder)).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == 120 and sum(heights[len(heights) // 2 :]) == 30


def test_the_notebook_shows_any_folder_in_at_most_ten_cells(folder, tmp_path):
    pytest.importorskip("ipykernel")
    out = notebooks.render(
        REPO_ROOT / "notebooks" / "evaluate.py", tmp_path / "out.ipynb", {}, {"EVALUATION": str(folder)}
    )
    notebook = nbformat.read(out, as_version=4)
    assert len(notebook.cells) <= 10
    images = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(images) == 3
    assert "AIME24: 30 questions x 4" in out.read_text(encoding="utf-8")
    shutil.rmtree(folder / "figures", ignore_errors=True)
