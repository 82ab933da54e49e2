"""Audits a stored evaluation: what a second, simpler grader (`repro.grading.audit_grader`) thinks of its verdicts.

Mathematics alone: a program's verdict is what its tests said. The second grader knows numbers, lists and equal text and
says so where it cannot tell; a disagreement is two graders that are sure of different things, and a reason to look.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.evaluation.store import Sample
from repro.grading.audit_grader import opinion
from repro.tasks.encoding import answer_part
from repro.tasks.protocol import Question


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


def audit_samples(questions: Mapping[str, Question], samples: Sequence[Sample]) -> Audited:
    """Compare the stored verdicts of mathematical answers with the second grader's opinions.

    A row of a disagreement names the sample, both verdicts, the first one's reason and detail, gold and answer.
    """
    silent, rows = 0, []
    for sample in samples:
        gold = questions[sample.question_id].gold
        judged = opinion(gold=gold, prediction=answer_part(sample.text, thinking=sample.thinking).text or "")
        if judged is None:
            silent += 1
        elif judged != sample.correct:
            names = ("question_id", "draw", "sample", "reason", "detail", "extracted")
            row = {name: getattr(sample, name) for name in names}
            rows.append(row | {"gold": gold, "stored": sample.correct, "second": judged})
    return Audited(len(samples), silent, rows)


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
