"""`list`, `plan`, `run`, `report`, `regrade`, `publish`: the tables and figures of the paper."""

import argparse
import json
import sys
from typing import Any

from repro.verbs.common import DONE, FAILED, Parents, add_narrowing, clock, profile_of, target_of


def add(verbs: Any, parents: Parents) -> None:
    """Add the verbs to the command line."""
    everything = [parents.narrow, parents.profile, parents.as_json]
    for name, call, groups, text in (
        ("list", list_targets, everything[1:], "all tables and figures, what is built, what is done or running"),
        ("plan", plan_target, everything, "the cells a target would run, with their cost; runs nothing"),
        ("run", run_target, everything, "run a target: fill its cells, build its table and figure"),
        ("regrade", regrade_target, everything, "grade the stored samples again, without a model"),
        ("publish", publish_target, everything[:2], "copy finished cells of a clean tree to results/published/"),
    ):
        verbs.add_parser(name, parents=groups, help=text).set_defaults(call=call)
    text = (
        "without a target: everything of a profile as one page, report.html; with one: its table, figure and notebook"
    )
    report = verbs.add_parser("report", parents=[parents.profile, parents.as_json], help=text)
    add_narrowing(report, needed=False)
    report.set_defaults(call=report_target)


def list_targets(args: argparse.Namespace) -> int:
    from repro.cells.run import target_status

    rows = target_status(profile_of(args))
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
    from repro.cells.run import plan

    profile, experiment, options = target_of(args)
    result = plan(profile, experiment, options)
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
    from repro.cells.state import never_rewarded, state
    from repro.reporting.build import build_report

    profile, experiment, options = target_of(args)
    outcome, cells = run(profile, experiment, options)
    report = build_report(profile, experiment, cells)
    print(report.as_json() if args.json else report.text)
    for line in (*outcome.failed.values(), *outcome.skipped.values()):
        print(f"failed: {line}", file=sys.stderr)
    for cell in cells:
        if state(cell) == "done" and never_rewarded(cell.folder):
            print(f"alarm: {cell.id}: every reward was 0; look at the answers in {cell.folder}", file=sys.stderr)
    return FAILED if outcome.failed or outcome.skipped else DONE


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
    from repro.reporting.documents import write_documents
    from repro.reporting.page import write_page
    from repro.reporting.publish import publish

    profile, experiment, options = target_of(args)
    written = publish(profile, experiment, options)
    report = build_published(profile, experiment)
    files = [*written, *report.files, *write_base_quality(profile), write_page(profile, "published")]
    for path in (*files, *write_documents()):
        print(path)
    return DONE
