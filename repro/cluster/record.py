"""A launch on disk: which cells, cut into which parts, and the jobs that run them. Written once, read by every task."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from repro.cells.cell import Cell
from repro.cells.experiments import Experiment, get_experiment
from repro.cells.plan import plan_cells
from repro.config import Profile, load_profile
from repro.errors import BadInput
from repro.files import read_json, write_json
from repro.paths import results_dir

FILE = "launch.json"


@dataclass(frozen=True)
class Part:
    """One evaluation task of a cell: part number `part` of `of` of a suite's questions."""

    suite: str
    part: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """For files and jobs."""
        return f"{self.suite}-{self.part + 1}of{self.of}"


@dataclass(frozen=True)
class Launch:
    """folder: of scripts, logs and stop files. cells: ids in the order of the arrays. jobs: Slurm's ids by script."""

    profile: str
    target: str
    cells: tuple[str, ...]
    parts: tuple[Part, ...]
    overrides: tuple[str, ...] = ()
    base: str | None = None
    seeds: int | None = None
    not_launched: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)

    def with_jobs(self, jobs: dict[str, str]) -> "Launch":
        """The launch once it was submitted."""
        return replace(self, jobs=jobs)


def write_launch(folder: Path, launch: Launch) -> Path:
    """Write the record; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, asdict(launch))
    return folder / FILE


def read_launch(path: Path) -> Launch:
    """The launch of a record. Raises BadInput for a file that is missing or is none."""
    if not path.is_file():
        raise BadInput(f"launch {path} does not exist; want the {FILE} that `python -m repro launch` wrote")
    tree = read_json(path, "launch")
    try:
        lists = {name: tuple(tree[name]) for name in ("cells", "overrides")}
        return Launch(**tree | lists | {"parts": tuple(Part(**part) for part in tree["parts"])})
    except (TypeError, KeyError) as error:
        raise BadInput(f"launch {path} is no record of a launch ({error}); launch again") from None


def planned(launch: Launch) -> tuple[Profile, Experiment, list[Cell]]:
    """The profile, target and all cells of a launch, those that were not launched included.

    Raises BadInput where today's code or profile gives other cells: what runs must be what was launched.
    """
    profile = load_profile(launch.profile, launch.overrides, base=launch.base)
    experiment = get_experiment(launch.target)
    named = {*launch.cells, *launch.not_launched}
    cells = [cell for cell in plan_cells(profile, experiment, launch.seeds) if cell.id in named]
    gone = named - {cell.id for cell in cells}
    if gone:
        raise BadInput(f"cell {min(gone)} is no longer planned: code, lock or profile changed; launch again")
    return profile, experiment, cells


def cell_at(cells: Sequence[Cell], launch: Launch, index: int) -> Cell:
    """The cell of an array task. Raises BadInput for a number that the launch does not have."""
    if not 0 <= index < len(launch.cells):
        raise BadInput(f"task {index} is none of the launch's {len(launch.cells)}; want 0 to {len(launch.cells) - 1}")
    return next(cell for cell in cells if cell.id == launch.cells[index])


def new_folder(profile: str) -> Path:
    """The folder of the next launch of a profile: launches/001, 002, ..."""
    root = results_dir(profile) / "launches"
    last = max((int(path.name) for path in root.glob("[0-9]*")), default=0)
    return root / f"{last + 1:03d}"


def parts_of(profile: Profile, split: int) -> tuple[Part, ...]:
    """Every suite in `split` parts. Raises BadInput where a suite's samples depend on their batch."""
    if split > 1 and profile.evaluate.seeds == "batch":
        raise BadInput("evaluate.seeds is 'batch': a suite's samples depend on their batches, so it cannot be split")
    return tuple(Part(suite, part, split) for suite in profile.tasks.suites for part in range(split))
