"""The quality of the bases as a table: what they can do alone, and whether they use other candidates' answers."""

from pathlib import Path
from typing import Any

from repro.config import Profile
from repro.files import read_json
from repro.paths import results_dir


def base_quality_markdown(profile: Profile) -> str:
    """Markdown of the published base records: accuracy per suite, then integration on the medium suite of the
    profile.
    """
    folder = results_dir(profile.name, "published") / "bases"
    records = {
        name: read_json(folder / f"{name}.json", "base record")
        for name in profile.bases
        if (folder / f"{name}.json").exists()
    }
    suites = list(profile.tasks.suites)
    lines = [
        "| base | parameters | made in | " + " | ".join(f"{suite} p@1 / p@8" for suite in suites) + " |",
        "|---|---:|---:|" + "---:|" * len(suites),
    ]
    for name, record in records.items():
        made = record["record"]
        cells = [
            f"{_percent(record['suites'][s]['pass_at_1'])} / {_percent(record['suites'][s]['pass_at_k'])}"
            for s in suites
        ]
        lines.append(
            f"| {name} | {made['parameters']:,} | {made['cpu_seconds']:.0f} CPU-s | " + " | ".join(cells) + " |"
        )
    lines += [
        "",
        f"Integration: eight candidates' final answers are shown with the question ({', '.join(suites)} pooled).",
        "",
    ]
    lines += [
        "| base | candidates | problems | one sample | majority vote | integrated |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, record in records.items():
        for group, title in (("all_right", "all right"), ("mixed", "mixed"), ("all_wrong", "all wrong")):
            pooled = _pooled(record["integration"], group)
            shown = " | ".join(
                _percent(pooled[key]) if pooled["n"] else "-" for key in ("single", "majority", "integrated")
            )
            lines.append(f"| {name} | {title} | {pooled['n']} | {shown} |")
    return "\n".join(lines) + "\n"


def write_base_quality(profile: Profile) -> list[Path]:
    """Write tables/bases_quality.md beside the published tables, where the profile's bases were measured."""
    if profile.tasks.kind != "procedural":
        return []
    path = results_dir(profile.name, "published") / "tables" / "bases_quality.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(base_quality_markdown(profile), encoding="utf-8")
    return [path]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _pooled(integration: dict[str, Any], group: str) -> dict[str, float]:
    """One group over all suites, weighted by its number of problems."""
    parts = [report[group] for report in integration.values() if report[group]["n"]]
    total = sum(part["n"] for part in parts)
    keys = ("single", "majority", "integrated")
    return {"n": total, **{key: sum(part["n"] * part[key] for part in parts) / total if total else 0.0 for key in keys}}
