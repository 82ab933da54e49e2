"""Which steps of a worked solution are sound: each written line against the problem's own program.

Does not: judge the answer (`verify` does), or accept another way to the answer than the program's.
"""

import re

from repro.tasks.procedural.families import Ref, Step, apply

_LINE = re.compile(r"(\d)([-+*])(\d)=(\d)")


def sound_steps(reasoning: str, steps: tuple[Step, ...]) -> list[bool]:
    """Per line of `a?b=c;a?b=c;...`, whether it is the program's next step and rightly worked out.

    A step that uses an earlier result has to use the one that was written, right or wrong: a slip is one unsound step,
    and what follows from it is sound. Unsound are also a line of another form, one after the program's end, and one
    whose earlier result was never written as a digit. reasoning: what stands before the answer's mark.
    """
    lines = reasoning.split(";")
    if not lines[-1]:
        del lines[-1]
    found = [_LINE.fullmatch(line) for line in lines]
    results = [None if match is None else int(match[4]) for match in found]
    sound = []
    for match, step in zip(found, [*steps, *[None] * len(lines)], strict=False):
        if match is None or step is None:
            sound.append(False)
            continue
        left, right = (results[part.step] if isinstance(part, Ref) else part for part in (step.left, step.right))
        written = (int(match[1]), match[2], int(match[3]))
        sound.append(
            None not in (left, right)
            and written == (left, step.op, right)
            and int(match[4]) == apply(step.op, left, right)
        )
    return sound
