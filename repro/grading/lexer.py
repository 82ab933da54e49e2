r"""LaTeX answer -> tokens. Linear in the length of the answer.

Does: thousands separators, e-notation, `\text{...}` by its content (number, word, unit, "and"), spellings of one sign.
Does not: decide whether a letter is a variable or a unit; that depends on what it is compared with.
"""

import re
from dataclasses import dataclass

from repro.grading import units
from repro.grading import vocabulary as words
from repro.grading.layout import LayoutError, group_end, without_layout
from repro.grading.unicode_text import translate

# Kinds: num, letter, cmd (name with backslash), text (words), sep (list separator), op (one character), row, cell.


class LexError(ValueError):
    """The answer is not written in anything the lexer knows."""


@dataclass(frozen=True)
class Token:
    kind: str
    value: str
    spaced: bool = False  # white space stands before it
    bare: bool = False  # a unit word written without \text


_STRONG = r"(?:\{\s?,\s?\}\s?|,?\s?\\!,?\s?|\\[,;:]|\\ |~|,\\[,;]\s?)"
_DIGITS3 = r"(?:{sep}\d{{3}}(?!\d))+"
_GROUPED_STRONG = re.compile(r"\d{1,3}" + _DIGITS3.format(sep=r"(?:" + _STRONG + r"|\ )"))
_GROUPED_ANY = re.compile(r"[1-9]\d{0,2}" + _DIGITS3.format(sep=r"(?:" + _STRONG + r"|\ |,)") + r"(?!,\d)")
_NUMBER = re.compile(r"\d+(?:\.\d+|\.(?!\.))?|\.\d+")
_DECIMAL_COMMA = re.compile(r"(\d+)\{,\}(\d+)")
_EXPONENT = re.compile(r"(?:[eE]|\\(?:mathrm|text|textrm|mathtt)\{[eE]([+-]?)\})([+-]?\d+)(?![\w.])")
_BRACED_SIGN = re.compile(r"(?<=[0-9A-Za-z)])\{([:=])\}")  # braces that only take the space away: 10{:}30
_FRACTION_PART = re.compile(r"\.\d+")
_OVER_DIGITS = r"\\(?:overline|bar|dot)\s*"
_REPEATING = re.compile(
    rf"(\d*)\.(\d*)(?:{_OVER_DIGITS}(?:\{{([\d\s]|\\[ ,;:!])+\}}|\d))(?:\d*\\dot\s*(?:\{{\d\}}|\d))?"
)
_REPEATING_START = re.compile(rf"\.(?:\d|{_OVER_DIGITS}\{{?\d)")
_SEPARATOR = re.compile(r"^[\s,;]*(?:and|or|,|;)?[\s,;]*$", re.IGNORECASE)
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|.)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_HALF_DAY = re.compile(r"([ap])\.?\s?m\b\.?", re.IGNORECASE)
_PHRASE = re.compile(r"[A-Za-z][A-Za-z .,'()-]*")
_REMARK = re.compile(r"\([A-Za-z .,'-]{2,}\)")
_UNIT = re.compile(r"[A-Za-z](?:[A-Za-z .()/*·{}-]|\^\{?-?\d\}?)*[0-9]?")
_UNIT_SIGNS = {r"\cdot": " ", r"\mu": "u", r"\Omega": "ohm", r"^\circ": "deg", r"\AA": "angstrom"}
_UNIT_SIGN = re.compile(rf"({'|'.join(map(re.escape, _UNIT_SIGNS))})(?![a-zA-Z])\s*")
_PERCENT = re.compile(r"per\s?cents?\b\s*(.*)", re.IGNORECASE)
_SPACED_COMMA = re.compile(r"[,;](?:\s|\\[ ,;])|\{,\}|;")
_BASE_TEXT = re.compile(r"^\(?(?:in\s+)?base[\s-]*(\w*)\)?$", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)")  # 2 x 10^5
_ANSWER_IS = r"\s*(?:the\s+)?(?:final\s+)?answer(?:\s+is\b|\s*[:=])\s*:?\s*"
_ANSWER_PREFIX = re.compile(rf"^(?:\\text\s*\{{{_ANSWER_IS}\}}|{_ANSWER_IS})", re.IGNORECASE)
_CLOSING_MARKS = re.compile(r"(?<!\\)[.$\s]+$")
_FRACTION_SIDE = re.compile(r"\[[lcr]\]")  # \cfrac[l]{1}{2}
_NEXT_ITEM = re.compile(r"\s*(?:-?\s?\d|[a-zA-Z]\w*\s*=)")

