"""What verbs share: exit codes, options that several take, and what they stand for."""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.config import MANY, Profile, load_profile, profile_names
from repro.errors import BadInput

if TYPE_CHECKING:
    from repro.cells.records import Experiment
    from repro.cells.run import Options

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Parents:
    """Groups of options, as parents of a verb's parser."""

    profile: argparse.ArgumentParser
    as_json: argparse.ArgumentParser
    narrow: argparse.ArgumentParser


def make_parents() -> Parents:
    """The groups: --profile, --base and --set; --json; a target with --seeds, --arms, --bases, --jobs."""
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument(
        "--profile",
        default=os.environ.get("PROFILE") or "micro",
        help=f"one of {', '.join(profile_names())}; default micro",
    )
    profile.add_argument(
        "--base",
        metavar="MODEL",
        help="instead of the profile's bases: a folder, or a hub id (org/model, org/model@REVISION)",
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
    add_narrowing(narrow, needed=True)
    return Parents(profile, as_json, narrow)


def add_narrowing(narrow: argparse.ArgumentParser, *, needed: bool) -> None:
    """Add a target, which a verb may need or not, and what narrows its cells down."""
    target = "a table or figure, e.g. table1; `python -m repro list` shows all"
    narrow.add_argument("target", nargs=None if needed else "?", help=target)
    narrow.add_argument("--seeds", type=int, help="training seeds per arm (default: the profile's)")
    narrow.add_argument("--arms", type=lambda text: text.split(","), help="only these arms, comma-separated")
    narrow.add_argument("--bases", type=lambda text: text.split(","), help="only these bases, comma-separated")
    narrow.add_argument("--jobs", type=int, help="cells side by side (default: the profile's)")


def profile_of(args: argparse.Namespace, target: str | None = None, *, all_targets: bool = False) -> Profile:
    """The profile that the command line names, with the values that it has for a target (one of all, or this one)."""
    return load_profile(args.profile, args.overrides, base=args.base, target=target, all_targets=all_targets)


def target_of(args: argparse.Namespace) -> tuple[Profile, "Experiment", "Options"]:
    """(profile, experiment with the profile's points, what the command line narrows down)."""
    from repro.cells.experiments import get_experiment

    profile = profile_of(args, args.target)
    return profile, get_experiment(args.target).in_profile(profile), options_of(args)


def built_targets(args: argparse.Namespace) -> "list[tuple[Profile, Experiment]]":
    """Every table and figure that is built and that the profile can run, each with its profile."""
    from repro.cells.experiments import EXPERIMENTS
    from repro.cells.plan import why_not_run

    pairs = [(profile_of(args, each.id, all_targets=True), each) for each in EXPERIMENTS.values() if each.built]
    return [(profile, each.in_profile(profile)) for profile, each in pairs if not why_not_run(profile, each)]


def options_of(args: argparse.Namespace) -> "Options":
    """What the command line narrows down. Raises BadInput for numbers below 1."""
    from repro.cells.run import Options

    for name in ("seeds", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise BadInput(f"--{name} is {value}; want at least 1")
        if value is not None and value > MANY:
            raise BadInput(f"--{name} is {value}; want at most {MANY}")
    return Options(args.seeds, args.arms, args.bases, args.jobs)


def show(args: argparse.Namespace, value: Any, text: str) -> int:
    """Print a result as JSON or as text."""
    print(json.dumps(value, indent=1) if args.json else text)
    return DONE


def bad_lines(lines: list[tuple[int, str]]) -> int:
    """Name the lines of an input that could not be used; the exit code that goes with them."""
    for number, why in lines:
        print(f"line {number}: {why}", file=sys.stderr)
    return BAD_INPUT if lines else DONE


def clock(seconds: float) -> str:
    """A duration in words: 45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
