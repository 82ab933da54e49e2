"""Whether two parsed answers say the same: lists, tuples, intervals, equations, bases, percents, and single values.

Every function returns True, False, or None where this layer cannot tell and the general engine has to.
"""

from repro.grading import realsets
from repro.grading.equality import ratio_of_differences, same_value
from repro.grading.evaluate import is_whole_constant
from repro.grading.nodes import Node, TooManySigns, adds_unlike, as_matrix, contains, expand_signs, num, symbols, walk
from repro.grading.parser import Parsed
from repro.grading.realsets import NotARealSet

MAX_ITEMS = 60  # of a list; comparing is quadratic
_REAL_SET_KINDS = ("union", "inter", "diff")
_INEQUALITIES = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COLLECTIONS = ("list", "set", "tuple")


def same_answer(gold: Parsed, other: Parsed) -> bool | None:
    """Whether `other` answers what `gold` does, by the conventions for lists, tuples, units and percents."""
    try:
        return _Comparison(tolerant=gold.decimal).same(gold.tree, other.tree)
    except TooManySigns:
        return None


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


class _Comparison:
    def __init__(self, tolerant: bool):
        self.tolerant = tolerant

    def same(self, gold: Node, other: Node) -> bool | None:
        """Dispatch on the two shapes."""
        if gold == other:
            return True
        if any(_is_membership(node) for node in (gold, other)):
            return self.without_membership(gold, other)
        if self.describes_real_set(gold) or self.describes_real_set(other):
            verdict = self.real_sets(gold, other)
            if verdict is not None:
                return verdict
        if gold.kind == "rel" or other.kind == "rel":
            return self.relations(gold, other)
        if gold.kind == "cases" or other.kind == "cases":
            return self.cases(gold.args, other.args) if gold.kind == other.kind else False
        if any(node.kind in ("list", "set", "pm", "mp") or self.has_signs(node) for node in (gold, other)):
            return self.collections(gold, other)
        if gold.kind == "tuple" or other.kind == "tuple":
            return self.tuples(gold, other)
        if gold.kind in _REAL_SET_KINDS or other.kind in _REAL_SET_KINDS:
            return self.unions(gold, other)
        if gold.kind == "case" or other.kind == "case":
            return gold.kind == other.kind and self.in_order(gold.args, other.args)
        return self.single(gold, other)

    def has_signs(self, node: Node) -> bool:
        return node.kind not in (*_COLLECTIONS, "rel") and contains(node, "pm", "mp")

    # --- single values ---

    def single(self, gold: Node, other: Node) -> bool | None:
        kinds = {gold.kind, other.kind}
        if "matrix" in kinds or contains(gold, "matrix") or contains(other, "matrix"):
            return self.matrices(gold, other)
        if "base" in kinds:
            return _same_base(gold, other)
        if "text" in kinds:
            return gold.kind == other.kind and str(gold.value).casefold() == str(other.value).casefold()
        if "ratio" in kinds:
            return self.ratios(gold, other)
        if (gold.kind == "pct") != (other.kind == "pct"):
            return self.percent(gold, other)
        if (gold.kind == "deg") != (other.kind == "deg"):
            return self.degrees(gold, other)
        return same_value(gold, other, tolerant=self.tolerant)

    def percent(self, gold: Node, other: Node) -> bool | None:
        """`10%` is 0.1. Where the gold is a percent or a whole number, it is 10 with the sign dropped, too."""
        exact = same_value(gold, other, tolerant=self.tolerant)
        if gold.kind != "pct" and not is_whole_constant(gold):
            return exact
        gold, other = (node.args[0] if node.kind == "pct" else node for node in (gold, other))
        dropped = same_value(gold, other, tolerant=self.tolerant)
        if exact or dropped:
            return True
        return None if None in (exact, dropped) else False

    def degrees(self, gold: Node, other: Node) -> bool | None:
        """`90^\\circ` is 90 with the sign dropped, and π/2."""
        dropped = same_value(gold, other, tolerant=self.tolerant)
        gold, other = (
            Node("div", (Node("mul", (node.args[0], Node("const", (), "pi"))), num(180)))
            if node.kind == "deg"
            else node
            for node in (gold, other)
        )
        return True if dropped else same_value(gold, other, tolerant=self.tolerant)

    def ratios(self, gold: Node, other: Node) -> bool | None:
        if gold.kind == other.kind and gold.value == other.value == "mod":
            return self.remainders(gold.args, other.args)
        if gold.kind == other.kind:
            return gold.value == other.value and self.in_order(gold.args, other.args)
        ratio, plain = (gold, other) if gold.kind == "ratio" else (other, gold)
        if len(ratio.args) != 2 or ratio.value == "mod":
            return False
        quotient = Node("div", ratio.args)
        return self.single(quotient, plain) if ratio is gold else self.single(plain, quotient)

    def remainders(self, gold: tuple[Node, ...], other: tuple[Node, ...]) -> bool | None:
        """Equal moduli, and remainders that differ by a multiple of it."""
        same_modulus = self.same(gold[1], other[1])
        multiple = Node("div", (Node("add", (gold[0], Node("neg", (other[0],)))), gold[1]))
        return same_modulus and (self.same(gold[0], other[0]) or is_whole_constant(multiple))

    def matrices(self, gold: Node, other: Node) -> bool | None:
        left, right = as_matrix(gold), as_matrix(other)
        if left is None or right is None:
            algebra = all(matrix or contains(node, "matrix") for matrix, node in ((left, gold), (right, other)))
            return None if algebra and not any(map(adds_unlike, (gold, other))) else False
        if left.value != right.value:
            return False
        return self.in_order(left.args, right.args)

    # --- collections ---

    def in_order(self, gold: tuple[Node, ...], other: tuple[Node, ...]) -> bool | None:
        if len(gold) != len(other):
            return False
        verdict: bool | None = True
        for left, right in zip(gold, other, strict=True):
            verdict = _both(verdict, self.same(left, right))
            if verdict is False:
                return False
        return verdict

    def tuples(self, gold: Node, other: Node) -> bool | None:
        if gold.kind == other.kind:
            if len(gold.args) == 2 and gold.value != other.value:
                return False
            return self.in_order(gold.args, other.args)
        tuple_node, rest = (gold, other) if gold.kind == "tuple" else (other, gold)
        matrix = as_matrix(rest)
        if matrix is None:
            return None if contains(rest, "matrix") else False
        if tuple_node.value != "()" or matrix.value not in (1, len(matrix.args)):
            return False
        return self.in_order(gold.args if tuple_node is gold else matrix.args,
                             matrix.args if tuple_node is gold else other.args)  # fmt: skip

    def collections(self, gold: Node, other: Node) -> bool | None:
        """Lists and sets: unordered and complete. A tuple keeps its order, against a list the order it is read in."""
        if gold.kind == "tuple" and not contains(gold, "pm", "mp"):
            return self.in_order(gold.args, other.args) if other.kind == "list" and gold.value == "()" else False
        if other.kind == "tuple" and not contains(other, "pm", "mp"):
            return self.unordered(_items(gold), other.args) if gold.kind == "list" and other.value != "(]" else False
        left, right = _items(gold), _items(other)
        if len(left) != len(right) and "set" in (gold.kind, other.kind) and max(len(left), len(right)) <= MAX_ITEMS:
            left, right = self.distinct(left), self.distinct(right)
        names = [_assigned_name(item) for item in left]
        if None not in names and len(set(names)) == len(names) > 1 and not any(map(_assigned_name, right)):
            return self.in_order(left, right)  # x = 5, y = 3 answered by 5, 3
        return self.unordered(left, right)

    def distinct(self, items: tuple[Node, ...]) -> tuple[Node, ...]:
        kept: list[Node] = []
        for item in items:
            if not any(self.same(known, item) for known in kept):
                kept.append(item)
        return tuple(kept)

    def unordered(self, gold: tuple[Node, ...], other: tuple[Node, ...]) -> bool | None:
        if len(gold) != len(other) or len(gold) > MAX_ITEMS:
            return False
        remaining = list(other)
        unknown = False
        for item in gold:
            for candidate in remaining:
                verdict = self.same(item, candidate)
                unknown = unknown or verdict is None
                if verdict:
                    remaining.remove(candidate)
                    break
            else:
                return None if unknown else False
        return True

    def cases(self, gold: tuple[Node, ...], other: tuple[Node, ...]) -> bool | None:
        """Values under the same conditions, in any order; "otherwise" is what the other conditions leave."""
        try:
            (name, left), (other_name, right) = map(realsets.by_condition, (gold, other))
        except NotARealSet:
            return self.unordered(gold, other)
        if name != other_name or len(left) != len(right):
            return False
        verdict: bool | None = True
        for value, pieces in left:
            found = [answer for answer, where in right if realsets.same_set(pieces, where, tolerant=self.tolerant)]
            verdict = _both(verdict, self.same(value, found[0]) if len(found) == 1 else False)
        return verdict

    # --- sets of reals ---

    def describes_real_set(self, node: Node) -> bool:
        if node.kind in _REAL_SET_KINDS or node == realsets.REALS:
            return True
        if node.kind == "rel" and node.value == ("in",) and node.args[1] == realsets.REALS:
            return node.args[0].kind == "sym"
        parts = node.args if node.kind == "list" else (node,)
        return bool(parts) and all(
            part.kind == "rel" and all(sign in _INEQUALITIES or sign == "!=" for sign in part.value) for part in parts
        )

    def real_sets(self, gold: Node, other: Node) -> bool | None:
        try:
            left, right = realsets.from_node(gold), realsets.from_node(other)
        except NotARealSet:
            return None
        named = realsets.variable(gold), realsets.variable(other)
        if None not in named and named[0] != named[1]:
            return False
        return realsets.same_set(left, right, tolerant=self.tolerant)

    def unions(self, gold: Node, other: Node) -> bool | None:
        """Unions of anything else, part by part in any order."""
        if gold.kind != other.kind:
            return False
        if gold.kind == "diff":
            return self.in_order(gold.args, other.args)
        return self.unordered(_parts(gold, gold.kind), _parts(other, gold.kind))

    def without_membership(self, gold: Node, other: Node) -> bool | None:
        """`x \\in S` is S, but not a member of another variable's set."""
        if _is_membership(gold) and _is_membership(other) and gold.args[0] != other.args[0]:
            return False
        left = gold.args[1] if _is_membership(gold) else gold
        right = other.args[1] if _is_membership(other) else other
        return self.same(left, right)

    # --- equations and inequalities ---

    def relations(self, gold: Node, other: Node) -> bool | None:
        if gold.kind in ("list", "set") or other.kind in ("list", "set"):
            names = [name for name in map(_collection_name, (gold, other)) if name]
            if len(names) == 2 and names[0] != names[1]:
                return False
            return self.collections(*(_assignment_list(node) for node in (gold, other)))
        if gold.kind != "rel":
            return self.value_of_chain(gold, other)
        if other.kind != "rel":
            return self.same(gold.args[-1], other) if _is_assignment(gold) or _is_congruence(gold) else False
        if any(contains(node, "pm", "mp") for node in (gold, other)):
            return self.unordered(tuple(expand_signs(gold)), tuple(expand_signs(other)))
        if _is_assignment(gold) and _is_assignment(other) and gold.args[0] == other.args[0]:
            return self.same(gold.args[-1], other.args[-1])
        return self.equations(gold, other)

    def value_of_chain(self, gold: Node, chain: Node) -> bool | None:
        """`name = v` against a value: the chain's members must all be the gold's value, save a leading name."""
        if not (set(chain.value) <= {"=", "~"} or _is_congruence(chain)):
            return False
        members = chain.args
        if _is_name(members[0]):
            if members[0].kind == "add" and self.same(gold, num(0)):
                return False  # `x + y = 0` is a curve, not the value 0
            members = members[1:]
        if len(members) == 1 and contains(members[0], "pm", "mp"):
            return self.same(gold, members[0])
        exact = [self.same(gold, member) for member in members]
        if "~" not in chain.value:
            return False if False in exact else (None if None in exact else True)
        if True not in exact:
            return None if None in exact else False
        return all(_roughly_equal(gold, member) for member in members)

    def equations(self, gold: Node, other: Node) -> bool | None:
        """Equal up to a non-zero factor; inequalities up to a positive one."""
        if len(gold.args) != len(other.args):
            return False
        pairs = [(node.args[0], node.args[1]) for node in (gold, other)]
        if len(gold.args) > 2:
            if gold.value == other.value:
                return self.in_order(gold.args, other.args)
            mirrored = tuple(_INEQUALITIES.get(sign, sign) for sign in reversed(other.value))
            return self.in_order(gold.args, tuple(reversed(other.args))) if gold.value == mirrored else False
        sign, other_sign = gold.value[0], other.value[0]
        if sign in ("=", "!=") and sign == other_sign:
            factor = ratio_of_differences(*pairs, tolerant=self.tolerant)
            return self.member_by_member(gold, other) if factor is None else factor != 0
        if sign in _INEQUALITIES and other_sign in (sign, _INEQUALITIES[sign]):
            factor = ratio_of_differences(*pairs, tolerant=self.tolerant)
            if factor is None:
                return None
            return factor == (1 if sign == other_sign else -1)
        return self.member_by_member(gold, other) if sign == other_sign else False

    def member_by_member(self, gold: Node, other: Node) -> bool | None:
        """Relations between things without a value: (x, y) = (1, 2)."""
        if _assigned_name(gold) and _assigned_name(other) and gold.args[0] != other.args[0]:
            return False
        return self.in_order(gold.args, other.args)


