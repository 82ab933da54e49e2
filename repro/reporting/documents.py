"""Documents for people with generated blocks: no number in them is typed, and one command brings them up to date.

A block stands between `<!-- generated: NAME -->` and `<!-- end generated -->`; the text around it is written by hand.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from repro.errors import BadInput
from repro.paths import REPO_ROOT
from repro.reporting import gallery, readme, results_page

# document -> its blocks by name; both sides of a call read only what is committed
DOCUMENTS: Mapping[Path, Callable[[], dict[str, str]]] = {
    REPO_ROOT / "README.md": readme.blocks,
    REPO_ROOT / "results" / "README.md": results_page.blocks,
    REPO_ROOT / "repro" / "README.md": results_page.cost_blocks,
    REPO_ROOT / "notebooks" / "README.md": gallery.blocks,
}


def filled(text: str, new: Mapping[str, str]) -> str:
    """`text` with every generated block replaced.

    Raises BadInput for a block that the text lacks, and for one in the text that nothing fills.
    """
    found = re.findall(r"<!-- generated: (\S+) -->", text)
    if unknown := [name for name in found if name not in new]:
        raise BadInput(f"block '<!-- generated: {unknown[0]} -->' is filled by nothing; want one of {', '.join(new)}")
    for name, body in new.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end generated -->)", re.DOTALL)
        if not pattern.search(text):
            raise BadInput(f"the document has no block '<!-- generated: {name} -->' ... '<!-- end generated -->'")
        text = pattern.sub(lambda match, body=body: f"{match[1]}{body.strip()}\n{match[2]}", text)
    return text


def current(path: Path) -> str:
    """The text of a document with its blocks as they should be."""
    return filled(path.read_text(encoding="utf-8"), DOCUMENTS[path]())


def write_documents() -> list[Path]:
    """Bring every document up to date with what is published; all are made before the first is written."""
    made = {path: current(path) for path in DOCUMENTS}
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)
