"""The command line: exit codes and one-line errors."""

import json
import os
import subprocess
import sys

import pytest

from repro import cli
from repro.cells.experiments import get_arm
from repro.cells.plan import make_cell
from repro.config import load_profile, profile_names
from repro.files import exclusive_lock
from repro.paths import REPO_ROOT, benchmark_dir, results_dir


def plan_with(*sets):
    return ["plan", "table1", "--profile", "smoke", *(word for text in sets for word in ("--set", text))]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))


def fails(capsys, *argv):
    """Run, expect exit code 2 and exactly one line; return it."""
    assert cli.main(argv) == cli.BAD_INPUT
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run", "tabel1", "--profile", "smoke"], "target 'tabel1' does not exist; did you mean 'table1'?"),
        (
            ["run", "gc2po", "--profile", "smoke", "--set", "arms.gc2po.max_scored_episodes=0"],
            "arm gc2po: max_scored_episodes is 0; want at least 1",
        ),
        (["run", "gc2po", "--profile", "smoke", "--set", "train.num_generations=1"], "arm grpo: "),
        (["run", "table1", "--profile", "smokey"], "profile 'smokey' does not exist; did you mean 'smoke'?"),
        (["run", "table1", "--profile", "smoke", "--arms", "gcpo"], "arm 'gcpo' does not exist"),
        (["run", "table1", "--profile", "smoke", "--bases", "nano-q"], "base 'nano-q' is not in profile 'smoke'"),
        (["run", "table1", "--profile", "smoke", "--seeds", "0"], "--seeds is 0; want at least 1"),
        (
            ["plan", "table1", "--profile", "smoke", "--seeds", "1000000000"],
            "--seeds is 1000000000; want at most 10000",
        ),
        (["run", "table1", "--profile", "smoke", "--seeds", "two"], "invalid int value: 'two'"),
        (
            ["run", "table1", "--profile", "smoke", "--set", "train.lerning_rate=1"],
            "no argument 'lerning_rate'; did you mean 'learning_rate'?",
        ),
        (["run", "table1", "--profile", "smoke", "--set", "arms.gcpo_mc.kappa=-1"], "kappa"),
        (["run", "table1", "--profile", "smoke", "--set", "tasks.suites.modten-smoke=0"], "modten-smoke"),
        (["run", "table1", "--profile", "smoke", "--set", "train.seed=3"], "'seed' is set by the run itself"),
        (plan_with("train.num_generations=0"), "arm grpo: num_generations is 0; want at least 2"),
        (plan_with("train.learning_rate=nan"), "smoke.yaml: train.learning_rate is nan; want a finite number"),
        (plan_with("train.learning_rate=-1e-3"), "learning_rate is -0.001; want a number of at least 0"),
        (plan_with("arms.gcpo_mc.alpha=inf"), "smoke.yaml: arms.gcpo_mc.alpha is inf; want a finite number"),
        (plan_with("arms.gcpo_mc.kappa=high"), "arm gcpo_mc: kappa is 'high'; Input should be a valid number"),
        (plan_with("train.max_steps=0"), "max_steps is 0; want at least 1"),
        (plan_with("train.max_steps=-1"), "max_steps is -1; want at least 1"),
        (plan_with("train.max_steps=1e3"), "max_steps is 1000.0; Input should be a valid integer"),
        (plan_with("train.generation_kwargs={top_k: nan}"), "train.generation_kwargs.top_k is nan"),
        (plan_with("bases.nano-t.spec.levels={e: nan}"), "bases.nano-t.spec.levels.e is nan"),
        (plan_with("bases.nano-t.spec.muon_lr='nan'"), "smoke.yaml: bases.nano-t.spec.muon_lr is nan"),
        (plan_with("tasks.train_families=[shop, zz]"), "training families are ['shop', 'zz']; want some of rec, shop"),
        (plan_with("tasks.suites.modten-smoke=9000"), "9000 questions asked; want at most"),
        (
            plan_with("arms.gvpo.per_device_train_batch_size=12", "arms.gvpo.steps_per_generation=4"),
            "arm gvpo: per_device_train_batch_size 12 would split a group over micro-batches",
        ),
        (plan_with("arms.gcpo_sign_aware.kapa=1"), "arm gcpo_sign_aware: GCPOConfig has no argument 'kapa'"),
        (plan_with("arms.base.kappa=1"), "arms.base has arguments, but the arm trains nothing"),
        (plan_with("train.x=[1"), "--set train.x='[1': not a YAML value"),
        (plan_with("seeds=true"), "smoke.yaml: seeds: Input should be a valid integer (got True)"),
        (
            ["plan", "table1", "--profile", "smoke", "--arms", "gcpo"],
            "arm 'gcpo' does not exist; did you mean one of gcpo_expected, gcpo_mc, gcpo_corrected",
        ),
        (
            ["report", "table1", "--profile", "smoke"],
            "no finished cell of table1 in profile 'smoke'; run make reproduce-table1 PROFILE=smoke first",
        ),
        (["regrade", "table2", "--profile", "smoke"], "no finished cell of table2"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["run"], "required: target"),
        (["publish", "table1", "--profile", "smoke"], "no finished cell of table1"),
    ],
)
def test_bad_words_are_one_line_and_exit_code_2(capsys, argv, message):
    assert message in fails(capsys, *argv)