def _roughly_equal(gold: Node, other: Node) -> bool:
    """Within a percent: what an approximation sign may join."""
    low, high = Node("mul", (gold, num(99))), Node("mul", (gold, num(101)))
    hundred = Node("mul", (other, num(100)))
    try:
        pieces = [realsets.end_point(node).key() for node in (low, hundred, high)]
    except NotARealSet:
        return bool(same_value(gold, other))
    return min(pieces[0], pieces[2]) <= pieces[1] <= max(pieces[0], pieces[2])


def _same_base(gold: Node, other: Node) -> bool:
    """A number in another base is another answer; base ten may go without saying."""
    digits = []
    for node in (gold, other):
        if node.kind == "base":
            digits.append(node.value)
        elif node.kind == "num" and node.value.denominator == 1:
            digits.append((str(node.value), 10))
        else:
            return False
    return digits[0] == digits[1]


def _items(node: Node) -> tuple[Node, ...]:
    """Members of a list or set with every plus-minus written out; a single value is a list of one."""
    members = node.args if node.kind in ("list", "set") else (node,)
    return tuple(variant for member in members for variant in expand_signs(member))


def _parts(node: Node, kind: str) -> tuple[Node, ...]:
    if node.kind != kind:
        return (node,)
    return _parts(node.args[0], kind) + _parts(node.args[1], kind)


