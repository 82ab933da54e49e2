"""What passes, what fails and why, on a toy problem and on HumanEval where its file is at hand."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox_programs import PROMPT, RIGHT, TEST, UNUSUAL, WRONG

from repro import sandbox
from repro.grading.code_score import CodeAnswer, CodeProblem, score_answers
from repro.grading.score_file import load_problems
from repro.paths import benchmark_dir
from repro.sandbox import Job, Limits, SandboxBroken, SandboxPool, find_isolation

STUBS = ["pass", *(f"return {value}" for value in ("None", "True", "False", "0", "1", "[]", "''", "-1", "5"))]
# For programs that end by themselves: the slowest canonical solution takes 0.26 s on a quiet machine, and on a loaded
# one more than the five seconds of `Limits`
LONG = 60.0
SIMPLE = "def check(candidate):\n    assert candidate([2]) == 2\n"


@pytest.fixture(scope="module")
def isolation():
    return find_isolation(unsafe=True)


def outcomes(isolation, jobs, **limits):
    with SandboxPool(isolation, workers=2, limits=Limits(**({"wall_seconds": LONG} | limits))) as pool:
        return list(pool.run(jobs))


def scored(isolation, answers):
    with SandboxPool(isolation, workers=2, limits=Limits(wall_seconds=LONG)) as pool:
        return list(score_answers(answers, pool))


def outcome(isolation, source, test=SIMPLE, context="", **limits):
    return outcomes(isolation, [Job([source], "total", test, context)], **limits)[0]


def humaneval():
    if benchmark_dir() is None:
        pytest.skip("no benchmark files: set GCPO_DATA")
    return list(load_problems(benchmark_dir()).values())


@pytest.mark.slow
def test_right_answers_in_unusual_dress_pass(isolation):
    problem = CodeProblem("toy/0", PROMPT, "total", TEST)
    answers = [CodeAnswer(problem, source, "full_code") for source in UNUSUAL.values()]
    answers += [CodeAnswer(problem, f"Sure:\n```python\n{source}\n```\nDone.") for source in UNUSUAL.values()]
    results = scored(isolation, answers)
    assert {name: result for name, result in zip([*UNUSUAL] * 2, results, strict=True) if not result.passed} == {}


def test_results_come_in_the_order_of_the_jobs(isolation):
    slow = "import time\ntime.sleep(0.3)\n" + RIGHT
    jobs = [Job([source], "total", SIMPLE) for source in (slow, WRONG.replace("sum", "len"), RIGHT, "", RIGHT)]
    assert [result.reason for result in outcomes(isolation, jobs)] == ["passed", "failed", "passed", "error", "passed"]


def test_an_assertion_that_never_ran_fails_the_right_answer(isolation):
    test = (
        "def check(candidate):\n    assert candidate([2]) == 2\n    for x in candidate([]) * [1]:\n        assert x\n"
    )
    result = outcome(isolation, RIGHT, test)
    assert (result.passed, result.detail) == (False, "1 of 2 assertions never ran")


def test_a_check_without_assertions_passes_nobody(isolation):
    assert not outcome(isolation, RIGHT, "def check(candidate):\n    candidate([2])\n").passed


def test_a_check_cannot_hide_a_wrong_answer_behind_its_own_except(isolation):
    test = "def check(candidate):\n    try:\n        assert candidate([2]) == 3\n    except Exception:\n        pass\n"
    assert outcome(isolation, RIGHT, test).reason == "failed"


def test_the_check_uses_the_prompts_helper_and_not_the_programs(isolation):
    test = "def check(candidate):\n    assert halve(candidate([8])) == 4\n"
    assert outcome(isolation, "def halve(n): return 4\ndef total(n): return 0\n", test, PROMPT).reason == "failed"
    assert outcome(isolation, "def halve(n): return 5\n" + RIGHT, test, PROMPT).passed


def test_the_check_may_call_the_function_by_its_own_name(isolation):
    test = "def check(candidate):\n    assert candidate([2]) == total([2]) == 2\n"
    assert outcome(isolation, RIGHT, test, PROMPT).passed


def test_a_wrong_kind_of_value_in_the_checks_arithmetic_is_a_failure_and_not_an_error(isolation):
    test = "def check(candidate):\n    assert abs(candidate([2]) - 2) < 1e-6\n"
    assert outcome(isolation, "def total(n): return None", test).reason == "failed"


def test_true_is_not_true_by_identity_when_the_answer_is_one(isolation):
    test = "def check(candidate):\n    assert candidate([2]) is True\n"
    assert not outcome(isolation, "def total(n): return 1", test).passed
    assert outcome(isolation, "def total(n): return True", test).passed


def test_keyword_arguments_and_floats_cross(isolation):
    test = "def check(candidate):\n    assert candidate(numbers=[0.1, 2.0]) == 2.1\n"
    assert outcome(isolation, WRONG, test).passed


def test_a_check_that_draws_its_cases_draws_the_same_each_time(isolation):
    test = "import random\ndef check(candidate):\n    assert candidate([random.random()]) == 0.8444218515250481\n"
    assert outcome(isolation, WRONG, test).passed


def test_time_limits_hold_and_programs_within_them_pass(isolation):
    source = "import time\ntime.sleep(1.2)\n" + RIGHT
    assert outcome(isolation, source, wall_seconds=1.0).reason == "timeout"
    result = outcome(isolation, source)
    assert result.passed
    assert 1.2 <= result.seconds < LONG


def test_memory_limits_hold_and_programs_within_them_pass(isolation):
    source = "block = bytearray(150 * 2**20)\n" + RIGHT
    assert outcome(isolation, source, memory_mib=100).reason == "memory"
    assert outcome(isolation, source, memory_mib=400).passed


def test_the_memory_of_all_processes_counts_together(isolation):
    source = "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        block = b'x' * (30 * 2**20)\n"
    source += "        time.sleep(30)\ntime.sleep(30)\n"
    assert outcome(isolation, source, memory_mib=120).reason == "memory"


def test_an_answer_that_hangs_the_check_is_a_timeout(isolation):
    test = "def check(candidate):\n    assert pow(3, candidate([2])) == 1\n"
    result = outcome(isolation, "def total(n): return 10**12", test, wall_seconds=1.0)
    assert result.reason == "timeout"


def test_a_check_that_does_not_load_is_our_fault_and_not_the_programs(isolation):
    for test in ("raise ValueError\n", "def check(candidate):\n    assert candidate(print) == 2\n"):
        with pytest.raises(SandboxBroken):
            outcome(isolation, RIGHT, test)


def test_the_program_sees_neither_our_files_nor_our_environment(isolation, tmp_path, monkeypatch):
    if isolation.backend == "none":
        pytest.skip("no namespaces here")
    monkeypatch.setenv("GCPO_SECRET", "x")
    secret = tmp_path / "secret"
    secret.write_text("x")
    source = """
