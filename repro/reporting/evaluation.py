"""A stored evaluation as files: report.md, one summary for programs, figures; no samples needed."""

from dataclasses import dataclass
from pathlib import Path

from repro.evaluation.report import load_evaluation, overview, report_text
from repro.evaluation.store import SUMMARY
from repro.figures.evaluation import write_figures
from repro.files import write_json

REPORT = "report.md"


@dataclass(frozen=True)
class Report:
    """text: report.md; files: what was written."""

    text: str
    files: tuple[Path, ...]


def build_report(folder: Path) -> Report:
    """Write report.md, summary.json and the figures of an evaluation beside its suites."""
    entries = load_evaluation(folder)
    text = report_text(entries)
    (folder / REPORT).write_text(text, encoding="utf-8")
    write_json(folder / SUMMARY, overview(entries))
    figures = write_figures(entries, folder / "figures")
    return Report(text, (folder / REPORT, folder / SUMMARY, *figures))
