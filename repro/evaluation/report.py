"""A stored evaluation as a report: tables in Markdown, figures, and one summary for programs; no samples needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro.errors import BadInput
from repro.evaluation.store import SUMMARY
from repro.files import read_json
from repro.paper.references import independent, paper_row, printed
from repro.stats import Counts, arm_interval, cell_verdict, minimum_detectable_gap, wilson_interval
from repro.tasks.benchmarks.loading import AVERAGED, MATH500_IN_AIME, SUITES

GOLD_NAMES = {
    "answer_corrected": "wrong golds corrected",
    "deepscaler_gold": "DeepScaleR's golds",
    "thought_as_it_stands": "unclosed thoughts graded as they stand",
    "under_1_s": "within one second",
}


def load_evaluation(folder: Path) -> dict[str, dict[str, Any]]:
    """The suites' summaries of an evaluation's folder, in the usual order. Raises BadInput if there is none."""
    found = {
        name: read_json(folder / name / SUMMARY, "summary") for name in SUITES if (folder / name / SUMMARY).is_file()
    }
    if not found:
        raise BadInput(f"{folder} holds no finished evaluation; want a folder with SUITE/{SUMMARY}")
    return found


def overview(entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The scores of all suites without their counts, for programs."""
    suites = {}
    for name, entry in entries.items():
        suites[name] = {
            "k": entry["k"],
            "questions": entry["n"],
            "complete": is_complete(entry),
            "avg_at_k": score(entry["correct"], entry["k"]),
            "pass_at": entry["pass_at"],
            "maj_at": entry.get("maj_at", {}),
            "others": {other: score(value["correct"], entry["k"]) for other, value in entry["others"].items()},
            "greedy": score(entry["greedy"]["correct"], 1) if "greedy" in entry else None,
            **{name: entry[name] for name in ("truncated", "no_box", "unclosed_thought")},
            "reasons": entry["reasons"],
            "mean_tokens": entry["mean_tokens"],
            "cost": entry["cost"],
        }
    average = suite_average(entries)
    return {"model": model_name(entries), "suites": suites, "average_of_five": average}


def score(correct: Sequence[int], k: int) -> dict[str, float]:
    """avg@k from right answers per question, with its 95 % interval. One question: Wilson's interval of its samples.

    The interval covers the questions and the samples of one checkpoint ("1 seed, sampling only"): what another training
    seed would have given is not in it.
    """
    if len(correct) == 1:
        low, high = wilson_interval(correct[0], k)
        return {"value": correct[0] / k, "low": low, "high": high}
    result = arm_interval([Counts(np.array([correct]), k)])
    return {"value": result.value, "low": result.low, "high": result.high}


def sampling_gap(correct: Sequence[int], k: int) -> float | None:
    """The gap between two such evaluations that sampling noise alone lets be seen (5 %, power 80 %); None for k = 1."""
    if k < 2:
        return None
    share = np.array(correct) / k
    variance = float((share * (1 - share)).sum()) / (k - 1) / len(share) ** 2
    return minimum_detectable_gap(float(np.sqrt(2 * variance)), np.inf)


def is_disguised(entry: Mapping[str, Any]) -> bool:
    """Whether every question is answered all right or all wrong although k > 1: one pass in the dress of avg@k."""
    k = entry["k"]
    return k > 1 and all(count in (0, k) for count in entry["correct"])


def without_training_overlap(entry: Mapping[str, Any]) -> list[int]:
    """Right answers on the questions that the AIME training set does not contain."""
    pairs = zip(entry["question_ids"], entry["correct"], strict=True)
    return [count for question, count in pairs if question not in MATH500_IN_AIME]


def is_complete(entry: dict[str, Any]) -> bool:
    """Whether every question of the benchmark was asked."""
    return entry["n"] == entry["rows"]