def unreachable(kind, url="https://huggingface.co/api/models/nosuch/model"):
    import httpx
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    request = httpx.Request("GET", url)
    if kind == "wrapped":
        error = RuntimeError("could not load")
        error.__cause__ = httpx.ConnectError("name or service not known", request=request)
        return error
    return {
        "no network": httpx.ConnectError("name or service not known", request=request),
        "no answer": httpx.ReadTimeout("timed out", request=request),
        "not in the cache": LocalEntryNotFoundError("not in the cache"),
        "offline": OfflineModeIsEnabled("HF_HUB_OFFLINE is set"),
    }[kind]


@pytest.mark.parametrize("kind", ["no network", "no answer", "not in the cache", "offline", "wrapped"])
def test_a_hub_that_cannot_be_reached_is_one_line_that_says_what_works_without(capsys, monkeypatch, kind):
    def ask(*words, **named):
        raise unreachable(kind)

    monkeypatch.setattr(cli.tables, "target_of", ask)
    line = fails(capsys, "plan", "table1", "--profile", "gpu", "--base", "nosuch/model")
    assert "the model hub could not be reached" in line and "local folder" in line and "HF_HUB_OFFLINE=1" in line
    assert ("https://huggingface.co/api/models/nosuch/model" in line) == (
        kind in ("no network", "no answer", "wrapped")
    )


def test_planning_a_hub_model_without_a_network_is_one_line(capsys, monkeypatch):
    import huggingface_hub

    def ask(*words, **named):
        raise unreachable("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", ask)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", ask)
    line = fails(capsys, "plan", "table1", "--profile", "gpu", "--base", "nosuch/model")
    assert "nosuch/model" in line and "HF_HUB_OFFLINE=1" in line


def test_an_error_of_another_kind_keeps_its_traceback(monkeypatch):
    def broken(*words, **named):
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(cli.tables, "target_of", broken)
    with pytest.raises(ValueError, match="a mistake of ours"):
        cli.main(["plan", "table1"])


