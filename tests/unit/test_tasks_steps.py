"""Which written steps are sound, on a hand-made program and on the generators' own solutions."""

import random

import pytest

from repro.tasks.procedural.families import FAMILIES, Ref, Step, make_problem, work
from repro.tasks.procedural.steps import sound_steps

# 5 * 7 = 5; 8 * 8 = 4; the sum of both; times 2
PROGRAM = (Step(5, "*", 7), Step(8, "*", 8), Step(Ref(0), "+", Ref(1)), Step(Ref(2), "*", 2))


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("5*7=5;8*8=4;5+4=9;9*2=8;", [1, 1, 1, 1]),
        ("5*7=5;8*8=4;5+4=9;9*2=8", [1, 1, 1, 1]),  # the last mark may be missing
        ("5*7=6;8*8=4;6+4=0;0*2=0;", [0, 1, 1, 1]),  # a slip that the rest follows
        ("5*7=6;8*8=4;5+4=9;9*2=8;", [0, 1, 0, 1]),  # the right number, but not what was written
        ("5*7=5;8*8=4;4+5=9;9*2=8;", [1, 1, 0, 1]),  # another order is another step
        ("5*7=5;8*8=4;5-4=9;9*2=8;", [1, 1, 0, 1]),
        ("5*7=5;8*8=4;", [1, 1]),
        ("5*7=5;;8*8=4;", [1, 0, 0]),  # an empty line is a step, and what follows comes too late
        ("5*7;8*8=4;5+4=9;9*2=8;", [0, 1, 0, 1]),  # nothing written to refer to
        ("5*7=5;8*8=4;5+4=9;9*2=8;8*2=6;", [1, 1, 1, 1, 0]),  # after the program's end
        ("5*7=5 ;", [0]),
        ("", []),
    ],
)
def test_each_line_is_judged_by_what_stands_before_it(text: str, sound: list[int]) -> None:
    assert sound_steps(text, PROGRAM) == [bool(each) for each in sound]


@pytest.mark.parametrize("family", FAMILIES)
def test_demonstrations_are_sound_and_each_slip_is_one_unsound_step(family: str) -> None:
    slips = 0
    for seed in range(20):
        problem = make_problem(family, "m", seed)
        assert all(sound_steps(problem.solution.partition("#")[0], problem.steps))
        text, _ = work(problem.steps, slip=0.4, rng=random.Random(seed))
        found = sound_steps(text.partition("#")[0], problem.steps)
        assert len(found) == len(problem.steps)
        for fine, line in zip(found, text.split(";"), strict=False):
            left, right = line.split("=")
            assert fine == (eval(left) % 10 == int(right))
        slips += found.count(False)
    assert slips > 5
