"""What reports of tables and of figures share: what a report says, where its notebook lies, when it is stale."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from repro.cells.records import Experiment
from repro.config import Profile
from repro.files import canonical_json, sha256_text
from repro.paper import PAPER_DIR
from repro.paths import REPO_ROOT

# Touching one of these builds the table or figure again from finished cells; it trains nothing.
_REPORTING_CODE = (
    "repro/stats/*.py",
    "repro/tables/*.py",
    "repro/figures/*.py",
    "repro/figuredata/*.py",
    "repro/reporting/footnotes.py",
    "repro/reporting/build.py",
    "repro/reporting/figure.py",
    "repro/reporting/order.py",
    "repro/reporting/variant.py",
    "repro/notebooks.py",
    "notebooks/table.py",
    "notebooks/figure.py",
)


@dataclass(frozen=True)
class Report:
    """What a report wrote and what it says."""

    text: str
    files: list[str]
    verdicts: list[dict]

    def as_json(self) -> str:
        return json.dumps({"files": self.files, "verdicts": self.verdicts}, indent=1)


def notebook_name(target: str, profile: str) -> str:
    """The published notebook of a target: under its own name for the default profile alone."""
    return f"{target}.ipynb" if profile == "micro" else f"{target}-{profile}.ipynb"


def notebook_path(experiment: Experiment, profile: Profile, folder: Path, kind: str) -> Path:
    """Where a target's notebook is written: a user's own beside their results, the published one in the checkout."""
    if kind == "published":
        return REPO_ROOT / "notebooks" / notebook_name(experiment.id, profile.name)
    return folder / "notebooks" / f"{experiment.id}.ipynb"


def inputs_hash(summaries: list[dict], spec_text: str) -> str:
    """A hash of everything a table or figure is built from: counts, specification, the paper's numbers, and the code
    that builds it.
    """
    digest = hashlib.sha256(spec_text.encode())
    for summary in sorted(summaries, key=lambda each: each["cell_id"]):
        digest.update(sha256_text(canonical_json(summary)).encode())
    code = [path for pattern in _REPORTING_CODE for path in sorted(REPO_ROOT.glob(pattern))]
    for path in [*code, *sorted(PAPER_DIR.glob("*.csv"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
