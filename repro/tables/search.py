"""Rows of a cell that holds answers of several kinds: a search with votes at as many tokens, or other inputs."""

from collections.abc import Sequence
from typing import Any

from repro.stats import student_t_interval


def answered_by(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The summaries of such a cell, one per kind, as the rows of a table; another cell's is returned as it is."""
    if "kinds" not in summary:
        return [summary]
    shared = {key: value for key, value in summary.items() if key != "kinds"}
    main = next(kind for kind in summary["kinds"] if summary["arm"].endswith(f"_{kind}"))
    policy = summary["arm"].removesuffix(f"_{main}")
    return [
        {
            **shared,
            "arm": f"{policy}_{kind}",
            "cell_id": summary["cell_id"] + ("" if kind == main else f":{kind}"),
            "suites": suites,
            "seconds": summary["seconds"] if kind == main else {},
        }
        for kind, suites in summary["kinds"].items()
    ]


def search_record(summaries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What the pictures of a search need, from summaries of cells; None without a search.

    curves: per base, policy and kind [mean tokens per question, accuracy in points, low, high], means over seeds and
    suites, as far as all of them reach; low and high are a 95 % Student interval over seeds, None for a single seed.
    budgets: mean samples per question of the votes. example: one tree, of the first search.
    """
    searches = [each for each in summaries if "search" in each]
    if not searches:
        return None
    curves: dict[str, dict[str, dict[str, list]]] = {}
    budgets: dict[str, dict[str, float]] = {}
    for base, arm in dict.fromkeys((each["base"], each["arm"]) for each in searches):
        own = [each["search"] for each in searches if (each["base"], each["arm"]) == (base, arm)]
        policy = arm.removesuffix("_mcts")
        budgets.setdefault(base, {})[policy] = _mean([k for record in own for k in record["k"].values()])
        for kind in own[0]["curves"]:
            curves.setdefault(base, {}).setdefault(policy, {})[kind] = _points([r["curves"][kind] for r in own])
    return {"curves": curves, "budgets": budgets, "example": searches[0]["search"]["example"]}


def _points(seeds: Sequence[dict[str, list]]) -> list[list[float | None]]:
    """One curve from those of the seeds, each a line of (tokens, accuracy) per suite."""
    points = []
    for place in range(min(len(line) for suites in seeds for line in suites.values())):
        tokens, accuracy = (
            [_mean([line[place][column] for line in suites.values()]) for suites in seeds] for column in (0, 1)
        )
        low, high = student_t_interval(accuracy) if len(seeds) > 1 else (None, None)
        points.append([_mean(tokens), *(None if each is None else 100 * each for each in (_mean(accuracy), low, high))])
    return points


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
