"""The training sets of the paper's arms: AIME 1983-2023, 4,000 rows of NuminaMath, and the files for ablations.

From a folder of files (`GCPO_DATA`) or, if asked for, from the hub at a pinned revision. A file is asserted by its row
count and sha256, a hub copy by its row count; what was selected carries a digest of its own. Rows whose gold cannot be
graded against are left out by a committed list; a copy of a test problem is left out on request, and always from a
subset that is drawn here. No portion of NuminaMath is among the files: the one that stands in for it says SUBSTITUTE
wherever its name appears. The hub path has never run against the hub; tests feed it rows of the same columns.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from repro.data_folder import why_missing
from repro.errors import BadInput
from repro.grading import usable_gold
from repro.grading.extract import last_box
from repro.paths import benchmark_dir
from repro.tasks.benchmarks.loading import SUITES, hub_rows, load_benchmark
from repro.tasks.benchmarks.overlap import ProblemIndex

EXCLUSIONS = Path(__file__).with_name("training_exclusions.csv")
OVERLAP = "overlaps_test"  # the reason of a row that repeats a test problem; every other reason is about its gold
SUBSET_ROWS = 4000  # "a random subset of 4,000 QA pairs from NuminaMath"
SUBSET_SEED = 20240720  # not stated: chosen because the substitute was drawn with it, the day of NuminaMath's report


@dataclass(frozen=True)
class Row:
    """One training problem with its gold."""

    id: str
    problem: str
    answer: str


@dataclass(frozen=True)
class Excluded:
    """A row that is not trained on. reason: empty_gold, unusable_gold, no_box or OVERLAP, then detail says of what."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class HubSet:
    """Where the hub keeps a set. rows: of the whole split at that revision."""

    repo: str
    revision: str
    split: str
    rows: int


@dataclass(frozen=True)
class TrainingSet:
    """A set that can be trained on.

    rows, sha256: of the file. selected: how many of its rows the set has, `keep` says which. substitute_for: what the
    set stands in for, empty if it is the thing itself. subset: how many rows are drawn from the hub copy; 0 means all.
    """

    name: str
    title: str
    file: str | None = None
    rows: int = 0
    sha256: str = ""
    selected: int = 0
    keep: Callable[[Mapping[str, Any]], bool] = lambda row: True
    substitute_for: str = ""
    hub: HubSet | None = None
    subset: int = 0


@dataclass(frozen=True)
class Loaded:
    """The rows to train on, what was left out, and what says which rows they are."""

    rows: tuple[Row, ...]
    excluded: tuple[Excluded, ...]
    source: Mapping[str, Any]


_AIME = ("train_aime_1983_2023.jsonl", 975, "cc66c2ebf4987c62fd5bb31b47eb6f1c454555801cd97ba8290375bfd6c364e9")
# Both revisions are those that public inventories of the two data sets give for their main branch in August 2026.
_AIME_HUB = HubSet("gneubig/aime-1983-2024", "5d610df981dec508dd93d0a16333a029ac1739d8", "train", 933)
_NUMINA_HUB = HubSet("AI-MO/NuminaMath-CoT", "9d8d210c9f6a36c8f3cd84045668c9b7800ef517", "train", 859494)
SETS = {
    training_set.name: training_set
    for training_set in (
        # "919 AIME problems from 1989 to 2023"; not stated: which. 1989-2023 has 885, the public copy 918 from 1983 on
        TrainingSet(
            "train_aime_1983_2023",
            "AIME 1983-2023, the 918 rows of the public copy",
            *_AIME,
            selected=918,
            keep=lambda row: row["in_kaggle_918"],
            hub=_AIME_HUB,
        ),
        TrainingSet(
            "train_aime_1989_2023", "AIME 1989-2023", *_AIME, selected=885, keep=lambda row: row["year"] >= 1989
        ),
        TrainingSet("train_aime_all", "AIME 1983-2023, all 975", *_AIME, selected=975),
        TrainingSet(
            "train_numina_4000", "NuminaMath, 4,000 rows drawn with a seed", hub=_NUMINA_HUB, subset=SUBSET_ROWS
        ),
        TrainingSet(
            "train_numina_SUBSTITUTE_4000",
            "SUBSTITUTE for NuminaMath: 4,000 rows of MATH train and of a DeepScaleR subset",
            "train_numina_SUBSTITUTE_4000.jsonl",
            4000,
            "c80d6342742a5cfe03965b68497e00293daf5f9b1fa5cf189366993fbb537b65",
            4000,
            substitute_for="NuminaMath",
        ),
        TrainingSet(
            "train_math_7474",
            "MATH train",
            "train_math_7474.jsonl",
            7474,
            "44bebe170990fb277cb6ea8418a33a3f4829e238e608bab500c3af6b9f620784",
            7474,
        ),
        TrainingSet(
            "train_deepscaler_sub_1209",
            "DeepScaleR, a subset of 1,209 rows",
            "train_deepscaler_sub_1209.jsonl",
            1209,
            "22a2f6e369f0e5c54558f5ddb9fd018f47e1a6c3c4d87f27231a807921d7b0fb",
            1209,
        ),
    )
}


