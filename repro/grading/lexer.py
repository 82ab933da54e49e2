r"""LaTeX answer -> tokens. Linear in the length of the answer.

Does: thousands separators, e-notation, `\text{...}` by its content (number, word, unit, "and"), Unicode, spacing.
Does not: decide whether a letter is a variable or a unit; that depends on what it is compared with.
"""

import re
import unicodedata
from dataclasses import dataclass

from repro.grading import vocabulary as words

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
_EXPONENT = re.compile(r"(?:[eE]|\\(?:mathrm|text|textrm|mathtt)\{[eE]\})([+-]?\d+)(?![\w.])")
_BRACED_SIGN = re.compile(r"(?<=[0-9A-Za-z)])\{([:=])\}")  # braces that only take the space away: 10{:}30
_FRACTION_PART = re.compile(r"\.\d+")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")
_SEPARATOR = re.compile(r"^[\s,;]*(?:and|or|,|;)?[\s,;]*$", re.IGNORECASE)
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|.)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_HALF_DAY = re.compile(r"([ap])\.?\s?m\b\.?", re.IGNORECASE)
_PHRASE = re.compile(r"[A-Za-z][A-Za-z .,'()-]*")
_REMARK = re.compile(r"\([A-Za-z .,'-]{2,}\)")
_UNIT = re.compile(r"[A-Za-z][A-Za-z .()/^*·{}-]*[0-9]?\}?")
_SPACED_COMMA = re.compile(r"[,;](?:\s|\\[ ,;])|\{,\}|;")
_BASE_TEXT = re.compile(r"^\(?(?:in\s+)?base[\s-]*(\w*)\)?$", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)")  # 2 x 10^5
_ANSWER_IS = r"\s*(?:the\s+)?(?:final\s+)?answer(?:\s+is\b|\s*[:=])\s*:?\s*"
_ANSWER_PREFIX = re.compile(rf"^(?:\\text\s*\{{{_ANSWER_IS}\}}|{_ANSWER_IS})", re.IGNORECASE)

_TEXT_COMMANDS = words.split_set(
    r"\text \textbf \textit \textrm \textsf \texttt \textnormal \textup \mbox \hbox \mathrm \rm \mathsf \mathtt "
    r"\mathbf \boldsymbol \bm \mathit \mathnormal \operatorname \emph \underline \mathbb \mathcal \mathscr \fbox"
)
_IGNORED = words.split_set(
    r"\left \right \bigl \bigr \Bigl \Bigr \big \Big \bigg \Bigg \biggl \biggr \displaystyle \textstyle \limits "
    r"\boxed \nolimits \quad \qquad \! \, \; \: \( \) \[ \] \> \nonumber \hfill \mathopen \mathclose \bf "
    r"\em \it \rm \unit"
)
_WITH_ARGUMENT = frozenset((r"\color", r"\textcolor", r"\hspace", r"\vspace", r"\tag", r"\label", r"\hphantom"))
_SPACING = frozenset((r"\,", r"\;", r"\:", r"\>", r"\ ", r"\quad", r"\qquad", r"\!", r"\(", r"\)", r"\[", r"\]"))


def translate(text: str) -> str:
    """Unicode signs as LaTeX, every decimal digit as ASCII, invisible marks dropped."""
    if text.isascii():
        return text
    out: list[str] = []
    for char in text:
        if char.isascii():
            out.append(char)
        elif char in words.UNICODE:
            out.append(words.UNICODE[char])
        elif char in words.SUPERSCRIPTS:
            out.append("^{" + words.SUPERSCRIPTS[char] + "}")
        elif char in words.SUBSCRIPTS:
            out.append("_{" + words.SUBSCRIPTS[char] + "}")
        elif unicodedata.category(char) == "Nd":
            out.append(str(unicodedata.digit(char)))
        elif unicodedata.category(char) in ("Cf", "Cc", "Zs"):
            out.append(" ")
        else:
            out.append(char)
    return "".join(out).replace("}^{", "").replace("}_{", "")


