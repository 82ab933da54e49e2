"""The task set of a profile, by its kind."""

from repro.config import TaskSpec
from repro.references import module_of, resolve
from repro.tasks.protocol import TaskSet

KINDS = {
    "procedural": "repro.tasks.procedural.taskset:ProceduralTasks",
    "programs": "repro.tasks.programs.taskset:ProgramTasks",
    "words": "repro.tasks.words.taskset:WordTasks",
    "rehearsal": "repro.tasks.benchmarks.rehearsal:RehearsalTasks",
    "benchmark": "repro.tasks.benchmarks.taskset:BenchmarkTasks",
}


def make_taskset(spec: TaskSpec) -> TaskSet:
    """The task set of a profile. Raises BadInput for an unknown suite, an impossible size, or missing data."""
    tasks = resolve(KINDS[spec.kind])(spec)
    for suite in spec.suites:
        tasks.questions(suite)
    return tasks


def task_module(spec: TaskSpec) -> str:
    """The module whose code decides what a profile's tasks are."""
    return module_of(KINDS[spec.kind])
