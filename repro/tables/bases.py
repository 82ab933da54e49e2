"""A verdict over several bases in words: what each base says, which were not run, and what follows. Pure."""

from collections.abc import Mapping, Sequence

from repro.stats.verdicts import IN_ORDER, NOT_TESTED

# How `repro.stats.over_bases` comes to its word; stands under every table.
RULE = (
    "Over all bases: reversed if one base says so; supported if every base does, equivalent if every base does; not "
    "tested while a base is missing that could still change that; else undecided."
)


def joined(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def parts(directions: Mapping[str, str], order: Sequence[str] = IN_ORDER) -> tuple[dict[str, list[str]], list[str]]:
    """(verdict -> its bases, in this order of verdicts; the bases that were not run)."""
    found = {word: [base for base, said in directions.items() if said == word] for word in order if word != NOT_TESTED}
    return {word: bases for word, bases in found.items() if bases}, [
        base for base, said in directions.items() if said == NOT_TESTED
    ]


def without_verdict(missing: Sequence[str]) -> str:
    """`x and y were not run`."""
    return f"{joined(missing)} {'were' if len(missing) > 1 else 'was'} not run"


def over_all(directions: Mapping[str, str], overall: str) -> str:
    """What stands behind the verdicts of the bases: which are missing, and the verdict over all."""
    _, missing = parts(directions)
    lacking = f"; {without_verdict([f'`{base}`' for base in missing])}" if missing else ""
    if overall == NOT_TESTED:
        return f"{lacking}, so there is no verdict over all bases"
    return f"{lacking}; over all bases {overall}"


def spoken(directions: Mapping[str, str], overall: str) -> str:
    """`equivalent on `x`; `y` and `z` were not run, so there is no verdict over all bases`."""
    found, _ = parts(directions)
    said = ", ".join(f"{word} on {joined([f'`{base}`' for base in bases])}" for word, bases in found.items())
    return said + over_all(directions, overall)
