"""The rules that stand for lists of spellings: layout by name, signs by the character database, units by a registry."""

import re
import sys
import unicodedata
from importlib import util
from pathlib import Path

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.grading import compare, decide, evaluate, layout, lexer, realsets, unicode_text, units
from repro.grading.compare import same_answer
from repro.grading.layout import without_layout
from repro.grading.parser import parse_answer
from repro.grading.unicode_text import translate
from repro.grading.vocabulary import function_name


def same(gold: str, other: str) -> bool | None:
    with mpmath.workdps(evaluate.DIGITS):
        return same_answer(parse_answer(gold), parse_answer(other))


# --- layout ---

CONTENTS = ("7", r"\frac{3}{4}", "x^2-1", "(1,2)", r"\sqrt{2}")
SWITCHES = "tiny small footnotesize LARGE Huge displaystyle bfseries itshape rmfamily normalfont mathstrut strut null "
SWITCHES += "boldmath unboldmath nobreak noindent relax protect centering raggedright thinspace enskip quad medspace bf"
WRAPPERS = "mathop mathrel mathbin mathord mathopen mathpunct mathinner mathclap smash boxed ensuremath text textsc "
WRAPPERS += "textmd textsl mathsf mathfrak mathtt mbox hbox fbox makebox framebox boldsymbol bm pmb underline"
BEFORE = (r"\hspace{1cm}", r"\hspace*{-2em}", r"\hskip 1em plus 1fil ", r"\kern-3pt ", r"\mkern 3mu ", r"\phantom{-}",
          r"\vphantom{\frac12}", r"\color{red}", r"\color[rgb]{1,0,0}", r"\textcolor{#f00}", r"\colorbox{blue}",
          r"\fcolorbox{red}{blue}", r"\raisebox{1pt}", r"\scalebox{2}", r"\style{color:red}", r"\overset{}",
          r"\begin{aligned} ", r"\begin{gather*} ")  # fmt: skip


def plain(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.value) for token in lexer.tokenize(text) if token.value not in ("{", "}")]


@pytest.mark.parametrize("content", CONTENTS)
def test_layout_says_nothing(content):
    for name in SWITCHES.split():
        for text in (rf"\{name} {content}", rf"\{name}{{{content}}}", rf"{{\{name} {content}}}"):
            assert plain(text) == plain(content), text
    for name in WRAPPERS.split():
        assert plain(rf"\{name}{{${content}$}}") == plain(content), name
    for start in BEFORE:
        end = rf"\end{start[6:].strip()}" if "begin" in start else ""
        assert plain(f"{start}{{{content}}}{end}") == plain(content), start


@settings(max_examples=300, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9))
def test_a_command_whose_name_is_not_layout_is_never_dropped(name):
    patterns = (layout._SWITCH, layout._GAP, layout._FENCE, layout._HIDDEN, layout._FIRST_HIDDEN, layout._TWO_HIDDEN)
    is_layout = any(pattern.fullmatch(name) for pattern in patterns) or name.endswith("box")
    assert (rf"\{name}" in without_layout(rf"\{name}{{7}}{{8}}")) is not is_layout


@pytest.mark.parametrize("name", ["neg", "cancel", "xcancel", "not", "sout", "ngtr", "circ", "unknown", "overset"])
def test_a_command_with_another_meaning_makes_an_answer_unreadable(name):
    with pytest.raises(ValueError):
        parse_answer(rf"\{name}{{7}}")


def test_a_row_ends_where_it_ends_whatever_its_spacing():
    for row in (r"\\", r"\\[4pt]", r"\\[-0.5em]", r"\\*", r"\\*[2mm]", r"\cr", r"\\ "):
        assert same(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", rf"\begin{{bmatrix}}1&2{row} 3&4\end{{bmatrix}}")
    assert parse_answer(r"\begin{matrix}1\\[4]\end{matrix}").tree.value == 2  # no dimension: a cell


# --- signs ---


def every(category: str) -> list[str]:
    return [chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) == category]


def test_every_dash_is_a_minus_and_every_decimal_digit_its_digit():
    for dash in every("Pd"):
        if not re.search("WAVE|TILDE", unicodedata.name(dash)):
            assert translate(f"{dash}5") == "-5", hex(ord(dash))
    for digit in every("Nd"):
        assert translate(digit) == str(unicodedata.digit(digit)), hex(ord(digit))


