"""`score-code` from file to file: order, bad lines, refusals."""

import json

import pytest
from sandbox_programs import RIGHT

from repro import sandbox
from repro.errors import BadInput
from repro.grading import score_file as score_code
from repro.grading.score_file import load_problems, score_file
from repro.paths import benchmark_dir

GOOD = {"task_id": "HumanEval/53", "completion": "    return x + y\n", "format": "completion"}
BAD = {**GOOD, "completion": "    return x - y\n"}


@pytest.fixture
def folder():
    if benchmark_dir() is None:
        pytest.skip("no benchmark files: set GCPO_DATA")
    return benchmark_dir()


def score(tmp_path, folder, lines, **settings):
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    # by default a program has five seconds: too few on a loaded machine
    report = score_file(path, tmp_path / "out.jsonl", folder, unsafe=True, timeout=60.0, **settings)
    return report, [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_verdicts_keep_the_order_of_the_lines_and_bad_lines_are_numbered(tmp_path, folder):
    lines = [
        {**GOOD, "id": "a"}, b"{not json", BAD,
        {**GOOD, "task_id": "HumanEval/164"}, {**GOOD, "format": "chat"}, b"\xff", b"[]",
        {"task_id": "HumanEval/53", "format": "completion"}, {**GOOD, "completion": None}, b"",
        {**GOOD, "format": "markdown", "completion": "```python\ndef add(x, y):\n    return x + y\n```"},
        {**GOOD, "format": "full_code", "completion": RIGHT, "extra": 1},
    ]  # fmt: skip
    report, rows = score(tmp_path, folder, lines)
    assert [number for number, _ in report.bad_lines] == [2, 4, 5, 6, 7, 8, 9]
    assert [(row["passed"], row["reason"]) for row in rows] == [
        (True, "passed"), (False, "failed"), (True, "passed"), (False, "error"),
    ]  # fmt: skip
    assert [(row["line"], row.get("id")) for row in rows] == [(1, "a"), (3, None), (11, None), (12, None)]
    assert (report.rows, report.passed, report.reasons["failed"], report.reasons["error"]) == (4, 2, 1, 1)
    assert all(row["task_id"] == "HumanEval/53" and 0 < row["seconds"] < 60 for row in rows)
    assert report.passed_under_one_second <= 2


def test_each_bad_line_says_what_would_be_right(tmp_path, folder):
    report, rows = score(tmp_path, folder, [{**GOOD, "format": "chat"}, {**GOOD, "task_id": "MBPP/1"}])
    assert rows == []
    assert "want one of completion, full_code, markdown" in report.bad_lines[0][1]
    assert "HumanEval/0 to HumanEval/163" in report.bad_lines[1][1]


def test_progress_counts_to_the_number_of_programs(tmp_path, folder):
    seen = []
    score(tmp_path, folder, [GOOD] * 3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_scoring_twice_gives_the_same_verdicts(tmp_path, folder):
    lines = [{**GOOD, "task_id": f"HumanEval/{number}"} for number in (32, 53, 38)]
    first, second = (score(tmp_path, folder, lines)[1] for _ in range(2))
    assert [row["reason"] for row in first] == [row["reason"] for row in second]


def test_the_loader_refuses_a_changed_file(tmp_path, folder):
    text = (folder / "humaneval.jsonl").read_text()
    (tmp_path / "humaneval.jsonl").write_text(text.replace("== True", "== 1"))
    with pytest.raises(BadInput, match="sha256"):
        load_problems(tmp_path)


def test_the_loader_says_where_the_file_should_be(tmp_path):
    with pytest.raises(BadInput, match=r"humaneval\.jsonl is missing"):
        load_problems(tmp_path)
    with pytest.raises(BadInput, match="GCPO_DATA"):
        load_problems(None)


def test_a_file_that_is_missing_or_cannot_be_written_is_named(tmp_path, folder):
    with pytest.raises(BadInput, match=r"no file .*absent"):
        score_file(tmp_path / "absent", tmp_path / "out", folder)
    (tmp_path / "in").write_text(json.dumps(GOOD))
    with pytest.raises(BadInput, match="nowhere"):
        score_file(tmp_path / "in", tmp_path / "nowhere" / "out", folder, unsafe=True)


@pytest.mark.parametrize("setting", [{"timeout": 0.0}, {"workers": 0}])
def test_settings_out_of_range_are_refused(tmp_path, setting):
    with pytest.raises(BadInput):
        score_file(tmp_path / "in", tmp_path / "out", None, **setting)


def test_a_machine_without_isolation_refuses_in_one_line(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(sandbox.isolation, "probe", lambda isolation: "no namespaces")
    (tmp_path / "in.jsonl").write_text(json.dumps(GOOD) + "\n")
    with pytest.raises(BadInput, match=r"no sandbox on this machine .*--unsafe") as refusal:
        score_code.score_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", folder)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_waived_machine_records_that_the_network_is_open(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(sandbox.isolation, "probe", lambda isolation: "no namespaces")
    report, rows = score(tmp_path, folder, [GOOD])
    assert (report.backend, report.network, rows[0]["reason"]) == ("none", "unrestricted", "passed")
