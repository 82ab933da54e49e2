"""Every verdict of the published tables again from the published counts, without the code that printed it."""

import csv
import json
import sys
from pathlib import Path

import pytest
from verdict_stats_loops import BASE, REFERENCE, direction, over_all, pooled_base, printed_ratios, rates, size

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published"
TABLES = sorted(path for path in PUBLISHED.glob("*/tables/table[0-9].json"))


def paper_rows(name):
    """Printed numbers of a table of the paper; a base that it lacks is Table 1's."""
    rows = {}
    for file in ("table1", name):
        with (ROOT / "repro" / "paper" / f"{file}.csv").open(encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if row["printed"]:
                    rows[row["model"], row["method"], row["benchmark"]] = float(row["printed"])
    return rows


def cells_of(profile, own):
    """(base, arm) -> summaries by seed of a table's own cells; a search's kinds are arms of their own."""
    found = {}
    for path in sorted((PUBLISHED / profile / "cells").glob("*/summary.json")):
        if path.parent.name not in own:
            continue
        summary = json.loads(path.read_text(encoding="utf-8"))
        kinds = summary.get("kinds", {None: summary["suites"]})
        for kind, suites in kinds.items():
            arm = summary["arm"] if kind is None else f"{summary['arm'].removesuffix('_mcts')}_{kind}"
            found.setdefault((summary["base"], arm), {})[summary["seed"]] = {"suites": suites}
    return found


def on_common_seeds(cells, base, *names):
    """Rates of arms on the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(cells[base, name]) for name in names)))
    return [rates([cells[base, name][seed] for seed in seeds]) for name in names]


def recomputed(claim, model, cells, paper, methods, checkpoints):
    """(direction, size) of one claim on one base."""
    name, better, worse = claim["base"], claim["better"], claim["worse"]
    if any((name, arm) not in cells for arm in (better, worse)):
        return "not tested", None
    zero = worse if worse in checkpoints else BASE
    base = pooled_base([cells[name, zero][seed] for seed in sorted(cells[name, zero])])
    pair = [arm for arm in (better, worse) if arm not in checkpoints]
    measured = on_common_seeds(cells, name, *pair)
    margin = zero == BASE and (name, REFERENCE) in cells  # against a forced base there is no margin
    reference = on_common_seeds(cells, name, *pair, REFERENCE) if margin else None
    word = direction(measured, reference, base)
    if worse in checkpoints:
        return word, None
    pair = list(zip(pair, measured, strict=True))
    (above, upper), (below, lower) = pair[::-1] if claim["size"]["scale"] == "share lost" else pair
    return word, size(upper, lower, printed_ratios(paper, model, methods[above], methods[below]), base)


def paper_methods(table):
    """Arm -> the paper's label, from the registry: what stands beside what is not a matter of statistics."""
    from repro.cells.experiments import get_arm

    return {arm: get_arm(arm).paper_method for arm in table["head"]["arms"]}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_published_verdict_follows_from_the_published_counts(path):
    table = json.loads(path.read_text(encoding="utf-8"))
    own = {cell.partition(":")[0] for cell in table["head"]["cells"]}
    cells, paper, methods = cells_of(path.parts[-3], own), paper_rows(path.stem), paper_methods(table)
    checkpoints = table["head"].get("checkpoints", [BASE])
    words = {}
    for claim in table["claims"]:
        if claim["base"] != "all":
            model = table["head"]["bases"][claim["base"]]
            found = recomputed(claim, model, cells, paper, methods, checkpoints)
            assert (claim["direction"], claim["size_verdict"]) == found, (claim["claim"], claim["base"])
            words.setdefault(claim["claim"], []).append(found)
    for claim in table["claims"]:
        if claim["base"] == "all":
            directions, sizes = zip(*words[claim["claim"]], strict=True)
            sizes = [word for word in sizes if word is not None]
            assert claim["direction"] == over_all(directions, ("supported", "equivalent"), "reversed")
            wanted = over_all(sizes, ("consistent",), "contradicted") if sizes else None
            assert claim["size_verdict"] == wanted, claim["claim"]


def test_there_are_published_tables_with_claims():
    assert len(TABLES) >= 4
    assert all(json.loads(path.read_text(encoding="utf-8"))["claims"] for path in TABLES)


def test_the_loops_import_nothing_of_the_statistics():
    source = (Path(__file__).parent / "verdict_stats_loops.py").read_text(encoding="utf-8")
    assert "repro.stats" not in source and "import repro" not in source and "from repro" not in source
    assert "verdict_stats_loops" in sys.modules
