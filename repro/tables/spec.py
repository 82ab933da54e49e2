"""What a table shows: rows, columns, claims and what stands beside them in the paper. Data, no results."""

import json
from dataclasses import dataclass

from repro.cells.experiments import get_arm
from repro.cells.records import EQUIVALENCE_MARGIN, PRIMARY_OUTCOME, RATIO, REFERENCE, Experiment
from repro.config import Profile
from repro.errors import BadInput
from repro.paper import BENCHMARKS, MODELS
from repro.paths import results_dir

MEASURED, NOT_RUN_YET = "measured", "not run yet"

# Official names of the paper's base models -> the labels of its table.
_OFFICIAL = {
    "DeepScaleR-1.5B-Preview": "DeepScaleR-1.5B",
    "DeepSeek-R1-Distill-Qwen-1.5B": "R1-Distill-1.5B",
    "DeepSeek-R1-Distill-Qwen-7B": "R1-Distill-7B",
}


@dataclass(frozen=True)
class BaseRow:
    """A base model: its name here and the paper's model it stands beside (None: it has no counterpart there)."""

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
    """A suite and the paper's column beside it (None: none). same_task: a real benchmark; otherwise a stand-in."""

    id: str
    paper_benchmark: str | None
    same_task: bool


@dataclass(frozen=True)
class ClaimRow:
    """`better` is above `worse` on the average, on every base. Primary claims are Holm-corrected together.

    scale of its size: `ratio` of the gains, or `share lost` of better's gain. suites: those whose average decides, the
    others have no say and it has no size; none at all: it is not tested. None: all suites.
    """

    id: str
    text: str
    better: str
    worse: str
    primary: bool = False
    scale: str = RATIO
    suites: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TableSpec:
    """A whole table before any number. p_values: False withholds them (no passed calibration of this profile).

    margin: arms closer than this share of the reference's gain are equivalent.
    """

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
    checkpoints: tuple[str, ...] = ("base",)  # rows that no seed trains: their evaluations are pooled
    reference: str = REFERENCE
    outcome: str = PRIMARY_OUTCOME
    margin: float = EQUIVALENCE_MARGIN


def table_spec(profile: Profile, experiment: Experiment, command: str, suites: list[str] | None = None) -> TableSpec:
    """The spec of a registered table under a profile.

    Real benchmarks are matched by name, in any case; one that the paper's table lacks stands beside no column of it.
    Stand-in suites take the paper's columns by position, and only when there are as many of them. p-values need
    results/published/<profile>/calibration.json with `passed`.
    """
    names = list(profile.tasks.suites) if suites is None else suites
    if profile.tasks.kind == "benchmark":
        columns = [SuiteColumn(name, _paper_benchmark(name), True) for name in names]
    elif len(names) == len(BENCHMARKS):
        columns = [SuiteColumn(name, benchmark, False) for name, benchmark in zip(names, BENCHMARKS, strict=True)]
    else:
        columns = [SuiteColumn(name, None, False) for name in names]
    arms = [arm for name in experiment.arms if (arm := get_arm(name)).measurable(profile)]
    rows = {arm.id for arm in arms}
    return TableSpec(
        id=experiment.id,
        title=experiment.title,
        profile=profile.name,
        stamp=profile.stamp,
        bases=tuple(BaseRow(name, _paper_model(profile.bases[name].role)) for name in experiment.bases(profile)),
        arms=tuple(
            ArmRow(arm.id, arm.title, arm.paper_method, "" if arm.built else arm.why_not or NOT_RUN_YET) for arm in arms
        ),
        checkpoints=tuple(arm.id for arm in arms if arm.method is None),
        suites=tuple(columns),
        claims=tuple(
            ClaimRow(c.id, c.text, c.better, c.worse, c.primary, c.scale, _ending_in(c.on, names) if c.on else None)
            for c in experiment.claims
            if {c.better, c.worse} <= rows
        ),
        command=command,
        p_values=_calibrated(profile.name),
        reference=experiment.reference,
        outcome=experiment.outcome,
        margin=experiment.margin,
    )


def _ending_in(parts: tuple[str, ...], suites: list[str]) -> tuple[str, ...]:
    """The suites whose names end in one of some words: modten-far, words-far for "far"."""
    return tuple(name for name in suites if name.rpartition("-")[2] in parts)


def _paper_benchmark(suite: str) -> str | None:
    """The paper's column of a real benchmark, by the names under which its problems are loaded."""
    from repro.tasks.benchmarks.loading import get_suites

    (known,) = get_suites(suite)
    return known.name if known.name in BENCHMARKS else None


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
