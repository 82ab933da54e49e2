"""`python -m repro side-by-side A B`: two stored evaluations, question by question."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.verbs.common import DONE, Parents


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb `side-by-side`."""
    parser = verbs.add_parser(
        "side-by-side",
        parents=[parents.as_json],
        help="two evaluations on the same questions: who is right where, and answers drawn by a stated rule",
    )
    parser.add_argument("left", type=Path, metavar="A", help="a folder that `evaluate --output` wrote")
    parser.add_argument("right", type=Path, metavar="B", help="another one")
    parser.add_argument("--show", type=int, default=6, metavar="N", help="questions shown (default 6)")
    parser.add_argument("--draw", choices=("greedy", "sampled"), default="greedy",
                        help="greedy answers (default), or the first sample of each question")  # fmt: skip
    parser.add_argument("--hub-data", action="store_true", help="download benchmarks where GCPO_DATA is unset")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Compare the suites that both folders hold; prints Markdown, or JSON."""
    from repro.evaluation.sides import cases_text, count_cases, examples, examples_markdown
    from repro.evaluation.stored_pairs import stored_pairs

    if args.show < 0:
        raise BadInput(f"--show is {args.show}; want 0 or more")
    pairs = stored_pairs(args.left, args.right, draw=args.draw, hub_data=args.hub_data)
    names = args.left.resolve().name, args.right.resolve().name
    suites = list(dict.fromkeys(pair.suite for pair in pairs))
    by_suite = {suite: count_cases([pair for pair in pairs if pair.suite == suite]) for suite in suites}
    shown = examples(pairs, args.show, None)
    if args.json:
        counts = {suite: asdict(cases) for suite, cases in {**by_suite, "all": count_cases(pairs)}.items()}
        print(json.dumps({"left": names[0], "right": names[1], "cases": counts, "shown": shown}, indent=1))
        return DONE
    parts = [f"# {names[0]} and {names[1]}, {args.draw} answers", cases_text(count_cases(pairs), *names)]
    if len(suites) > 1:
        parts += [f"## {suite}\n\n{cases_text(cases, *names)}" for suite, cases in by_suite.items()]
    print("\n\n".join([*parts, "## Answers", examples_markdown(shown, *names)]))
    return DONE
