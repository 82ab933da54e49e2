"""Answers graded per second: this grader beside math-verify alone, on the same cases, in the same run.

`python -m repro.bench.grader --output F` writes a JSON file. Does not time start-up: both sides are warm. The two sides
take turns, so that a machine that slows down slows both.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from repro.grading import GraderPool

TARGET_PER_SECOND = 300  # on two cores, ordinary cases
_REASONING = (
    "<think>\nLet $x_{{{0}}}={1}$; then $\\frac{{x_{{{0}}}}}{{{1}}} \\approx {0}$ and we continue with the next case, "
    "which gives $a^2+b^2={1}$.\n</think>\n\n"
)


def ordinary_cases(count: int, seed: int = 0) -> list[tuple[str, str, bool]]:
    """(gold, prediction, right?) as a benchmark run has them: half right, 0.4 to 3 kB of reasoning, no hostile text.

    A third of the golds are integers; the rest fractions, decimals, roots, formulas, tuples, lists, intervals, words.
    """
    rng = random.Random(seed)
    cases = []
    for _ in range(count):
        gold, right, wrong = _one_answer(rng)
        reasoning = _REASONING.format(rng.randint(2, 900), rng.randint(2, 900)) * rng.randint(3, 20)
        answer, expected = (right, True) if rng.random() < 0.5 else (wrong, False)
        cases.append((gold, f"{reasoning}The final answer is $\\boxed{{{answer}}}$.", expected))
    return cases


def _one_answer(rng: random.Random) -> tuple[str, str, str]:
    """A gold, an equal answer in another form, and a wrong one."""
    a, b, c = rng.randint(2, 60), rng.choice((2, 3, 5, 7, 11)), rng.randint(2, 999)
    kinds = (
        (str(c), str(c), str(c + 1)),
        (str(1000 * c + a), f"{1000 * c + a:,}", str(1000 * c - a)),
        (str(c), f"x = {c}", f"x = {c + b}"),
        (f"\\frac{{{a}}}{{{b * a + 1}}}", f"\\dfrac{{{2 * a}}}{{{2 * (b * a + 1)}}}", f"\\frac{{{a + 1}}}{{{b}}}"),
        (f"{c}.{b}", f"{c}.{b}0 \\text{{ cm}}", f"{c}.{b}1"),
        (f"{a}\\sqrt{{{b}}}", f"\\sqrt{{{a * a * b}}}", f"{a}+\\sqrt{{{b}}}"),
        (f"{a}\\pi", f"{a} \\cdot \\pi", f"{a}"),
        (f"{a}x^2+{b}x", f"x({a}x+{b})", f"{a}x^2-{b}x"),
        (f"({a}, -{b})", f"\\left({a},-{b}\\right)", f"(-{b}, {a})"),
        (f"{a}, {c + 60}", f"{c + 60}, {a}", f"{a}"),
        (f"[{a}, {a + c})", f"\\left[{a}, {a + c}\\right)", f"({a}, {a + c})"),
        ("\\text{increasing}", "increasing", "\\text{decreasing}"),
    )
    return rng.choice(kinds[:3] if rng.random() < 1 / 3 else kinds[3:])


def _math_verify_alone(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    from math_verify import parse, verify  # in the worker process: its limits are signals of the main thread

    return [bool(verify(parse(f"\\boxed{{{gold}}}"), parse(prediction))) for gold, prediction in pairs]


def _chunks(pairs: list[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def bench_grader(cases: Sequence[tuple[str, str, bool]], *, workers: int = 2, rounds: int = 3) -> dict:
    """Answers per second (median of the rounds and every round) and share of right verdicts, for both graders."""
    pairs = [(gold, prediction) for gold, prediction, _ in cases]
    expected = [right for *_, right in cases]
    rates: dict[str, list[float]] = {"grader": [], "math_verify": []}
    verdicts: dict[str, list[bool]] = {}
    with GraderPool(workers) as pool, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as alone:
        pool.grade_many([("x+1", "\\boxed{1+x}")] * workers * 4)
        list(alone.map(_math_verify_alone, [pairs[:1]] * workers * 4))
        for _ in range(rounds):
            start = time.perf_counter()
            verdicts["grader"] = [verdict.correct for verdict in pool.grade_many(pairs)]
            rates["grader"].append(len(pairs) / (time.perf_counter() - start))
            start = time.perf_counter()
            parts = alone.map(_math_verify_alone, _chunks(pairs, 20))
            verdicts["math_verify"] = [verdict for part in parts for verdict in part]
            rates["math_verify"].append(len(pairs) / (time.perf_counter() - start))
    return {
        "answers": len(pairs),
        "workers": workers,
        "target_per_second": TARGET_PER_SECOND,
        **{
            name: {
                "per_second": round(statistics.median(rates[name]), 1),
                "rounds": [round(rate, 1) for rate in rates[name]],
                "right": sum(a == b for a, b in zip(verdicts[name], expected, strict=True)) / len(pairs),
            }
            for name in rates
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if the grader reaches the target, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    result = bench_grader(ordinary_cases(options.answers), workers=options.workers, rounds=options.rounds)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if result["grader"]["per_second"] >= TARGET_PER_SECOND else 1


if __name__ == "__main__":
    raise SystemExit(main())
