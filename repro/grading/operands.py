"""Single operands of an answer: literals, letters, brackets, functions, matrices. Base class of `parser.Parser`."""

from fractions import Fraction

from repro.grading import units
from repro.grading import vocabulary as words
from repro.grading.lexer import Token
from repro.grading.nodes import Node, num
from repro.grading.tables import END, ParseError, Tables

MAX_DEPTH = 100  # of brackets and signs; two levels per nested fraction
MAX_EXPONENT_OF_TEN = 10_000
DECORATIONS = frozenset((r"\vec", r"\hat", r"\bar", r"\overline", r"\dot", r"\ddot", r"\tilde", r"\overrightarrow"))
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_FUNCTION_LETTERS = frozenset("fghFGHPQ")  # name a function when an argument in parentheses follows
_CONSTANTS = {r"\pi": "pi", r"\infty": "inf", r"\imath": "i"}


class WordsMatter(ParseError):
    """The answer joins a value and words that change it ("not 5", "5 or more"): it can only be compared as text."""


def parse_number(text: str) -> Fraction:
    """Exact value of a decimal literal, with `e` exponent or a repeating part in parentheses."""
    if "(" in text:
        head, repeated = text[:-1].split("(")
        whole, fraction = head.split(".")
        return Fraction(int(whole + fraction), 10 ** len(fraction)) + Fraction(
            int(repeated), 10 ** len(fraction) * (10 ** len(repeated) - 1)
        )
    mantissa, _, exponent = text.partition("e")
    if len(exponent) > 8 or abs(int(exponent or 0)) > MAX_EXPONENT_OF_TEN:
        raise ParseError("an exponent of ten beyond any answer")
    return Fraction(mantissa) * Fraction(10) ** int(exponent or 0)


def set_builder(element: Node, condition: Node) -> Node:
    r"""The condition of `\{x \mid condition\}` where the element is a bare symbol, real unless it says otherwise."""
    if element.kind == "rel" and element.value == ("in",) and element.args[1].value == r"\mathbb{R}":
        element = element.args[0]
    parts = condition.args if condition.kind == "list" else (condition,)
    if element.kind != "sym" or not all(part.kind == "rel" and element in part.args for part in parts):
        raise ParseError("a set builder that is not a condition on one symbol")
    return condition


def in_base(node: Node, name: str) -> Node:
    """The digits of `node` read in the base called `name`."""
    base = units.NUMBER_WORDS.get(name.lower(), name)
    if node.kind != "num" or node.value.denominator != 1 or not str(base).isdecimal() or not 2 <= int(base) <= 36:
        raise ParseError(f"subscript {name!r} on something that is not a whole number")
    return Node("base", (), (str(node.value), int(base)))


def reals_but_zero(sign: str) -> Node:
    r"""The reals without zero, or those of one sign: \mathbb{R}^*, \mathbb{R}^+."""
    zero, infinity = num(0), Node("const", (), "inf")
    if sign == "+":
        return Node("tuple", (zero, infinity), "()")
    if sign == "-":
        return Node("tuple", (Node("neg", (infinity,)), zero), "()")
    return Node("diff", (Node("sym", (), r"\mathbb{R}"), Node("set", (zero,))))


