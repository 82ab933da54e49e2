"""The generated blocks of README.md: the verdict, six rows, what is reproduced, and what the audit found."""

from collections import Counter

import pandas as pd

from repro.cells.experiments import EXPERIMENTS, get_arm
from repro.config import load_profile
from repro.errors import BadInput
from repro.figuredata.model import ALL
from repro.paper import AVERAGE, MODELS, power
from repro.paper.audit import arithmetic, formulas, sources
from repro.paths import REPO_ROOT
from repro.reporting.published import DEFAULT, Published, link, profiles, published, stamp
from repro.reporting.seen import seen
from repro.stats.verdicts import NOT_TESTED, REVERSED
from repro.tables import Table1
from repro.tables.bases import joined
from repro.tables.finding import by_base, overall, seeds_in_words, sentences, span
from repro.tables.spec import RATIO
from repro.tables.words import NOTHING, readings, signed, size, target_name

README = REPO_ROOT / "README.md"
TARGET = "table1"  # what the first command of the README runs
_AUDIT = REPO_ROOT / "results" / "paper" / "audit.csv"
_GROUP = 8  # candidates per question: not stated by the paper, the usual number


def blocks() -> dict[str, str]:
    """Block name -> Markdown, all from committed files."""
    first = front()
    return {"verdict": _verdict(first), "rows": _rows(first), "reproduced": reproduced(), "audit": audit()}


def front() -> Published:
    """The table in front: of the first profile, the default before the others, whose primary claims are all tested on
    every base, or else of the first that tests one.

    One that is stamped as no result never stands there. Raises BadInput without any.
    """
    made = [
        each
        for name in profiles()
        for each in published(name)
        if each.target == TARGET and each.table and not each.head["stamp"]
    ]
    found = [each for each in made if sentences(each.table)]
    if not found:
        raise BadInput(f"no {TARGET} is published whole; run `make reproduce-{TARGET}` and `make publish-{TARGET}`")
    return next((each for each in found if _whole(each.table)), found[0])


def _whole(table: Table1) -> bool:
    """Is every primary claim tested on every base?"""
    primary = [claim for claim in overall(table) if claim.primary]
    return all(NOT_TESTED not in by_base(table, claim).values() for claim in primary)


def _verdict(first: Published) -> str:
    """The verdict of the table in front with its numbers, one claim a line, and what it covers."""
    head = first.table.head
    counts = [len(arm.seeds) for arm in first.table.arms if arm.arm not in head.checkpoints and arm.seeds]
    more = f" (those of arms with more seeds with `SEEDS={max(counts)}`)" if max(counts) > min(counts) else ""
    tasks = "stand-in tasks in the roles of the paper's benchmarks" if head.stand_in else "the paper's benchmarks"
    where = (
        f"`{head.command}` gives these numbers{more}: {_which(first.profile)}, {len(head.bases)} base models, "
        f"{span(counts, 0)} training seeds per arm, {tasks}. It says nothing about the paper's own models."
    )
    return "\n".join([seen(first), *_rates_elsewhere(first), "", where, *_not_default(first.profile)])


def _rates_elsewhere(first: Published) -> list[str]:
    """Methods that the rule would train at another rate on another base; nothing where that was not tried."""
    figure = first.figure_beside("rates_elsewhere")
    if figure is None:
        return []
    arms = {each.id: get_arm(each.test).title for each in EXPERIMENTS[figure.head.id].statements}
    lost: dict[str, list[str]] = {}
    for each in figure.decisions:
        if each.verdict == REVERSED and each.base != ALL:
            lost.setdefault(arms[each.statement], []).append(f"`{each.base}`")
    text = ", ".join(f"{title} on {joined(bases)}" for title, bases in lost.items())
    return [
        "- Every method has the learning rate that one rule picked on one base. On the others a step to either side "
        f"was tried ({seeds_in_words([figure.head.seeds])}): the rule "
        + (f"picks another rate for {text}." if lost else "keeps every rate.")
    ]


def _which(profile: str) -> str:
    default = " (the default)" if profile == DEFAULT else ""
    return f"profile `{profile}`{default}, {load_profile(profile).title}"


def _not_default(profile: str) -> list[str]:
    """What the command without PROFILE runs, where that is another profile than the one in front."""
    if profile == DEFAULT:
        return []
    return [
        f"The default profile `{DEFAULT}`, {load_profile(DEFAULT).title}, is what `make reproduce-{TARGET}` alone "
        "runs; it stands here once its primary claims are measured on every base."
    ]


def _rows(first: Published) -> str:
    """The table in front, short, with its figure."""
    what = "gain over the own base, difference to GRPO, multiple of GRPO's gain"
    picture = f"![{what}]({link(first.pictures[0], README)})"
    page = first.folder / "report.html"
    parts = [six_rows(first.table), picture]
    if page.exists():
        parts.append(f"All of it as one page, to download and open: [report.html]({link(page, README)}).")
    return "\n\n".join(parts)


