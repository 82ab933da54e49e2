"""The package's front: names resolve, and the pure modules do not pay for TRL's import."""

import subprocess
import sys

import pytest

import gcpo
from gcpo.trainers import METHODS


def test_every_exported_name_resolves_to_an_object_of_that_name() -> None:
    for name in gcpo.__all__:
        exported = getattr(gcpo, name)
        assert name == "METHODS" or exported.__name__ == name


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'gcpo' has no attribute 'PPOTrainer'"):
        _ = gcpo.PPOTrainer


def test_the_pure_modules_import_neither_trl_nor_transformers() -> None:
    code = "import sys, gcpo, gcpo.advantages; print([m for m in ('trl', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_method_pairs_a_trainer_with_its_own_configuration() -> None:
    assert {"grpo", "drgrpo", "gvpo"} <= set(METHODS)
    for config_class, trainer_class in METHODS.values():
        assert trainer_class.config_class is config_class


def test_a_trainer_s_module_does_not_import_the_other_trainers() -> None:
    code = (
        "import sys, gcpo.trainers.drgrpo; "
        "print(sorted(m for m in sys.modules if m.startswith('gcpo.trainers.') or m == 'gcpo.trainers'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        [
            "gcpo.trainers",
            "gcpo.trainers.checks",
            "gcpo.trainers.drgrpo",
            "gcpo.trainers.grpo",
            "gcpo.trainers.settings",
        ]
    )


def test_the_methods_are_one_object_and_an_unknown_trainer_is_refused() -> None:
    import gcpo.trainers

    assert gcpo.trainers.METHODS is METHODS is gcpo.METHODS
    with pytest.raises(AttributeError, match=r"module 'gcpo\.trainers' has no attribute 'PPOTrainer'"):
        _ = gcpo.trainers.PPOTrainer