_TEXT_COMMAND = re.compile(r"\\(?:text[a-z]*|math[a-z]+|[mhf]box|rm|boldsymbol|bm|pmb|operatorname|emph|underline)")
_UPRIGHT_GREEK = re.compile(r"\\(?:up|text)([a-z]+)")  # \uppi, \textmu
_WEAK_RELATION = re.compile(r"\\([lg])e(?:q|qq|qslant|slant)")
_UPRIGHT_WORDS = frozenset((r"\text", r"\mbox", r"\mathrm", r"\textrm"))  # a letter in them may be a unit
_SPACING = words.split_set(r"\! \, \; \: \> \( \) \[ \] \/ \- \quad \qquad") | {r"\ "}
_SIGNLESS = words.split_set(r"\$ \pounds \euro \S")
_SPELLINGS = {
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\reals": r"\mathbb{R}", r"\mod": r"\pmod", r"\bmod": r"\pmod",
    r"\cdots": r"\ldots", r"\dots": r"\ldots",
}  # fmt: skip
_SIGNS = {r"\%": "%", r"\colon": ":", r"\ast": "*"}
_CONJUNCTIONS = {r"\land": "and", r"\wedge": "and", r"\lor": "or", r"\vee": "or"}


def tokenize(text: str) -> list[Token]:
    """Tokens of an answer. Raises LexError on characters with no meaning in one."""
    try:
        plain = without_layout(_ANSWER_PREFIX.sub("", translate(text)))
    except LayoutError as error:
        raise LexError(str(error)) from error
    plain = _BRACED_SIGN.sub(r"\1", _TIMES.sub(r" \\times ", plain))
    return _Lexer(_CLOSING_MARKS.sub("", plain.strip())).run()


