"""Verdicts on responses: mathematics by the grader's workers, functions by the sandbox."""

from collections.abc import Sequence

from repro.errors import BadInput
from repro.grading import CodeAnswer, GraderPool, SandboxPool, answer_classes, find_isolation, score_answers
from repro.sandbox import Isolation, Limits, SandboxUnavailable
from repro.tasks.encoding import UNCLOSED_THOUGHT, AnswerPart, answer_part
from repro.tasks.protocol import Question, Response, Verdict

CODE_SECONDS = 5.0  # not stated: chosen because the slowest canonical solution takes 0.26 s
AS_IT_STANDS = "thought_as_it_stands"  # the verdict if the text of an unclosed thought were graded
UNDER_A_SECOND = "under_1_s"


class Grader:
    """Grades responses. A context manager; processes start when first needed. workers: processes of either kind.

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

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """The verdict of each response to its question. All questions are of one kind.

        Raises BadInput where code cannot be run in isolation and `unsafe` is off.
        """
        if not responses:
            return []
        answers = [answer_part(response.text, thinking=response.thinking) for response in responses]
        grade = self._grade_code if questions[0].code is not None else self._grade_math
        return grade(questions, responses, answers)

    def _grade_math(
        self, questions: Sequence[Question], responses: Sequence[Response], answers: Sequence[AnswerPart]
    ) -> list[Verdict]:
        asked: dict[tuple[int, str], list[tuple[str, str]]] = {}
        for place, (question, response, answer) in enumerate(zip(questions, responses, answers, strict=True)):
            asked[place, ""] = [(question.gold, answer.text or "")]
            for name, golds in question.golds.items():
                if golds != (question.gold,):
                    asked[place, name] = [(gold, answer.text or "") for gold in golds]
            if answer.text is None:
                asked[place, AS_IT_STANDS] = [(question.gold, response.text)]
        verdicts = iter(self.math.grade_many([pair for pairs in asked.values() for pair in pairs]))
        found = {key: [next(verdicts) for _ in pairs] for key, pairs in asked.items()}
        graded = []
        for place, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            main = found[place, ""][0]
            seconds = sum(verdict.seconds for key, each in found.items() if key[0] == place for verdict in each)
            others = {
                name: any(verdict.correct for verdict in found[place, name]) if (place, name) in found else main.correct
                for name in question.golds
            }
            if answer.text is None:
                others[AS_IT_STANDS] = found[place, AS_IT_STANDS][0].correct
            detail = UNCLOSED_THOUGHT if answer.text is None else main.detail
            graded.append(Verdict(main.correct, main.reason, detail, main.extracted, others, seconds))
        return graded

    def _grade_code(
        self, questions: Sequence[Question], responses: Sequence[Response], answers: Sequence[AnswerPart]
    ) -> list[Verdict]:
        jobs = [
            CodeAnswer(question.code, response.text if answer.text is None else answer.text)
            for question, response, answer in zip(questions, responses, answers, strict=True)
        ]
        graded = []
        for answer, outcome in zip(answers, score_answers(jobs, self._code_pool()), strict=True):
            quick = outcome.passed and outcome.seconds <= 1.0
            others = {UNDER_A_SECOND: quick and answer.text is not None}
            if answer.text is None:
                others[AS_IT_STANDS] = outcome.passed
                graded.append(Verdict(False, "error", UNCLOSED_THOUGHT, None, others, outcome.seconds))
            else:
                graded.append(Verdict(outcome.passed, outcome.reason, outcome.detail, None, others, outcome.seconds))
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

    def classes(self, answers: Sequence[str | None]) -> Sequence[int | None]:
        """The class of each answer to one question: equal ones have one number; None without an answer."""
        return answer_classes(["" if each is None else f"\\boxed{{{each}}}" for each in answers], self.math)