def model_name(entries: dict[str, dict[str, Any]]) -> str:
    """The evaluated model. Raises BadInput if the suites are of different models."""
    models = {(e["config"]["model"]["name"], e["config"]["model"].get("sha256")) for e in entries.values()}
    if len(models) > 1:
        names = ", ".join(sorted(name for name, _ in models))
        raise BadInput(f"suites of different models in one folder ({names}); want one model per folder")
    return next(iter(models))[0]


def suite_average(entries: dict[str, dict[str, Any]]) -> dict[str, float] | None:
    """The plain mean of the paper's five benchmarks with its interval, if all are there and complete."""
    if any(name not in entries or not is_complete(entries[name]) for name in AVERAGED):
        return None
    counts = [Counts(np.array([entries[name]["correct"]]), entries[name]["k"]) for name in AVERAGED]
    result = arm_interval(counts)
    return {"value": result.value, "low": result.low, "high": result.high}


def reference_row(entries: dict[str, dict[str, Any]]) -> tuple[str, str] | None:
    """The paper's (model, method) that these suites stand beside."""
    first = next(iter(entries.values()))
    return paper_row(first["config"]["model"]["name"], first["run"]["row"])


def report_text(entries: dict[str, dict[str, Any]]) -> str:
    """The whole report in Markdown."""
    first = next(iter(entries.values()))
    engine = first["config"]["engine"]
    beside = reference_row(entries)
    lines = [f"# {model_name(entries)}", ""]
    if engine["engine"] == "replay":
        lines += ["> Replayed answers, not a model: tokens are bytes.", ""]
    partial = [name for name, entry in entries.items() if not is_complete(entry)]
    if partial:
        lines += [f"> Only the first questions were asked of {', '.join(partial)}: those are no benchmark scores.", ""]
    named = "none of the paper's models" if beside is None else f"the paper's row {beside[0]}, {beside[1]}"
    lines += [f"Stands beside {named}. Scores in points, with 95 % intervals.", ""]
    lines += _table(*_score_rows(entries, beside))
    lines += ["", *_flags(entries), ""]
    others = _other_rows(entries)
    if others:
        lines += [
            "## Other golds, subsets and readings",
            "",
            *_table(["suite", "reading", "score", "questions"], others),
        ]
        lines += [""]
    reasons = [[name, _words(entry["reasons"]), _words(entry["details"]) or "-"] for name, entry in entries.items()]
    lines += ["## Reasons", "", *_table(["suite", "verdicts", "details"], reasons), ""]
    lines += ["## Length and cost", "", *_table(*_cost_rows(entries)), ""]
    lines += ["## What was run", "", *_provenance(entries)]
    return "\n".join(lines) + "\n"


def _points(score: dict[str, float] | None) -> str:
    return "-" if score is None else f"{100 * score['value']:.1f} [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def _score_rows(
    entries: dict[str, dict[str, Any]], beside: tuple[str, str] | None
) -> tuple[list[str], list[list[str]]]:
    header = ["suite", "paper", "independent (source)", "ours: avg@k [95 % CI]", "questions x k", "pass@k", "maj@4"]
    header += ["greedy", "truncated", "no box", "verdict"]
    rows = []
    for name, entry in entries.items():
        found_here = score(entry["correct"], entry["k"])
        paper = printed(*beside, name) if beside else None
        found = independent(*beside, name) if beside else []
        verdict = "-"
        if paper is not None:
            low, high = (100 * found_here[end] for end in ("low", "high"))
            verdict = cell_verdict(paper.value, low, high) if is_complete(entry) else "not run"
        majority = entry.get("maj_at", {}).get("4")
        k = entry["k"]
        rows.append(
            [
                entry["title"],
                "-" if paper is None else f"{paper.value:.1f}",
                ", ".join(f"{each.value:g} ({each.source})" for each in found) or "none",
                f"avg@{k} {_points(found_here)}",
                f"{entry['n']} x {k}",
                f"pass@{k} {100 * entry['pass_at'][str(k)]:.1f}",
                "-" if majority is None else f"{100 * majority['share']:.1f}",
                _points(score(entry["greedy"]["correct"], 1) if "greedy" in entry else None),
                f"{100 * entry['truncated']:.1f} %",
                f"{100 * entry['no_box']:.1f} %" if entry["kind"] == "math" else "-",
                verdict,
            ]
        )
    average = suite_average(entries)
    if average is not None:
        rows.append(["average of five", "-", "-", _points(average), *["-"] * 7])
    return header, rows


