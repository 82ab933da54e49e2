"""Launches: the scripts as text, the record that tasks read, the site file, and what is refused in one line."""

import re
import subprocess

import pytest
import yaml

from repro import cli
from repro.cells.experiments import get_experiment
from repro.cells.plan import plan_cells
from repro.cluster import submit as submission
from repro.cluster.node import check_node, check_ranks
from repro.cluster.preflight import check_site
from repro.cluster.ranks import command
from repro.cluster.record import Launch, Part, cell_at, new_folder, parts_of, planned, read_launch, write_launch
from repro.cluster.sbatch import scripts
from repro.cluster.site import EXAMPLE, load_site
from repro.cluster.tasks import _reason
from repro.config import Layout, load_profile
from repro.errors import BadInput
from repro.files import exclusive_lock
from repro.paths import results_dir


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GCPO_SITE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def site():
    return load_site(EXAMPLE)


@pytest.fixture
def record():
    smoke = load_profile("smoke")
    cells = plan_cells(smoke, get_experiment("table1"), 1, ["base", "grpo"])
    return Launch("smoke", "table1", tuple(cell.id for cell in cells), parts_of(smoke, 1), seeds=1)


def fails(capsys, *argv):
    assert cli.main(argv) == cli.BAD_INPUT
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def made(site, record, tmp_path, **changes):
    options = {"bases": False, "grace_seconds": 0} | changes
    return {script.name: script for script in scripts(site, record, tmp_path, **options)}


def test_trainings_are_one_array_and_evaluations_arrays_of_the_same_indices(site, record, tmp_path):
    record = Launch(**{**record.__dict__, "parts": (Part("AIME24"), Part("MATH500", 0, 2), Part("MATH500", 1, 2))})
    found = made(site, record, tmp_path)
    assert list(found) == ["train", "evaluate-AIME24-1of1", "evaluate-MATH500-1of2", "evaluate-MATH500-2of2", "table"]
    assert all("#SBATCH --array=0-1%4\n" in found[name].text for name in list(found)[:-1])
    for name in list(found)[1:-1]:
        assert found[name].depends == (("aftercorr", "train"),)
        assert "--kill-on-invalid-dep=yes" in found[name].text
    assert found["table"].depends == tuple(("afterany", name) for name in list(found)[:-1])
    assert "--suite MATH500 --part 1 --of 2" in found["evaluate-MATH500-2of2"].text


def test_a_training_is_told_to_stop_and_queued_again(site, record, tmp_path):
    text = made(site, record, tmp_path)["train"].text
    for line in ("--requeue", "--open-mode=append", "--signal=B:USR1@1800", "--gres=gpu:a100:8", "--ntasks-per-node=1"):
        assert f"#SBATCH {line}\n" in text
    assert "trap 'touch \"$STOP\"' USR1 TERM" in text and 'scontrol requeue "$SLURM_JOB_ID"' in text
    assert "--signal=B:USR1@2700" in made(site, record, tmp_path, grace_seconds=2700)["train"].text


def test_every_script_is_a_shell_script_whose_options_come_first(site, record, tmp_path):
    for script in made(site, record, tmp_path, bases=True).values():
        done = subprocess.run(["bash", "-n"], input=script.text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        options = [n for n, line in enumerate(script.text.splitlines()) if line.startswith("#SBATCH")]
        assert options == list(range(1, len(options) + 1))


def test_bases_that_are_made_here_come_before_the_trainings(site, record, tmp_path):
    found = made(site, record, tmp_path, bases=True)
    assert found["train"].depends == (("afterok", "bases"),)
    assert ("afterany", "bases") in found["table"].depends


def test_nothing_of_a_site_is_in_the_code(site, record, tmp_path):
    changed = site.model_copy(
        update={
            "partition": "big", "account": "me", "gres": "gpu:h100:8", "container": "apptainer exec img",
            "python": "py3",
            "setup": ["module load cuda"], "extra": ["#SBATCH --exclusive"], "env": {"NCCL_SOCKET_IFNAME": "ib0"},
        }
    )  # fmt: skip
    found = made(changed, record, tmp_path)
    for script in found.values():
        assert "#SBATCH --partition=big\n#SBATCH --account=me\n" in script.text
        assert "apptainer exec img py3 -m repro task" in script.text and "module load cuda\n" in script.text
        assert "#SBATCH --exclusive\n" in script.text and "export NCCL_SOCKET_IFNAME=ib0\n" in script.text
        assert "export HF_HUB_OFFLINE=1\n" in script.text
    assert "--gres=gpu:h100:1\n" in found["evaluate-modten-smoke-1of1"].text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partition": None}, "partition"),
        ({"partition": ""}, "partition"),
        ({"train_time": 86400}, "train_time"),
        ({"partitoin": "x"}, "partitoin"),
    ],
)
def test_a_site_file_that_lacks_something_is_one_line(tmp_path, change, message):
    tree = yaml.safe_load(EXAMPLE.read_text()) | change
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in tree.items() if value is not None}))
    with pytest.raises(BadInput, match=message) as caught:
        load_site(None)
    assert "\n" not in str(caught.value) and "site.example.yaml" in str(caught.value)


