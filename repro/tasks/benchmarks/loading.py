"""The benchmarks' problems, from a folder of files (`GCPO_DATA`) or, if asked for, from the hub at a pinned revision.

Every load asserts what it reads: a file by its row count and sha256, a hub copy by its row count and its golds. A hub
copy carries the golds as distributed there and none of the corrections that the files add. Revisions that nobody could
name to us stay None: such a copy needs a revision from the caller.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.data_folder import why_missing
from repro.errors import BadInput
from repro.grading import CodeProblem
from repro.paths import benchmark_dir
from repro.tasks.protocol import Question

AVERAGED = ("AIME24", "AIME25", "AMC23", "MATH500", "Minerva")  # the paper's average is the plain mean of these five
# The MATH500 problems that the AIME 1983-2023 training set contains (`overlaps_eval` of that file).
MATH500_IN_AIME = (
    "test/intermediate_algebra/1365.json",
    "test/intermediate_algebra/582.json",
    "test/intermediate_algebra/90.json",
    "test/counting_and_probability/1003.json",
    "test/intermediate_algebra/2146.json",
    "test/intermediate_algebra/1411.json",
    "test/intermediate_algebra/345.json",
    "test/intermediate_algebra/1849.json",
)


@dataclass(frozen=True)
class HubCopy:
    """Where the hub keeps a benchmark. golds_sha256: digest of its golds as distributed (see `golds_digest`)."""

    repo: str
    split: str
    revision: str | None
    question: str
    gold: str
    golds_sha256: str
    config: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark. kind: math or code. rows, sha256: of the file. other_golds: fields reported beside `answer`."""

    name: str
    title: str
    kind: str
    file: str
    rows: int
    sha256: str
    hub: HubCopy
    other_golds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A benchmark as it is asked: with `shots` worked examples."""

    name: str
    benchmark: Benchmark
    shots: int = 0


@dataclass(frozen=True)
class Loaded:
    """The problems of a benchmark and what says which they are: file or repository, revision, digest."""

    problems: tuple[Question, ...]
    source: Mapping[str, str]


_BENCHMARKS = (
    Benchmark(
        "AIME24",
        "AIME 2024",
        "math",
        "aime24.jsonl",
        30,
        "2909d6c37568318f7fe27aeb79f2c8cb34bee782f91d1d17ac5fff4e24b8dcee",
        HubCopy(
            "HuggingFaceH4/aime_2024",
            "train",
            "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
            "problem",
            "answer",
            "aabad1eca0d8d8f17d2b00588d1d0698c53f7bc3fa4e238ad86786c9253d6f77",
        ),
    ),
    Benchmark(
        "AIME25",
        "AIME 2025",
        "math",
        "aime25.jsonl",
        30,
        "37e719e5e578f21320dd30499355b02e488a5fc001c714a9f9c484f0381f4e47",
        HubCopy(
            "yentinglin/aime_2025",
            "train",
            None,
            "problem",
            "answer",
            "5f34c9abde4d40cf203e50dc244c0c12788c8e610d67bd89a708662182c99e52",
        ),
    ),
    Benchmark(
        "AMC23",
        "AMC 2023",
        "math",
        "amc23.jsonl",
        40,
        "34d1a951f40f749656678722625400ded8f29618e79d67fe2ec9641ac9c150d1",
        HubCopy(
            "knoveleng/AMC-23",
            "train",
            None,
            "problem",
            "answer",
            "8c122e4381598123fd98b7c6eb94dab7b59e2dbd513ea144b8123e2215e29844",
        ),
    ),
    Benchmark(
        "AMC83",
        "AMC 2022+2023 (83)",
        "math",
        "amc_aimo83.jsonl",
        83,
        "3600be349e54735506ffd4cb57cd5f5006526193650ead61a85763e624efdb0a",
        HubCopy(
            "AI-MO/aimo-validation-amc",
            "train",
            "69d78a4a2c840e82d69af6bc742bda09005f6316",
            "problem",
            "answer",
            "6987cb3cdfbf77a75b54826f6dd7be3b88e80054d938b3fa18d1217b4d0b9880",
        ),
        ("answer_corrected",),
    ),
    Benchmark(
        "MATH500",
        "MATH500",
        "math",
        "math500.jsonl",
        500,
        "86ba28f12f199a971be41d5fa19ec76e0efb14945b3db4be07676f104458b62d",
        HubCopy(
            "HuggingFaceH4/MATH-500",
            "test",
            "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
            "problem",
            "answer",
            "428c541fbd205e654ef8545102868cac794c36d3522ceec06fbfee46e177308a",
        ),
    ),
    Benchmark(
        "Minerva",
        "MinervaMATH",
        "math",
        "minerva.jsonl",
        272,
        "5d52366340961364f6f582e20d1d6e72bb1b69a1bfe74872a97a731078125f5d",
        HubCopy(
            "knoveleng/Minerva-Math",
            "train",
            None,
            "problem",
            "answer",
            "50cc65222aaec2efafa4c147f21e49245d6b980f6d3a40ae3a31c3759fad1d02",
        ),
        ("answer_corrected", "deepscaler_gold"),
    ),
    Benchmark(
        "OlympiadBench",
        "OlympiadBench",
        "math",
        "olympiadbench.jsonl",
        675,
        "52f99d3b50e1f45938f42289ce012667aea421be5e3cc3d40de90f8e6c44379e",
        HubCopy(
            "knoveleng/OlympiadBench",
            "train",
            None,
            "question",
            "answer",
            "d66aabf1b2a97893fed375cd544a837067639cd9966d0b0884df12c9654b5627",
        ),
    ),
    Benchmark(
        "HumanEval",
        "HumanEval",
        "code",
        "humaneval.jsonl",
        164,
        "621ff099e7d6a9b630619acd3568aef441dec51a8c84f881a9dd1f2d2ed15914",
        HubCopy(
            "openai/openai_humaneval",
            "test",
            "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
            "prompt",
            "test",
            "976d740a757684bf6c66637da95b14cd12e1b6ec1c2249f4ec4651e35dcd8eb9",
            "openai_humaneval",
        ),
    ),
)
SUITES = {
    **{benchmark.name: Suite(benchmark.name, benchmark) for benchmark in _BENCHMARKS},
    "HumanEval-5shot": Suite("HumanEval-5shot", _BENCHMARKS[-1], shots=5),
}
GROUPS = {"paper": AVERAGED, "all": tuple(SUITES)}


def get_suites(text: str) -> list[Suite]:
    """The suites of a comma-separated list of names; `paper` is the average's five, `all` is every suite.

    Case, spaces and hyphens do not matter. Raises BadInput for an unknown name, with the nearest ones.
    """
    known = {_plain(name): (name,) for name in SUITES} | GROUPS
    names: dict[str, None] = {}
    for word in text.split(","):
        if _plain(word) not in known:
            plain = [_plain(name) for name in SUITES]
            near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.5)
            hint = f" (did you mean {list(SUITES)[plain.index(near[0])]}?)" if near else ""
            raise BadInput(f"unknown suite {word.strip()!r}{hint}; want some of {', '.join((*SUITES, *GROUPS))}")
        names.update(dict.fromkeys(known[_plain(word)]))
    return [SUITES[name] for name in names]


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def load_benchmark(benchmark: Benchmark, *, hub: bool = False, revision: str | None = None) -> Loaded:
    """All problems of a benchmark: from the folder of `GCPO_DATA`, else, with `hub`, from the hub.

    Raises BadInput if the file is missing or changed, there is no folder and `hub` is off, or the copy differs.
    """
    folder = benchmark_dir()
    if folder is not None:
        return _from_file(benchmark, folder / benchmark.file)
    if not hub:
        raise BadInput(
            f"{benchmark.name}: no folder of benchmark files ({why_missing()}); set GCPO_DATA to one that "
            f"holds {benchmark.file}, or pass --hub-data (a table: SET=tasks.hub_data=true) to download it from the hub"
        )
    return _from_hub(benchmark, revision)


def _from_file(benchmark: Benchmark, path: Path) -> Loaded:
    if not path.is_file():
        raise BadInput(f"{benchmark.name}: {path} is missing; want its {benchmark.rows} problems there (set GCPO_DATA)")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    rows = content.count(b"\n") if content.endswith(b"\n") else content.count(b"\n") + 1
    if rows != benchmark.rows or digest != benchmark.sha256:
        raise BadInput(
            f"{benchmark.name}: {path} has {rows} rows and sha256 {digest[:12]}...; "
            f"want {benchmark.rows} rows and {benchmark.sha256[:12]}..."
        )
    problems = tuple(_problem(benchmark, json.loads(line)) for line in content.decode("utf-8").splitlines())
    return Loaded(problems, {"file": benchmark.file, "sha256": digest})


def _problem(benchmark: Benchmark, row: Mapping[str, Any]) -> Question:
    if benchmark.kind == "code":
        return _code_problem(row)
    others = {}
    for name in benchmark.other_golds:
        value = row.get(name, row["answer"])
        others[name] = tuple(text.strip() for text in value) if isinstance(value, list) else (value,)
    return Question(row["id"], row["problem"], row["answer"], others)


def _code_problem(row: Mapping[str, Any]) -> Question:
    names = ("task_id", "prompt", "entry_point", "test")
    code = CodeProblem(**{name: row[name] for name in names})
    return Question(row["task_id"], row["prompt"], "", code=code, solution=row["canonical_solution"])


def golds_digest(golds: Sequence[object]) -> str:
    """sha256 over the golds as text, sorted, so that it depends neither on ids nor on the order of rows."""
    return hashlib.sha256(json.dumps(sorted(str(gold).strip() for gold in golds)).encode()).hexdigest()


def hub_copy(benchmark: Benchmark, revision: str | None) -> tuple[HubCopy, str]:
    """Where the hub keeps a benchmark and at which revision: the given one, or the pinned one.

    Raises BadInput where there is neither, saying where to look it up and where to put it.
    """
    copy = benchmark.hub
    revision = revision or copy.revision
    if revision is None:
        raise BadInput(
            f"{benchmark.name}: no revision of {copy.repo} is pinned here; look it up at "
            f"https://huggingface.co/datasets/{copy.repo}/commits/main and pass --data-revision SHA (a table, fetch: "
            f"--set tasks.hub_revisions.{benchmark.name}=SHA; its golds are checked), or set GCPO_DATA to a folder "
            f"with {benchmark.file}"
        )
    return copy, revision


def _from_hub(benchmark: Benchmark, revision: str | None) -> Loaded:
    copy, revision = hub_copy(benchmark, revision)
    return check_copy(benchmark, revision, list(hub_rows(benchmark.name, copy.repo, copy.config, copy.split, revision)))


def hub_rows(name: str, repo: str, config: str | None, split: str, revision: str) -> Sequence[Mapping[str, Any]]:
    """The rows of a hub data set at a revision; nothing else fetches data. BadInput, led by `name`, if that fails.

    The repository's files come first, then rows are read from them: without a network the same call reads the cache.
    """
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    try:
        return load_dataset(snapshot_download(repo, repo_type="dataset", revision=revision), config, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # offline, no such repository or revision, unreadable files
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{name}: cannot load {repo} at {revision[:12]}: {line}") from None


def check_copy(benchmark: Benchmark, revision: str, rows: Sequence[Mapping[str, Any]]) -> Loaded:
    """The problems of a hub copy's rows. Raises BadInput unless their number and their golds are as expected."""
    copy = benchmark.hub
    missing = [name for name in (copy.question, copy.gold) if any(name not in row for row in rows)]
    if missing:
        raise BadInput(f"{benchmark.name}: {copy.repo} at {revision[:12]} has no column {missing[0]!r}")
    digest = golds_digest([row[copy.gold] for row in rows])
    if len(rows) != benchmark.rows or digest != copy.golds_sha256:
        raise BadInput(
            f"{benchmark.name}: {copy.repo} at {revision[:12]} has {len(rows)} rows and golds {digest[:12]}...; "
            f"want {benchmark.rows} rows and {copy.golds_sha256[:12]}... (or set GCPO_DATA)"
        )
    if benchmark.kind == "code":
        problems = tuple(_code_problem(row) for row in rows)
    else:
        problems = tuple(
            Question(str(row.get("unique_id", f"{benchmark.name}-{number}")), row[copy.question], str(row[copy.gold]))
            for number, row in enumerate(rows)
        )
    return Loaded(problems, {"hub": copy.repo, "revision": revision, "golds_sha256": digest})
