"""Two stored evaluations of benchmarks as pairs of answers to the same questions."""

from pathlib import Path

from repro.config import TaskSpec
from repro.errors import BadInput
from repro.evaluation.run import stored_suites
from repro.evaluation.sides import Pair, pair_up
from repro.evaluation.store import CONFIG, GREEDY, SAMPLES, read_samples
from repro.files import read_json
from repro.tasks.benchmarks.taskset import BenchmarkTasks


def stored_pairs(left: Path, right: Path, *, draw: str = GREEDY, hub_data: bool = False) -> list[Pair]:
    """The answers of two stored evaluations to the questions of the suites that both hold, as far as both answered.

    Raises BadInput for a folder without samples, folders without a common suite or question, and missing data.
    """
    names = [name for name in stored_suites(left) if name in stored_suites(right)]
    if not names:
        raise BadInput(f"{left} and {right} have no suite in common; want two evaluations of the same one")
    pairs: list[Pair] = []
    with BenchmarkTasks(TaskSpec(kind="benchmark", hub_data=hub_data, suites=dict.fromkeys(names, 0))) as tasks:
        for name in names:
            source = dict(tasks.loaded(name).source)
            for folder in (left, right):
                if read_json(folder / name / CONFIG, "configuration")["data"] != source:
                    raise BadInput(f"{folder / name}: its samples answer other data than {source}")
            sides = [read_samples(folder / name / SAMPLES) for folder in (left, right)]
            answered = [{each.question_id for each in samples if each.draw == draw} for samples in sides]
            asked = [question for question in tasks.questions(name) if all(question.id in ids for ids in answered)]
            pairs += pair_up(name, asked, *sides, draw=draw)
    if not pairs:
        raise BadInput(f"{left} and {right} have no {draw} answer to a common question")
    return pairs
