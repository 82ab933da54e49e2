"""A user's own figure beside the published one: every number of its points that has an interval."""

from repro.figuredata.model import FigureData, Value
from repro.tables.compare import Comparison, same_thing

_ENDS = {"ours": ("low", "high")}  # the keys of an interval; of any other number they are its own with _low and _high


def compare_with_published(local: FigureData, published: FigureData) -> list[Comparison]:
    """Your points against the published intervals, in the figure's own units.

    Points are the same where the keys agree that tell rows apart (`told_by` of your figure). Points of your figure that
    the published one lacks are `not run`. Raises BadInput when the figures are of other targets or profiles.
    """
    mine, theirs = local.head, published.head
    same_thing((mine.id, mine.profile), (theirs.id, theirs.profile))
    other = {_key(local, row): row for row in published.rows}
    result = []
    for row in local.rows:
        match = other.get(_key(local, row), {})
        place = {local.shown.get(key) or key: _text(row[key]) for key in local.told_by}
        for name, (low, high) in _with_intervals(row).items():
            yours, value = row[name], match.get(name)
            if yours is not None or value is not None:
                what = local.shown.get(name) or name.replace("_", " ")
                result.append(Comparison(place, what, yours, value, match.get(low), match.get(high)))
    return result


def _key(figure: FigureData, row: dict[str, Value]) -> tuple[Value, ...]:
    return tuple(row.get(key) for key in figure.told_by)


def _with_intervals(row: dict[str, Value]) -> dict[str, tuple[str, str]]:
    """Name of a number -> the keys of the ends of its interval."""
    ends = {name: _ENDS.get(name, (f"{name}_low", f"{name}_high")) for name in row}
    return {name: (low, high) for name, (low, high) in ends.items() if low in row and high in row}


def _text(value: Value) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