def _flags(entries: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "Intervals cover questions and samples of this one checkpoint, not training seeds (1 seed, sampling only)."
    ]
    found = {name: sampling_gap(entry["correct"], entry["k"]) for name, entry in entries.items()}
    gaps = [f"{name} {100 * gap:.2f}" for name, gap in found.items() if gap]
    if gaps:
        lines.append(
            "Smallest gap between two such evaluations that sampling noise alone lets be seen (5 % two-sided, power "
            f"80 %), points: {', '.join(gaps)}."
        )
    disguised = [name for name, entry in entries.items() if is_disguised(entry)]
    if disguised:
        lines.append(
            f"**Flag**: every question of {', '.join(disguised)} is answered all right or all wrong: as one pass would."
        )
    audits = [
        f"{name} {entry['audit']['disagreements']} of {entry['audit']['samples'] - entry['audit']['silent']} judged"
        for name, entry in entries.items()
        if "audit" in entry
    ]
    if audits:
        lines.append(f"A second, simpler grader is sure of the opposite: {', '.join(audits)}.")
    return [line + "  " for line in lines]


def _other_rows(entries: dict[str, dict[str, Any]]) -> list[list[str]]:
    rows = []
    for entry in entries.values():
        for name, value in entry["others"].items():
            differing = value.get("questions_with_another_gold")
            note = f"{entry['n']}" + (f", {differing} with another gold" if differing else "")
            rows.append([entry["title"], GOLD_NAMES[name], _points(score(value["correct"], entry["k"])), note])
        kept = without_training_overlap(entry)
        if 0 < len(kept) < entry["n"]:
            rows.append(
                [entry["title"], "without AIME training problems", _points(score(kept, entry["k"])), str(len(kept))]
            )
    return rows


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items(), key=lambda item: -item[1]) if word)


def _cost_rows(entries: dict[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = ["suite", "mean tokens", "median", "longest", "limit", "generation s", "grading s", "tokens/s", "device-h"]
    rows = []
    for entry in entries.values():
        tokens, cost = entry["tokens"], entry["cost"]
        rows.append(
            [
                entry["title"],
                f"{tokens['mean']:.0f}",
                f"{tokens['median']:.0f}",
                str(tokens["max"]),
                str(entry["config"]["protocol"]["max_new_tokens"]),
                f"{cost['generation_seconds']:.1f}",
                f"{cost['grading_seconds']:.1f}",
                "-" if cost["tokens_per_second"] is None else f"{cost['tokens_per_second']:.0f}",
                f"{cost['device_hours']:.4f} {cost['device']}",
            ]
        )
    return header, rows


def _provenance(entries: dict[str, dict[str, Any]]) -> list[str]:
    rows = []
    for name, entry in entries.items():
        config = entry["config"]
        protocol = config["protocol"]
        data = config["data"]
        rows.append(
            [
                name,
                entry["run"]["preset"],
                f"T {protocol['temperature']:g}, top-p {protocol['top_p']:g}, seed {config['seed']}",
                config["prompt"]["form"],
                f"{config['engine']['engine']}, {config['engine'].get('dtype', '-')}",
                f"{data.get('file') or data['hub']} {(data.get('sha256') or data['revision'])[:12]}",
                ", ".join(env["commit"][:10] + (" †" if env["dirty"] else "") for env in entry["env"]),
            ]
        )
    digest = next(iter(entries.values()))["config"]["model"].get("sha256")
    lines = _table(["suite", "preset", "sampling", "prompt", "engine", "data", "commit"], rows)
    lines += ["", f"Model sha256 {digest[:16]}." if digest else "No weights."]
    if any(env["dirty"] for entry in entries.values() for env in entry["env"]):
        lines.append("† the working tree had uncommitted changes.")
    return lines


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