def test_every_power_index_and_fraction_of_one_character_is_what_it_decomposes_to():
    for point in range(sys.maxunicode + 1):
        kind, _, parts = unicodedata.decomposition(chr(point)).rpartition("> ")
        text = "".join(chr(int(part, 16)) for part in parts.split()) if kind else ""
        if kind in ("<super", "<sub") and text.isascii() and text.isalnum():
            assert translate(chr(point)) == f"{'^' if kind == '<super' else '_'}{{{text}}}"
        elif kind == "<fraction" and text[-1:].isdecimal():
            assert same(f"{text.replace('⁄', '/')}", f"0+{chr(point)}")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_translation_is_done_once_and_keeps_ascii(text):
    once = translate(text)
    assert translate(once) == once
    assert translate(text.encode("ascii", "ignore").decode()) == text.encode("ascii", "ignore").decode()


# --- units ---


def registry_words(text: str) -> tuple[set[str], set[str]]:
    """Unit names and prefixes in a registry file of pint: no single letter, no mere factor (percent, ppm)."""
    names, prefixes = set(), set()
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("#")[0].split("=")]
        if len(parts) < 2 or not re.match(r"[A-Za-z]", parts[0]):
            continue
        spellings, definition = [parts[0], *parts[2:]], parts[1]
        if parts[0].endswith("-"):
            if re.fullmatch(r"1e[+-]?(\d|1[0-5])", definition):
                prefixes.update(spelling for spelling in spellings if re.fullmatch("[A-Za-z]+-", spelling))
        elif not re.match(r"[-\d.e* ]+(;|$)", definition):
            names.update(spelling for spelling in spellings if re.fullmatch("[A-Za-z]{2,}", spelling))
    return names, prefixes


def test_the_words_are_those_of_the_registry():
    spec = util.find_spec("pint")
    if spec is None:
        pytest.skip("pint is not installed: `pip install pint==0.25.3` (it made units.txt; the grader does without)")
    text = (Path(spec.origin).parent / "default_en.txt").read_text(encoding="utf-8")
    names, prefixes = registry_words(text)
    stored = Path(units.__file__).with_name("units.txt").read_text().split("\n", 1)[1].split()
    assert stored == sorted(prefixes) + sorted(names)


def test_a_unit_never_reads_as_a_numeral_or_as_a_multiplier():
    for word in ("fifth", "quarter", "thou", "percent", "ppm", "dozen", "K", "k", "M", "B", "T", "G", "pi", "lambda"):
        assert not units.is_unit(word) or word in units.UNIT_LETTERS, word
        assert not units.says_what(word), word
    assert not units.UNIT_LETTERS & set("KkMBTGPEZYei")


@pytest.mark.parametrize(
    "word", ["meter", "Watts", "kJ", "MPa", "cm", "miles", "mL", "eV", "GHz", "um", "acres", "feet"]
)
def test_units_are_known_with_prefix_and_plural(word):
    assert units.is_unit(word)


@pytest.mark.parametrize(
    ("phrase", "factor", "rest"),
    [("million people", 10**6, "people"), ("hundred thousand", 10**5, ""), ("cm", 1, "cm"), ("gross", 144, ""),
     ("万元", 10**4, "元"), ("亿", 10**8, ""), ("千克", 1, "千克"), ("dozens", 12, "")],
)  # fmt: skip
def test_scale_words_multiply(phrase, factor, rest):
    assert units.split_scale(phrase) == (factor, rest)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["cm", "square meters", "apples", "ways", "kg m/s", "of the total"]),
    st.sampled_from(["two", "tenths", "or", "not", "less", "squared", "dozen", "3", "halves", "plus"]),
    st.booleans(),
)
def test_a_word_that_changes_the_value_spoils_any_unit(phrase, changing, first):
    assert units.says_what(phrase)
    assert not units.says_what(f"{changing} {phrase}" if first else f"{phrase} {changing}")


# --- functions, sets, percents ---


@pytest.mark.parametrize(
    ("name", "known"),
    [("arctg", "arctan"), ("asin", "arcsin"), ("arcosh", "arccosh"), ("arsinh", "arcsinh"), ("arth", "arctanh"),
     ("ctg", "cot"), ("cosec", "csc"), ("sh", "sinh"), ("arcsin", "arcsin"), ("arc", None), ("as", None), ("ab", None)],
)  # fmt: skip
def test_a_function_has_one_name(name, known):
    assert function_name(name) == known


