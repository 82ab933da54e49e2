"""Which cells may stand in one comparison. Everything refused here has put wrong numbers into published tables."""

from collections.abc import Sequence
from typing import Any

from repro.errors import BadInput

_KEYS = ("cell_id", "base", "arm", "seed", "suites", "commit", "dirty")


def check_cells(cells: Sequence[dict[str, Any]]) -> None:
    """Raise BadInput unless all cells can stand in one table.

    Wanted: no cell twice; the same suites with the same questions in the same order and the same k; one evaluation
    specification; one device; the same weights under one base; stored scores that follow from the stored counts.
    """
    seen: dict[tuple, str] = {}
    for cell in cells:
        missing = [key for key in _KEYS if key not in cell]
        if missing:
            raise BadInput(f"cell {cell.get('cell_id', '?')}: summary lacks {', '.join(missing)}; run it again")
        key = (cell["base"], cell["arm"], cell["seed"])
        if key in seen:
            raise BadInput(
                f"cells {seen[key]} and {cell['cell_id']} are both {key}; want one cell per base, arm and seed"
            )
        seen[key] = cell["cell_id"]
        for name, suite in cell["suites"].items():
            _check_suite(cell["cell_id"], name, suite)
    for field, what in (("evaluate_hash", "evaluation specification"), ("device", "GPU model")):
        _same(cells, field, what)
    for base in {cell["base"] for cell in cells}:
        _same([cell for cell in cells if cell["base"] == base], "base_weights", f"weights of base {base}")
    sampled: dict[bool, dict[str, Any]] = {}  # a search answers once, a plain policy is sampled k times
    for cell in cells:
        first, alike = cells[0], sampled.setdefault("search" in cell, cell)
        if list(cell["suites"]) != list(first["suites"]):
            raise BadInput(f"cells {first['cell_id']} and {cell['cell_id']} have different suites; want the same")
        for name, suite in cell["suites"].items():
            other = first["suites"][name]
            pair = f"suite {name}: cells {first['cell_id']} and {cell['cell_id']}"
            if suite["k"] != alike["suites"][name]["k"]:
                raise BadInput(f"{pair} have k={alike['suites'][name]['k']} and k={suite['k']}; want one k")
            if suite["question_ids"] != other["question_ids"]:
                raise BadInput(f"{pair} answered different questions; want the same")


def lint_grid(cells: Sequence[dict[str, Any]]) -> bool:
    """True when every avg@k with k > 1 of these cells is a multiple of 1/rows: then k samples were hardly drawn.

    Scores of 0 and 1 say nothing and are passed over.
    """
    scores = [
        (sum(suite["correct"]), suite["k"], suite["n"])
        for cell in cells
        for suite in cell["suites"].values()
        if suite["k"] > 1 and 0 < sum(suite["correct"]) < suite["k"] * suite["n"]
    ]
    return bool(scores) and all(total % k == 0 for total, k, _ in scores)


def _check_suite(cell: str, name: str, suite: dict[str, Any]) -> None:
    correct, k, n = suite["correct"], suite["k"], suite["n"]
    if len(correct) != n or len(suite["question_ids"]) != n or len(set(suite["question_ids"])) != n:
        raise BadInput(
            f"cell {cell}, suite {name}: {len(correct)} counts for n={n} questions; want one per question id"
        )
    if not all(isinstance(c, int) and 0 <= c <= k for c in correct):
        raise BadInput(f"cell {cell}, suite {name}: a count lies outside 0..{k}; grade it again")
    greedy = suite.get("greedy")
    if greedy is not None and (len(greedy["correct"]) != n or not all(c in (0, 1) for c in greedy["correct"])):
        raise BadInput(f"cell {cell}, suite {name}: the greedy pass wants one 0 or 1 for each of n={n} questions")
    if abs(suite["avg_at_k"] - sum(correct) / (k * n)) > 1e-9:
        raise BadInput(f"cell {cell}, suite {name}: avg_at_k {suite['avg_at_k']} does not follow from its counts")


def _same(cells: Sequence[dict[str, Any]], field: str, what: str) -> None:
    values = {cell.get(field) for cell in cells}
    if len(values) > 1:
        shown = ", ".join(sorted(map(str, values)))
        raise BadInput(f"one comparison mixes more than one {what}: {shown}; want one")
