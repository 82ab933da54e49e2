"""A cell's folder on disk: whether it is done, its summary, its training metrics."""

import json
from pathlib import Path

from repro.cells.cell import Cell
from repro.errors import BadInput
from repro.files import is_locked, read_json


def read_metrics(folder: Path) -> list[dict]:
    """The rows of a finished cell's metrics.jsonl, one per step. Raises BadInput naming the first damaged line."""
    path = folder / "metrics.jsonl"
    rows = []
    if path.exists():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                raise BadInput(
                    f"metrics {path} is damaged at line {number} (not JSON); delete {folder} and run again"
                ) from None
    return rows


def never_rewarded(folder: Path) -> bool:
    """Whether a cell logged rewards and every one was 0: then most likely the verifier could read no answer."""
    rewards = [row["reward"] for row in read_metrics(folder) if "reward" in row]
    return bool(rewards) and not any(rewards)


def load_summary(cell: Cell) -> dict | None:
    """The summary of a finished cell, or None while it is not finished.

    Raises BadInput if the file is damaged or belongs to another specification.
    """
    path = cell.folder / "summary.json"
    if not path.exists():
        return None
    summary = read_json(path, "summary")
    if summary.get("spec_hash") != cell.spec_hash:
        raise BadInput(
            f"summary {path} carries hash {str(summary.get('spec_hash'))[:10]}, "
            f"want {cell.spec_hash[:10]}; delete {cell.folder}"
        )
    read_metrics(cell.folder)
    return summary


def state(cell: Cell) -> str:
    """`done`, `running`, `failed` or `waiting`."""
    if (cell.folder / "summary.json").exists():
        return "done"
    if is_locked(cell.folder / "lock"):
        return "running"
    return "failed" if (cell.folder / "failed.json").exists() else "waiting"
