"""`python -m repro evaluate`: the command line of `repro.evaluation.run`, with progress."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.evaluation.protocols import PRESET_OF_PROFILE, PRESETS
from repro.tasks.benchmarks.prompts import FORMS
from repro.verbs.common import Parents, clock

_LOG_SECONDS, _SHOW_SECONDS = 30.0, 0.2  # between two lines of a log, and two looks at a terminal


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb `evaluate`."""
    parser = verbs.add_parser(
        "evaluate",
        parents=[parents.as_json],
        help="score a model folder or hub id on AIME, AMC, MATH500, Minerva, HumanEval (--limit N: a quick look at the "
        "first N questions); --regrade DIR: without a model",
    )
    what = parser.add_argument_group("what")
    what.add_argument("--model", help="a folder or hub id that AutoModelForCausalLM loads (replay: gold, ..., a file)")
    what.add_argument("--suite", help="suites, comma-separated; paper: the average's five; all")
    what.add_argument("--engine", default="transformers", help="transformers (default), vllm or replay")
    what.add_argument("--regrade", type=Path, metavar="DIR", help="grade a stored evaluation again, without a model")
    what.add_argument("--audit", type=Path, metavar="DIR", help="a second grader's view of stored verdicts")
    what.add_argument("--output", type=Path, metavar="DIR", help="default: results/local/evaluation/MODEL__PRESET")
    how = parser.add_argument_group("protocol")
    how.add_argument("--preset", help=f"{', '.join(PRESETS)} (default: standard, or as the profile says)")
    how.add_argument("--profile", help="smoke, micro, gpu: preset quick; paper: preset standard")
    how.add_argument("--samples", type=int, metavar="K", help="samples per question")
    how.add_argument("--limit", type=int, metavar="N", help="only the first N questions of each suite: no real score")
    how.add_argument("--max-new-tokens", type=int, metavar="T", help="longest answer")
    how.add_argument("--temperature", type=float, help="0: greedy")
    how.add_argument("--seed", type=int, default=0, help="seed of the samples (default 0)")
    how.add_argument("--prompt", default="chat", help="; ".join(f"{name}: {text}" for name, text in FORMS.items()))
    how.add_argument("--chat-template", type=Path, metavar="FILE", help="a Jinja template instead of the tokenizer's")
    how.add_argument("--row", metavar="MODEL/METHOD", help="the paper's row to stand beside, e.g. R1-Distill-1.5B/GRPO")
    how.add_argument("--revision", metavar="SHA", help="revision of a hub model")
    how.add_argument(
        "--hub-data", action="store_true", help="download benchmarks from the hub where GCPO_DATA is unset"
    )
    how.add_argument("--data-revision", metavar="SHA", help="revision of the hub's benchmark, where none is pinned")
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--dtype", default="auto", help="auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16"
    )
    machine.add_argument("--batch-size", type=int, default=16, help="completions side by side (default 16)")
    machine.add_argument(
        "--workers", type=int, default=2, help="grading processes (default 2); scores do not depend on it"
    )
    machine.add_argument("--unsafe", action="store_true", help="run code even where the kernel offers no isolation")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; prints the report, or JSON. Returns the exit code."""
    from repro.evaluation.report import load_evaluation, overview
    from repro.evaluation.run import regrade
    from repro.reporting.evaluation import build_report

    if args.audit is not None:
        return _audit(args)
    show = Ticker(sys.stderr)
    if args.workers < 1:
        raise BadInput(f"--workers is {args.workers}; want at least 1")
    if args.regrade is not None:
        if args.model or args.suite:
            raise BadInput("--regrade DIR takes neither --model nor --suite: it grades what is stored there")
        options = {"unsafe": args.unsafe, "hub_data": args.hub_data, "data_revision": args.data_revision}
        changed = regrade(args.regrade, workers=args.workers, progress=show, **options)
        folder = args.regrade
    else:
        folder, changed = _evaluate(args, show), None
    show.end()
    report = build_report(folder)
    if args.json:
        extra = {} if changed is None else {"changed": changed}
        print(json.dumps({"folder": str(folder), **overview(load_evaluation(folder)), **extra}, indent=1))
        return 0
    print(report.text)
    if changed is not None:
        print(", ".join(f"{suite}: {count} verdicts changed" for suite, count in changed.items()))
    print(f"written: {folder}")
    return 0


def _audit(args: argparse.Namespace) -> int:
    from repro.evaluation.audit import describe
    from repro.evaluation.run import audit_evaluation

    if args.model or args.suite or args.regrade:
        raise BadInput("--audit DIR takes no other task: it reads what is stored there")
    audited = audit_evaluation(args.audit, hub_data=args.hub_data, data_revision=args.data_revision)
    if args.json:
        print(json.dumps({name: each.as_json() for name, each in audited.items()}, indent=1))
    else:
        print("\n".join(describe(name, each) for name, each in audited.items()))
    return 0


def _evaluate(args: argparse.Namespace, show: "Ticker") -> Path:
    from repro.evaluation.run import Task, evaluate
    from repro.paper.references import paper_row
    from repro.tasks.benchmarks.loading import get_suites

    if not args.model or not args.suite:
        raise BadInput("evaluate: want --model and --suite, or --regrade DIR (see python -m repro evaluate --help)")
    names = (
        "model",
        "engine",
        "samples",
        "max_new_tokens",
        "temperature",
        "limit",
        "prompt",
        "chat_template",
        "output",
    )
    names += ("revision", "row", "seed", "dtype", "batch_size", "workers", "unsafe", "hub_data", "data_revision")
    options = {name: getattr(args, name) for name in names}
    task = Task(suites=tuple(get_suites(args.suite)), preset=_preset(args), **options)
    paper_row(task.model_name, task.row)
    evaluate(task, show)
    return task.folder


def _preset(args: argparse.Namespace) -> str:
    if args.preset is not None:
        return args.preset
    if args.profile is None:
        return "standard"
    if args.profile not in PRESET_OF_PROFILE:
        raise BadInput(f"unknown profile {args.profile!r}; want one of {', '.join(PRESET_OF_PROFILE)}")
    return PRESET_OF_PROFILE[args.profile]


class Ticker:
    """Progress with the time left, inside a batch too: one line that renews itself on a terminal, a line every half
    minute elsewhere.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._suite = ""
        self._start = self._shown = 0.0
        self._first = 0
        self._open = False

    def __call__(self, suite: str, done: float, total: int, tokens: int) -> None:
        now = time.monotonic()
        if suite != self._suite:
            self.end()
            self._suite, self._start, self._first, self._shown = suite, now, done, -_LOG_SECONDS
        if done < total and now - self._shown < (_SHOW_SECONDS if self._terminal else _LOG_SECONDS):
            return
        self._shown = now
        drawn, spent = done - self._first, now - self._start
        left = f", {clock(spent / drawn * (total - done))} left" if drawn and done < total else ""
        speed = f", {tokens / spent:.0f} tokens/s" if tokens and spent else ""
        line = f"{suite}: {int(done)} of {total} answers{speed}{left}"
        self._stream.write(f"\r{line:<78}" if self._terminal else line + "\n")
        self._stream.flush()
        self._open = self._terminal

    def end(self) -> None:
        """Finish the line."""
        if self._open:
            self._stream.write("\n")
            self._open = False