def test_a_missing_site_file_names_the_example(tmp_path):
    with pytest.raises(BadInput, match=r"does not exist; copy .*site\.example\.yaml"):
        load_site(None)


def test_a_node_with_other_gpus_than_the_profiles_ranks_is_refused(site):
    with pytest.raises(BadInput, match=r"1 x 4 = 4 GPUs to a training; profile paper wants 8"):
        check_site(load_profile("paper"), site.model_copy(update={"gpus_per_node": 4}))
    with pytest.raises(BadInput, match=r"the training has 1 process; the profile wants 8"):
        check_ranks(1, 8)


def test_a_node_without_the_locks_versions_is_refused(monkeypatch):
    check_node(deepspeed=False, vllm=False, attention=None)
    monkeypatch.setattr("repro.cluster.node.locked_versions", lambda: {"trl": "9.9.9"})
    with pytest.raises(BadInput, match=r"trl is 1\.16\.0; .*lock says 9\.9\.9"):
        check_node(deepspeed=False, vllm=False, attention=None)


def test_a_missing_flash_attention_is_named(monkeypatch):
    with pytest.raises(BadInput, match="flash_attn is not installed"):
        check_node(deepspeed=False, vllm=False, attention="flash_attention_2")


def test_the_record_gives_the_cells_that_were_launched(record, tmp_path):
    path = write_launch(tmp_path / "one", record)
    again = read_launch(path)
    assert again == record
    _, _, cells = planned(again)
    assert cell_at(cells, again, 1).id == record.cells[1]
    with pytest.raises(BadInput, match="task 2 is none of the launch's 2"):
        cell_at(cells, again, 2)


def test_a_launch_whose_code_has_changed_does_not_run(record, monkeypatch):
    monkeypatch.setattr("repro.cells.plan.code_hash", lambda roots: "other code")
    with pytest.raises(BadInput, match="is no longer planned: code, lock or profile changed; launch again"):
        planned(record)


def test_launches_are_numbered(record):
    assert new_folder("smoke").name == "001"
    write_launch(new_folder("smoke"), record)
    assert new_folder("smoke").name == "002"


def test_batches_with_one_seed_are_not_split():
    with pytest.raises(BadInput, match="cannot be split"):
        parts_of(load_profile("smoke"), 2)
    assert len(parts_of(load_profile("paper"), 3)) == 15


@pytest.mark.parametrize(
    ("zero", "offload", "words"),
    [
        (3, False, ["accelerate.commands.launch", "zero3.json", "--num_processes 8", "--machine_rank 1"]),
        (2, True, ["zero2_offload.json"]),
        (0, False, ["torch.distributed.run", "--nproc-per-node 4", "--nnodes 2", "--node-rank 1"]),
    ],
)
def test_ranks_are_started_by_the_layout(tmp_path, zero, offload, words):
    found = command(
        tmp_path / "launch.json", 5, Layout(zero=zero, offload=offload), ranks=8, stop=tmp_path / "a",
        stopped=tmp_path / "b", nodes=2, node=1, address="n1", port=29500,
    )  # fmt: skip
    assert all(word in " ".join(found) for word in words)
    assert found[-5:-3] == ["repro.cluster.ranks", str(tmp_path / "launch.json")] and found[-3] == "5"


def test_a_refused_job_takes_back_what_was_submitted(site, record, tmp_path, monkeypatch):
    calls = []

    def slurm(program, *arguments, check=True):
        calls.append((program, arguments))
        if program == "sbatch" and "evaluate" in arguments[-1]:
            raise BadInput("sbatch refused: invalid partition")
        return "17;cluster"

    monkeypatch.setattr(submission, "_slurm", slurm)
    with pytest.raises(BadInput, match="invalid partition"):
        submission.submit(list(made(site, record, tmp_path).values()), record, tmp_path, lambda line: None)
    assert calls[-1] == ("scancel", ("17",))