def get_set(name: str) -> TrainingSet:
    """The set of a name. Raises BadInput for an unknown one."""
    if name not in SETS:
        raise BadInput(f"unknown training set {name!r}; want one of {', '.join(SETS)}")
    return SETS[name]


def load_training_set(
    name: str,
    *,
    hub: bool = False,
    revision: str | None = None,
    drop_overlaps: bool = False,
    revisions: Mapping[str, str] = MappingProxyType({}),
) -> Loaded:
    """The rows of a set: from the folder of `GCPO_DATA`, else, with `hub`, from the hub.

    revisions: of the benchmarks' hub copies, which rows from the hub are compared with.
    drop_overlaps: also leave out rows that repeat a test problem; a subset that is drawn here never has any.
    Raises BadInput for an unknown set, a file that is missing or changed, a set that has no file while `hub` is off, a
    hub copy with other rows, and a gold that cannot be graded against and is not on the committed list.
    """
    training_set = get_set(name)
    folder = benchmark_dir()
    if training_set.file is not None and folder is not None:
        rows, source = read_file(training_set, folder)
        excluded = committed_exclusions(name, overlaps=drop_overlaps)
    elif training_set.hub is None or not hub:
        raise BadInput(f"{name}: {_where_to_get(training_set)}")
    else:
        copy = training_set.hub
        sha = revision or copy.revision
        fetched = hub_rows(name, copy.repo, None, copy.split, sha)
        if len(fetched) != copy.rows and revision is None:
            raise BadInput(f"{name}: {copy.repo} at {sha[:12]} has {len(fetched)} rows; want {copy.rows}")
        source = {"hub": copy.repo, "revision": sha, "hub_rows": len(fetched)}
        index = ProblemIndex(evaluation_problems(revisions)) if drop_overlaps or training_set.subset else None
        if training_set.subset:
            rows, excluded = draw_subset(fetched, training_set.subset, SUBSET_SEED, index)
            source["subset_seed"] = SUBSET_SEED
        else:
            rows = aime_rows(fetched)
            excluded = [found for row in rows if (found := find_exclusion(row, index)) is not None]
    return _loaded(training_set, rows, excluded, source)


def _where_to_get(training_set: TrainingSet) -> str:
    if training_set.file is None:
        return f"none of the benchmark files holds it; pass --hub-data to download {training_set.hub.repo}"
    elsewhere = (
        f", or pass --hub-data (a table: SET=tasks.hub_data=true) to download {training_set.hub.repo}"
        if training_set.hub
        else ""
    )
    wanted = f"set GCPO_DATA to one that holds {training_set.file}{elsewhere}"
    return f"no folder of benchmark files ({why_missing()}); {wanted}"


def _loaded(
    training_set: TrainingSet, rows: Sequence[Row], excluded: Sequence[Excluded], source: Mapping[str, Any]
) -> Loaded:
    left_out = {row.id for row in excluded}
    kept = tuple(row for row in rows if row.id not in left_out)
    bad = [row.id for row in kept if not usable_gold(row.answer)]
    if bad:
        raise BadInput(f"{training_set.name}: gold of {bad[0]} cannot be graded against; want it in {EXCLUSIONS.name}")
    record = {"set": training_set.name, "title": training_set.title, "substitute_for": training_set.substitute_for}
    record |= dict(source) | {"rows": len(kept), "excluded": len(excluded), "rows_sha256": rows_digest(kept)}
    return Loaded(kept, tuple(excluded), record)


