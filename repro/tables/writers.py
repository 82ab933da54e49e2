"""A built table as files. Only this touches the disk."""

from pathlib import Path

from repro.tables.machine import to_csv, to_latex
from repro.tables.markdown import to_markdown
from repro.tables.model import Table1, table_json


def write_table1(table: Table1, folder: Path) -> list[Path]:
    """Write <id>.md, .csv, .tex and .json into `folder`; returns the paths. Equal tables give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, text in (
        ("md", to_markdown(table)),
        ("csv", to_csv(table)),
        ("tex", to_latex(table)),
        ("json", table_json(table)),
    ):
        path = folder / f"{table.head.id}.{suffix}"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
