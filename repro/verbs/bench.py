"""`bench`: what a step, a run, a search and the methods cost, how faithful estimators are, what a method's premise is
worth."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from repro.bench import mechanism
from repro.config import closest
from repro.errors import BadInput
from repro.verbs.common import DONE, Parents, profile_of

WHAT = {
    "step": "ratio to stock TRL",
    "run": "wall time and memory of table1",
    "search": "MCTS beside plain samples",
    "overhead": "GCPO's forms and GC2PO beside GRPO",
    "fidelity": "its estimators beside the literal one",
    "mechanism": "what Upsilon and Psi do on a model and data of yours",
    "premise": "whether GC2PO credits sound steps whatever the end",
}


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb to the command line."""
    bench = verbs.add_parser(
        "bench",
        parents=[parents.profile, parents.as_json],
        help="measure a step, a whole run, GCPO's cost or its estimators",
    )
    bench.add_argument("what", choices=list(WHAT), help="; ".join(f"{name}: {text}" for name, text in WHAT.items()))
    bench.add_argument("--sizes", default="4,8,16", metavar="N,...", help="overhead: values of n (default 4,8,16)")
    bench.add_argument("--rounds", type=int, default=9, help="overhead: measured steps per form (default 9)")
    close = "overhead: further rounds, at n = 8, of the forms that cost little more than GRPO (default 24)"
    bench.add_argument("--close-rounds", type=int, default=24, help=close)
    one = "overhead: measure this form beside GRPO, not all of them; may be repeated"
    bench.add_argument("--form", action="append", metavar="NAME", help=one)
    prompts = "overhead: prompts per step (default 16); mechanism: questions, from the top of the data (default 96); "
    prompts += "premise: training questions (default 256)"
    bench.add_argument("--prompts", type=int, help=prompts)
    bench.add_argument("--keep", type=Path, metavar="DIR", help="run: keep its cells and weights in this new folder")
    bench.add_argument("--save", action="store_true", help="write the result to results/published/<profile>/bench/")
    mechanism.add_arguments(bench)
    bench.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Measure, save where asked, print. Progress goes to standard error."""
    if args.prompts is None:
        args.prompts = {"mechanism": 96, "premise": 256}.get(args.what, 16)
    special = {"overhead": _overhead, "fidelity": _fidelity, "mechanism": mechanism.run, "premise": _premise}
    return special.get(args.what, _plain)(args)


def _plain(args: argparse.Namespace) -> int:
    from repro.bench.search import bench_search
    from repro.bench.step import bench_run, bench_step, save

    profile = profile_of(args)
    if args.what == "run":
        result = bench_run(profile, keep=args.keep)
    else:
        result = {"step": bench_step, "search": bench_search}[args.what](profile)
    if args.save:
        save(profile, args.what, result)
    lines = "\n".join(f"{name:<22} {value}" for name, value in result.items())
    print(json.dumps(result, indent=1) if args.json else lines)
    return DONE


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fidelity(args: argparse.Namespace) -> int:
    from repro.bench.fidelity import measure_fidelity, save
    from repro.paths import results_dir

    profile = profile_of(args)
    table = measure_fidelity(profile, report=_report)
    if args.save:
        save(table, results_dir(profile.name, "published"))
    print(table.to_json(orient="records", indent=1) if args.json else table.round(3).to_string(index=False))
    return DONE


def _overhead(args: argparse.Namespace) -> int:
    from repro.bench.encodings import bench_encodings
    from repro.bench.overhead import FORMS, bench_overhead
    from repro.bench.ratios import lines
    from repro.bench.step import save
    from repro.provenance import provenance

    profile, sizes = profile_of(args), _sizes(args.sizes)
    if args.rounds < 1 or args.prompts < 1 or args.close_rounds < 0:
        given = f"--rounds {args.rounds}, --prompts {args.prompts}, --close-rounds {args.close_rounds}"
        raise BadInput(f"{given}: want at least 1, 1 and 0")
    for form in args.form or []:
        if form not in FORMS:
            raise BadInput(f"--form {form!r} does not exist; {closest(form, list(FORMS))}")
    if args.form and args.save:
        raise BadInput(f"--save with --form {args.form[0]!r}: what is saved is the run of all forms; leave one out")
    result = bench_overhead(
        profile,
        sizes=sizes,
        rounds=args.rounds,
        prompts=args.prompts,
        close_rounds=args.close_rounds,
        only=args.form,
        report=_report,
    )
    if not args.form:
        result["encodings"] = bench_encodings(profile, report=_report)
    if args.save:
        save(profile, "overhead", result)
    print(json.dumps({**result, "env": provenance()}, indent=1) if args.json else "\n".join(lines(result)))
    return DONE


def _premise(args: argparse.Namespace) -> int:
    from repro.bench.premise import measure_premise
    from repro.bench.premise_figures import lines
    from repro.bench.step import save
    from repro.figures import save as save_picture
    from repro.figures.premise import premise

    profile = profile_of(args)
    if args.n < 2 or args.prompts < 1:
        raise BadInput(f"--n {args.n}, --prompts {args.prompts}: want at least 2 and 1")
    result = measure_premise(profile, prompts=args.prompts, n=args.n, seed=args.seed, report=_report)
    if args.save:
        path = save(profile, "premise", result)
        save_picture(premise(result), path.parent.parent / "figures", "premise")
    print(json.dumps(result, indent=1) if args.json else "\n".join(lines(result)))
    return DONE


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise BadInput(f"--sizes {text!r}: want numbers of candidates, such as 4,8,16") from None
    if sizes[0] < 2:
        raise BadInput(f"--sizes {text!r}: a group needs at least 2 candidates")
    return sizes
