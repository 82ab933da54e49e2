"""One decided statement: what was said where, what it comes to when recomputed, and one of three verdicts."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from repro.errors import BadInput

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "cannot be decided"
VERDICTS = (HOLDS, FAILS, UNDECIDED)


@dataclass(frozen=True)
class Finding:
    """id, the place in the paper, what it states, what it comes to, the verdict.

    check groups findings. weight: high (changes what may be concluded), medium (a number or sentence is off), low (a
    slip), or empty where nothing hangs on it.
    """

    id: str
    where: str
    stated: str
    recomputed: str
    verdict: str
    check: str
    weight: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise BadInput(f"finding {self.id}: verdict {self.verdict!r}; want one of {', '.join(VERDICTS)}")


def verdict(true: bool) -> str:
    """`holds` or `does not hold`."""
    return HOLDS if true else FAILS


def as_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Plain dictionaries, ready for JSON."""
    return [asdict(finding) for finding in findings]


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings have each verdict."""
    return {name: sum(f.verdict == name for f in findings) for name in VERDICTS}


def markdown_table(frame: pd.DataFrame) -> str:
    """A pipe table; bars and line ends inside cells are escaped."""
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    for row in frame.itertuples(index=False):
        cells = [str(value).replace("|", "\\|").replace("\n", " ") for value in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_text(path: Path, text: str) -> None:
    """Write a file whole: under a temporary name in the same folder, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_findings(findings: Sequence[Finding], out_dir: Path, name: str, *, title: str, preface: str = "") -> None:
    """Write `name`.csv and `name`.md; the Markdown starts with the title, the counts and the preface."""
    frame = pd.DataFrame(as_rows(findings))
    write_text(out_dir / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    tally = ", ".join(f"{count} {word}" for word, count in counts(findings).items())
    frame = frame.drop(columns=[column for column in ("check", "weight") if not frame[column].any()])
    table = markdown_table(frame)
    parts = [f"# {title}", f"{len(findings)} statements: {tally}.", preface.strip(), table]
    write_text(out_dir / f"{name}.md", "\n\n".join(part for part in parts if part) + "\n")
