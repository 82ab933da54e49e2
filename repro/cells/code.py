"""Which source files can move a cell's numbers, and their hash."""

import hashlib
from functools import cache

from repro.paths import REPO_ROOT

BASE_CODE = (
    "repro/tasks/procedural/*.py",
    "repro/bases/make.py",
    "repro/bases/sft.py",
    "repro/bases/muon.py",
    "repro/bases/profile.py",
    "repro/bases/measure.py",
    "repro/tasks/protocol.py",
    "repro/evaluation/local.py",
    "gcpo/scm.py",
)
_TRAINING_CODE = ("repro/methods/trl.py", "gcpo/trl_adapter.py", "gcpo/trainers/grpo.py", "gcpo/trainers/checks.py")
_SEARCH_CODE = ("gcpo/search/*.py",)
METHOD_CODE = {
    None: BASE_CODE,  # the untrained base
    "grpo": (*BASE_CODE, *_TRAINING_CODE),
    "drgrpo": (*BASE_CODE, *_TRAINING_CODE, "gcpo/trainers/drgrpo.py"),
    "gvpo": (*BASE_CODE, *_TRAINING_CODE, "gcpo/trainers/gvpo.py", "gcpo/advantages.py"),
    "gcpo": (
        *BASE_CODE,
        *_TRAINING_CODE,
        "gcpo/upsilon.py",
        "gcpo/divergence.py",
        "gcpo/estimators.py",
        "gcpo/shared_kv/*.py",
        "gcpo/trainers/pooled_policy.py",
        "gcpo/trainers/gcpo*.py",
    ),
    "rest_mcts": (*BASE_CODE, *_SEARCH_CODE, "gcpo/trainers/rest_mcts.py", "repro/methods/rest_mcts.py"),
    "search": (*BASE_CODE, *_SEARCH_CODE, "repro/methods/search.py", "repro/methods/search_value.py"),
}


@cache
def code_hash(patterns: tuple[str, ...]) -> str:
    """sha256 over the files of the checkout that match `patterns`, names included."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(REPO_ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(REPO_ROOT)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
