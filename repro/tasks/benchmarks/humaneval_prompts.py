"""The chat turns that ask for a HumanEval function: none or five worked examples before it.

The paper gives no prompt and says both "5-shot" and "1-shot and 5-shot"; the wording and the examples are ours. The
five examples are **hand-written functions**, not rows of MBPP and not HumanEval problems; their order and text are
fixed by `EXEMPLARS_SHA256`, so a change of either shows as a change of protocol.
"""

import hashlib
from dataclasses import dataclass

REQUEST = "Complete the following Python function. Answer with the whole function in one Python code block."
EXEMPLAR_SOURCE = "hand-written for this project; neither MBPP nor HumanEval"
EXEMPLARS_SHA256 = "a4748c2f1078de70a815b2212e3ca173e8b2dfcc0c923a895fc3a4c869929552"


@dataclass(frozen=True)
class Exemplar:
    """A solved function in HumanEval's form: `prompt` ends in the docstring, `solution` is the body."""

    entry_point: str
    prompt: str
    solution: str


EXEMPLARS = (
    Exemplar(
        "clamp",
        '''def clamp(value: float, low: float, high: float) -> float:
    """ Limit value to the range from low to high.
    >>> clamp(12, 0, 10)
    10
    >>> clamp(-3, 0, 10)
    0
    """
''',
        """    return max(low, min(high, value))
""",
    ),
    Exemplar(
        "run_lengths",
        '''from typing import List, Tuple


def run_lengths(text: str) -> List[Tuple[str, int]]:
    """ Describe a text by its runs of equal characters, each with its length.
    >>> run_lengths('aabccc')
    [('a', 2), ('b', 1), ('c', 3)]
    >>> run_lengths('')
    []
    """
''',
        """    runs: List[Tuple[str, int]] = []
    for character in text:
        if runs and runs[-1][0] == character:
            runs[-1] = (character, runs[-1][1] + 1)
        else:
            runs.append((character, 1))
    return runs
""",
    ),
    Exemplar(
        "transpose",
        '''from typing import List


def transpose(matrix: List[List[int]]) -> List[List[int]]:
    """ Turn the rows of a rectangular matrix into columns.
    >>> transpose([[1, 2, 3], [4, 5, 6]])
    [[1, 4], [2, 5], [3, 6]]
    """
''',
        """    return [list(column) for column in zip(*matrix)]
""",
    ),
    Exemplar(
        "minutes_between",
        '''def minutes_between(start: str, end: str) -> int:
    """ Minutes from one time of day to the next occurrence of another, both written HH:MM on a 24-hour clock.
    >>> minutes_between('09:30', '10:15')
    45
    >>> minutes_between('23:50', '00:10')
    20
    """
''',
        """    def since_midnight(clock: str) -> int:
        hours, minutes = clock.split(':')
        return 60 * int(hours) + int(minutes)

    return (since_midnight(end) - since_midnight(start)) % (24 * 60)
""",
    ),
    Exemplar(
        "group_by_initial",
        '''from typing import Dict, List


def group_by_initial(names: List[str]) -> Dict[str, List[str]]:
    """ Collect names under their first letter in upper case, in the order given. Empty names are left out.
    >>> group_by_initial(['ada', 'Bob', 'Alan', ''])
    {'A': ['ada', 'Alan'], 'B': ['Bob']}
    """
''',
        """    groups: Dict[str, List[str]] = {}
    for name in names:
        if name:
            groups.setdefault(name[0].upper(), []).append(name)
    return groups
""",
    ),
)


def chat_turns(prompt: str, *, shots: int) -> list[dict[str, str]]:
    """The turns that ask for the function of `prompt`: [{"role", "content"}], ending in the user's.

    shots is 0 or 5; each example is a user turn of the same wording and an assistant turn with the whole function in
    one code block. Raises ValueError for another number of shots.
    """
    if shots not in (0, len(EXEMPLARS)):
        raise ValueError(f"shots is {shots}; want 0 or {len(EXEMPLARS)}")
    turns = []
    for exemplar in EXEMPLARS[:shots]:
        turns.append({"role": "user", "content": _ask(exemplar.prompt)})
        turns.append({"role": "assistant", "content": _block(exemplar.prompt + exemplar.solution)})
    return [*turns, {"role": "user", "content": _ask(prompt)}]


def exemplars_sha256() -> str:
    """Digest of the request and the examples in order, to be recorded with a run."""
    parts = [REQUEST, *(part for exemplar in EXEMPLARS for part in (exemplar.prompt, exemplar.solution))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _ask(prompt: str) -> str:
    return f"{REQUEST}\n\n{prompt}"


def _block(code: str) -> str:
    return f"```python\n{code}```"
