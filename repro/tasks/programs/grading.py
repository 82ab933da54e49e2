"""Verdicts on programs: many run in one process of the sandbox, each against its own hidden tests.

A start of the sandbox costs as much as thousands of these programs. They may share one because the language lets none
of them touch another: a text is checked against its grammar before it is run, here, outside. The tests' values stay
outside as well.
"""

import json
from collections.abc import Sequence

from repro.errors import BadInput
from repro.sandbox import Job, Limits, SandboxBroken, SandboxPool, SandboxUnavailable, find_isolation
from repro.tasks.programs.language import is_program
from repro.tasks.protocol import Question, Response, Verdict

BATCH = 512  # programs of one process
SECONDS = 30.0  # for a batch, of which the programs take some tens of milliseconds
PASSED = "passed"

_RUNNER = """
def run_all(asked):
    return [run(program, inputs) for program, inputs in asked]


def run(program, inputs):
    space = {"__builtins__": {}}
    try:
        exec("def f(x, y):\\n    " + program, space)
        return "".join([str(space["f"](x, y) % 10) for x, y in inputs])
    except Exception as error:
        return type(error).__name__
"""
_CHECK = """
import json


def check(candidate):
    asked, wanted = json.loads({data!r})
    answers = candidate(asked)
    assert len(answers) == len(wanted)
    return [
        "passed" if answer == right else "failed" if answer.isdigit() else "error " + answer
        for answer, right in zip(answers, wanted)
    ]
"""


class ProgramGrader:
    """Grades programs. A context manager; the sandbox starts when first needed."""

    def __init__(self) -> None:
        self._pool: SandboxPool | None = None

    def __enter__(self) -> "ProgramGrader":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.__exit__(*exception)

    def grade(self, questions: Sequence[Question], responses: Sequence[Response]) -> list[Verdict]:
        """The verdict of each response to its question: `passed`, `failed`, `error`, `syntax` or `truncated`.

        Raises BadInput where the machine offers no isolation, SandboxBroken where a batch gave no verdicts.
        """
        found: list[str] = []
        runs: list[tuple[str, list]] = []
        for question, response in zip(questions, responses, strict=True):
            if not response.ended:
                found.append("truncated")
            elif not is_program(response.text):
                found.append("syntax")
            else:
                found.append("")
                runs.append((response.text, json.loads(question.gold)))
        verdicts = iter(self._run(runs))
        return [_verdict(word or next(verdicts), each) for word, each in zip(found, responses, strict=True)]

    def _run(self, runs: Sequence[tuple[str, list]]) -> list[str]:
        jobs = []
        for start in range(0, len(runs), BATCH):
            chunk = runs[start : start + BATCH]
            asked = [(program, [(x, y) for x, y, _ in tests]) for program, tests in chunk]
            wanted = ["".join(str(value) for _, _, value in tests) for _, tests in chunk]
            # one text: the judge looks at every node of a check's syntax, and a literal has thousands
            jobs.append(Job([_RUNNER], "run_all", _CHECK.format(data=json.dumps([asked, wanted]))))
        words: list[str] = []
        for outcome in self._started().run(jobs) if jobs else ():
            if not outcome.passed or outcome.returned is None:
                raise SandboxBroken(f"a batch of programs ended with {outcome.reason}: {outcome.detail}")
            words += outcome.returned
        return words

    def _started(self) -> SandboxPool:
        if self._pool is None:
            try:
                isolation = find_isolation()
            except SandboxUnavailable as error:
                raise BadInput(
                    f"no sandbox on this machine ({error}); install bubblewrap or allow user namespaces"
                ) from error
            self._pool = SandboxPool(isolation, workers=1, limits=Limits(wall_seconds=SECONDS)).__enter__()
        return self._pool


def _verdict(word: str, response: Response) -> Verdict:
    reason, _, detail = word.partition(" ")
    return Verdict(reason == PASSED, reason, detail, response.text if response.ended else None)
