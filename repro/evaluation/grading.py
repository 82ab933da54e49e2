"""Verdicts on completions: mathematics by the grader's workers, functions by the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from repro.errors import BadInput
from repro.evaluation.store import Sample
from repro.grading import CodeAnswer, GraderPool, SandboxPool, answer_classes, find_isolation, score_answers
from repro.sandbox import Isolation, Limits, SandboxUnavailable
from repro.tasks.benchmarks.loading import Problem
from repro.tasks.benchmarks.prompts import Answer, answer_part
from repro.tasks.benchmarks.protocols import CODE_SECONDS

UNCLOSED_THOUGHT = "unclosed_thought"
AS_IT_STANDS = "thought_as_it_stands"  # the verdict if the text of an unclosed thought were graded
UNDER_A_SECOND = "under_1_s"


@dataclass(frozen=True)
class _Verdict:
    correct: bool
    reason: str
    detail: str
    extracted: str | None
    seconds: float


class Grader:
    """Grades samples. A context manager; processes start when first needed. workers: processes of either kind.

    unsafe: run code where the kernel offers no isolation.
    """

    def __init__(self, *, workers: int = 2, unsafe: bool = False) -> None:
        self.math = GraderPool(workers)
        self._workers, self._unsafe = workers, unsafe
        self._sandbox: SandboxPool | None = None

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.math.close()
        if self._sandbox is not None:
            self._sandbox.__exit__(*exception)

    def grade(self, problems: Sequence[Problem], samples: Sequence[Sample]) -> list[Sample]:
        """The samples with their verdicts; sample i answers problem i. All problems are of one kind.

        Raises BadInput where code cannot be run in isolation and `unsafe` is off.
        """
        if not samples:
            return []
        answers = [answer_part(sample.text, thinking=sample.thinking) for sample in samples]
        grade = self._grade_code if problems[0].code is not None else self._grade_math
        return grade(problems, samples, answers)

    def _grade_math(
        self, problems: Sequence[Problem], samples: Sequence[Sample], answers: Sequence[Answer]
    ) -> list[Sample]:
        asked: dict[tuple[int, str], list[tuple[str, str]]] = {}
        for place, (problem, sample, answer) in enumerate(zip(problems, samples, answers, strict=True)):
            asked[place, ""] = [(problem.gold, answer.text or "")]
            for name, golds in problem.golds.items():
                if golds != (problem.gold,):
                    asked[place, name] = [(gold, answer.text or "") for gold in golds]
            if answer.text is None:
                asked[place, AS_IT_STANDS] = [(problem.gold, sample.text)]
        verdicts = iter(self.math.grade_many([pair for pairs in asked.values() for pair in pairs]))
        found = {key: [next(verdicts) for _ in pairs] for key, pairs in asked.items()}
        graded = []
        for place, (problem, sample, answer) in enumerate(zip(problems, samples, answers, strict=True)):
            main = found[place, ""][0]
            seconds = sum(verdict.seconds for key, each in found.items() if key[0] == place for verdict in each)
            detail = UNCLOSED_THOUGHT if answer.text is None else main.detail
            others = {
                name: any(verdict.correct for verdict in found[place, name]) if (place, name) in found else main.correct
                for name in problem.golds
            }
            if answer.text is None:
                others[AS_IT_STANDS] = found[place, AS_IT_STANDS][0].correct
            verdict = _Verdict(main.correct, main.reason, detail, main.extracted, seconds)
            graded.append(_with(sample, verdict, others))
        return graded

    def _grade_code(
        self, problems: Sequence[Problem], samples: Sequence[Sample], answers: Sequence[Answer]
    ) -> list[Sample]:
        jobs = [
            CodeAnswer(problem.code, sample.text if answer.text is None else answer.text)
            for problem, sample, answer in zip(problems, samples, answers, strict=True)
        ]
        graded = []
        outcomes = score_answers(jobs, self._code_pool())
        for sample, answer, outcome in zip(samples, answers, outcomes, strict=True):
            quick = outcome.passed and outcome.seconds <= 1.0
            others = {UNDER_A_SECOND: quick and answer.text is not None}
            if answer.text is None:
                others[AS_IT_STANDS] = outcome.passed
                verdict = _Verdict(False, "error", UNCLOSED_THOUGHT, None, outcome.seconds)
            else:
                verdict = _Verdict(outcome.passed, outcome.reason, outcome.detail, None, outcome.seconds)
            graded.append(_with(sample, verdict, others))
        return graded

    def _code_pool(self) -> SandboxPool:
        if self._sandbox is None:
            limits = Limits(wall_seconds=CODE_SECONDS)
            self._sandbox = SandboxPool(self.isolation(), workers=self._workers, limits=limits).__enter__()
        return self._sandbox

    def isolation(self) -> Isolation:
        """How programs are kept in. Raises BadInput where they cannot be and `unsafe` is off."""
        try:
            return find_isolation(unsafe=self._unsafe)
        except SandboxUnavailable as error:
            raise BadInput(
                f"evaluate: no sandbox on this machine ({error}); install bubblewrap or allow user namespaces, "
                "or pass --unsafe to run model-written code with this user's files and network in its reach"
            ) from error

    def vote_classes(self, samples: Sequence[Sample]) -> list[tuple[int, bool] | None]:
        """What each sample of one question votes for: its answer's class and verdict; None without an answer.

        The verdict is part of the class, so that a class never mixes right and wrong where equality is not transitive.
        """
        boxes = ["" if sample.extracted is None else f"\\boxed{{{sample.extracted}}}" for sample in samples]
        classes = answer_classes(boxes, self.math)
        return [
            None if group is None else (group, sample.correct) for group, sample in zip(classes, samples, strict=True)
        ]


def _with(sample: Sample, verdict: _Verdict, others: dict[str, bool]) -> Sample:
    return replace(
        sample,
        correct=verdict.correct,
        reason=verdict.reason,
        detail=verdict.detail,
        extracted=verdict.extracted,
        others=others,
        grade_seconds=round(verdict.seconds, 6),
    )
