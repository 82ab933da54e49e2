"""What a table says of the training behind it, from its cells' metrics: generated tokens, and the retest of Psi.

A search that trains a policy is only comparable at as many generated tokens as GRPO. A projection that does not come
back when it is drawn again for the same candidates is noise.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from repro.cells.experiments import get_arm
from repro.cells.state import read_metrics
from repro.files import read_json


def generation_notes(summaries: Sequence[dict[str, Any]], runs: Path) -> list[str]:
    """One sentence per base with ReST-MCTS* cells: its generated tokens, GRPO's, and the cost of a kept trace.

    runs: the folder of the cells; GRPO's tokens are the sum over its steps of mean completion length x completions,
    from its metrics, and are left out where these are not there. All figures are means over seeds.
    """
    notes = []
    for base in dict.fromkeys(summary["base"] for summary in summaries):
        found = [each["train"] for each in summaries if (each["base"], each["arm"]) == (base, "rest_mcts")]
        if not found:
            continue
        grpo = [each["cell_id"] for each in summaries if (each["base"], each["arm"]) == (base, "grpo")]
        known = [runs / cell for cell in grpo if (runs / cell / "metrics.jsonl").exists()]
        tokens = fmean(record["generated_tokens"] for record in found)
        beside = f", GRPO {fmean(_generated(folder) for folder in known):,.0f}" if known else ""
        traces = fmean(record["traces"] for record in found)
        cost = fmean(record["generated_tokens"] / max(record["traces"], 1) for record in found)
        notes.append(
            f"Tokens generated in training on {base}: ReST-MCTS* {tokens:,.0f}{beside}; "
            f"{traces:.0f} traces kept, {cost:.0f} tokens per kept trace."
        )
    return notes


def _generated(folder: Path) -> float:
    """Completion tokens of a finished GRPO cell, whose every step is one generation of the whole batch."""
    train = read_json(folder / "config.json", "configuration")["train"]
    batch = train["per_device_train_batch_size"] * train["gradient_accumulation_steps"]
    return sum(row["completions/mean_length"] for row in read_metrics(folder) if "reward" in row) * batch


def retest_notes(summaries: Sequence[dict[str, Any]], runs: Path) -> list[str]:
    """One sentence per base and arm whose cells drew Psi twice: how alike two draws were, means over all of them."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for each in summaries:
        for row in read_metrics(runs / each["cell_id"]):
            pair = tuple(row.get(f"upsilon/psi_retest_{name}") for name in ("cosine", "correlation"))
            if None not in pair:
                found.setdefault((each["base"], each["arm"]), []).append(pair)
    notes = []
    for (base, arm), pairs in found.items():
        cosine, correlation = (fmean(values) for values in zip(*pairs, strict=True))
        notes.append(
            f"Psi drawn twice for the same candidates on {base}, {get_arm(arm).title}: cosine of the two draws "
            f"{cosine:.3f}, correlation of what they add to the similarity {correlation:.3f} "
            f"(means of {len(pairs)} steps)."
        )
    return notes
