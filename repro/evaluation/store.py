"""Samples on disk: a file per cell, or per suite of an evaluation, appended in chunks, each a complete zstd frame.

A chunk is there or it is not: what a killed run left half-written at the end is cut off by the next one. The file as a
whole is ordinary zstd-compressed JSON lines (`zstdcat` reads it).
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from repro.errors import BadInput
from repro.files import canonical_json, read_json, write_json

SAMPLES, CONFIG, SUMMARY, ENV = "samples.jsonl.zst", "config.json", "summary.json", "env.json"
SAMPLED, GREEDY = "sampled", "greedy"


@dataclass(frozen=True)
class Sample:
    """One graded completion, the same for every engine.

    draw: sampled or greedy; sample: its number within question and draw. tokens: of the completion, end token included.
    ended: false where it was cut at the limit. thinking: the prompt ended inside an open <think>. extracted: what the
    grader read. others: verdicts under other golds and readings, by name. seconds: this sample's share of its chunk's
    generation; grade_seconds: of its verdict.
    """

    suite: str
    question_id: str
    draw: str
    sample: int
    seed: int
    text: str
    prompt_tokens: int
    tokens: int
    ended: bool
    thinking: bool
    correct: bool
    reason: str
    detail: str
    extracted: str | None
    others: dict[str, bool] = field(default_factory=dict)
    seconds: float = 0.0
    grade_seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Suite, question, draw and number."""
        return self.suite, self.question_id, self.draw, self.sample


def append_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Add one chunk, durably, as one frame."""
    lines = "".join(json.dumps(asdict(sample), sort_keys=True, ensure_ascii=False) + "\n" for sample in samples)
    with path.open("ab") as handle:
        handle.write(zstandard.ZstdCompressor(level=6).compress(lines.encode()))
        handle.flush()
        os.fsync(handle.fileno())


def read_samples(path: Path, *, mend: bool = False) -> list[Sample]:
    """All stored samples, in the order they were drawn; none if there is no file.

    mend: cut a half-written last chunk off the file. Raises BadInput for a damaged file (without `mend`, also for such
    a chunk) and for a sample that is stored twice.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    rows, whole = _frames(path, content)
    if whole < len(content):
        if not mend:
            raise BadInput(f"samples {path}: the last chunk is cut off; run the evaluation again to mend it")
        with path.open("r+b") as handle:
            handle.truncate(whole)
            handle.flush()
            os.fsync(handle.fileno())
    seen: set[tuple[str, str, str, int]] = set()
    for row in rows:
        if row.key in seen:
            raise BadInput(f"samples {path}: {row.key} is stored twice; delete {path.parent} and run again")
        seen.add(row.key)
    return rows


def _frames(path: Path, content: bytes) -> tuple[list[Sample], int]:
    """The samples of all whole frames, and where the last whole frame ends."""
    rows: list[Sample] = []
    place = 0
    while place < len(content):
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        try:
            text = unpacker.decompress(content[place:])
            if not unpacker.eof:
                return rows, place
            rows += [Sample(**json.loads(line)) for line in text.decode().removesuffix("\n").split("\n")]
        except zstandard.ZstdError as error:
            raise BadInput(f"samples {path} are damaged at byte {place} ({error}); delete {path.parent}") from None
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
            raise BadInput(f"samples {path} are not of this project ({error}); want another --output") from None
        place = len(content) - len(unpacker.unused_data)
    return rows, place


def replace_samples(path: Path, samples: Iterable[Sample], chunk: int = 1000) -> None:
    """Write the whole file anew, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    rows = list(samples)
    for start in range(0, len(rows), chunk):
        append_samples(temporary, rows[start : start + chunk])
    os.replace(temporary, path)


def note_run(folder: Path, provenance: dict[str, Any]) -> None:
    """Add the code and machine that are about to draw samples to env.json, the list of all that did."""
    path = folder / ENV
    runs = read_json(path, "provenance") if path.exists() else []
    if provenance not in runs:
        write_json(path, [*runs, provenance])


def claim_folder(folder: Path, identity: dict[str, Any]) -> None:
    """Write the identity of a suite's samples to its folder, or check that the folder's samples have the same one.

    Raises BadInput naming what differs: samples of another model, protocol or engine are never mixed.
    """
    path = folder / CONFIG
    if not path.exists():
        if (folder / SAMPLES).exists():
            raise BadInput(f"{folder} holds samples without {CONFIG}; want another --output")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, identity)
        return
    stored = read_json(path, "configuration")
    differing = [key for key in {**identity, **stored} if canonical_json(stored.get(key)) != _plain(identity, key)]
    if differing:
        key = sorted(differing, key=lambda name: (name != "model", name))[0]
        raise BadInput(
            f"{folder} holds samples of another {key}: {_short(stored.get(key))}, now {_short(identity.get(key))}; "
            "choose another --output or delete the folder"
        )


def _plain(identity: dict[str, Any], key: str) -> str:
    return canonical_json(json.loads(json.dumps(identity.get(key))))


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 90 else text[:87] + "..."
