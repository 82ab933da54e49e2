"""The committed notebooks: rendered again, and listed in notebooks/README.md with their question and a picture."""

import json
from collections.abc import Iterator
from pathlib import Path

from repro.paths import REPO_ROOT
from repro.reporting.published import link, profiles, published, stamp
from repro.reporting.record import notebook_name

NOTEBOOKS = REPO_ROOT / "notebooks"
_PICTURES = {  # of the notebooks that show no table of the paper
    "audit": "paper/figures/audit_provenance.png",
    "theory": "paper/figures/theory_scm.png",
    "evaluate": "published/evaluation/tiny-qwen2/figures/accuracy.png",
}


def blocks() -> dict[str, str]:
    """The gallery, one row per notebook in the order of the paper, then the others by name."""
    pictures = {
        NOTEBOOKS / notebook_name(each.target, name): (each.pictures or [None])[0]
        for name in profiles()
        for each in published(name)
    }
    stamps = {
        NOTEBOOKS / notebook_name(each.target, name): stamp(name) for name in profiles() for each in published(name)
    }
    others = {NOTEBOOKS / f"{stem}.ipynb": REPO_ROOT / "results" / path for stem, path in _PICTURES.items()}
    lines = ["| notebook | its question | |", "|---|---|---|"]
    for path in sorted(NOTEBOOKS.glob("*.ipynb"), key=lambda path: (path not in pictures, path.name)):
        picture = (pictures | others).get(path)
        document = NOTEBOOKS / "README.md"
        shown = f'<img src="{link(picture, document)}" width="360" alt="">' if picture else ""
        marked = f" (**{stamps[path]}**)" if stamps.get(path) else ""
        lines.append(f"| [{path.stem}]({path.name}) | {question(path)}{marked} | {shown} |")
    return {"gallery": "\n".join(lines)}


def question(path: Path) -> str:
    """The first heading of a notebook, typed or displayed: the question that it asks. Empty without one."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = []
    for cell in cells:
        texts += ["".join(cell["source"])] if cell["cell_type"] == "markdown" else []
        texts += ["".join(each.get("data", {}).get("text/markdown", "")) for each in cell.get("outputs", [])]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("# ")]
    return lines[0].removeprefix("# ").strip() if lines else ""


def render_all() -> Iterator[Path]:
    """Render every notebook again: of what is published, and of what follows from the paper alone."""
    from repro.notebooks import render

    for name in profiles():
        for each in published(name):
            named = {"TARGET": each.target, "PROFILE": name, "KIND": "published"}
            source = NOTEBOOKS / ("table.py" if each.table else "figure.py")
            yield render(source, NOTEBOOKS / notebook_name(each.target, name), {}, named)
    for stem in _PICTURES:
        yield render(NOTEBOOKS / f"{stem}.py", NOTEBOOKS / f"{stem}.ipynb", {})
