"""The committed notebooks are what their sources print today."""

import json
from pathlib import Path

import pytest

from repro.notebooks import render
from repro.paths import REPO_ROOT, benchmark_dir

pytest.importorskip("nbclient", reason="notebooks need the notebooks extra")


def printed(path: Path) -> list[str]:
    """Sources and text outputs; pictures are left out, because their bytes hang on the font library."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    for cell in cells:
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/markdown") or []
            texts.append("".join(text))
    return texts


@pytest.mark.slow
@pytest.mark.skipif(benchmark_dir() is None, reason="no folder of benchmark files (GCPO_DATA)")
@pytest.mark.parametrize("name", ["audit", "theory"])
def test_the_committed_notebook_prints_what_its_source_prints(name, tmp_path):
    folder = REPO_ROOT / "notebooks"
    fresh = render(folder / f"{name}.py", tmp_path / f"{name}.ipynb", {})
    assert printed(fresh) == printed(folder / f"{name}.ipynb")
    assert any(text.count("|") > 100 for text in printed(fresh))
