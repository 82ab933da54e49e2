r"""Tokens of an answer -> syntax tree.

Does: what final answers are made of (numbers, formulas, tuples, intervals, sets, lists, matrices, equations, relations,
bases, percents, units after a value). Does not: sums, integrals, limits, set builders; those raise `ParseError` and
go to the general engine.
"""

from typing import NamedTuple

from repro.grading import units
from repro.grading import vocabulary as words
from repro.grading.lexer import Token, tokenize
from repro.grading.nodes import Node, num, symbols
from repro.grading.operands import DECORATIONS, MAX_DEPTH, Operands, WordsMatter, in_base, reals_but_zero
from repro.grading.tables import END, ParseError

_UNIT_JOINTS = ("/", "*", r"\cdot")


class Parsed(NamedTuple):
    """tree: the answer. units: trailing texts that were dropped. decimal: a number in it has a decimal point or an
    exponent of ten."""

    tree: Node
    units: tuple[str, ...]
    decimal: bool


def parse_answer(text: str) -> Parsed:
    """Tree of an answer. Raises LexError or ParseError, both ValueErrors."""
    return Parser(tokenize(text)).parse()


class Parser(Operands):
    """Lists, relations and arithmetic; single operands are in `Operands`."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.pos = 0
        self.depth = 0
        self.bars = 0
        self.such_that = 0
        self.units: list[str] = []
        self.decimal = False

    # --- token access ---

    def peek(self, ahead: int = 0) -> Token:
        index = self.pos + ahead
        return self.tokens[index] if index < len(self.tokens) else END

    def next(self) -> Token:
        token = self.peek()
        self.pos += 1
        return token

    def at(self, *values: str) -> bool:
        token = self.peek()
        return token.value in values and token.kind in ("op", "cmd", "sep", "row", "cell")

    def expect(self, value: str) -> None:
        if not self.at(value):
            raise ParseError(f"want {value!r}, found {self.peek().value!r}")
        self.pos += 1

    # --- lists and relations ---

    def parse(self) -> Parsed:
        tree = self.listing(stop=())
        if self.peek() is not END:
            raise ParseError(f"left over: {self.peek().value!r}")
        return Parsed(tree, tuple(self.units), self.decimal)

    def listing(self, stop: tuple[str, ...]) -> Node:
        """Items between separators; one item stands for itself. The value of a list is "and", "or" or "," ."""
        items = [self.relation()]
        joined = ","
        while self.peek().kind == "sep":
            while self.peek().kind == "sep":  # ", and"
                separator = self.next().value
                joined = separator if separator in ("and", "or") else joined
            if self.peek() is END or self.at(*stop):
                break
            items.append(self.relation())
        node = items[0] if len(items) == 1 else Node("list", tuple(items), joined)
        if self.at(r"\over", r"\choose"):  # of TeX: all before it over all behind it, in this group
            kind = "div" if self.next().value == r"\over" else "binom"
            return Node(kind, (node, self.listing(stop)))
        return node

    def relation(self) -> Node:
        members, signs = [], []
        if self.at("=", r"\approx", r"\simeq"):  # "= 5"
            self.pos += 1
        members.append(self.set_sum())
        while self.peek().value in words.RELATIONS and self.peek().kind in ("op", "cmd"):
            signs.append(words.RELATIONS[self.next().value])
            members.append(self.set_sum())
        bracketed = self.at("(") and self.peek(1).value == r"\pmod"
        if bracketed or self.at(r"\pmod"):  # a remainder and its modulus
            self.pos += 1 + bracketed
            members[-1] = Node("ratio", (members[-1], self.power()), "mod")
            if bracketed:
                self.expect(")")
        return members[0] if not signs else Node("rel", tuple(members), tuple(signs))

    def set_sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError("nested too deeply")
        left = self.ratio()
        kinds = {r"\cup": "union", r"\cap": "inter", r"\setminus": "diff", r"\backslash": "diff"}
        while self.peek().kind == "cmd" and self.peek().value in kinds:
            left = Node(kinds[self.next().value], (left, self.ratio()))
        self.depth -= 1
        return left

    def ratio(self) -> Node:
        parts = [self.sum()]
        while self.at(":") and not self.such_that:
            self.pos += 1
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    # --- arithmetic ---

    def sum(self) -> Node:
        left = self.signed_product()
        while self.at("+", "-", r"\pm", r"\mp"):
            sign = self.next().value
            right = self.product()
            if sign == "+":
                left = Node("add", (left, right))
            elif sign == "-" and right.kind == "set":  # \mathbb{R} - \{0\}
                left = Node("diff", (left, right))
            elif sign == "-":
                left = Node("add", (left, Node("neg", (right,))))
            else:
                left = Node("pm" if sign == r"\pm" else "mp", (left, right))
        return left

    def signed_product(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError("nested too deeply")
        if self.at("+"):
            self.pos += 1
            node = self.signed_product()
        elif self.at("-"):
            self.pos += 1
            node = Node("neg", (self.signed_product(),))
        elif self.at(r"\pm", r"\mp"):
            kind = "pm" if self.next().value == r"\pm" else "mp"
            node = Node(kind, (self.signed_product(),))
        else:
            node = self.product()
        self.depth -= 1
        return node

    def product(self) -> Node:
        left = self.signed_product() if self.at("-", "+") else self.power()
        while True:
            if self.at("*", r"\cdot", r"\times", "/", r"\div"):
                divide = self.next().value in ("/", r"\div")
                if (counted := self.counted(left)) is not None:
                    left = counted
                    continue
                right = self.signed_product_factor()
                left = Node("div" if divide else "mul", (left, right))
            elif (counted := self.counted(left)) is not None:
                left = counted
            elif self.at("%"):
                self.pos += 1
                left = Node("pct", (left,))
            elif self.starts_factor() or (self.peek().kind == "text" and len(self.peek().value) == 1):
                left = self.implicit(left)
            else:
                return left

    def signed_product_factor(self) -> Node:
        if self.at("-", "+"):
            negative = self.next().value == "-"
            node = self.signed_product_factor()
            return Node("neg", (node,)) if negative else node
        return self.power()

    def implicit(self, left: Node) -> Node:
        """`left` times what follows it, or a mixed number."""
        fraction_follows = self.at(r"\frac")
        spaced = self.peek().spaced
        follows_number = self.peek().kind == "num"
        right = self.power()
        if left.kind == "num" and left.value.denominator == 1 and left.value >= 0:
            if follows_number and spaced and self.at("/") and self.peek(1).kind == "num":  # 1 3/5
                self.pos += 1
                right = Node("div", (right, self.power()))
                fraction_follows = True
            if fraction_follows and _is_proper_fraction(right):
                return Node("add", (left, right), "mixed")
        if follows_number and (left.kind == "num" or left.value == "mixed"):
            raise ParseError("two numbers side by side")
        return Node("mul", (left, right))

    def counted(self, left: Node) -> Node | None:
        """`left` with the text after it taken in: times a million, or dropped as a unit; None if no such text follows.

        Raises WordsMatter if the text changes what the answer says.
        """
        token = self.peek()
        if token.value in (r"\mu", r"\frac"):
            return left if self.skip_composed_unit() else None
        if token.kind != "text" or token.value == "base" or self.peek(1).value == "_":
            return None
        if len(token.value) == 1 and token.value.isascii():  # a unit after a number, else a symbol
            follows = self.peek(1)
            product = follows.kind in ("letter", "num") or (
                follows.kind == "text" and len(follows.value) == 1 and follows.value not in units.UNIT_LETTERS
            )
            if token.value not in units.UNIT_LETTERS or symbols(left) or product:
                return None
        factor, rest = units.split_scale(token.value)
        if token.bare and factor == 1:
            end = self.bare_unit_end()
            self.units.extend(part.value for part in self.tokens[self.pos : end])
            skipped, self.pos = end > self.pos, end
            return left if skipped else None
        if rest and not units.says_what(rest, one=left == num(1)):
            raise WordsMatter(f"text {token.value!r} is part of the answer")
        self.pos += 1
        self.units.append(rest)
        if self.at("^"):
            self.pos += 1
            self.script()
        if self.starts_factor() and not self.peek().bare:
            raise WordsMatter(f"text {token.value!r} stands between two values")
        return left if factor == 1 else Node("mul", (left, num(factor)))

    def skip_composed_unit(self) -> bool:
        r"""Drop `\mu\text{m}` and `\frac{\text{kg}}{\text{m}^3}`."""
        if self.peek().value == r"\mu":
            skipped = 2 if self.peek(1).kind == "text" else 0
        else:
            top = self.unit_group_end(1)
            skipped = top and self.unit_group_end(top)
        self.pos += skipped
        return bool(skipped)

    def unit_group_end(self, ahead: int) -> int:
        """Where the group that starts `ahead` ends if it holds unit texts and their exponents alone, else 0."""
        depth, texts = 0, 0
        while self.pos + ahead < len(self.tokens):
            token = self.peek(ahead)
            depth += (token.value == "{") - (token.value == "}")
            texts += token.kind == "text" and units.says_what(token.value)
            if not (token.kind in ("text", "num") or token.value in ("{", "}", "^", "-", *_UNIT_JOINTS)):
                return 0
            ahead += 1
            if depth == 0:
                return ahead if texts else 0
        return 0

    def bare_unit_end(self) -> int:
        """Where the unit ahead ends, written without a text command; here if it is none.

        Such a unit stands apart and ends its item: `5 km/h, 6 km/h`, but `5mg` is 5·m·g.
        """
        token = self.peek()
        index = self.pos + 1
        if not token.spaced and len(token.value) < 3:
            return self.pos
        while index < len(self.tokens) and (
            self.tokens[index].value in ("^", "{", "}", "2", "3", "-", *_UNIT_JOINTS)
            or self.tokens[index].bare
            or (self.tokens[index - 1].value in _UNIT_JOINTS and self.tokens[index].value in units.UNIT_LETTERS)
        ):
            index += 1
        return index if index == len(self.tokens) or self.tokens[index].kind == "sep" else self.pos

    def starts_factor(self) -> bool:
        token = self.peek()
        if token.kind in ("num", "letter") or (token.kind == "text" and token.bare):
            return True
        if token.kind == "op":
            if (token.value == "(" and self.peek(1).value == r"\pmod") or self.closes_interval():
                return False
            return token.value in "({[" or (token.value == "|" and not self.bars)
        return token.kind == "cmd" and (
            token.value in (r"\frac", r"\sqrt", r"\binom", r"\infty", r"\{", r"\lfloor", r"\lceil", r"\lvert", r"\pi")
            or token.value
            in (r"\log", r"\langle", r"\emptyset", r"\varnothing", r"\vert", r"\ldots", r"\imath", r"\root")
            or token.value in DECORATIONS
            or token.value[1:] in words.FUNCTIONS
            or token.value[1:] in words.LATTICE_FUNCTIONS
            or token.value[1:] in words.GREEK
            or token.value.startswith((r"\begin{", r"\mathbb{"))
        )

    def power(self) -> Node:
        base = self.postfix(self.primary())
        if not self.at("^"):
            return base
        self.pos += 1
        braced = self.at("{")
        sign = self.peek(braced)
        if (not braced or self.peek(2).value == "}") and (
            sign.value == r"\circ" or (sign.value == "o" and sign.kind in ("letter", "text") and base.kind == "num")
        ):
            self.pos += 3 if braced else 1
            return self.after_degree(base)
        signed = sign.value in ("*", "+", "-", r"\times") and (not braced or self.peek(2).value == "}")
        if signed and base.value == r"\mathbb{R}":
            self.pos += 3 if braced else 1
            return reals_but_zero(sign.value)
        if self.at("*") or self.at(r"\ast"):
            raise ParseError("a star as exponent")
        exponent = self.script()
        if exponent.kind == "sym" and exponent.value in (r"\prime", "T", r"\top"):
            return self.postfix(self.primed(base))
        result = Node("pow", (base, exponent))
        return self.postfix(result) if self.at("!") else result

    def after_degree(self, base: Node) -> Node:
        """Degrees with the minutes and seconds that follow, or of a temperature."""
        for size, marks in ((60, 1), (3600, 2)):
            if self.peek().kind == "num" and all(self.peek(ahead).value == "'" for ahead in range(1, marks + 1)):
                part = Node("div", (self.primary(), num(size)))
                self.pos += marks
                base = Node("add", (base, part))
        if self.peek().kind == "text" and self.peek().value in ("C", "F", "K"):
            self.units.append(self.next().value)
        return Node("deg", (base,))

    def script(self) -> Node:
        r"""What stands after ^: a group, or a signed number, letter or command; 2^10 means two to the ten."""
        if self.at("{"):
            return self.group()
        if self.at("-", "+"):
            negative = self.next().value == "-"
            node = self.script()
            return Node("neg", (node,)) if negative else node
        node = self.postfix(self.primary())
        if self.at("^"):  # 2^2^3, python's 2**2**3
            self.pos += 1
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise ParseError("nested too deeply")
            node = Node("pow", (node, self.script()))
            self.depth -= 1
        return node

    def postfix(self, node: Node) -> Node:
        while True:
            if self.at("!"):
                self.pos += 1
                if self.at("!"):
                    raise ParseError("a double factorial")
                node = Node("fact", (node,))
            elif self.at("'"):
                self.pos += 1
                node = self.primed(node)
            elif self.at("_"):
                self.pos += 1
                node = self.subscripted(node)
            elif self.peek().kind == "text" and self.peek().value == "base" and self.peek(1).kind in ("num", "letter"):
                self.pos += 1
                node = in_base(node, self.next().value)
            else:
                return node

    def primed(self, node: Node) -> Node:
        if node.kind not in ("sym", "apply"):
            raise ParseError("a prime on something that is not a symbol")
        return Node(node.kind, node.args, f"{node.value}'")

    def subscripted(self, node: Node) -> Node:
        start = self.pos
        if self.at("{"):
            depth = 0
            while self.peek() is not END:
                value = self.next().value
                depth += (value == "{") - (value == "}")
                if depth == 0:
                    break
        else:
            self.pos += 1
        name = "".join(
            token.value for token in self.tokens[start : self.pos] if token.value not in ("{", "}", "(", ")", "base")
        )
        if node.kind == "sym":
            return Node("sym", (), f"{node.value}_{name.replace(' ', '')}")
        return in_base(node, name)


def _is_proper_fraction(node: Node) -> bool:
    """A fraction of literal whole numbers below one, as in a mixed number."""
    return (
        node.kind == "div"
        and all(part.kind == "num" and part.value.denominator == 1 for part in node.args)
        and 0 < node.args[0].value < node.args[1].value
    )
