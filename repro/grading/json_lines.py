"""One line of a JSON-lines file as an object, or one clear sentence on why it is none."""

import json
import re
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class BadLine(ValueError):
    """The line is not what was wanted; the message says why."""


def read_object(raw: bytes, texts: tuple[str, ...], *, others: tuple[str, ...] = ()) -> dict:
    """The line's object, in which each of `texts` is a string and each of `others` is there. Raises BadLine.

    A byte-order mark before the line is no part of it. Half a surrogate pair, which no text in UTF-8 can hold, becomes
    the replacement character.
    """
    try:
        row = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"not JSON ({error.msg})") from None
    except RecursionError:
        raise BadLine("JSON nested too deeply") from None
    if not isinstance(row, dict):
        raise BadLine(f"not an object; want one with {' and '.join((*texts, *others))}")
    if missing := [name for name in others if name not in row]:
        raise BadLine(f"{' and '.join(missing)}: missing")
    if wrong := [name for name in texts if not isinstance(row.get(name), str)]:
        raise BadLine(f"{' and '.join(wrong)}: missing or not a string")
    return _whole(row)


def _whole(value: Any) -> Any:
    """The value with whole characters in its texts, at any depth."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {_whole(key): _whole(each) for key, each in value.items()} if isinstance(value, dict) else value
