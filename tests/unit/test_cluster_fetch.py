"""Fetching: a stand-in of the hub on this machine, then the same folder read without any network."""

import json
import os
import subprocess
import sys

import pytest
from hub_stand_in import hub

from repro.cluster.fetch import needed
from repro.config import load_profile
from repro.errors import BadInput
from repro.paths import REPO_ROOT

MODEL, REVISION = "nobody/tiny", "a" * 40
SETS = {
    "train_aime_1983_2023": ("gneubig/aime-1983-2024", "5d610df981dec508dd93d0a16333a029ac1739d8"),
}


@pytest.fixture
def repositories(tiny_model_dir):
    files = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir() if path.is_file()}
    header = "ID,Year,Problem Number,Question,Answer,Part\n"
    rows = "".join(f"1990-{n},1990,{n},What is {n} plus one?,{n + 1},I\n" for n in range(933))
    repo, revision = SETS["train_aime_1983_2023"]
    return {
        ("models", MODEL): {REVISION: files},
        ("datasets", repo): {revision: {"AIME.csv": (header + rows).encode(), "README.md": b"# AIME\n"}},
    }


@pytest.fixture
def data(tmp_path):
    """A folder of benchmark files that holds no training set: it is there, so that suites need no hub."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def python(code, tmp_path, **environment):
    """Run code in a fresh interpreter, because the hub's address is read once."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GCPO_"))}
    settings = clean | {"PYTHONPATH": str(REPO_ROOT), "HF_HOME": str(tmp_path / "hf")} | environment
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)


FETCH = f"""
import json, sys
from pathlib import Path
from repro.cluster import fetch as module
from repro.cluster.fetch import fetch, missing, needed
from repro.config import load_profile
profile = load_profile("paper", base="{MODEL}@{REVISION}")
tasks = profile.tasks.model_copy(update={{"train_sets": {{"default": "train_aime_1983_2023"}}, "drop_overlaps": False}})
profile = profile.model_copy(update={{"tasks": tasks}})
module._benchmarks = lambda profile, screened: []
before = [each.name for each in missing(needed(profile, list(profile.bases)))]
try:
    rows = fetch(profile, list(profile.bases), Path(sys.argv[1]), lambda line: None)
except Exception as error:
    print(json.dumps({{"error": str(error)}}))
else:
    after = [each.name for each in missing(needed(profile, list(profile.bases)))]
    print(json.dumps({{"before": before, "after": after, "rows": rows}}))
"""


def fetch(tmp_path, **environment):
    code = FETCH.replace("sys.argv[1]", repr(str(tmp_path / "fetched.json")))
    done = python(code, tmp_path, **environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_what_was_fetched_is_read_without_a_network(repositories, tmp_path):
    with hub(repositories) as (address, asked):
        first = fetch(tmp_path, HF_ENDPOINT=address)
        assert first["before"] == ["tiny", "train_aime_1983_2023"] and first["after"] == []
        assert any(path.endswith("/model.safetensors") for path in asked)
    kinds = {row["name"]: row for row in first["rows"]}
    assert len(kinds["tiny"]["sha256"]) == 64 and kinds["train_aime_1983_2023"]["rows"] == 933
    assert json.loads((tmp_path / "fetched.json").read_text()) == first["rows"]
    # the stand-in is gone: a compute node has the folder and nothing else
    again = fetch(tmp_path, HF_ENDPOINT=address, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    assert again["before"] == [] and again["rows"] == first["rows"]


@pytest.mark.slow
def test_another_number_of_rows_and_an_unknown_revision_are_refused(repositories, tmp_path):
    repo, revision = SETS["train_aime_1983_2023"]
    files = repositories["datasets", repo][revision]
    files["AIME.csv"] = files["AIME.csv"].rpartition(b"1990-932")[0]
    with hub(repositories) as (address, _):
        assert "has 932 rows; want 933" in fetch(tmp_path, HF_ENDPOINT=address)["error"]
    del repositories["models", MODEL]
    with hub(repositories) as (address, _):
        assert "cannot be downloaded" in fetch(tmp_path / "other", HF_ENDPOINT=address)["error"]


def test_a_revision_that_nobody_could_name_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("GCPO_DATA", str(tmp_path / "none"))
    paper = load_profile("paper")
    with pytest.raises(BadInput, match=r"AIME25: no revision of .* --set tasks\.hub_revisions\.AIME25=SHA"):
        needed(paper, list(paper.bases))
    names = ("AIME25", "AMC23", "MATH500", "Minerva", "OlympiadBench", "HumanEval", "AIME24")
    given = load_profile("paper", [f"tasks.hub_revisions.{name}={'b' * 40}" for name in names])
    found = {each.name: each for each in needed(given, list(given.bases))}
    assert found["AIME25"].revision == "b" * 40 and found["r1-distill-7b"].kind == "model"
    assert {"train_numina_4000", "train_aime_1983_2023", "HumanEval"} <= set(found)


def test_what_a_folder_of_files_holds_is_not_fetched(monkeypatch, data):
    monkeypatch.setenv("GCPO_DATA", str(data))
    paper = load_profile("paper")
    assert [each.name for each in needed(paper, ["r1-distill-1.5b"])] == ["r1-distill-1.5b", "train_numina_4000"]
    # the substitute is a file, used only where it is asked for by name
    assert paper.tasks.train_sets["r1-distill-1.5b"] == "train_numina_4000"
