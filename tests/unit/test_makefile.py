"""The front door: words that are no target fail, looking installs nothing, options reach the command line."""

import os
import shutil
import subprocess

import pytest

from repro.config import profile_names
from repro.paths import REPO_ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


@pytest.fixture
def venv(tmp_path):
    """A folder that looks like an environment older than the lock."""
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / ".installed").write_text("")
    os.utime(folder / ".installed", (0, 0))
    return folder


def make(*words, dry=True):
    flags = ["--dry-run"] if dry else []
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *flags, *words], cwd=REPO_ROOT, env=outer, capture_output=True, text=True)


@pytest.mark.parametrize("word", ["results", "repro", "tests", "frobnicate"])
def test_a_word_that_is_no_target_fails_also_where_a_folder_has_its_name(word):
    done = make(word, dry=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"error: there is no target '{word}'; make help lists them"


@pytest.mark.parametrize("word", ["list", "doctor"])
def test_looking_installs_nothing_where_an_environment_is_there(word, venv):
    done = make(word, f"VENV={venv}")
    assert done.returncode == 0 and "pip install" not in done.stdout and f"repro {word}" in done.stdout
    assert "pip install" in make("reproduce-table1", f"VENV={venv}").stdout


def test_what_make_is_told_reaches_the_command_line(venv):
    done = make("plan", "TABLE=table2", "BASES=a,b", "SET=x=1 y=2", f"VENV={venv}", "PROFILE=smoke")
    line = " ".join(done.stdout.splitlines()[-1].split())
    assert line.endswith("-m repro plan table2 --profile smoke --bases a,b --set x=1 --set y=2")
    assert "-m repro plan table1 --profile" in make("plan", f"VENV={venv}").stdout


def test_help_names_every_profile_and_says_that_shared_cells_are_counted_once():
    text = make("help", dry=False).stdout
    assert f"[PROFILE={'|'.join(profile_names())}]" in text
    assert "counted once" in text.partition("reproduce-all")[2].splitlines()[1]