def test_help_names_every_profile(capsys):
    with pytest.raises(SystemExit):
        cli.main(["plan", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"one of {', '.join(profile_names())}; default micro" in text


def test_a_results_folder_that_cannot_be_written_is_named(capsys, tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("GCPO_RESULTS", str(blocker))
    assert "cannot be written" in fails(capsys, "run", "table1", "--profile", "smoke")


def test_plan_looks_at_folders_and_records_as_run_does(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "a-file" / "cache"))
    (tmp_path / "a-file").write_text("")
    assert "cannot be written" in fails(capsys, "plan", "table1", "--profile", "smoke")


def test_without_a_gpu_run_says_what_doctor_says(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("GCPO_DEVICE", raising=False)
    said = fails(capsys, "run", "table1", "--profile", "gpu")
    cli.main(["doctor", "--profile", "gpu", "--json"])
    (gpu,) = (check for check in json.loads(capsys.readouterr().out) if check["name"] == "gpu")
    assert not gpu["ok"] and said.startswith(f"error: {gpu['mend']}")


def test_a_busy_machine_is_a_note_and_no_fault(capsys, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 99.0, 99.0))
    cli.main(["doctor", "--profile", "smoke", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["threads"]["ok"] and "the machine is busy" in checks["threads"]["found"]


def test_a_data_folder_that_is_none_is_named(capsys, monkeypatch):
    monkeypatch.setenv("GCPO_DATA", "/nope")
    cli.main(["doctor", "--profile", "gpu", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert not checks["data"]["ok"] and checks["data"]["found"] == "GCPO_DATA is '/nope', which is no folder"
    monkeypatch.setenv("GCPO_DEVICE", "cpu")
    assert "GCPO_DATA is '/nope', which is no folder" in fails(capsys, "plan", "table1", "--profile", "gpu")


def test_a_full_disk_is_named(capsys, monkeypatch):
    usage = type("Usage", (), {"free": 10 << 20})()
    monkeypatch.setattr("repro.cells.run.shutil.disk_usage", lambda _: usage)
    assert "has 10 MiB free; want at least 500 MiB" in fails(capsys, "run", "table1", "--profile", "smoke")


def test_two_runs_on_one_folder_do_not_mix(capsys):
    folder = results_dir("smoke")
    with exclusive_lock(folder / "run.lock", "x"):
        assert f"is in use by process {os.getpid()}" in fails(capsys, "run", "table1", "--profile", "smoke")


def test_a_damaged_summary_stops_the_run_and_nothing_is_lost(capsys):
    profile = load_profile("smoke")
    cell = make_cell(profile, next(iter(profile.bases)), get_arm("grpo"), 0)
    cell.folder.mkdir(parents=True)
    (cell.folder / "summary.json").write_text('{"spec_hash": ')
    assert "is damaged" in fails(capsys, "run", "table1", "--profile", "smoke")
    assert (cell.folder / "summary.json").exists()


def test_list_and_plan_run_nothing_and_speak_json(capsys):
    assert cli.main(["list", "--profile", "micro", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows if row["built"]} >= {"table1"}
    assert cli.main(["plan", "table1", "--profile", "micro", "--seeds", "5", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    arms = {row["cell"].split("__")[1] for row in plan["cells"]}
    assert arms >= {"base", "grpo", "drgrpo", "gvpo", "gcpo_expected", "gcpo_mc", "rest_mcts"}
    assert len(plan["cells"]) == 3 * 5 * len(arms) and plan["not_run"] == {}
    assert not results_dir("micro").joinpath("runs").exists()


def test_plan_of_the_paper_profile_counts_gpu_hours(capsys):
    assert cli.main(["plan", "table1", "--profile", "paper", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["unit"] == "GPU-hours" and plan["work"] > 1000


def test_listing_does_not_import_torch():
    code = (
        "import sys; from repro.cli import main; main(['list', '--profile', 'smoke']); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPO_ROOT)
    assert done.returncode == 0, done.stderr.decode()


def test_doctor_names_each_check(capsys):
    code = cli.main(["doctor", "--profile", "smoke", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert {"python", "torch", "trl", "git", "threads", "memory", "disk", "gpu", "data"} <= set(checks)
    assert code == (0 if all(check["ok"] for check in checks.values()) else 2)
    assert checks["trl"]["ok"] and checks["gpu"]["ok"]


def test_grade_names_bad_lines_and_grades_the_rest(capsys, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"gold": "33", "prediction": "\\\\boxed{33}"}\nnot json\n{"gold": "1", "prediction": "1"}\n')
    assert cli.main(["grade", "--input", str(source), "--output", str(target)]) == cli.BAD_INPUT
    assert capsys.readouterr().err.startswith("line 2: ")
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["correct"], row["reason"]) for row in rows] == [(True, "correct"), (False, "no_box")]


def test_score_code_counts_verdicts(capsys, tmp_path):
    if benchmark_dir() is None:
        pytest.skip("no folder of benchmark files: set GCPO_DATA")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row = {"task_id": "HumanEval/2", "completion": "    return number % 1.0\n", "format": "completion"}
    source.write_text(json.dumps(row) + "\n")
    code = cli.main(["score-code", "--input", str(source), "--output", str(target), "--json"])
    output = capsys.readouterr()
    if "isolat" in output.err:
        pytest.skip(f"no isolation on this machine: {output.err.strip()}")
    assert code == 0 and json.loads(output.out)["passed"] == 1
