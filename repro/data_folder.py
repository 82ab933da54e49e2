"""Why there is no folder of benchmark files, in words for an error's line."""

import os

from repro.paths import REPO_ROOT


def why_missing() -> str:
    """What `benchmark_dir` looked at and did not find."""
    named = os.environ.get("GCPO_DATA")
    if named is not None:
        return f"GCPO_DATA is {named!r}, which is no folder"
    return f"GCPO_DATA is unset and {REPO_ROOT / 'benchmarks'} is no folder"
