"""What a table says of the training behind it: generated tokens, and the retest of Psi.

A search that trains a policy is only comparable at as many generated tokens as GRPO. A projection that does not come
back when it is drawn again for the same candidates is noise. Both come from the record of training that a summary
carries (`repro.cells.training`).
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from repro.cells.experiments import get_arm
from repro.cells.plan import training_values
from repro.config import Profile

_KAPPA = 0.06  # the paper's, on every row
_ROWS = 0.125  # kappa_row_fraction of GCPOConfig, read here without importing a trainer


def generation_notes(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """One sentence per base with ReST-MCTS* cells: its generated tokens, GRPO's, and the cost of a kept trace.

    GRPO's tokens are left out where no cell of it has a record of training. All figures are means over seeds.
    """
    notes = []
    for base in dict.fromkeys(summary["base"] for summary in summaries):
        found = [each["train"] for each in summaries if (each["base"], each["arm"]) == (base, "rest_mcts")]
        if not found:
            continue
        grpo = [each for each in summaries if (each["base"], each["arm"]) == (base, "grpo")]
        known = [count for each in grpo if (count := each.get("training", {}).get("generated_tokens")) is not None]
        tokens = fmean(record["generated_tokens"] for record in found)
        beside = f", GRPO {fmean(known):,.0f}" if known else ""
        traces = fmean(record["traces"] for record in found)
        cost = fmean(record["generated_tokens"] / max(record["traces"], 1) for record in found)
        notes.append(
            f"Tokens generated in training on {base}: ReST-MCTS* {tokens:,.0f}{beside}; "
            f"{traces:.0f} traces kept, {cost:.0f} tokens per kept trace."
        )
    return notes


def kappa_notes(profile: Profile, arms: Sequence[str]) -> list[str]:
    """One sentence on the arms whose divergence has not the paper's weight, or is not on every row; empty without."""
    found: dict[str, list[str]] = {}
    for arm in map(get_arm, arms):
        if arm.method == "gcpo":
            values = training_values(profile, next(iter(profile.bases)), arm)
            kappa, rows = values.get("kappa", _KAPPA), values.get("kappa_row_fraction", _ROWS)
            if kappa and (kappa, rows) != (_KAPPA, 1.0):
                found.setdefault(f"{kappa:g} on {100 * rows:g} % of the rows", []).append(arm.title)
    said = "; ".join(f"{words} ({' / '.join(titles)})" for words, titles in found.items())
    return [f"The divergence has not the paper's weight, {_KAPPA:g} on every row, but kappa = {said}."] if said else []


def retest_notes(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """One sentence per base and arm whose cells drew Psi twice: how alike two draws were, means over all of them."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for each in summaries:
        if pairs := each.get("training", {}).get("psi_retest"):
            found.setdefault((each["base"], each["arm"]), []).extend(pairs)
    notes = []
    for (base, arm), pairs in found.items():
        cosine, correlation = (fmean(values) for values in zip(*pairs, strict=True))
        notes.append(
            f"Psi drawn twice for the same candidates on {base}, {get_arm(arm).title}: cosine of the two draws "
            f"{cosine:.3f}, correlation of what they add to the similarity {correlation:.3f} "
            f"(means of {len(pairs)} steps)."
        )
    return notes
