"""No program passes by anything but right answers, in every isolation this machine has."""

import os

import pytest
from sandbox_programs import HOSTILE, PROMPT, RIGHT, TEST

from repro.grading.code_score import CodeAnswer, CodeProblem, score_answers
from repro.sandbox import Isolation, Limits, SandboxPool, find_isolation
from repro.sandbox.isolation import probe

PROBLEM = CodeProblem("toy/0", PROMPT, "total", TEST)
ATTACKS = {f"{kind}: {name}": source for kind, group in HOSTILE.items() for name, source in group.items()}
# What may only be tried where it can reach nothing of the machine's
ISOLATED_ONLY = ("kill everyone", "kill the parent", "alarm the parent", "terminate the group", "bomb")
REASONS = {  # a few verdicts whose reason is promised, not only their failing
    "exit: exit(0) at import": "error",
    "printing: prints passed": "failed",
    "printing: forges a verdict frame": "forbidden",
    "equality: always equal object": "failed",
    "resources: endless loop": "timeout",
    "resources: memory": "memory",
    "system: connect": "forbidden",
    "system: writes outside": "forbidden",
    "system: speaks to the machine's host": "forbidden",
    "system: namespaces of its own": "forbidden",
    "system: the session's keys": "forbidden",
    "no answer: empty": "error",
    "no answer: prose": "error",
}


# What ends by its limit alone, or may on a slow machine
HANGS = {
    "reading the harness: runner's codes",
    "signals: stop itself",
    "signals: close every descriptor",
    "resources: endless loop",
    "resources: endless loop at import",
    "resources: sleep that catches all",
    "resources: memory by many processes",
    "resources: fork bomb that goes on",
    "resources: fork bomb",
    "resources: thread bomb",
    "resources: output flood",
    "resources: disk flood",
    "resources: answer flood",
    "resources: stack",
}
SHORT, LONG = 1.5, 30.0  # seconds: for those that hang, and for what a busy machine kept from ending within them


def score(isolation, sources, seconds, workers=2):
    answers = [CodeAnswer(PROBLEM, source, "full_code") for source in sources]
    with SandboxPool(isolation, workers=workers, limits=Limits(wall_seconds=seconds)) as pool:
        return list(score_answers(answers, pool))


def pairs(isolation, names, seconds, workers):
    """Name -> (the attack's outcome, that of the right answer that ran after it)."""
    outcomes = score(isolation, [source for name in names for source in (ATTACKS[name], RIGHT)], seconds, workers)
    return dict(zip(names, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True))


def tried(isolation, names):
    """The same, where no verdict but a hanging program's depends on how busy the machine is."""
    found = pairs(isolation, names, SHORT, 2)
    late = [
        name
        for name, (attack, right) in found.items()
        if right.reason == "timeout" or (attack.reason == "timeout" and name not in HANGS)
    ]
    return found | pairs(isolation, late, LONG, 1)


def _is_fast(name):
    return not name.startswith("resources") and not any(
        word in name for word in ("stop itself", "close every", "codes")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "as_root"), [("bwrap", True), ("bwrap", False), ("unshare", True), ("unshare", False)]
)
def test_no_hostile_program_passes_and_the_right_one_after_each_still_does(backend, as_root):
    isolation = Isolation(backend, as_root)
    if as_root and os.geteuid() != 0:
        pytest.skip("root only")
    failure = probe(isolation)
    if failure is not None:
        pytest.skip(f"{backend} (as_root={as_root}) does not work here: {failure}")
    chosen = [name for name in ATTACKS if isolation == find_isolation() or _is_fast(name)]
    verdicts = tried(isolation, chosen)
    assert [name for name, (attack, _) in verdicts.items() if attack.passed] == []
    assert {name: right for name, (_, right) in verdicts.items() if not right.passed} == {}
    reasons = {name: reason for name, reason in REASONS.items() if name in chosen}
    assert {name: verdicts[name][0].reason for name in reasons} == reasons


@pytest.mark.slow
def test_without_namespaces_too_no_program_passes_by_forging():
    chosen = {
        name: source
        for name, source in ATTACKS.items()
        if _is_fast(name) and not name.startswith("system") and not any(word in name for word in ISOLATED_ONLY)
    }
    verdicts = dict(zip(chosen, score(Isolation("none", False), chosen.values(), LONG), strict=True))
    assert [name for name, outcome in verdicts.items() if outcome.passed] == []
