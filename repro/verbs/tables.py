"""`list`, `plan`, `run`, `report`, `regrade`, `publish`: the tables and figures of the paper."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from repro.errors import BadInput
from repro.verbs.common import DONE, FAILED, Parents, built_targets, clock, options_of, profile_of, target_of

if TYPE_CHECKING:
    from repro.cells.cell import Cell
    from repro.cells.pool import Outcome

ALL = "all"  # the target that stands for every built one


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    everything = [parents.narrow, parents.profile, parents.as_json]
    for name, call, groups, text in (
        ("list", list_targets, everything[1:], "all tables and figures, what is built, what is done or running"),
        ("plan", plan_target, everything, "the cells a target, or all, would run, with their cost; runs nothing"),
        ("run", run_target, everything, "run a target, or all: fill its cells, build its table and figure"),
        ("figures", redraw, everything[1:], "draw every table and figure again from finished cells; trains nothing"),
        ("report", report_target, everything, "build a target's table, figure and notebook from finished cells"),
        ("regrade", regrade_target, everything, "grade the stored samples again, without a model"),
        ("publish", publish_target, everything[:2], "copy finished cells of a clean tree to results/published/"),
    ):
        verbs.add_parser(name, parents=groups, help=text).set_defaults(call=call)


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
    waiting = sum(row["state"] != "done" for row in result["cells"])
    print(
        f"{waiting} of {len(result['cells'])} cells to run: {result['work']:.2f} {result['unit']}, "
        f"about {clock(result['seconds_wall'])} with {result['jobs']} side by side"
    )
    return DONE


def run_target(args: argparse.Namespace) -> int:
    from repro.cells.run import run
    from repro.reporting.build import build_report

    if args.target == ALL:
        return _run_everything(args)
    profile, experiment, options = target_of(args)
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

    profile, experiment, options = target_of(args)
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    report = build_report(profile, experiment, cells, force=True)
    print(report.as_json() if args.json else report.text)
    return DONE


def regrade_target(args: argparse.Namespace) -> int:
    from repro.cells.fill import regrade_cell
    from repro.cells.plan import plan_cells
    from repro.cells.state import load_summary

    profile, experiment, options = target_of(args)
    rows = []
    for cell in plan_cells(profile, experiment, options.seeds, options.arms, options.bases):
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
    from repro.reporting.base_table import write_base_quality
    from repro.reporting.build import build_published
    from repro.reporting.publish import publish
    from repro.reporting.readme import write_readme

    profile, experiment, options = target_of(args)
    written = publish(profile, experiment, options)
    report = build_published(profile, experiment)
    for path in (*written, *report.files, *write_base_quality(profile), write_readme()):
        print(path)
    return DONE
