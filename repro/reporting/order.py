"""What tables and figures are built by alike: when one is stale, its notebook, and the published one beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.cells.records import Experiment
from repro.config import Profile
from repro.files import read_json, write_json
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.record import inputs_hash, notebook_path
from repro.reporting.variant import Variant
from repro.tables.compare import Comparison, comparison_markdown

BESIDE = "_beside_published.md"  # behind a target's name: a user's own numbers beside the published ones
BESIDE_TITLE = "Yours beside the published run"


@dataclass(frozen=True)
class Order:
    """A target to be built from summaries of finished cells, in the folder of its variant.

    seeds: how many they are of. kind: `local` or `published`. force: also where nothing changed since it was built.
    """

    profile: Profile
    experiment: Experiment
    summaries: list[dict]
    seeds: int
    variant: Variant
    kind: str
    force: bool

    @property
    def published(self) -> bool:
        return self.kind == "published"

    @property
    def folder(self) -> Path:
        return results_dir(self.variant.place(self.profile.name), self.kind)

    @property
    def command(self) -> str:
        """The line that makes it again."""
        return self.variant.command(self.experiment.id, self.profile.name, self.seeds)

    @property
    def notebook(self) -> Path:
        return notebook_path(self.experiment, self.profile, self.folder, self.kind)

    def build(
        self,
        room: str,
        spec_text: str,
        write: Callable[[], None],
        compare: Callable[[Path, Path], Sequence[Comparison]],
        number: Callable[[float], str],
    ) -> str:
        """Write the files and the notebook unless nothing changed; returns yours beside the published, as Markdown.

        room: `tables` or `figures`, where <id>.json lies. spec_text: what it is built from besides its cells. write:
        writes the files. compare: (your JSON, the published one) -> the numbers of both; number: how one is written.
        """
        name, folder = self.experiment.id, self.folder / room
        data, stamp = folder / f"{name}.json", folder / f".{name}.inputs.json"
        theirs = results_dir(self.profile.name, "published") / room / f"{name}.json"
        beside_it = not self.published and theirs.exists()
        inputs = {
            "hash": inputs_hash(self.summaries, spec_text + (theirs.read_text(encoding="utf-8") if beside_it else ""))
        }
        fresh = stamp.exists() and read_json(stamp, "record of what it was built from") == inputs
        stale = self.force or not fresh or not data.exists() or not self.notebook.exists()
        if stale:
            write()
        beside, path = "", folder / f"{name}{BESIDE}"
        if beside_it:
            beside = comparison_markdown(compare(data, theirs), number)
            path.write_text(beside, encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
        if stale:
            from repro.notebooks import render

            where = {"TARGET": name, "PROFILE": self.variant.place(self.profile.name), "KIND": self.kind}
            render(REPO_ROOT / "notebooks" / f"{self.experiment.kind}.py", self.notebook, {}, where)
            write_json(stamp, inputs)
        return beside

    def told(self, text: str, beside: str, rooms: Sequence[str]) -> tuple[str, list[str]]:
        """What the terminal shows, and the files: those of the target in `rooms`, then the notebook."""
        found = [path for room in rooms for path in sorted((self.folder / room).glob(f"{self.experiment.id}[._]*"))]
        files = [str(path) for path in (*found, self.notebook)]
        lines = [text, *([f"## {BESIDE_TITLE}", "", beside] if beside else [])]
        return "\n".join([*lines, "Files:", *(f"  {path}" for path in files)]), files