def _is_membership(node: Node) -> bool:
    return node.kind == "rel" and node.value == ("in",) and not str(node.args[1].value).startswith("\\mathbb")


def _is_congruence(node: Node) -> bool:
    """`x \\equiv 3 \\pmod 7`: a name and its remainder."""
    return node.value == ("==",) and node.args[0].kind == "sym" and node.args[1].value == "mod"


def _is_name(node: Node) -> bool:
    """Whether a left-hand side only names a quantity: x, f(2), AB, |z|, m + n, x^2 + y^2; not 2x + 3."""
    if node.kind in ("sym", "apply", "text"):
        return True
    if node.kind in ("pow", "call", "abs", "deg"):
        return _is_name(node.args[0])
    if node.kind in ("add", "mul", "div", "neg", "tuple", "ratio"):
        return all(_is_name(arg) for arg in node.args)
    return node.kind == "const" and node.value in ("e", "i")


def _is_assignment(node: Node) -> bool:
    """A name and its value: the value does not mention the name, nor is the name a formula set to zero."""
    if node.kind != "rel" or set(node.value) != {"="} or not _is_name(node.args[0]):
        return False
    name, value = node.args[0], node.args[-1]
    named = {str(name.value)} if name.kind == "apply" else symbols(name)
    if name.kind == "add" or named & symbols(value):
        return False
    return not any(part.kind in ("text", "rel") for part in walk(value))


def _assigned_name(node: Node) -> Node | None:
    return node.args[0] if _is_assignment(node) else None


def _collection_name(node: Node) -> Node | None:
    """The name in `x = 2, 3` and `x = \\{2, 3\\}`, None for anything else."""
    first = node.args[0] if node.kind == "list" else node
    return None if _assignment_list(node) == node else first.args[0]


def _assignment_list(node: Node) -> Node:
    """`x = 2, 3` and `x = \\{2, 3\\}` read as the values 2 and 3; other nodes unchanged."""
    if node.kind == "rel" and node.args[-1].kind == "set" and _is_assignment(node):
        return node.args[-1]
    if node.kind != "list" or not _is_assignment(node.args[0]) or any(item.kind == "rel" for item in node.args[1:]):
        return node
    return Node("list", (node.args[0].args[-1], *node.args[1:]), node.value)