def six_rows(table: Table1) -> str:
    """One row per trained method: gain over each base, and as a multiple of GRPO's, the paper's beside ours."""
    head = table.head
    reference = head.arms[head.reference]
    bases = " | ".join(f"{base} ({paper})" if paper else base for base, paper in head.bases.items())
    each = " (base by base)" if len(head.bases) > 1 else ""
    lines = [
        f"| gain over the own base, points [95 % CI] | {bases} | gain / {reference}'s{each}: paper | here |",
        "|---|" + "---:|" * (len(head.bases) + 2),
    ]
    for arm, title in head.arms.items():
        rows = [table.row(base, arm) for base in head.bases]
        if all(row.ours and row.gain is None for row in rows):  # a base, whatever way it answers
            continue
        gains = [signed(row.gain) if row.ours else "not run" for row in rows]
        paper = [readings(RATIO, row.printed_multiples[:1]) for row in rows]
        ours = [size(row.size).partition(" [")[0] for row in rows]
        multiples = [" / ".join(each) if set(each) != {NOTHING} else NOTHING for each in (paper, ours)]
        lines.append(f"| {title} | {' | '.join([*gains, *multiples])} |")
    return "\n".join(lines)


def reproduced() -> str:
    """Every table and figure of the paper under every profile, with a link where something is published."""
    columns = [*profiles(), *(name for name in ("gpu", "paper") if name not in profiles())]
    made = {name: {each.target: each for each in published(name)} for name in columns}
    heads = [f"`{name}`" + (f" ({stamp(name)})" if stamp(name) else "") for name in columns]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---|" * len(columns)]
    for target, experiment in EXPERIMENTS.items():
        cells = [_state(made[name].get(target), experiment.built) for name in columns]
        lines.append(f"| {target_name(target)}: {experiment.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _state(made: Published | None, built: bool) -> str:
    if made is None:
        return "not run" if built else "not built"
    where = link(made.text, README)
    if made.table is None:
        counts = {int(row.get("seeds") or made.figure.head.seeds) for row in made.figure.rows}
        return f"[{seeds_in_words(counts)}]({where})"
    trained = [arm for arm in made.table.arms if arm.arm != made.table.head.base_arm]
    measured = [arm for arm in trained if arm.seeds]
    if not measured:
        return "not run"
    share = "" if len(measured) == len(trained) else f", {len(measured)} of {len(trained)} rows"
    return f"[{seeds_in_words({len(arm.seeds) for arm in measured})}]({where}){share}"


def audit() -> str:
    """The three findings on the paper's own numbers, computed from the transcription in repro/paper/."""
    margins = power.margins()
    best = margins[margins.against == "best baseline"].set_index(["model", "benchmark"])["gap"]
    need = power.requirements()
    need = need[(need.against == "best baseline") & (need.benchmark == AVERAGE)]
    noise = [power.difference_se(power.pass_sd(source=s)[AVERAGE], power.STATED_PASSES) for s in power.SD_SOURCES]
    copied, omitted = sources.copied_cells(), sources.omitted_rows()
    theirs = omitted[(omitted.method == "L2T") & (omitted.benchmark != AVERAGE)]
    means = arithmetic.averages().query("table == 'table1'")
    older = copied.drop_duplicates(["model", "method"])
    count = formulas.generations(_GROUP)
    share = (formulas.STATED_COST - 1) / (count / _GROUP - 1)
    verdicts = Counter(pd.read_csv(_AUDIT)["verdict"])
    gaps = " / ".join(f"{float(best[model, AVERAGE]):.2f}" for model in MODELS)
    return "\n".join(
        [
            f"1. **The margins are smaller than the noise of the evaluation.** GCPO leads the best baseline by {gaps} "
            f"points on the average; one {power.STATED_PASSES}-sample evaluation alone gives that a standard "
            f"error of {span(noise, 2)}. Power of 80 % needs {' / '.join(f'{n:.0f}' for n in need.passes)} samples per "
            "question and arm, before any spread between seeds.",
            f"2. **{len(older)} of the {len(means)} rows of Table 1 were printed before** ({int(copied.equal.sum())} "
            f"of {len(copied)} cells digit for digit). The row of L2T, higher than GCPO in "
            f"{int(theirs.omitted_is_higher.sum())} of {len(theirs)} columns, is left out, and "
            f"{int((~means.holds.astype(bool)).sum())} averages are not the rounded mean of their cells.",
            f"3. **The stated cost is not that of the printed steps.** Steps 1 to 3 generate {count} sequences per "
            f"question at n = {_GROUP}, {count / _GROUP:.0f} times GRPO's; the stated {formulas.STATED_COST}x would "
            f"need generation to take at most {100 * share:.1f} % of a GRPO step.",
            "",
            f"Of {sum(verdicts.values())} statements that the paper's numbers and formulas can be held against, "
            f"{verdicts['holds']} hold, {verdicts['does not hold']} do not hold as printed and "
            f"{verdicts['cannot be decided']} cannot be decided.",
        ]
    )