@settings(max_examples=100, deadline=None)
@given(st.integers(-20, 20), st.integers(1, 20), st.sampled_from([("<", "(", ")"), (r"\le", "[", "]")]))
def test_an_absolute_inequality_is_the_interval_around_its_centre(centre, radius, ends):
    sign, left, right = ends
    interval = f"{left}{centre - radius},{centre + radius}{right}"
    assert same(interval, f"|x-({centre})|{sign}{radius}")
    assert same(interval, rf"|2x-2\cdot({centre})|{sign}{2 * radius}")
    assert not same(interval, f"|x-({centre})|{sign}{radius + 1}")
    assert not same(interval, f"|x-({centre + 1})|{sign}{radius}")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 999), st.sampled_from([10, 100, 1000]))
def test_a_percent_sign_divides_by_a_hundred_and_may_only_be_dropped_at_whole_numbers(digits, scale):
    gold = f"{digits}/{scale}"
    assert same(gold, f"{digits * 100}/{scale}\\%".replace("/", "\\div "))
    if digits % scale:
        assert not same(gold, rf"\frac{{{digits}}}{{{scale}}}\%")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(2, 12), st.integers(-3, 3))
def test_a_congruence_holds_for_every_member_of_its_class(rest, modulus, turns):
    gold = rf"x\equiv {rest}\pmod{{{modulus}}}"
    assert same(gold, rf"{rest + turns * modulus} \pmod {{{modulus}}}")
    assert not same(gold, rf"x \equiv {rest + 1} \pmod{{{modulus}}}")
    assert not same(gold, rf"x \equiv {rest} \pmod{{{modulus + 1}}}")


# name: (module, attribute, faulty value, gold, answer, verdict that the fault turns)
FAULTS = {
    "any text is a unit": (units, "says_what", lambda phrase, **_: True, "7", r"7\text{ squared}", None),
    "numerals are nouns": (units, "is_numeral", lambda word: False, "7", r"7\text{ tenths}", None),
    "scales are dropped": (units, "split_scale", lambda phrase: (1, ""), "7", r"7\text{ million}", False),
    "K is a unit": (units, "UNIT_LETTERS", frozenset("K"), "7", r"7\text{K}", False),
    "every command is layout": (layout, "_SWITCH", re.compile("[a-z]+"), "7", r"\neg 7", None),
    "phantoms are seen": (layout, "_HIDDEN", re.compile("tag"), "7", r"7\phantom{0}", True),
    "gaps keep their length": (layout, "_LENGTH", re.compile("(?!)"), "7", r"\hspace{1cm}7", True),
    "dashes are text": (unicode_text, "_MEANINGS", (), "-5", "−5", True),
    "every whole number drops a percent": (compare, "is_whole_constant", lambda node: True, "0.5", r"0.5\%", False),
    "remainders are numbers": (compare._Comparison, "remainders", lambda *_: False, r"3\pmod 7", r"10\pmod 7", True),
    "formulas are linear": (realsets, "_PROBES", realsets._PROBES[:2], "x<3", "x^2<3", False),
    "cases without their conditions": (
        compare._Comparison, "cases",
        lambda self, gold, other: self.unordered(*(tuple(case.args[0] for case in side) for side in (gold, other))),
        r"\begin{cases}1&x>0\\2&x\le0\end{cases}", r"\begin{cases}1&x\le0\\2&x>0\end{cases}", False,
    ),
}  # fmt: skip


def verdict_on(gold: str, answer: str) -> bool | None:
    try:
        return same(gold, answer)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_rule_is_noticed(name, monkeypatch):
    module, attribute, faulty, gold, answer, right = FAULTS[name]
    for cached in (unicode_text._latex, units.is_unit):
        cached.cache_clear()
    assert verdict_on(gold, answer) is right
    monkeypatch.setattr(module, attribute, faulty)
    for cached in (unicode_text._latex, units.is_unit):
        cached.cache_clear()
    assert verdict_on(gold, answer) is not right
    monkeypatch.undo()
    for cached in (unicode_text._latex, units.is_unit):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [("n", r"\mathrm{N}", False), ("ab", "AB", False), ("mg", "MG", False), ("yes", r"\text{YES}", True),
     (r"\text{(C)}", "c", True), ("LQSX", "lqsx", True), ("3+4i", r"3+4\mathrm{i}", True)],
)  # fmt: skip
def test_symbols_keep_their_case_and_words_do_not(gold, answer, correct):
    assert (decide.decide(gold, answer)[0] == "correct") is correct
