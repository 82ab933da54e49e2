"""`bench overhead` and `bench fidelity`: what GCPO's forms cost, and how faithful its estimators are."""

import argparse
import json
import sys

from repro.config import Profile
from repro.errors import BadInput

NAMES = ("overhead", "fidelity")


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The options that these two have alone."""
    bench.add_argument("--sizes", default="4,8,16", metavar="N,...", help="overhead: values of n (default 4,8,16)")
    bench.add_argument("--rounds", type=int, default=9, help="overhead: measured steps per form (default 9)")
    close = "overhead: further rounds, at n = 8, of the forms that cost little more than GRPO (default 24)"
    bench.add_argument("--close-rounds", type=int, default=24, help=close)
    bench.add_argument("--prompts", type=int, default=16, help="overhead: prompts per step (default 16)")


def run(profile: Profile, args: argparse.Namespace) -> int:
    """Measure, save where asked, print. Progress goes to standard error."""

    def report(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if args.what == "fidelity":
        from repro.bench.fidelity import measure_fidelity, save
        from repro.paths import results_dir

        table = measure_fidelity(profile, report=report)
        if args.save:
            save(table, results_dir(profile.name, "published"))
        print(table.to_json(orient="records", indent=1) if args.json else table.round(3).to_string(index=False))
        return 0
    from repro.bench import step as bench
    from repro.bench.encodings import bench_encodings
    from repro.bench.overhead import bench_overhead
    from repro.bench.ratios import lines
    from repro.provenance import provenance

    sizes = _sizes(args.sizes)
    if args.rounds < 1 or args.prompts < 1 or args.close_rounds < 0:
        given = f"--rounds {args.rounds}, --prompts {args.prompts}, --close-rounds {args.close_rounds}"
        raise BadInput(f"{given}: want at least 1, 1 and 0")
    result = bench_overhead(
        profile,
        sizes=sizes,
        rounds=args.rounds,
        prompts=args.prompts,
        close_rounds=args.close_rounds,
        report=report,
    )
    result["encodings"] = bench_encodings(profile, report=report)
    if args.save:
        bench.save(profile, "overhead", result)
    print(json.dumps({**result, "env": provenance()}, indent=1) if args.json else "\n".join(lines(result)))
    return 0


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise BadInput(f"--sizes {text!r}: want numbers of candidates, such as 4,8,16") from None
    if sizes[0] < 2:
        raise BadInput(f"--sizes {text!r}: a group needs at least 2 candidates")
    return sizes
