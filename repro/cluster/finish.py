"""From the parts of an evaluation to one finished cell: samples merged by the store, summary, what it did cost."""

from pathlib import Path
from typing import Any

from repro.bases.files import weight_files
from repro.cells.bases import base_folder, base_source
from repro.cells.cell import Cell
from repro.cells.fill import SAMPLES, policy_dir, summary_head, trained_record
from repro.cells.state import load_summary
from repro.cluster.models import shape_of
from repro.cluster.preflight import distributed, measured_cost
from repro.cluster.record import Part
from repro.config import Profile
from repro.errors import BadInput
from repro.evaluation.policy import asked, summaries
from repro.evaluation.store import read_samples, replace_samples
from repro.files import read_json, write_json
from repro.tasks.protocol import Question, TaskSet

ATTEMPTS, FAILED = "attempts.json", "failed.json"


class PartOfSuite:
    """A task set of which only every `of`-th question is asked, from number `part` on; the rest is its own."""

    def __init__(self, tasks: TaskSet, part: Part) -> None:
        self._tasks, self._part = tasks, part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)

    def questions(self, suite: str) -> list[Question]:
        """See `TaskSet`."""
        return list(self._tasks.questions(suite))[self._part.part :: self._part.of]


def part_file(cell: Cell, part: Part) -> Path:
    """Where the samples of one part are."""
    return cell.folder / "parts" / f"{part.name}.jsonl.zst"


def part_failure(cell: Cell, part: Part) -> Path:
    """Where one line says why a part failed."""
    return cell.folder / "parts" / f"{part.name}.failed.json"


def note_attempt(cell: Cell, seconds: float, ranks: int) -> None:
    """Add one stretch of training to the cell's list: an interrupted cell costs what all of its attempts cost."""
    path = cell.folder / ATTEMPTS
    known = read_json(path, "list of attempts") if path.exists() else []
    write_json(path, [*known, {"seconds": seconds, "ranks": ranks}])


def policy_source(profile: Profile, cell: Cell) -> Path:
    """The folder of the policy that is measured. Raises BadInput while it is not trained."""
    if not cell.trained:
        return base_folder(profile, cell.base)
    folder = policy_dir(cell.id)
    if trained_record(cell) is None or not weight_files(folder):
        raise BadInput(f"policy of {cell.id} is not in {folder}; its training has not ended")
    return folder


def finish_cell(profile: Profile, cell: Cell, tasks: TaskSet, parts: tuple[Part, ...]) -> str:
    """Write the summary of a cell whose parts are all there. Returns why it cannot be finished, empty once it is."""
    if load_summary(cell) is not None:
        return ""
    record = trained_record(cell)
    if cell.trained and record is None:
        return _failure(cell.folder / FAILED) or "its training has not ended"
    samples = []
    for part in parts:
        found = read_samples(part_file(cell, part))
        count = len(PartOfSuite(tasks, part).questions(part.suite))
        wanted = count * (profile.evaluate.samples_of(part.suite) + profile.evaluate.greedy)
        if len(found) != wanted:
            return _failure(part_failure(cell, part)) or f"{part.name} has {len(found)} of {wanted} samples"
        samples += found
    env = read_json(cell.folder / "env.json", "environment record")
    replace_samples(cell.folder / SAMPLES, samples)
    result = {
        "train": record,
        "suites": summaries(tasks, asked(tasks, list(profile.tasks.suites)), profile.evaluate, samples),
        "seconds": {
            "train": record["wall_seconds"] if record else 0.0,
            "evaluate": sum(sample.seconds + sample.grade_seconds for sample in samples),
        },
    }
    if profile.cluster is not None and record and distributed(cell):
        result["cost"] = _cost(profile, cell, record)
    _, weights = base_source(profile, cell.base)
    write_json(cell.folder / "summary.json", summary_head(profile, cell, weights, env) | result)
    return ""


def _cost(profile: Profile, cell: Cell, record: dict[str, Any]) -> dict[str, Any]:
    attempts = read_json(cell.folder / ATTEMPTS, "list of attempts")
    seconds = sum(each["seconds"] for each in attempts)
    shape = shape_of(profile.bases[cell.base].model)
    return measured_cost(profile, cell, shape, seconds, profile.cluster.ranks, record["tokens"] or 0.0)


def _failure(path: Path) -> str:
    return read_json(path, "record of a failure")["error"] if path.exists() else ""