def read_file(training_set: TrainingSet, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """All rows of a set's file that belong to the set, golds as they are (a null gold as an empty one).

    Raises BadInput if the file is missing or changed.
    """
    path = folder / training_set.file
    if not path.is_file():
        raise BadInput(f"{training_set.name}: {path} is missing; want its {training_set.rows} rows there")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    rows = [json.loads(line) for line in content.decode("utf-8").splitlines()]
    kept = [Row(row["id"], row["problem"], row["answer"] or "") for row in rows if training_set.keep(row)]
    if digest != training_set.sha256 or (len(rows), len(kept)) != (training_set.rows, training_set.selected):
        raise BadInput(
            f"{training_set.name}: {path} has {len(rows)} rows, {len(kept)} of them in the set, and sha256 "
            f"{digest[:12]}...; want {training_set.rows}, {training_set.selected} and {training_set.sha256[:12]}..."
        )
    return kept, {"file": training_set.file, "sha256": digest, "file_rows": len(rows)}


def aime_rows(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows up to 2023 of the public copy; its 2024 rows are test problems."""
    return [
        Row(f"aime{row['ID']}", row["Question"], str(row["Answer"] or "").strip())
        for row in rows
        if int(row["Year"]) <= 2023
    ]


def drawing_order(count: int, seed: int) -> list[int]:
    """The places 0..count-1 in an order that depends on the seed alone: by sha256 of seed and place.

    A longer subset begins with the shorter one, and no library's generator can change it.
    """
    return sorted(range(count), key=lambda place: hashlib.sha256(f"{seed}:{place}".encode()).digest())


def draw_subset(
    rows: Sequence[Mapping[str, Any]], wanted: int, seed: int, index: ProblemIndex | None
) -> tuple[list[Row], list[Excluded]]:
    """The first `wanted` rows in `drawing_order` that have a gradeable gold and repeat no test problem, and the others.

    rows: with `problem` and `solution`; the gold is the solution's last box. Raises BadInput if there are too few.
    """
    drawn: list[Row] = []
    excluded: list[Excluded] = []
    for place in drawing_order(len(rows), seed):
        source = rows[place]
        gold = last_box(source["solution"]).content
        row = Row(f"numina-{place}", source["problem"], (gold or "").strip())
        found = Excluded(row.id, "no_box") if gold is None else find_exclusion(row, index)
        if found is not None:
            excluded.append(found)
            continue
        drawn.append(row)
        if len(drawn) == wanted:
            return drawn, excluded
    raise BadInput(f"only {len(drawn)} of {len(rows)} rows can be trained on; want {wanted}")


def find_exclusion(row: Row, index: ProblemIndex | None) -> Excluded | None:
    """Why a row is left out, or None. Test problems are looked up only with an index."""
    if not row.answer.strip():
        return Excluded(row.id, "empty_gold")
    if not usable_gold(row.answer):
        return Excluded(row.id, "unusable_gold")
    pairs = index.pairs(row.id, row.problem) if index else []
    return Excluded(row.id, OVERLAP, " ".join(pair.test_id for pair in pairs)) if pairs else None


def evaluation_problems(revisions: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Every test problem of every suite, by `suite:id`: from the folder of files, else from the hub.

    Raises BadInput without either; revisions: of hub copies for which none is pinned.
    """
    benchmarks = {suite.benchmark.name: suite.benchmark for suite in SUITES.values()}
    return {
        f"{name}:{problem.id}": problem.text
        for name, benchmark in benchmarks.items()
        for problem in load_benchmark(benchmark, hub=True, revision=revisions.get(name)).problems
    }


def committed_exclusions(name: str, *, overlaps: bool) -> list[Excluded]:
    """The committed list's rows of a set: those about golds, and with `overlaps` those that repeat a test problem."""
    return [
        Excluded(row["id"], row["reason"], row["detail"])
        for row in _read_exclusions()
        if row["set"] == name and (overlaps or row["reason"] != OVERLAP)
    ]


def _read_exclusions() -> Iterator[dict[str, str]]:
    with EXCLUSIONS.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def rows_digest(rows: Sequence[Row]) -> str:
    """sha256 over ids, problems and golds in order."""
    lines = "".join(json.dumps([row.id, row.problem, row.answer]) + "\n" for row in rows)
    return hashlib.sha256(lines.encode()).hexdigest()
