"""Where things live on disk. Everything is relative to the checkout unless an environment variable says otherwise."""

import os
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parent.parent


def results_dir(profile: str, kind: str = "local") -> Path:
    """Folder of a profile's results: `local` is what a user's own run makes, `published` is what the project
    committed.
    """
    if kind not in ("local", "published"):
        raise ValueError(f"kind is {kind!r}; want 'local' or 'published'")
    root = Path(os.environ.get("GCPO_RESULTS", REPO_ROOT / "results"))
    return root / kind / profile


def cache_dir() -> Path:
    """Folder for weights and other large files, outside version control (`GCPO_CACHE`, default `.cache/gcpo`)."""
    return Path(os.environ.get("GCPO_CACHE", REPO_ROOT / ".cache" / "gcpo"))


def benchmark_dir() -> Path | None:
    """Folder of the benchmark files: `GCPO_DATA`, else `benchmarks/` in the checkout (ignored by git), else None."""
    candidate = Path(os.environ.get("GCPO_DATA", REPO_ROOT / "benchmarks"))
    return candidate if candidate.is_dir() else None
