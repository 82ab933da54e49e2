"""Rows of a search cell: one cell holds the search and, beside it, votes and best-of-N at as many tokens."""

from typing import Any


def answered_by(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The summaries of a search cell, one per kind, as the rows of a table; another cell's is returned as it is."""
    if "kinds" not in summary:
        return [summary]
    shared = {key: value for key, value in summary.items() if key != "kinds"}
    policy = summary["arm"].removesuffix("_mcts")
    return [
        {
            **shared,
            "arm": f"{policy}_{kind}",
            "cell_id": summary["cell_id"] + ("" if kind == "mcts" else f":{kind}"),
            "suites": suites,
            "seconds": summary["seconds"] if kind == "mcts" else {},
        }
        for kind, suites in summary["kinds"].items()
    ]