def test_dependencies_carry_the_ids_of_the_jobs_before(site, record, tmp_path, monkeypatch):
    ids = iter(["11", "12", "13"])
    seen = []

    def slurm(program, *arguments, check=True):
        seen.append(arguments)
        return next(ids)

    monkeypatch.setattr(submission, "_slurm", slurm)
    jobs = submission.submit(list(made(site, record, tmp_path).values()), record, tmp_path, lambda line: None)
    assert jobs == {"train": "11", "evaluate-modten-smoke-1of1": "12", "table": "13"}
    assert [args[1] for args in seen[1:]] == ["--dependency=aftercorr:11", "--dependency=afterany:11:12"]
    assert read_launch(tmp_path / "launch.json").jobs == jobs


def test_a_second_launcher_waits_for_the_first_ones_jobs(record, monkeypatch):
    write_launch(new_folder("smoke"), record.with_jobs({"train": "41"}))
    monkeypatch.setattr(submission, "_slurm", lambda *words, check=True: "41 41\n77 77")
    with pytest.raises(BadInput, match=r"launch 001 .* still has jobs in the queue \(41\).*scancel 41"):
        submission.check_nothing_queued("smoke")
    monkeypatch.setattr(submission, "_slurm", lambda *words, check=True: "77 77")
    submission.check_nothing_queued("smoke")


def test_dry_run_prints_every_script_and_writes_nothing(capsys, site, monkeypatch):
    monkeypatch.setenv("GCPO_SITE", str(EXAMPLE))
    assert cli.main(["launch", "table1", "--profile", "paper", "--seeds", "1", "--dry-run"]) == 0
    output = capsys.readouterr()
    assert output.out.count("#!/bin/bash") == 1 + 5 + 1
    assert "#SBATCH --array=0-19%4" in output.out
    assert re.search(r"20 cells, about [\d,]+ GPU-hours", output.err)
    assert "not launched: r1-distill-7b__rest_mcts" in output.err
    # the slowest arm's rollout and half as much again is longer than half an hour
    grace = int(re.search(r"--signal=B:USR1@(\d+)", output.out).group(1))
    assert grace > 1800
    assert not results_dir("paper").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["run", "table1", "--profile", "paper"],
            "trains on 8 GPUs at once and one process has one: want CLUSTER=",
        ),
        (["launch", "table1", "--profile", "paper", "--cluster", "none"], "want CLUSTER=slurm"),
        (["launch", "table1", "--profile", "paper", "--seeds", "3"], "GPU-hours, more than 100"),
        (["launch", "table1", "--profile", "smoke", "--split", "2"], "cannot be split"),
        (["launch", "table1", "--profile", "smoke", "--split", "0"], "--split is 0"),
        (["launch", "table1", "--profile", "smoke"], "site file site.yaml does not exist"),
        (["task", "train", "nowhere.json", "0"], "launch nowhere.json does not exist"),
    ],
)
def test_what_cannot_be_launched_is_one_line(capsys, argv, message):
    assert message in fails(capsys, *argv)


def test_two_launchers_on_one_folder_do_not_mix(capsys, monkeypatch):
    monkeypatch.setenv("GCPO_SITE", str(EXAMPLE))
    root = results_dir("smoke")
    with exclusive_lock(root / "run.lock", "x"):
        assert "is in use by process" in fails(capsys, "launch", "table1", "--profile", "smoke", "--seeds", "1")


def test_a_machine_without_slurm_says_so(capsys, monkeypatch):
    monkeypatch.setenv("GCPO_SITE", str(EXAMPLE))
    monkeypatch.setattr(submission.shutil, "which", lambda program: None)
    line = fails(capsys, "launch", "table1", "--profile", "smoke", "--seeds", "1")
    assert "sbatch is not on this machine's PATH; launch from a login node, or with CLUSTER=local" in line


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["a", "error: profile paper: bad", "[rank0]: ValueError: x", "torch ChildFailedError"], "profile paper: bad"),
        (["noise", "[rank1]: OutOfMemoryError: CUDA", "torch.distributed.elastic Error"], "OutOfMemoryError: CUDA"),
        (["Killed"], "Killed"),
        ([], "it printed nothing"),
    ],
)
def test_a_failed_training_says_why_in_one_line(lines, wanted):
    assert _reason(lines) == wanted
