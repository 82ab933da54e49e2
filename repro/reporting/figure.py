"""From finished cells to a figure of the paper: its data as CSV and JSON, its text, its picture, its notebook."""

from dataclasses import asdict
from pathlib import Path

from repro.cells.records import Experiment
from repro.config import Profile
from repro.errors import BadInput
from repro.figuredata.markdown import to_markdown
from repro.figuredata.model import FigureData, read_figure, to_csv, to_json
from repro.files import read_json, write_json
from repro.paper.findings import write_text
from repro.paths import REPO_ROOT, results_dir
from repro.references import resolve
from repro.reporting.record import Report, inputs_hash, notebook_path
from repro.reporting.variant import Variant


def build_figure(
    profile: Profile,
    experiment: Experiment,
    summaries: list[dict],
    seeds: int,
    variant: Variant,
    *,
    kind: str,
    force: bool,
) -> Report:
    """Build a figure in the variant's folder and its notebook, unless nothing changed since they were built.

    Raises BadInput when no cell of it is finished.
    """
    folder = results_dir(variant.place(profile.name), kind)
    if not summaries:
        command = f"make reproduce-{experiment.id} PROFILE={profile.name}"
        raise BadInput(f"no finished cell of {experiment.id} in {folder}; run {command}")
    target = folder / "figures"
    stamp_file, data_file = target / f".{experiment.id}.inputs.json", target / f"{experiment.id}.json"
    notebook = notebook_path(experiment, profile, folder, kind)
    inputs = {"hash": inputs_hash(summaries, repr(experiment))}
    fresh = stamp_file.exists() and read_json(stamp_file, "record of the figure's inputs") == inputs
    if force or not fresh or not data_file.exists() or not notebook.exists():
        from repro.notebooks import render

        cells = results_dir(profile.name, kind) / ("cells" if kind == "published" else "runs")
        command = variant.command(experiment.id, profile.name, seeds)
        figure = resolve(experiment.measure)(profile, experiment, summaries, cells, command)
        write_figure(figure, experiment, target)
        where = {"TARGET": experiment.id, "PROFILE": variant.place(profile.name), "KIND": kind}
        render(REPO_ROOT / "notebooks" / "figure.py", notebook, {}, where)
        write_json(stamp_file, inputs)
    figure = read_figure(data_file)
    files = [*sorted(target.glob(f"{experiment.id}.*")), notebook]
    text = "\n".join([to_markdown(figure), "Files:", *(f"  {path}" for path in files)])
    return Report(text, [str(path) for path in files], [asdict(each) for each in figure.decisions])


def write_figure(figure: FigureData, experiment: Experiment, folder: Path) -> None:
    """Write <id>.csv, .json, .md, .png and .svg. Equal figures give equal bytes."""
    from repro.figures import save

    name = figure.head.id
    for suffix, text in (("csv", to_csv(figure)), ("json", to_json(figure)), ("md", to_markdown(figure))):
        write_text(folder / f"{name}.{suffix}", text)
    save(resolve(experiment.draw)(figure), folder, name)
