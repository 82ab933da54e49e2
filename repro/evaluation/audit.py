"""Audits a stored evaluation: what a second, simpler grader (`repro.grading.audit_grader`) thinks of its verdicts.

Mathematics alone: a program's verdict is what its tests said. The second grader knows numbers, lists and equal text and
says so where it cannot tell; a disagreement is two graders that are sure of different things, and a reason to look.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.evaluation.run import stored_suites
from repro.evaluation.store import CONFIG, SAMPLES, Sample, read_samples
from repro.files import read_json, write_json
from repro.grading.audit_grader import opinion
from repro.tasks.benchmarks.loading import SUITES, Problem, load_benchmark
from repro.tasks.benchmarks.prompts import answer_part

AUDIT = "audit.json"


@dataclass(frozen=True)
class Audited:
    """samples: graded ones. silent: those on which the second grader has no opinion. disagreements: one row each."""

    samples: int
    silent: int
    disagreements: Sequence[Mapping[str, Any]]

    @property
    def rate(self) -> float | None:
        """Share of disagreements among the samples on which both have an opinion; None if there are none."""
        judged = self.samples - self.silent
        return len(self.disagreements) / judged if judged else None

    def as_json(self) -> dict[str, Any]:
        """The counts, the disagreements by the first grader's reason and detail, and every one of them."""
        reasons = Counter(f"{row['reason']}/{row['detail']}" for row in self.disagreements)
        return {
            "samples": self.samples,
            "silent": self.silent,
            "disagreements": len(self.disagreements),
            "rate": self.rate,
            "by_reason": dict(sorted(reasons.items())),
            "rows": [dict(row) for row in self.disagreements],
        }


def audit_samples(problems: Mapping[str, Problem], samples: Sequence[Sample]) -> Audited:
    """Compare the stored verdicts of mathematical answers with the second grader's opinions.

    A row of a disagreement names the sample, both verdicts, the first one's reason and detail, gold and answer.
    """
    silent, rows = 0, []
    for sample in samples:
        gold = problems[sample.question_id].gold
        judged = opinion(gold=gold, prediction=answer_part(sample.text, thinking=sample.thinking).text or "")
        if judged is None:
            silent += 1
        elif judged != sample.correct:
            names = ("question_id", "draw", "sample", "reason", "detail", "extracted")
            row = {name: getattr(sample, name) for name in names}
            rows.append(row | {"gold": gold, "stored": sample.correct, "second": judged})
    return Audited(len(samples), silent, rows)


def audit_evaluation(folder: Path, *, hub_data: bool = False, data_revision: str | None = None) -> dict[str, Audited]:
    """Audit every mathematical suite of a stored evaluation and write audit.json into each one's folder.

    Raises BadInput for a folder without samples of mathematics, and for data other than the samples' own.
    """
    names = [name for name in stored_suites(folder) if SUITES[name].benchmark.kind == "math"]
    if not names:
        raise BadInput(f"{folder} holds no samples of mathematics; programs are judged by their tests alone")
    audited = {}
    for name in names:
        place = folder / name
        loaded = load_benchmark(SUITES[name].benchmark, hub=hub_data, revision=data_revision)
        if read_json(place / CONFIG, "configuration")["data"] != dict(loaded.source):
            raise BadInput(f"{place}: its samples answer other data than {dict(loaded.source)}")
        problems = {problem.id: problem for problem in loaded.problems}
        audited[name] = audit_samples(problems, read_samples(place / SAMPLES))
        write_json(place / AUDIT, audited[name].as_json())
    return audited


def describe(name: str, audited: Audited) -> str:
    """One suite's audit in words: counts, then a line per disagreement."""
    judged = audited.samples - audited.silent
    head = f"{name}: the second grader judges {judged} of {audited.samples} samples"
    if audited.rate is None:
        return head
    lines = [f"{head} and disagrees on {len(audited.disagreements)} ({100 * audited.rate:.2f} %)"]
    for row in audited.disagreements:
        verdict = "right" if row["stored"] else "wrong"
        lines.append(
            f"  {row['question_id']} {row['draw']} {row['sample']}: stored as {verdict} ({row['reason']}, "
            f"{row['detail']}); gold {row['gold']!r}, answer {row['extracted']!r}"
        )
    return "\n".join(lines)
