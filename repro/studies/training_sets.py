"""What each training set holds, what is left out, and which test problems it repeats.

Names rows by their ids alone; no problem's text is written anywhere.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.data_folder import why_missing
from repro.errors import BadInput
from repro.grading import GraderPool
from repro.paths import REPO_ROOT, benchmark_dir
from repro.tasks.benchmarks.loading import SUITES, load_benchmark
from repro.tasks.benchmarks.overlap import EXACT, MIN_NGRAMS, NEAR, NGRAM, THRESHOLD, Pair, ProblemIndex
from repro.tasks.benchmarks.training_sets import (
    EXCLUSIONS,
    OVERLAP,
    SETS,
    Excluded,
    Row,
    evaluation_problems,
    find_exclusion,
    get_set,
    read_file,
)

PUBLISHED = REPO_ROOT / "results" / "published" / "evaluation"
_SUITE_NAMES = list(dict.fromkeys(suite.benchmark.name for suite in SUITES.values()))


@dataclass(frozen=True)
class Overlap:
    """A training row that repeats a test problem. sets: those that hold the row. same_gold: None for code."""

    pair: Pair
    suite: str
    sets: tuple[str, ...]
    same_gold: bool | None


@dataclass(frozen=True)
class Measured:
    """rows: all rows of each set that has a file. overlaps: in the order of the sets. marks: see `marked_pairs`."""

    rows: Mapping[str, Sequence[Row]]
    overlaps: Sequence[Overlap]
    marks: Mapping[str, tuple[int, int]]


def measure() -> Measured:
    """Read every set that has a file, and compare it with every suite. Raises BadInput without the benchmark files."""
    folder = benchmark_dir()
    if folder is None:
        raise BadInput(
            f"training-sets: no folder of benchmark files ({why_missing()}); set GCPO_DATA to one that holds them"
        )
    rows = {name: read_file(known, folder)[0] for name, known in SETS.items() if known.file is not None}
    sets_of: defaultdict[str, list[str]] = defaultdict(list)
    unique: dict[str, Row] = {}
    for name, members in rows.items():
        for row in members:
            sets_of[row.id].append(name)
            unique.setdefault(row.id, row)
    index = ProblemIndex(evaluation_problems())
    pairs = [pair for row in unique.values() for pair in index.pairs(row.id, row.problem)]
    golds = _test_golds()
    graded = [pair for pair in pairs if golds[pair.test_id]]
    with GraderPool(1) as pool:
        verdicts = pool.grade_many([(golds[p.test_id], f"\\boxed{{{unique[p.train_id].answer}}}") for p in graded])
    same = {pair: verdict.correct for pair, verdict in zip(graded, verdicts, strict=True)}
    overlaps = [
        Overlap(pair, pair.test_id.partition(":")[0], tuple(sets_of[pair.train_id]), same.get(pair)) for pair in pairs
    ]
    return Measured(rows, overlaps, marked_pairs(folder, unique, pairs))


def _test_golds() -> dict[str, str]:
    benchmarks = {suite.benchmark.name: suite.benchmark for suite in SUITES.values()}
    return {
        f"{name}:{problem.id}": problem.gold
        for name, benchmark in benchmarks.items()
        for problem in load_benchmark(benchmark).problems
    }


def marked_pairs(folder: Path, rows: Mapping[str, Row], pairs: Sequence[Pair]) -> dict[str, tuple[int, int]]:
    """(found, marked) among the pairs that the files themselves mark: a check of the threshold on known cases.

    `near_dup_of_aime` names the AIME row that a row of MATH train or of the DeepScaleR subset repeats, `overlaps_eval`
    the MATH500 problems that an AIME row repeats.
    """
    files = {known.file for known in SETS.values() if known.file is not None}
    entries = [json.loads(line) for file in sorted(files) for line in (folder / file).read_text("utf-8").splitlines()]
    near = {(row["id"], row["near_dup_of_aime"]) for row in entries if row.get("near_dup_of_aime")}
    index = ProblemIndex({row_id: row.problem for row_id, row in rows.items() if row_id.startswith("aime")})
    found = {(p.train_id, p.test_id) for name, _ in near for p in index.pairs(name, rows[name].problem)}
    marked = {
        (row["id"], f"MATH500:{mark.partition(':')[2]}") for row in entries for mark in row.get("overlaps_eval", ())
    }
    measured = {(pair.train_id, pair.test_id) for pair in pairs}
    return {
        "near_dup_of_aime": (len(near & found), len(near)),
        "overlaps_eval": (len(marked & measured), len(marked)),
    }


def exclusions(measured: Measured) -> list[tuple[str, Excluded]]:
    """(set, row) of everything that the committed list must hold, in the order of the sets' rows."""
    repeated: defaultdict[str, list[str]] = defaultdict(list)
    for overlap in measured.overlaps:
        repeated[overlap.pair.train_id].append(overlap.pair.test_id)
    found = []
    for name, rows in measured.rows.items():
        for row in rows:
            left_out = find_exclusion(row, None)
            if left_out is None and row.id in repeated:
                left_out = Excluded(row.id, OVERLAP, " ".join(repeated[row.id]))
            if left_out is not None:
                found.append((name, left_out))
    return found