class Operands(Tables):
    """Needs the token access and the arithmetic of `Parser`."""

    def primary(self) -> Node:
        token = self.next()
        if token.kind == "num":
            self.decimal = self.decimal or "." in token.value or "e" in token.value
            return Node("num", (), parse_number(token.value))
        if token.kind == "letter":
            return self.letter(token.value)
        if token.kind == "text":
            return self.text(token)
        if token.kind == "op":
            if token.value in "([]":
                return self.bracket(token.value)
            if token.value == "{":
                self.pos -= 1
                return self.group()
            if token.value == "|":
                return self.absolute("|")
        if token.kind == "cmd":
            return self.command(token.value)
        raise ParseError(f"unexpected {token.value!r}")

    def letter(self, name: str) -> Node:
        if name in "ie" and not self.at("_", "'"):
            return Node("const", (), name)
        return self.applied(name)

    def applied(self, name: str) -> Node:
        """A symbol, or an unknown function at an argument: `f(x)`, and `I(0)`, which is not I times zero."""
        while self.at("'"):
            self.pos += 1
            name += "'"
        if self.at("_"):
            self.pos += 1
            name = str(self.subscripted(Node("sym", (), name)).value)
        braced = self.at("{") and self.peek(1).value == "("  # f{\left(x\right)}, as sympy prints it
        if not (braced or self.at("(")):
            return Node("sym", (), name)
        if not (name.rstrip("'") in _FUNCTION_LETTERS or self.call_follows(self.pos + braced)):
            return Node("sym", (), name)
        self.pos += 1 + braced
        inner = self.listing(stop=(")",))
        self.expect(")")
        if braced:
            self.expect("}")
        return Node("apply", inner.args if inner.kind == "list" else (inner,), name)

    def call_follows(self, start: int) -> bool:
        """Whether the parenthesis at `start` holds one literal number or several arguments; n(-1)^n is a product."""
        ahead = [(token.kind, token.value) for token in self.tokens[start + 1 : start + 5]]
        negative = ahead[:1] == [("op", "-")]
        ahead = ahead[1:] if negative else ahead
        if len(ahead) >= 2 and ahead[0][0] == "num" and ahead[1][1] == ")":
            return not (negative and ahead[2:3] == [("op", "^")])
        level = 0
        for token in self.tokens[start:]:
            level += (token.value in ("(", "[", "{")) - (token.value in (")", "]", "}"))
            if level == 0:
                return False
            if level == 1 and token.kind == "sep":
                return True
        return False

    def text(self, token: Token) -> Node:
        if len(token.value) == 1 and token.value.isascii():
            return self.letter(token.value)
        if token.bare and (
            len(self.tokens) > 1 or len(token.value) == 2
        ):  # `mg` at the start of a formula is m times g
            product = self.applied(token.value[0])
            for name in token.value[1:]:
                product = Node("mul", (product, Node("sym", (), name)))
            return product
        if self.starts_factor():
            if set(token.value.lower().replace(".", "").split()) <= units.CURRENCIES:
                return self.primary()
            raise WordsMatter(f"text {token.value!r} before a value")
        return Node("text", (), token.value)

    # --- brackets ---

    def group(self) -> Node:
        """A TeX group {...}: no meaning of its own."""
        self.expect("{")
        node = self.listing(stop=("}",))
        self.expect("}")
        return node

    def bracket(self, opening: str) -> Node:
        """A tuple, an interval (`]2,5[` has two open ends), or a value in brackets."""
        inner = self.listing(stop=(")", "]", "["))
        closing = self.next()
        if closing.kind != "op" or closing.value not in (")", "]", "["):
            raise ParseError("a bracket that is not closed")
        outward = opening == "]" or closing.value == "["
        ends = ("(" if opening == "]" else opening) + (")" if closing.value == "[" else closing.value)
        if inner.kind == "list" and (not outward or len(inner.args) == 2):
            return Node("tuple", inner.args, ends)
        if _CLOSING.get(opening) != closing.value:
            raise ParseError("brackets that do not match")
        return inner

    def closes_interval(self) -> bool:
        """Whether an opening bracket ahead ends an interval: nothing that it could open follows it."""
        after = self.peek(1)
        return self.at("[") and (after is END or after.kind == "sep" or after.value in (r"\cup", r"\cap", r"\setminus"))

    def absolute(self, opening: str) -> Node:
        self.bars += 1
        node = self.sum()
        self.bars -= 1
        self.expect("|" if opening == "|" else r"\rvert")
        return Node("abs", (node,))

    def optional_bracket(self) -> Node | None:
        if not self.at("["):
            return None
        self.pos += 1
        node = self.sum()
        self.expect("]")
        return node

    def token_argument(self) -> Node:
        r"""Argument of \frac and \sqrt: a group, else one digit, letter or command."""
        if self.at("{"):
            return self.group()
        token = self.peek()
        if token.kind == "num" and len(token.value) > 1:
            digit, rest = token.value[0], token.value[1:]
            if not token.value.isdecimal():
                raise ParseError(f"{token.value!r} as an argument without braces")
            self.tokens[self.pos] = Token("num", rest, False)
            return num(int(digit))
        return self.primary()

    # --- commands ---

    def command(self, name: str) -> Node:
        if name in _CONSTANTS:
            return Node("const", (), _CONSTANTS[name])
        if name == r"\frac":
            return Node("div", (self.token_argument(), self.token_argument()))
        if name == r"\sqrt":
            return self.root()
        if name == r"\root":  # of TeX: \root 3 \of 2
            degree = self.sum()
            self.expect(r"\of")
            return Node("pow", (self.token_argument(), Node("div", (num(1), degree))), "root")
        if name == r"\binom":
            return Node("binom", (self.token_argument(), self.token_argument()))
        if name == r"\{":
            return self.braces()
        if name in (r"\lfloor", r"\lceil"):
            node = self.sum()
            self.expect(name.replace("l", "r", 1))
            return Node(name[2:], (node,))
        if name == r"\lvert":
            return self.absolute(name)
        if name in (r"\langle",):
            inner = self.listing(stop=(r"\rangle",))
            self.expect(r"\rangle")
            return Node("tuple", inner.args if inner.kind == "list" else (inner,), "()")
        if name in (r"\emptyset", r"\varnothing"):
            return Node("set")
        if name.startswith(r"\mathbb{"):
            return Node("sym", (), name)
        if name.startswith(r"\begin{"):
            return self.matrix(name[7:-1])
        return self.named(name)

    def named(self, name: str) -> Node:
        if name == r"\log":
            return self.logarithm()
        if name[1:] in words.FUNCTIONS:
            return self.function("log10" if name == r"\lg" else name[1:])
        if name[1:] in words.LATTICE_FUNCTIONS:
            closing = r"\}" if self.at(r"\{") else ")"
            self.expect(r"\{" if self.at(r"\{") else "(")
            inner = self.listing(stop=(closing,))
            self.expect(closing)
            return Node("lattice", inner.args if inner.kind == "list" else (inner,), name[1:])
        if name in DECORATIONS:
            inner = self.token_argument()
            if inner.kind == "num" and name == r"\overline":  # digits written as digits
                return inner
            if inner.kind == "sym" or inner.kind == "mul":
                return self.applied(f"{name}{{{_flat_name(inner)}}}")
        if name in (r"\angle", r"\triangle"):
            return Node("sym", (), name + _flat_name(self.power()))
        if name == r"\ldots":
            return Node("sym", (), name)
        if name[1:] in words.GREEK:
            return self.applied(name)
        raise ParseError(f"command {name}")

    def root(self) -> Node:
        degree = self.optional_bracket()
        if self.at("("):  # sqrt(2)
            self.pos += 1
            radicand = self.bracket("(")
        else:
            radicand = self.token_argument()
        return Node("pow", (radicand, Node("div", (num(1), degree or num(2)))), "root")

    def logarithm(self) -> Node:
        base = None
        if self.at("_"):
            self.pos += 1
            base = self.group() if self.at("{") else self.token_argument()
        node = self.function("ln")
        return Node("div", (node, Node("call", (base,), "ln"))) if base else node

    def function(self, name: str) -> Node:
        exponent = None
        if self.at("^"):
            self.pos += 1
            exponent = self.script()
        if exponent == Node("neg", (num(1),)) and name in words.INVERSE:
            name, exponent = words.INVERSE[name], None
        argument = self.function_argument()
        if name == "cis":
            turned = Node("mul", (Node("const", (), "i"), Node("call", (argument,), "sin")))
            node = Node("add", (Node("call", (argument,), "cos"), turned))
        else:
            node = Node("call", (argument,), name)
        return Node("pow", (node, exponent)) if exponent else node

    def function_argument(self) -> Node:
        r"""A bracketed argument, else the factors up to the next sign, function or unit: \sin 2x \cos y."""
        if self.at("("):
            self.pos += 1
            return self.bracket("(")
        if self.at("{"):
            return self.group()
        negative = self.at("-")
        if negative:
            self.pos += 1
        node = self.power()
        while self.starts_factor() and not (self.peek().kind == "cmd" and self.peek().value[1:] in words.FUNCTIONS):
            if self.at("(", "[", r"\lvert", "|") or self.at(r"\log"):
                break
            node = self.implicit(node)
        return Node("neg", (node,)) if negative else node

    def braces(self) -> Node:
        if self.at(r"\}"):
            self.pos += 1
            return Node("set")
        if self.at(r"\begin{array}") and self.tokens[-1].value == r"\right.":  # a brace on the left alone: cases
            self.pos += 1
            node = self.cases("array")
            self.expect(r"\right.")
            return node
        self.bars += 1  # a bar or colon after an operand is "such that"
        self.such_that += 1
        inner = self.listing(stop=(r"\}", "|", r"\mid", ":"))
        self.bars -= 1
        self.such_that -= 1
        if self.at(r"\right."):
            self.pos += 1
            return inner
        if self.at("|", r"\mid", ":"):  # {x | condition}: what the condition says of x
            self.pos += 1
            condition = self.listing(stop=(r"\}",))
            self.expect(r"\}")
            return set_builder(inner, condition)
        self.expect(r"\}")
        return Node("set", inner.args if inner.kind == "list" else (inner,))


def _flat_name(node: Node) -> str:
    """Letters of a product of symbols, as in a line segment AB."""
    if node.kind == "sym":
        return str(node.value)
    if node.kind == "const":
        return str(node.value)
    if node.kind == "mul":
        return "".join(_flat_name(part) for part in node.args)
    raise ParseError("a decorated formula")