class _Lexer:
    def __init__(self, text: str, depth: int = 0):
        self.text = text
        self.pos = 0
        self.tokens: list[Token] = []
        self.spaced = False
        self.brackets: list[bool] = []  # per open bracket: may a bare comma group digits inside it?
        self.depth = depth
        if depth > 8:
            raise LexError("text commands nested too deeply")

    def emit(self, kind: str, value: str, bare: bool = False) -> None:
        self.tokens.append(Token(kind, value, self.spaced, bare))
        self.spaced = False

    def run(self) -> list[Token]:
        while self.pos < len(self.text):
            char = self.text[self.pos]
            if char.isspace() or char == "~":
                self.spaced = True
                self.pos += 1
            elif char.isdigit() or (char == "." and _REPEATING_START.match(self.text, self.pos)):
                self.number()
            elif char == "\\":
                self.command()
            elif char.isalpha() and char.isascii():
                self.word()
            elif han := _HAN.match(self.text, self.pos):
                self.emit("text", han.group())
                self.pos = han.end()
            elif char in ",;":
                self.emit("sep", char)
                self.pos += 1
            elif self.text.startswith("**", self.pos):
                self.emit("op", "^")
                self.pos += 2
            elif char in '$"`':
                self.pos += 1
            elif char == "&":
                self.emit("cell", char)
                self.pos += 1
            elif char in "+-*/^_(){}[]|!'=<>:%?":
                self.symbol(char)
            else:
                raise LexError(f"character {char!r}")
        return self.tokens

    def symbol(self, char: str) -> None:
        if char in "([":
            self.open_bracket()
        elif char in ")]" and self.brackets:
            self.brackets.pop()
        two = self.text[self.pos : self.pos + 2]
        if two in ("<=", ">=", "!="):
            self.emit("cmd", {"<=": "\\le", ">=": "\\ge", "!=": "\\ne"}[two])
            self.pos += 2
            return
        if two == "==":
            self.pos += 1
        self.emit("op", char)
        self.pos += 1

    def open_bracket(self) -> None:
        """`(2,251,252)` is a triple, `(1,000, 2,000)` a pair: spaced commas free the bare ones to group digits."""
        level, index = 0, self.pos
        end = len(self.text)
        while index < len(self.text):
            if self.text[index] in "([":
                level += 1
            elif self.text[index] in ")]":
                level -= 1
                if level == 0:
                    end = index
                    break
            index += 1
        self.brackets.append(bool(_SPACED_COMMA.search(self.text, self.pos, end)))

    def number(self) -> None:
        text, pos = self.text, self.pos
        if repeating := _REPEATING.match(text, pos):
            repeated = re.sub(r"\D", "", text[repeating.end(2) : repeating.end()])
            self.emit("num", f"{repeating[1] or 0}.{repeating[2]}({repeated})")
            self.pos = repeating.end()
            return
        grouped = None
        if pos == 0 or text[pos - 1] not in ".,":
            pattern = _GROUPED_ANY if all(self.brackets) else _GROUPED_STRONG
            grouped = pattern.match(text, pos) or _GROUPED_STRONG.match(text, pos)
        decimal_comma = _DECIMAL_COMMA.match(text, pos)
        if grouped:
            digits = re.sub(r"\D", "", grouped.group())
            self.pos = grouped.end()
            fraction = _FRACTION_PART.match(text, self.pos)
            if fraction:
                digits += fraction.group()
                self.pos = fraction.end()
        elif decimal_comma and len(decimal_comma[2]) != 3:
            digits = f"{decimal_comma[1]}.{decimal_comma[2]}"
            self.pos = decimal_comma.end()
        else:
            match = _NUMBER.match(text, pos)
            if match is None:  # digits that are not decimal ones, such as a circled number
                raise LexError(f"digit {text[pos]!r}")
            digits = match.group()
            self.pos = match.end()
        exponent = _EXPONENT.match(text, self.pos)
        if exponent:
            digits += "e" + (exponent[1] or "") + exponent[2]
            self.pos = exponent.end()
        self.emit("num", digits)

    def word(self) -> None:
        half_day = _HALF_DAY.match(self.text, self.pos)
        clock = self.spaced or any(token.value == ":" for token in self.tokens)  # 3am may be a product
        if half_day and clock and self.tokens and self.tokens[-1].kind == "num":
            self.emit("text", half_day[1].lower() + "m")
            self.pos = half_day.end()
            return
        match = _WORD.match(self.text, self.pos)
        assert match is not None
        word = match.group()
        self.pos = match.end()
        lower = word.lower()
        name = words.function_name(word) if len(word) > 2 or word in words.FUNCTIONS else None
        if word in ("np", "math", "sympy") and self.text.startswith(".", self.pos):
            self.pos += 1
        elif len(word) < 4 and word.isupper() and self.text.startswith(r"\$", self.pos):
            pass  # US\$
        elif lower in ("and", "or") and self.tokens:
            self.emit("sep", lower)
        elif (name or word in words.LATTICE_FUNCTIONS) and self.argument_follows():
            self.emit("cmd", "\\" + (name or word))
        elif word in ("sqrt", "pi", "infty") or word in words.BARE_GREEK:
            self.emit("cmd", "\\" + word)
        elif lower in ("infinity", "inf", "oo"):
            self.emit("cmd", "\\infty")
        elif lower == "mod":
            self.emit("cmd", r"\pmod")
        elif lower == "percent":
            self.emit("op", "%")
        elif lower == "base":
            self.emit("text", "base")
        elif self.is_unit_word(word, lower):
            self.emit("text", word, bare=True)
        else:
            for letter in word:
                self.emit("letter", letter)

    def is_unit_word(self, word: str, lower: str) -> bool:
        """Whether a word without a text command may be a unit, a scale after a number, or what the number counts."""
        if (len(word) > 2 and units.is_unit(word)) or lower in units.BARE_PAIRS:
            return True
        last = self.tokens[-1] if self.tokens else None
        return last is not None and (
            (last.kind == "num" and lower in units.SCALE_WORDS) or (last.bare and units.is_counted(lower))
        )

    def command(self) -> None:
        match = _COMMAND.match(self.text, self.pos)
        if match is None:
            raise LexError("a backslash at the end")
        name = match.group()
        self.pos = match.end()
        if name == r"\not" and self.text.startswith("=", self.pos):
            name, self.pos = r"\ne", self.pos + 1
        if weak := _WEAK_RELATION.fullmatch(name):
            name = rf"\{weak[1]}e"
        if (upright := _UPRIGHT_GREEK.fullmatch(name)) and upright[1] in words.GREEK | {"pi"}:
            name = "\\" + upright[1]
        name = _SPELLINGS.get(name, name)
        if name in _SPACING:
            if name.endswith("quad") and self.item_ended() and _NEXT_ITEM.match(self.text, self.pos):
                self.emit("sep", ",")
            self.spaced = True
        elif name in (r"\degree", r"\textdegree"):
            if not self.tokens or self.tokens[-1].value != "^":
                self.emit("op", "^")
            self.emit("cmd", r"\circ")
        elif _TEXT_COMMAND.fullmatch(name):
            self.text_command(name)
        elif name in _SIGNLESS:
            pass
        elif name in _SIGNS:
            self.emit("op", _SIGNS[name])
        elif name == r"\AA":
            self.emit("text", _UNIT_SIGNS[name])
        elif name in _CONJUNCTIONS:
            self.emit("sep", _CONJUNCTIONS[name])
        elif name == "\\\\":
            self.emit("row", name)
        elif name == r"\{":
            self.brackets.append(bool(_SPACED_COMMA.search(self.text, self.pos)))
            self.emit("cmd", name)
        elif name == r"\}":
            if self.brackets:
                self.brackets.pop()
            self.emit("cmd", name)
        elif name in (r"\begin", r"\end"):
            self.environment(name)
        elif name == r"\right":  # `without_layout` leaves it before a dot alone
            self.pos += 1
            self.emit("cmd", r"\right.")
        elif len(name) == 2 and not name[1].isalpha() and name != r"\|":
            raise LexError(f"command {name}")
        else:
            self.emit("cmd", self.spelled(name))

    def spelled(self, name: str) -> str:
        r"""One name for the commands of one family: `\nicefrac` is `\frac`, `\tbinom` `\binom`, `\tg` `\tan`."""
        if name.endswith("frac") and name != r"\genfrac":
            self.pos += 3 * bool(_FRACTION_SIDE.match(self.text, self.pos))
            return r"\frac"
        if name.endswith("binom"):
            return r"\binom"
        if len(name) == 2 and name[1] in "RNZQC":  # the common macros for sets of numbers
            return rf"\mathbb{{{name[1]}}}"
        function = words.function_name(name[1:])
        return "\\" + function if function else name

    def item_ended(self) -> bool:
        return bool(self.tokens) and (self.tokens[-1].kind in ("num", "letter") or self.tokens[-1].value in ")}]")

    def environment(self, name: str) -> None:
        start = self.text.find("{", self.pos)
        end = self.text.find("}", self.pos)
        if start < 0 or end < start or self.text[self.pos : start].strip():
            raise LexError(f"{name} without a name")
        self.emit("cmd", f"{name}{{{self.text[start + 1 : end].rstrip('*')}}}")
        self.pos = end + 1

    def text_command(self, name: str) -> None:
        start = self.pos
        while start < len(self.text) and self.text[start].isspace():
            start += 1
        if start >= len(self.text):
            return
        if self.text[start] != "{":  # \mathbf x, \rm cm: the command applies to what follows
            self.spaced = True
            if name == r"\mathbb":
                self.emit("cmd", rf"\mathbb{{{self.text[start]}}}")
                self.pos = start + 1
            return
        end = group_end(self.text, start)
        if end < 0:
            raise LexError(f"{name} without its closing brace")
        content = self.text[start + 1 : end]
        self.pos = end + 1
        self.text_content(name, content)

    def argument_follows(self) -> bool:
        """Whether `sec` or `min` ahead of this point is a function; with nothing to apply it to, it is a unit."""
        rest = self.text[self.pos :].lstrip(" ~")
        return bool(rest) and (rest[0].isalnum() or rest[0] in "(\\{^_")

    def text_content(self, name: str, content: str) -> None:
        plain = re.sub(r"[~\s]+|\\[, ]", " ", content).strip(" $")
        if self.item_ended():
            plain = _UNIT_SIGN.sub(lambda sign: _UNIT_SIGNS[sign[1]], plain)
        lower = plain.lower().rstrip(".")
        base = _BASE_TEXT.match(plain)
        function = words.function_name(plain)
        if not plain:
            self.spaced = True
        elif (function or plain in words.LATTICE_FUNCTIONS) and self.argument_follows():
            self.emit("cmd", "\\" + (function or plain))
        elif lower in ("mod", "modulo"):
            self.emit("cmd", r"\pmod")
        elif (percent := _PERCENT.fullmatch(plain)) and self.tokens:
            self.emit("op", "%")
            self.text_content(name, percent[1])
        elif name == r"\mathbb":
            self.emit("cmd", rf"\mathbb{{{plain}}}")
        elif _SEPARATOR.match(plain):
            if "," in plain and not plain.strip(",") and self.tokens and self.tokens[-1].kind == "num":
                following = re.match(r"\d{3}(?!\d)", self.text[self.pos :])
                if following:  # 1\text{,}000
                    self.tokens[-1] = Token("num", self.tokens[-1].value + following.group(), self.tokens[-1].spaced)
                    self.pos += 3
                    return
            self.emit("sep", plain.strip(" ,;").lower() or ",")
        elif base:
            self.emit("text", "base")
            if base[1]:
                self.emit("num", str(units.NUMBER_WORDS.get(base[1].lower(), base[1])))
        elif lower in units.NUMBER_WORDS and not self.tokens:
            self.emit("num", str(units.NUMBER_WORDS[lower]))
        elif len(plain) == 1 and plain.isalpha() and name not in _UPRIGHT_WORDS:
            self.emit("letter", plain)
        elif _PHRASE.fullmatch(plain) or (self.item_ended() and (_UNIT.fullmatch(plain) or _REMARK.fullmatch(plain))):
            self.emit("text", plain)
        else:  # numbers and formulas in a text command
            inner = _Lexer(_ANSWER_PREFIX.sub("", content).strip(), self.depth + 1)
            inner.spaced = self.spaced
            self.tokens.extend(inner.run())
            self.spaced = False