def summary(measured: Measured) -> list[dict[str, Any]]:
    """One row per set: rows, rows left out by reason, and per suite the training rows that repeat one of its problems.

    A row that repeats several problems of a suite counts once there, as exact if one of them is.
    """
    left_out = exclusions(measured)
    result = []
    for name, rows in measured.rows.items():
        known = get_set(name)
        kinds: dict[str, dict[str, str]] = {suite: {} for suite in _SUITE_NAMES}
        for overlap in measured.overlaps:
            if name in overlap.sets:
                kept = kinds[overlap.suite].get(overlap.pair.train_id)
                kinds[overlap.suite][overlap.pair.train_id] = EXACT if EXACT in (kept, overlap.pair.kind) else NEAR
        reasons = Counter(row.reason for of, row in left_out if of == name)
        repeats = reasons.pop(OVERLAP, 0)
        result.append({
            "set": name,
            "title": known.title,
            "substitute_for": known.substitute_for,
            "rows": len(rows),
            "left_out": dict(sorted(reasons.items())),
            "used": len(rows) - sum(reasons.values()),
            "repeat_a_test_problem": repeats,
            "overlap": {suite: dict(sorted(Counter(ids.values()).items())) for suite, ids in kinds.items() if ids},
        })  # fmt: skip
    return result


def write_exclusions(measured: Measured, path: Path = EXCLUSIONS) -> Path:
    """Write the list that `load_training_set` reads."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["set", "id", "reason", "detail"])
        writer.writerows([name, row.id, row.reason, row.detail] for name, row in exclusions(measured))
    return path


def write_overlap(measured: Measured, folder: Path = PUBLISHED) -> list[Path]:
    """Write overlap.csv, one line per pair of ids, and overlap.md, the counts and the method."""
    folder.mkdir(parents=True, exist_ok=True)
    table, text = folder / "overlap.csv", folder / "overlap.md"
    with table.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["train_id", "suite", "problem_id", "kind", "share", "same_gold", "sets"])
        for found in measured.overlaps:
            pair, gold = found.pair, {True: "yes", False: "no", None: ""}[found.same_gold]
            problem = pair.test_id.partition(":")[2]
            row = [pair.train_id, found.suite, problem, pair.kind, f"{pair.share:.3f}", gold, " ".join(found.sets)]
            writer.writerow(row)
    text.write_text(render(measured), encoding="utf-8")
    return [table, text]


def render(measured: Measured) -> str:
    """The report as Markdown."""
    lines = [
        "# Training sets beside the test problems",
        "",
        "Training rows that repeat a test problem: *exact* (equal words after normalisation) + *near*. "
        "[overlap.csv](overlap.csv) lists every pair by its ids.",
        "",
        f"| set | rows | no gradeable gold | used | {' | '.join(_SUITE_NAMES)} | any |",
        f"|---|{'---:|' * (4 + len(_SUITE_NAMES))}",
    ]
    for row in summary(measured):
        cells = [_count(row["overlap"].get(suite, {})) for suite in _SUITE_NAMES]
        numbers = [row["rows"], sum(row["left_out"].values()), row["used"], *cells, row["repeat_a_test_problem"]]
        lines.append(f"| `{row['set']}`: {row['title']} | {' | '.join(map(str, numbers))} |")
    gold = [found for found in measured.overlaps if found.same_gold is not None]
    kinds = {kind: [found.same_gold for found in gold if found.pair.kind == kind] for kind in (EXACT, NEAR)}
    marks = "; ".join(f"{found} of {marked} of `{name}`" for name, (found, marked) in measured.marks.items())
    lines += [
        "",
        f"*Near*: the two problems share at least {THRESHOLD:.0%} of the distinct {NGRAM}-grams of words of the one "
        f"that has fewer; below {MIN_NGRAMS} such n-grams a problem is compared for equality alone. Words are letters "
        "and numbers in lower case; LaTeX spacing, fonts and delimiters do not count. A problem told in other words "
        "and a translation are not found.",
        "",
        f"The threshold on known cases: of the pairs that the files mark themselves, {marks} are found.",
        "",
        "Same gold (by the grader): "
        + ", ".join(f"{sum(same)} of {len(same)} {kind} pairs" for kind, same in kinds.items())
        + ". Near pairs with another gold, read in part, are one problem with other numbers or another final question; "
        "a few share a frame only (the form of the answer, a list of choices).",
        "",
        "Rows without a gradeable gold are never trained on. Rows that repeat a test problem stay in by default, as in "
        "the public runs on these sets, and are left out with `drop_overlaps`; MATH500 is also scored without the "
        "problems that AIME contains. Both kinds are listed in `repro/tasks/benchmarks/training_exclusions.csv`.",
        "",
        "`train_numina_SUBSTITUTE_4000` is a substitute for NuminaMath, not a part of it: results trained on it are "
        "not results on NuminaMath. `train_numina_4000`, the real subset, is drawn from the hub and screened against "
        "all suites while it is drawn; it was not measured here.",
        "",
        "`python -m repro training-sets --save` writes this file.",
        "",
    ]
    return "\n".join(lines)


def _count(kinds: Mapping[str, int]) -> str:
    return f"{kinds.get(EXACT, 0)} + {kinds.get(NEAR, 0)}" if kinds else "0"


def describe(measured: Measured) -> str:
    """One line per set, for a terminal."""
    return "\n".join(_line(row) for row in summary(measured))


def _line(row: Mapping[str, Any]) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in row["left_out"].items()) or "none"
    repeats = ", ".join(f"{suite} {_count(kinds)}" for suite, kinds in row["overlap"].items()) or "none"
    return f"{row['set']:<30} {row['used']:>5} of {row['rows']} rows; left out: {left_out}; exact + near: {repeats}"
