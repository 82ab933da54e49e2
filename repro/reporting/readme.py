"""Fills the generated blocks of README.md from results/published/, so that no number in it is typed."""

import csv
import re
from pathlib import Path

from repro.errors import BadInput
from repro.paths import REPO_ROOT, results_dir
from repro.reporting.publish import LEDGER
from repro.reporting.record import notebook_name
from repro.tables import headline_markdown, read_table, to_markdown

README = REPO_ROOT / "README.md"
_PROFILE, _INTEGRATE, _PRETRAINED = "micro", "integrate", "pretrained"
_PICTURES = {  # table -> (words for those who do not see it, its file)
    1: ("gain over the own base, difference to GRPO and multiple of its gain", "table1_gains"),
    2: ("gain over the own base, difference to GRPO and multiple of its gain, by term and control", "table2_gains"),
    3: ("accuracy over generated tokens per question", "table3_tokens"),
}


def blocks() -> dict[str, str]:
    """Block name -> Markdown text, all from published files. Raises BadInput where one is missing."""
    tables = {f"table{number}": _table(_PROFILE, number) for number in (1, 2, 3)}
    integrate = {"integrate": _table(_INTEGRATE, 2), "acceptance": _acceptance()}
    more = {"pretrained": _table(_PRETRAINED, 1), "bases": _published(_PROFILE, "bases_quality.md"), "cost": _cost()}
    return {**tables, **integrate, **more}


def filled(text: str, new: dict[str, str]) -> str:
    """`text` with every generated block replaced. Raises BadInput for a block that the text lacks."""
    for name, body in new.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end generated -->)", re.DOTALL)
        if not pattern.search(text):
            raise BadInput(f"README has no block '<!-- generated: {name} -->' ... '<!-- end generated -->'")
        text = pattern.sub(lambda match, body=body: f"{match[1]}{body.strip()}\n{match[2]}", text)
    return text


def write_readme() -> Path:
    """Bring README.md up to date with what is published."""
    README.write_text(filled(README.read_text(encoding="utf-8"), blocks()), encoding="utf-8")
    return README


def _published(profile: str, name: str) -> str:
    path = results_dir(profile, "published") / "tables" / name
    if not path.exists():
        raise BadInput(f"{path} does not exist; publish the target first")
    return path.read_text(encoding="utf-8")


def _table(profile: str, number: int) -> str:
    """Averages, claims, a picture, and where the whole table is."""
    folder, where = results_dir(profile, "published"), f"results/published/{profile}"
    name = notebook_name(f"table{number}", profile)
    table = read_table(folder / "tables" / f"table{number}.json")
    claims = to_markdown(table).partition("## Claims")[2].partition("\n## ")[0]
    alt, picture = _PICTURES[number]
    figure = f"![{alt}]({where}/figures/{picture}.png)"
    whole = f"[Whole table]({where}/tables/table{number}.md), [notebook](notebooks/{name})."
    return "\n\n".join([headline_markdown(table).strip(), claims.strip(), figure, whole])


def _acceptance() -> str:
    """Whether the bases of the profile that integrates do so, as repro.studies.integration measured it."""
    rows = list(csv.DictReader(_published(_INTEGRATE, "acceptance.csv").splitlines()))
    lines = [
        "| base | eight answers shown | questions | one sample | majority vote | integrated | wanted |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    wanted = {"all right": "90.0", "mixed as sampled": "vote - 5", "all wrong": "one sample - 5"}
    for row in rows:
        if row["candidates"] in wanted:
            values = " | ".join(f"{100 * float(row[key]):.1f}" for key in ("one_sample", "majority", "integrated"))
            met = "yes" if row["met"] == "True" else "no"
            lines.append(
                f"| {row['base']} | {row['candidates']} | {row['questions']} | {values} | "
                f"{wanted[row['candidates']]}: {met} |"
            )
    return "\n".join(lines)


def _counts(row: dict[str, str]) -> bool:
    return (row["profile"], row["target"], row["status"]) == (_PROFILE, "table1", "done")


def _cost() -> str:
    """Seconds per arm and base from the ledger."""
    with LEDGER.open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if _counts(row)]
    if not rows:
        raise BadInput(f"{LEDGER} has no row of profile {_PROFILE}; publish table1 first")
    bases = list(dict.fromkeys(row["base"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    lines = ["| seconds of one cell (train + evaluate) | " + " | ".join(bases) + " |", "|---|" + "---:|" * len(bases)]
    for arm in arms:
        cells = []
        for base in bases:
            chosen = [row for row in rows if row["arm"] == arm and row["base"] == base]
            if not chosen:
                cells.append("-")
                continue
            train = sum(float(row["train_seconds"]) for row in chosen) / len(chosen)
            evaluate = sum(float(row["evaluate_seconds"]) for row in chosen) / len(chosen)
            cells.append(f"{train:.0f} + {evaluate:.0f}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    hours = sum(float(row["train_seconds"]) + float(row["evaluate_seconds"]) for row in rows) / 3600
    memory = max(float(row["peak_mib"]) for row in rows)
    lines += [
        "",
        f"{len(rows)} cells, {hours:.1f} core-hours on {rows[0]['cpu']} (a shared machine, two cells side by side); "
        f"the largest process took {memory:.0f} MiB. Means over seeds.",
    ]
    return "\n".join(lines)