def group_end(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`, -1 if there is none."""
    depth = 0
    index = start
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


def tokenize(text: str) -> list[Token]:
    """Tokens of an answer. Raises LexError on characters with no meaning in one."""
    plain = _BRACED_SIGN.sub(r"\1", _TIMES.sub(r" \\times ", _ANSWER_PREFIX.sub("", translate(text))))
    return _Lexer(plain.strip().rstrip(".$ ")).run()


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
            elif char.isdigit() or (char == "." and self.text[self.pos + 1 : self.pos + 2].isdigit()):
                self.number()
            elif char == "\\":
                self.command()
            elif char.isalpha() and char.isascii():
                self.word()
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
        repeating = _REPEATING.match(text, pos)
        if repeating:
            self.emit("num", f"{repeating[1] or 0}.{repeating[2]}({repeating[3]})")
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
            digits += "e" + exponent[1]
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
        if word in ("np", "math", "sympy") and self.text.startswith(".", self.pos):
            self.pos += 1
        elif lower in ("and", "or") and self.tokens:
            self.emit("sep", lower)
        elif (
            ((word in words.FUNCTIONS or word in words.LATTICE_FUNCTIONS) and self.argument_follows())
            or word in ("sqrt", "pi", "infty")
            or word in words.BARE_GREEK
        ):
            self.emit("cmd", "\\" + word)
        elif lower in ("infinity", "inf", "oo"):
            self.emit("cmd", "\\infty")
        elif lower == "base":
            self.emit("text", "base")
        elif len(word) > 1 and lower in words.UNIT_WORDS:
            self.emit("text", word, bare=True)
        else:
            for letter in word:
                self.emit("letter", letter)

    def command(self) -> None:
        match = _COMMAND.match(self.text, self.pos)
        if match is None:
            raise LexError("a backslash at the end")
        name = match.group()
        self.pos = match.end()
        if name in _TEXT_COMMANDS:
            self.text_command(name)
        elif name in _IGNORED or name == r"\ ":
            if name in (r"\left", r"\right") and self.text.startswith(".", self.pos):
                self.pos += 1
            if name in (r"\left", r"\right") and self.text.startswith("|", self.pos):
                self.emit("cmd", r"\lvert" if name == r"\left" else r"\rvert")
                self.pos += 1
            self.spaced = self.spaced or name in _SPACING
        elif name in (r"\$", r"\pounds", r"\euro", r"\S", r"\phantom"):
            pass
        elif name == "\\\\":
            self.emit("row", name)
        elif name in (r"\dfrac", r"\tfrac", r"\cfrac"):
            self.emit("cmd", r"\frac")
        elif name == r"\{" or name == r"\lbrace":
            self.brackets.append(bool(_SPACED_COMMA.search(self.text, self.pos)))
            self.emit("cmd", r"\{")
        elif name == r"\}" or name == r"\rbrace":
            if self.brackets:
                self.brackets.pop()
            self.emit("cmd", r"\}")
        elif name == r"\%":
            self.emit("op", "%")
        elif name in _WITH_ARGUMENT:
            self.skip_argument()
        elif name in (r"\begin", r"\end"):
            self.environment(name)
        elif name in (r"\land", r"\wedge"):
            self.emit("sep", "and")
        elif name in (r"\lor", r"\vee"):
            self.emit("sep", "or")
        elif len(name) == 2 and not name[1].isalpha() and name != r"\|":
            raise LexError(f"command {name}")
        else:
            self.emit("cmd", name)

    def skip_argument(self) -> None:
        """Colours, spaces and labels: the command and its first argument say nothing."""
        end = group_end(self.text, self.pos) if self.text.startswith("{", self.pos) else -1
        if end < 0:
            raise LexError("a layout command without its argument")
        self.pos = end + 1
        self.spaced = True

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

    def after_value(self) -> bool:
        return bool(self.tokens) and (self.tokens[-1].kind in ("num", "letter") or self.tokens[-1].value in ("}", ")"))

    def text_content(self, name: str, content: str) -> None:
        plain = re.sub(r"[~\s]+", " ", content.replace(r"\,", " ").replace(r"\ ", " ")).strip(" $")
        lower = plain.lower().rstrip(".")
        base = _BASE_TEXT.match(plain)
        if not plain:
            self.spaced = True
        elif (plain in words.FUNCTIONS or plain in words.LATTICE_FUNCTIONS) and self.argument_follows():
            self.emit("cmd", "\\" + plain)
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
                self.emit("num", str(words.NUMBER_WORDS.get(base[1].lower(), base[1])))
        elif lower in words.NUMBER_WORDS and not self.tokens:
            self.emit("num", str(words.NUMBER_WORDS[lower]))
        elif len(plain) == 1 and plain.isalpha() and name not in (r"\text", r"\mbox", r"\mathrm", r"\textrm"):
            self.emit("letter", plain)
        elif _PHRASE.fullmatch(plain) or (self.after_value() and (_UNIT.fullmatch(plain) or _REMARK.fullmatch(plain))):
            self.emit("text", plain)
        else:  # numbers and formulas in a text command
            inner = _Lexer(_ANSWER_PREFIX.sub("", content).strip(), self.depth + 1)
            inner.spaced = self.spaced
            self.tokens.extend(inner.run())
            self.spaced = False
