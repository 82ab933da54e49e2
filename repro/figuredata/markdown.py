"""A built figure as text: what the paper shows, what was measured, the verdict on each sentence, what to know."""

import pandas as pd

from repro.evaluation.sides import examples_markdown
from repro.figuredata.model import ALL, Decision, FigureData, Value
from repro.paper.findings import markdown_table
from repro.stats.verdicts import ALPHA
from repro.tables.words import NOTHING, target_name


def to_markdown(figure: FigureData) -> str:
    """The whole text of a figure, a section each."""
    head = figure.head
    commits = ", ".join(commit[:10] for commit in head.commits) + (" with uncommitted changes" if head.dirty else "")
    provenance = f"{len(head.cells)} cells, {head.seeds} seeds; device {', '.join(head.devices)}; commit {commits}"
    parts = [
        f"# {target_name(head.id)}: {head.title} ({head.profile})",
        *([f"**{head.stamp}**"] if head.stamp else []),
        f"`{head.command}`",
        figure.finding,
        f"The paper: {head.paper}",
        "## Measured",
        points_markdown(figure),
        "## Sentences and what was found",
        decisions_markdown(figure),
        *(["## Answers side by side", answers_markdown(figure)] if figure.examples else []),
        "## Notes",
        "\n".join(f"- {note}" for note in (*figure.notes, provenance)),
    ]
    return "\n\n".join(parts) + "\n"


def points_markdown(figure: FigureData) -> str:
    """The points as a table: the keys and the kinds of rows that the figure shows."""
    rows = [row for row in figure.rows if not figure.listed or row["kind"] in figure.listed]
    columns = {title: [_cell(row[key]) for row in rows] for key, title in figure.shown.items()}
    return markdown_table(pd.DataFrame(columns))


def decisions_markdown(figure: FigureData) -> str:
    """One row per sentence: its words, what is asked, what each base says, the verdict over all."""
    rows = []
    for name in dict.fromkeys(each.statement for each in figure.decisions):
        own = [each for each in figure.decisions if each.statement == name]
        rows.append(
            {
                "about": own[0].statement,
                "sentence": own[0].text + (" (primary)" if own[0].primary else ""),
                "decided by": own[0].asks,
                "measured": "<br>".join(_found(each, len(own) > 1) for each in own if each.base != ALL),
                "verdict": f"**{own[-1].verdict}**",
            }
        )
    return markdown_table(pd.DataFrame(rows))


def answers_markdown(figure: FigureData) -> str:
    """The shown answers of both policies, side by side."""
    return examples_markdown(figure.examples, "GRPO", "GCPO expected")


def _found(decision: Decision, named: bool) -> str:
    tests = {"p": decision.p, "Holm p": decision.holm}
    shown = ", ".join(f"{name} {_p(value)}" for name, value in tests.items() if value is not None)
    text = f"{decision.measured} ({shown})" if shown else decision.measured
    if decision.p is not None and decision.holm is not None and decision.p < ALPHA <= decision.holm:
        text += ", which Holm's correction does not uphold"
    return f"{decision.base}: {text}, {decision.verdict}" if named else text


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"


def _cell(value: Value) -> str:
    if value is None:
        return NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
