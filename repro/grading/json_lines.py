"""One line of a JSON-lines file as an object, or one clear sentence on why it is none."""

import json
import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class BadLine(ValueError):
    """The line is not what was wanted; the message says why."""


def read_object(raw: bytes, texts: tuple[str, ...]) -> dict:
    """The line's object, in which each of `texts` is a string. Raises BadLine.

    A byte-order mark before the line is no part of it. Half a surrogate pair, which no text in UTF-8 can hold, becomes
    the replacement character in those strings.
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
        raise BadLine(f"not an object; want one with {', '.join(texts[:-1])} and {texts[-1]}")
    if wrong := [name for name in texts if not isinstance(row.get(name), str)]:
        raise BadLine(f"{' and '.join(wrong)}: missing or not a string")
    return row | {name: _LONE_SURROGATE.sub("\ufffd", row[name]) for name in texts}
