"""`list`, `plan`, `run`, `report`, `regrade`, `publish`: the tables and figures of the paper."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import BadInput
from repro.verbs.common import (
    DONE,
    FAILED,
    Parents,
    add_narrowing,
    built_targets,
    clock,
    options_of,
    profile_of,
    show,
    target_of,
)
from repro.verbs.launch import why_no_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from repro.cells.cell import Cell
    from repro.cells.pool import Outcome
    from repro.cells.records import Experiment
    from repro.config import Profile

ALL = "all"  # the target that stands for every built one
_PUBLISHED = {
    "plan": "count what is published of a target, or of all: under today's hash, under another, not at all",
    "run": "fill what results/published/ lacks; each cell is published when it is finished, so the run can go on later",
}


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    everything = [parents.narrow, parents.profile, parents.as_json]
    for name, call, groups, text in (
        ("list", list_targets, everything[1:], "all tables and figures, what is built, what is done or running"),
        ("plan", plan_target, everything, "the cells a target, or all, would run, with their cost; runs nothing"),
        ("run", run_target, everything, "run a target, or all: fill its cells, build its table and figure"),
        ("figures", redraw, everything[1:], "draw every table and figure again from finished cells; trains nothing"),
        ("regrade", regrade_target, everything, "grade the stored samples again, without a model"),
        ("publish", publish_target, everything[:2], "copy finished cells of a clean tree to results/published/"),
    ):
        parser = verbs.add_parser(name, parents=groups, help=text)
        parser.set_defaults(call=call)
        if name in ("plan", "run"):
            parser.add_argument("--published", action="store_true", help=_PUBLISHED[name])
    text = (
        "without a target: everything of a profile as one page, report.html; with one: its table, figure and notebook"
    )
    report = verbs.add_parser("report", parents=[parents.profile, parents.as_json], help=text)
    add_narrowing(report, needed=False)
    report.set_defaults(call=report_target)


def list_targets(args: argparse.Namespace) -> int:
    from repro.cells.run import target_status

    rows = target_status(lambda target: profile_of(args, target, all_targets=True))
    if args.json:
        print(json.dumps(rows, indent=1))
        return DONE
    for row in rows:
        if row["built"]:
            counts = row["cells"]
            status = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no cells"
        else:
            status = row["note"]
        print(f"{row['id']:<9} {row['title']:<52} {status}")
        for cell in row.get("running", []):
            print(f"          running: {cell}")
    return DONE


def plan_target(args: argparse.Namespace) -> int:
    from repro.cells.run import plan, plan_all

    if args.published:
        return _plan_published(args)
    result = plan_all(built_targets(args), options_of(args)) if args.target == ALL else plan(*target_of(args))
    if args.json:
        print(json.dumps(result, indent=1))
        return DONE
    for name, seconds in result["bases"].items():
        print(f"base     {name:<58} {clock(seconds):>8}")
    for row in result["cells"]:
        print(f"{row['state']:<8} {row['cell']:<58} {clock(row['seconds']):>8}")
    for name, why in result["not_run"].items():
        print(f"{why:<8} {name}")
    for line in result["wanting"]:
        print(line)
    waiting = sum(row["state"] != "done" for row in result["cells"])
    print(
        f"{waiting} of {len(result['cells'])} cells to run: {result['work']:.2f} {result['unit']}, "
        f"about {clock(result['seconds_wall'])} with {result['jobs']} side by side"
    )
    return DONE


def run_target(args: argparse.Namespace) -> int:
    from repro.cells.run import run
    from repro.reporting.build import build_report

    if args.published:
        return _run_published(args)
    if args.target == ALL:
        return _run_everything(args)
    profile, experiment, options = target_of(args)
    if profile.cluster is not None:
        raise BadInput(why_no_cluster(profile))
    outcome, cells = run(profile, experiment, options)
    status = _tell(outcome, cells)
    report = build_report(profile, experiment, cells)
    print(report.as_json() if args.json else report.text)
    return status


def _run_everything(args: argparse.Namespace) -> int:
    """Every built table and figure, cells first, then reports."""
    from repro.cells.run import run_all
    from repro.reporting.build import build_report

    targets = built_targets(args)
    outcome, planned = run_all(targets, options_of(args))
    status = _tell(outcome, list({cell.id: cell for cells in planned.values() for cell in cells}.values()))
    reports = {each.id: build_report(profile, each, planned[each.id]) for profile, each in targets}
    if args.json:
        print(json.dumps({name: report.files for name, report in reports.items()}, indent=1))
    else:
        print("\n\n".join(report.text for report in reports.values()))
    return status


def _chosen(args: argparse.Namespace) -> "list[tuple[Profile, Experiment]]":
    """The target with its profile, or all that are built and that the profile can run."""
    if args.target == ALL:
        return built_targets(args)
    profile, experiment, _ = target_of(args)
    return [(profile, experiment)]


def _plan_published(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from repro.cells.plan import plan_cells
    from repro.cells.run import estimate_seconds
    from repro.reporting.coverage import COVERED, count, coverage_of

    options, rows, lines = options_of(args), {}, []
    for profile, experiment in _chosen(args):
        cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
        left = sum(estimate_seconds(profile, cell) for cell in cells if coverage_of(cell) != COVERED)
        row = rows[experiment.id] = {**asdict(count(cells)), "work": left / 3600}
        counts = "  ".join(f"{row[name]:>4} {name}" for name in ("covered", "stale", "missing"))
        lines.append(f"{experiment.id:<9} {counts}  {row['work']:6.2f} {profile.resources.unit} left")
    return show(args, rows, "\n".join(lines))


def _run_published(args: argparse.Namespace) -> int:
    from repro.reporting.build import build_published
    from repro.reporting.publish import fill_published

    targets = _chosen(args)
    outcome, cells = fill_published(targets, options_of(args))
    status = _tell(outcome, cells)
    reports = {experiment.id: build_published(profile, experiment) for profile, experiment in targets}
    files: dict[str, Any] = {name: report.files for name, report in reports.items()}
    files["pages"] = [str(path) for path in _write_pages([profile for profile, _ in targets])]
    text = "\n\n".join(report.text for report in reports.values())
    return show(args, files, "\n".join([text, *(f"  {path}" for path in files["pages"])])) or status


def _write_pages(chosen: "Sequence[Profile]") -> list[Path]:
    """What stands beside the published tables of these profiles.

    Documents are not among them: one lies in repro/, and cells that a next run makes would be of a changed tree.
    """
    from repro.reporting.base_table import write_base_quality
    from repro.reporting.page import write_page

    own = {profile.name: profile for profile in chosen}.values()
    tables = {path for profile in chosen for path in write_base_quality(profile)}
    return [*sorted(tables), *(write_page(profile, "published") for profile in own)]


def _tell(outcome: "Outcome", cells: "list[Cell]") -> int:
    """Name on standard error what failed and what was never rewarded; the exit code."""
    from repro.cells.state import never_rewarded, state

    for line in (*outcome.failed.values(), *outcome.skipped.values()):
        print(f"failed: {line}", file=sys.stderr)
    for cell in cells:
        if state(cell) == "done" and never_rewarded(cell.folder):
            print(f"alarm: {cell.id}: every reward was 0; look at the answers in {cell.folder}", file=sys.stderr)
    return FAILED if outcome.failed or outcome.skipped else DONE


def redraw(args: argparse.Namespace) -> int:
    """Every table and figure that has a finished cell, built again from what is stored."""
    from repro.cells.plan import plan_cells
    from repro.cells.state import load_summary
    from repro.paths import results_dir
    from repro.reporting.build import build_report

    files = []
    for profile, experiment in built_targets(args):
        cells = plan_cells(profile, experiment)
        if any(load_summary(cell) is not None for cell in cells):
            files += build_report(profile, experiment, cells, force=True).files
    if not files:
        raise BadInput(
            f"no finished cell in {results_dir(args.profile)}; run make reproduce-table1 PROFILE={args.profile} first"
        )
    print(json.dumps(files, indent=1) if args.json else "\n".join(files))
    return DONE


def report_target(args: argparse.Namespace) -> int:
    from repro.cells.plan import plan_cells
    from repro.reporting.build import build_report
    from repro.reporting.page import write_page

    if args.target is None:
        path = write_page(profile_of(args), "local")
        print(json.dumps({"files": [str(path)]}, indent=1) if args.json else path)
        return DONE
    profile, experiment, options = target_of(args)
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    _want_finished(profile, experiment, cells)
    report = build_report(profile, experiment, cells, force=True)
    print(report.as_json() if args.json else report.text)
    return DONE


def _want_finished(profile: "Profile", experiment: "Experiment", cells: "list[Cell]") -> None:
    """Raise BadInput unless at least one of the cells is finished."""
    from repro.cells.state import load_summary

    if all(load_summary(cell) is None for cell in cells):
        raise BadInput(
            f"no finished cell of {experiment.id} in profile {profile.name!r}; run make reproduce-{experiment.id} "
            f"PROFILE={profile.name} first"
        )


def regrade_target(args: argparse.Namespace) -> int:
    from repro.cells.fill import regrade_cell
    from repro.cells.plan import plan_cells
    from repro.cells.state import load_summary

    profile, experiment, options = target_of(args)
    rows = []
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    _want_finished(profile, experiment, cells)
    for cell in cells:
        if load_summary(cell) is not None:
            rows.append({"cell": cell.id, "changed": regrade_cell(profile, cell)})
    if args.json:
        print(json.dumps(rows, indent=1))
        return DONE
    for row in rows:
        print(f"{row['cell']:<60} {sum(row['changed'].values())} verdicts changed")
    print(f"{len(rows)} cells regraded from stored samples")
    return DONE


def publish_target(args: argparse.Namespace) -> int:
    from repro.reporting.build import build_published
    from repro.reporting.documents import write_documents
    from repro.reporting.publish import publish

    profile, experiment, options = target_of(args)
    written = publish(profile, experiment, options)
    report = build_published(profile, experiment)
    for path in (*written, *report.files, *_write_pages([profile]), *write_documents()):
        print(path)
    return DONE