import os
def total(paths):
    home = set(os.listdir("/")) - {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "dev", "tmp"}
    return [[os.path.exists(p) for p in paths], "GCPO_SECRET" in os.environ, os.listdir("/tmp"), os.listdir("/etc"),
            sorted(home), os.getcwd()]
"""
    paths = [str(secret), sandbox.__file__, os.path.expanduser("~/.ssh"), "/proc/1", "/sys/kernel", "/etc/passwd"]
    visible = {Path(sys.base_prefix).parts[1]} - {"usr"}
    expected = [[False] * len(paths), False, [], ["ld.so.cache"], sorted(visible), "/tmp"]
    test = f"def check(candidate):\n    got = candidate({paths!r})\n    assert got == {expected!r}\n"
    assert outcome(isolation, source, test).passed


def test_without_any_isolation_running_is_refused_unless_waived(monkeypatch):
    monkeypatch.setattr(sandbox.isolation, "probe", lambda isolation: "no namespaces")
    with pytest.raises(sandbox.SandboxUnavailable, match=r"bwrap.*no namespaces.*unshare"):
        find_isolation()
    waived = find_isolation(unsafe=True)
    assert (waived.backend, waived.network) == ("none", "unrestricted")


def test_a_working_isolation_is_used_even_when_waived():
    try:
        expected = find_isolation()
    except sandbox.SandboxUnavailable as error:
        pytest.skip(str(error))
    assert find_isolation(unsafe=True) == expected
    assert expected.network == "none"


def test_a_fork_bomb_does_not_take_processes_from_programs_of_another_harness(isolation):
    bomb = (
        "import os, time\nwhile True:\n    try:\n        if os.fork() == 0: time.sleep(60)\n    except OSError: pass\n"
    )
    tried = ((bomb, 3.0), ("import time\ntime.sleep(0.7)\n" + UNUSUAL["processes"], LONG))
    with ThreadPoolExecutor(2) as threads:  # a pool belongs to its thread
        bombed, right = threads.map(lambda each: outcome(isolation, each[0], wall_seconds=each[1]), tried)
    assert (bombed.passed, right.passed) == (False, True)


@pytest.mark.slow
def test_all_canonical_solutions_pass(isolation):
    problems = humaneval()
    rows = [json.loads(line) for line in (benchmark_dir() / "humaneval.jsonl").read_text().splitlines()]
    answers = []
    for index, (problem, row) in enumerate(zip(problems, rows, strict=True)):
        code = problem.prompt + row["canonical_solution"]
        texts = {"completion": row["canonical_solution"], "full_code": code, "markdown": f"So:\n```python\n{code}```\n"}
        chosen = ("completion", "full_code", "markdown") if index % 8 == 0 else ("completion",)
        answers += [CodeAnswer(problem, texts[format], format) for format in chosen]
    results = scored(isolation, answers)
    assert [a.problem.task_id for a, r in zip(answers, results, strict=True) if not r.passed] == []


@pytest.mark.slow
def test_no_stub_passes_any_problem(isolation):
    problems = humaneval()
    # one stub per problem here, each of the ten on 16 or 17 problems; `repro.bench.sandbox` runs all 1,640
    answers = [
        CodeAnswer(problem, f"    {STUBS[index % 10]}\n", "completion") for index, problem in enumerate(problems)
    ]
    results = scored(isolation, answers)
    assert {result.reason for result in results} == {"failed"}


FAULTS = {  # file, one line of it, what a slip would make of it
    "an assertion that never ran is let through": ("judge.py", "if missing or not watcher.sites:", "if False:"),
    "assertions are turned round": ("judge.py", "ast.UnaryOp(ast.Not(), node.test)", "node.test"),
    "assertions count before they hold": ("judge.py", "for part in (test, held)]", "for part in (held,)]"),
    "the check runs the program's name unproxied": ("judge.py", "space[job.entry_point] = program.call", "pass"),
    "the check lacks the prompt's helpers": ("judge.py", 'exec(compile(job.context, "<context>", "exec"), space)', "0"),
    "booleans become integers": ("runner.py", 'return "true"', 'return \'["i","1"]\''),
    "integers lose their base": ("wire.py", "int(_one(body, str), 16)", "int(_one(body, str))"),
    "lists become tuples": ("wire.py", "[decode_value(item) for item in body]", "tuple(map(decode_value, body))"),
    "numbers lose precision": ("runner.py", "float.hex(value) + '\"]'", "float.hex(round(value, 6)) + '\"]'"),
    "a raised error counts as an answer": ("runner.py", "_send_error(reply_fd, error)\n    else", "pass\n    else"),
}
FAULT_CASES = [
    # (source, test, reason)
    (RIGHT, TEST, "passed"),
    (WRONG, TEST, "failed"),
    (RIGHT, "def check(candidate):\n    assert candidate([2]) == 2\n    for x in []:\n        assert x\n", "failed"),
    (RIGHT, "def check(candidate):\n    assert total([26]) == 26\n", "passed"),
    ("def total(n): return True", "def check(candidate):\n    assert candidate([]) is True\n", "passed"),
    ("def total(n): return [1 / 3, []]", "def check(candidate):\n    assert candidate([]) == [1 / 3, []]\n", "passed"),
    ("def total(n): raise ValueError", SIMPLE, "error"),
]
FAULT_RUN = """
import json, sys
sys.path.append(sys.argv[1])
from sandbox import Isolation, Job, Limits, SandboxBroken, SandboxPool
jobs = [Job([source], "total", test, prompt) for source, test, prompt in json.loads(sys.argv[3])]
with SandboxPool(Isolation(*json.loads(sys.argv[2])), workers=1, limits=Limits(wall_seconds=10.0)) as pool:
    try:
        print(json.dumps([outcome.reason for outcome in pool.run(jobs)]))
    except SandboxBroken:
        print('["broken"]')
"""


def _verdicts(folder, isolation):
    cases = json.dumps([(source, test, PROMPT) for source, test, _ in FAULT_CASES])
    setting = json.dumps([isolation.backend, isolation.as_root])
    command = [sys.executable, "-S", "-c", FAULT_RUN, str(folder), setting, cases]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.slow
def test_the_cases_above_notice_each_of_these_faults(isolation, tmp_path):
    source = Path(sandbox.__file__).parent
    expected = [reason for _, _, reason in FAULT_CASES]
    assert _verdicts(source.parent, isolation) == expected

    def noticed(name, file, old, new):
        copy = tmp_path / name / "sandbox"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        text = (copy / file).read_text()
        assert text.count(old) == 1, f"{name}: {file} no longer has {old!r}"
        (copy / file).write_text(text.replace(old, new))
        return _verdicts(copy.parent, isolation) != expected

    with ThreadPoolExecutor(2) as threads:  # one fault makes a program wait for its limit
        found = threads.map(lambda name: noticed(name, *FAULTS[name]), FAULTS)
    assert [name for name, seen in zip(FAULTS, found, strict=True) if not seen] == []
