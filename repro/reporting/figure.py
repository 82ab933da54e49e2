"""From finished cells to a figure of the paper: its data as CSV and JSON, its text, its picture, its notebook."""

from dataclasses import asdict
from pathlib import Path

from repro.cells.records import Experiment
from repro.errors import BadInput
from repro.figuredata.compare import compare_with_published
from repro.figuredata.markdown import to_markdown
from repro.figuredata.model import FigureData, read_figure, to_csv, to_json
from repro.paper.findings import write_text
from repro.paths import results_dir
from repro.references import resolve
from repro.reporting.order import Order
from repro.reporting.record import Report


def build_figure(order: Order) -> Report:
    """Build a figure in the variant's folder and its notebook, unless nothing changed since they were built.

    Raises BadInput when no cell of it is finished.
    """
    profile, experiment = order.profile, order.experiment
    if not order.summaries:
        command = f"make reproduce-{experiment.id} PROFILE={profile.name}"
        raise BadInput(f"no finished cell of {experiment.id} in {order.folder}; run {command}")
    target = order.folder / "figures"

    def write() -> None:
        cells = results_dir(profile.name, order.kind) / ("cells" if order.published else "runs")
        figure = resolve(experiment.measure)(profile, experiment, order.summaries, cells, order.command)
        write_figure(figure, experiment, target)

    beside = order.build(
        "figures",
        repr(experiment),
        write,
        lambda mine, theirs: compare_with_published(read_figure(mine), read_figure(theirs)),
        "{:.4g}".format,
    )
    figure = read_figure(target / f"{experiment.id}.json")
    text, files = order.told(to_markdown(figure), beside, ["figures"])
    return Report(text, files, [asdict(each) for each in figure.decisions])


def write_figure(figure: FigureData, experiment: Experiment, folder: Path) -> None:
    """Write <id>.csv, .json, .md, .png and .svg. Equal figures give equal bytes."""
    from repro.figures import save

    name = figure.head.id
    for suffix, text in (("csv", to_csv(figure)), ("json", to_json(figure)), ("md", to_markdown(figure))):
        write_text(folder / f"{name}.{suffix}", text)
    save(resolve(experiment.draw)(figure), folder, name)
