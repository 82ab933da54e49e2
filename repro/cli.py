"""The command line. Verbs parse, call one function, print. Exit codes: 0 done, 1 some cells failed, 2 bad input, 130
interrupted.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from repro.config import load_profile
from repro.errors import BadInput
from repro.verbs import tools as cli_tools

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """argparse with its errors in one line."""

    def error(self, message: str) -> None:
        raise BadInput(f"{self.prog}: {message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="python -m repro", description="Reproduces the tables and figures of GCPO (arXiv 2508.05428)."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument(
        "--profile", default=os.environ.get("PROFILE", "micro"), help="smoke, micro (default), integrate, gpu or paper"
    )
    profile.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the profile, e.g. --set arms.gcpo_mc.kappa=0.06; may be repeated",
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON for programs")
    narrow = argparse.ArgumentParser(add_help=False)
    narrow.add_argument("target", help="a table or figure, e.g. table1; `python -m repro list` shows all")
    narrow.add_argument("--seeds", type=int, help="training seeds per arm (default: the profile's)")
    narrow.add_argument("--arms", type=lambda text: text.split(","), help="only these arms, comma-separated")
    narrow.add_argument("--bases", type=lambda text: text.split(","), help="only these bases, comma-separated")
    narrow.add_argument("--jobs", type=int, help="cells side by side (default: the profile's)")

    verbs.add_parser(
        "list", parents=[profile, as_json], help="all tables and figures, what is built, what is done or running"
    )
    verbs.add_parser(
        "plan", parents=[narrow, profile, as_json], help="the cells a target would run, with time; runs nothing"
    )
    verbs.add_parser(
        "run", parents=[narrow, profile, as_json], help="run a target: fill its cells, build its table and figure"
    )
    verbs.add_parser(
        "report",
        parents=[narrow, profile, as_json],
        help="build a target's table, figure and notebook from finished cells",
    )
    verbs.add_parser(
        "regrade", parents=[narrow, profile, as_json], help="grade the stored samples again, without a model"
    )
    verbs.add_parser(
        "publish", parents=[narrow, profile], help="copy finished cells of a clean tree to results/published/"
    )
    verbs.add_parser("doctor", parents=[profile, as_json], help="check versions, threads, memory, disk and GPU")
    cli_tools.add_parsers(verbs, profile, as_json)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. A BadInput becomes one line on stderr and code 2."""
    try:
        args = build_parser().parse_args(argv)
        return _VERBS[args.verb](args)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted: everything finished so far is kept; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _options(args: argparse.Namespace):
    from repro.cells.run import Options

    for name in ("seeds", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise BadInput(f"--{name} is {value}; want at least 1")
    return Options(args.seeds, args.arms, args.bases, args.jobs)


def _target(args: argparse.Namespace):
    from repro.cells.experiments import get_experiment

    return load_profile(args.profile, args.overrides), get_experiment(args.target), _options(args)


def _list(args: argparse.Namespace) -> int:
    from repro.cells.run import target_status

    rows = target_status(load_profile(args.profile, args.overrides))
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


def _clock(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def _plan(args: argparse.Namespace) -> int:
    from repro.cells.run import plan

    profile, experiment, options = _target(args)
    result = plan(profile, experiment, options)
    if args.json:
        print(json.dumps(result, indent=1))
        return DONE
    for name, seconds in result["bases"].items():
        print(f"base     {name:<58} {_clock(seconds):>8}")
    for row in result["cells"]:
        print(f"{row['state']:<8} {row['cell']:<58} {_clock(row['seconds']):>8}")
    for name, why in result["not_run"].items():
        print(f"{why:<8} {name}")
    waiting = sum(row["state"] != "done" for row in result["cells"])
    print(
        f"{waiting} of {len(result['cells'])} cells to run: "
        f"{_clock(result['seconds_of_work'])} of work ({result['unit']}), "
        f"about {_clock(result['seconds_wall'])} with {result['jobs']} side by side"
    )
    return DONE


def _run(args: argparse.Namespace) -> int:
    from repro.cells.run import run
    from repro.cells.state import never_rewarded, state
    from repro.reporting.build import build_report

    profile, experiment, options = _target(args)
    outcome, cells = run(profile, experiment, options)
    report = build_report(profile, experiment, cells)
    print(report.as_json() if args.json else report.text)
    for line in (*outcome.failed.values(), *outcome.skipped.values()):
        print(f"failed: {line}", file=sys.stderr)
    for cell in cells:
        if state(cell) == "done" and never_rewarded(cell.folder):
            print(f"alarm: {cell.id}: every reward was 0; look at the answers in {cell.folder}", file=sys.stderr)
    return FAILED if outcome.failed or outcome.skipped else DONE


def _report(args: argparse.Namespace) -> int:
    from repro.cells.run import plan_cells
    from repro.reporting.build import build_report

    profile, experiment, options = _target(args)
    cells = plan_cells(profile, experiment, options.seeds, options.arms, options.bases)
    report = build_report(profile, experiment, cells, force=True)
    print(report.as_json() if args.json else report.text)
    return DONE


def _regrade(args: argparse.Namespace) -> int:
    from repro.cells.fill import regrade_cell
    from repro.cells.run import plan_cells
    from repro.cells.state import load_summary

    profile, experiment, options = _target(args)
    rows = []
    for cell in plan_cells(profile, experiment, options.seeds, options.arms, options.bases):
        if load_summary(cell) is not None:
            rows.append({"cell": cell.id, "changed": regrade_cell(profile, cell)})
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            print(f"{row['cell']:<60} {sum(row['changed'].values())} verdicts changed")
        print(f"{len(rows)} cells regraded from stored samples")
    return DONE


def _publish(args: argparse.Namespace) -> int:
    from repro.reporting.base_table import write_base_quality
    from repro.reporting.build import build_published
    from repro.reporting.publish import publish
    from repro.reporting.readme import write_readme

    profile, experiment, options = _target(args)
    written = publish(profile, experiment, options)
    report = build_published(profile, experiment)
    for path in (*written, *report.files, write_base_quality(profile), write_readme()):
        print(path)
    return DONE


def _doctor(args: argparse.Namespace) -> int:
    from repro.verbs.doctor import diagnose

    checks = diagnose(load_profile(args.profile, args.overrides))
    if args.json:
        print(json.dumps([check.__dict__ for check in checks], indent=1))
    else:
        for check in checks:
            print(
                f"{'ok  ' if check.ok else 'WANT'} {check.name:<12} {check.found}"
                + ("" if check.ok else f"; {check.mend}")
            )
    return DONE if all(check.ok for check in checks) else BAD_INPUT


_VERBS = {
    "list": _list,
    "plan": _plan,
    "run": _run,
    "report": _report,
    "regrade": _regrade,
    "publish": _publish,
    "doctor": _doctor,
    **cli_tools.VERBS,
}
