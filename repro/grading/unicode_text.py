r"""Unicode in an answer as LaTeX, by the character database: what a sign is called and what it decomposes to.

Does: compatibility forms (full width, mathematical letters and digits, ligatures), powers, indices and fractions of
one character, every script's decimal digits, dashes, relations, Greek, double-struck and currency signs. Does not:
circled digits, which number statements, and tildes between numbers, which are ranges.
"""

import re
import unicodedata
from functools import cache

_INVISIBLE = ("Cf", "Cc", "Zs", "Zl", "Zp", "Mn")
_OPAQUE = re.compile(r"WAVE|TILDE|BACKSLASH|CIRCLED|REVERSE SOLIDUS")
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)$")
_DOUBLE_STRUCK = re.compile(r"DOUBLE-STRUCK CAPITAL ([A-Z])$")
# What a sign is called, as a pattern -> what it says. The first that fits counts.
_MEANINGS = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"PLUS-MINUS SIGN$", r"\pm "),
        (r"MINUS-OR-PLUS SIGN$", r"\mp "),
        (r"MIDDLE DOT$|DOT OPERATOR$|BULLET( OPERATOR)?$|HYPHENATION POINT$", r"\cdot "),
        (r"MINUS SIGN$|(?<!SOFT )HYPHEN", "-"),
        (r"MULTIPLICATION (SIGN|X)$|VECTOR OR CROSS PRODUCT$", r"\times "),
        (r"(DIVISION|FRACTION) (SIGN|SLASH)$|^FRACTION SLASH$", "/"),
        (r"ASTERISK OPERATOR$", "*"),
        (r"LESS-THAN (OR|OVER|OR SLANTED|SLANTED) EQUAL( TO)?$", r"\le "),
        (r"GREATER-THAN (OR|OVER|OR SLANTED|SLANTED) EQUAL( TO)?$", r"\ge "),
        (r"^NOT EQUAL TO$", r"\ne "),
        (r"^ALMOST EQUAL TO$", r"\approx "),
        (r"^IDENTICAL TO$", r"\equiv "),
        (r"^RIGHTWARDS ARROW$", r"\to "),
        (r"^SQUARE ROOT$", r"\sqrt "),
        (r"^CUBE ROOT$", r"\sqrt[3]"),
        (r"^FOURTH ROOT$", r"\sqrt[4]"),
        (r"^INFINITY$", r"\infty "),
        (r"^UNION$", r"\cup "),
        (r"^INTERSECTION$", r"\cap "),
        (r"^ELEMENT OF$", r"\in "),
        (r"^EMPTY SET$", r"\emptyset "),
        (r"^SET MINUS$", r"\setminus "),
        (r"^LOGICAL AND$", r"\land "),
        (r"^LOGICAL OR$", r"\lor "),
        (r"^N-ARY SUMMATION$", r"\sum "),
        (r"^INTEGRAL$", r"\int "),
        (r"^PARTIAL DIFFERENTIAL$", r"\partial "),
        (r"^INCREMENT$", r"\Delta "),
        (r"^ANGLE$", r"\angle "),
        (r"^LEFT FLOOR$", r"\lfloor "),
        (r"^RIGHT FLOOR$", r"\rfloor "),
        (r"^LEFT CEILING$", r"\lceil "),
        (r"^RIGHT CEILING$", r"\rceil "),
        (r"LEFT ANGLE BRACKET$", r"\langle "),
        (r"RIGHT ANGLE BRACKET$", r"\rangle "),
        (r"^RATIO$", ":"),
        (r"^PRIME$|^RIGHT SINGLE QUOTATION MARK$", "'"),
        (r"HORIZONTAL ELLIPSIS$", r"\ldots "),
        (r"^DEGREE SIGN$", r"^\circ "),
        (r"^DEGREE CELSIUS$", r"^\circ\text{C}"),
        (r"^DEGREE FAHRENHEIT$", r"^\circ\text{F}"),
        (r"^RING OPERATOR$", r"\circ "),
        (r"^CENT SIGN$", r"\text{ cents}"),
        (r"^PLANCK CONSTANT OVER TWO PI$", r"\hbar "),
        (r"^SCRIPT SMALL L$", r"\ell "),
        (r"^ARABIC DECIMAL SEPARATOR$|^IDEOGRAPHIC FULL STOP$", "."),
        (r"^ARABIC THOUSANDS SEPARATOR$|^IDEOGRAPHIC COMMA$", ","),
    )
)


def translate(text: str) -> str:
    """The text in ASCII wherever a sign has a meaning here; other signs stay as they are."""
    if text.isascii():
        return text
    plain = "".join(map(_latex, text))
    return plain.replace("}^{", "").replace("}_{", "")  # powers and indices of several characters


@cache
def _latex(char: str) -> str:
    name, category = unicodedata.name(char, ""), unicodedata.category(char)
    if char.isascii() or _OPAQUE.search(name):
        return char
    kind, _, points = unicodedata.decomposition(char).rpartition(">")
    parts = "".join(chr(int(point, 16)) for point in points.split())
    if kind in ("<super", "<sub"):
        return f"{'^' if kind == '<super' else '_'}{{{translate(parts)}}}"
    if kind == "<fraction" and (halves := parts.split("⁄"))[1:] and all(halves):
        return rf"\frac{{{halves[0]}}}{{{halves[1]}}}"
    if meaning := next((meaning for pattern, meaning in _MEANINGS if pattern.search(name)), None):
        return meaning
    if struck := _DOUBLE_STRUCK.match(name):
        return rf"\mathbb{{{struck[1]}}}"
    if greek := _GREEK.match(name):
        letter = greek[2].lower().replace("lamda", "lambda")
        return f"\\{letter if greek[1] == 'SMALL' else letter.capitalize()} "
    if category in _INVISIBLE:
        return " "
    if category == "Pd":
        return "-"
    if category == "Sc":
        return r"\$"
    if category == "Nd":
        return str(unicodedata.digit(char))
    canonical = unicodedata.normalize("NFKC", char)
    return char if canonical == char else translate(canonical)
