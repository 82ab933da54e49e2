"""What a table shows: rows, columns, claims and what stands beside them in the paper. Data, no results."""

import json
from dataclasses import dataclass

from repro.cells.experiments import Experiment, get_arm
from repro.config import Profile
from repro.errors import BadInput
from repro.paper import BENCHMARKS, MODELS
from repro.paths import results_dir

NOT_RUN_YET = "not run yet"
BEST_OTHER = "best_other"  # as `worse` of a claim: the best arm by our average that is neither base, reference nor GCPO

# Official names of the paper's base models -> the labels of its table.
_OFFICIAL = {
    "DeepScaleR-1.5B-Preview": "DeepScaleR-1.5B",
    "DeepSeek-R1-Distill-Qwen-1.5B": "R1-Distill-1.5B",
    "DeepSeek-R1-Distill-Qwen-7B": "R1-Distill-7B",
}
_BENCHMARK_OF_SUITE = {
    "aime24": "AIME24",
    "aime25": "AIME25",
    "amc23": "AMC23",
    "math500": "MATH500",
    "minerva": "Minerva",
}


@dataclass(frozen=True)
class BaseRow:
    """A base model: its name here and the paper's row it stands beside (None: none)."""

    id: str
    paper_model: str | None


@dataclass(frozen=True)
class ArmRow:
    """A method: its name here, the paper's label, and why it has no cells if it cannot have any ("" if it can)."""

    id: str
    title: str
    paper_method: str | None
    why_not: str = ""


@dataclass(frozen=True)
class SuiteColumn:
    """A suite. same_task: it is the paper's benchmark; otherwise a stand-in at the same position."""

    id: str
    paper_benchmark: str | None
    same_task: bool


@dataclass(frozen=True)
class ClaimRow:
    """`better` is above `worse` on the average, on every base. Primary claims are Holm-corrected together."""

    id: str
    text: str
    better: str
    worse: str
    primary: bool = False


@dataclass(frozen=True)
class TableSpec:
    """A whole table before any number. p_values: False withholds them (no passed calibration of this profile)."""

    id: str
    title: str
    profile: str
    stamp: str
    bases: tuple[BaseRow, ...]
    arms: tuple[ArmRow, ...]
    suites: tuple[SuiteColumn, ...]
    claims: tuple[ClaimRow, ...]
    command: str
    p_values: bool
    base_arm: str = "base"
    reference: str = "grpo"


def table_spec(profile: Profile, experiment: Experiment, command: str, suites: list[str] | None = None) -> TableSpec:
    """The spec of a registered table under a profile.

    Real benchmarks are matched by name. Stand-in suites take the paper's columns by position, and only when there are
    as many of them. p-values need results/published/<profile>/calibration.json with `passed`.
    """
    names = list(profile.tasks.suites) if suites is None else suites
    if profile.tasks.kind == "benchmark":
        columns = [SuiteColumn(name, _BENCHMARK_OF_SUITE.get(name), name in _BENCHMARK_OF_SUITE) for name in names]
    elif len(names) == len(BENCHMARKS):
        columns = [SuiteColumn(name, benchmark, False) for name, benchmark in zip(names, BENCHMARKS, strict=True)]
    else:
        columns = [SuiteColumn(name, None, False) for name in names]
    arms = [get_arm(name) for name in experiment.arms]
    return TableSpec(
        id=experiment.id,
        title=experiment.title,
        profile=profile.name,
        stamp=profile.stamp,
        bases=tuple(BaseRow(name, _paper_model(profile.bases[name].role)) for name in experiment.bases(profile)),
        arms=tuple(
            ArmRow(arm.id, arm.title, arm.paper_method, "" if arm.built else arm.why_not or NOT_RUN_YET) for arm in arms
        ),
        suites=tuple(columns),
        claims=tuple(ClaimRow(c.id, c.text, c.better, c.worse, c.primary) for c in experiment.claims),
        command=command,
        p_values=_calibrated(profile.name),
    )


def _paper_model(role: str) -> str | None:
    name = _OFFICIAL.get(role, role)
    return name if name in MODELS else None


def _calibrated(profile: str) -> bool:
    path = results_dir(profile, "published") / "calibration.json"
    if not path.exists():
        return False
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["passed"])
    except (json.JSONDecodeError, KeyError):
        raise BadInput(
            f"calibration {path} is damaged; want the JSON that `python -m repro.studies.calibrate` writes"
        ) from None
