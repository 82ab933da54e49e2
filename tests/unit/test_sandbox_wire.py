"""Values leave the sandbox as plain data of exactly their own type, or not at all."""

import enum
import json
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.sandbox.runner import Unplain, encode
from repro.sandbox.wire import Malformed, decode_frame, decode_value

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.fractions()
)  # fmt: skip
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
PLAIN = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4) | st.sets(HASHABLE, max_size=4) | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
    max_leaves=12,
)


def carried(value):
    return decode_value(json.loads(encode(value)))


def same(left, right):
    """Equal and of the same types all the way down; order counts in lists and tuples alone."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left == right and all(same(left[key], right[key]) for key in left)
    return left == right


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_a_plain_value_arrives_equal_and_of_its_own_type(value):
    assert same(carried(value), value)


def test_special_floats_and_large_integers_arrive():
    assert math.isnan(carried(math.nan))
    assert carried([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert math.copysign(1, carried(-0.0)) == -1
    assert carried(7**20000) == 7**20000
    assert carried("\ud800\x00é") == "\ud800\x00é"


class Liar(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __format__(self, spec):
        return "6"

    def __index__(self):
        return 6


class LyingList(list):
    def __iter__(self):
        return iter([6])

    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Liar(3), 3),
        (LyingList([1, 2]), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, {"a": 1}), {"a": 1}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (namedtuple("Pair", "x y")(1, 2), (1, 2)),
        (enum.IntEnum("Colour", "RED").RED, 1),
        (type("Text", (str,), {"__str__": lambda self: "lie", "__eq__": lambda self, other: True})("x"), "x"),
    ],
)
def test_a_subclass_arrives_as_its_base_type_whatever_its_methods_say(value, plain):
    assert same(carried(value), plain)


@pytest.mark.parametrize("value", [object(), range(3), iter([]), len, type, {}.keys(), [object()], bytearray(b"x")])
def test_what_is_not_plain_data_is_refused(value):
    with pytest.raises(Unplain):
        encode(value)


def test_a_value_that_contains_itself_is_refused():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(Unplain):
        encode(cycle)


def test_an_object_that_claims_another_class_is_refused():
    with pytest.raises(Unplain):
        encode(type("Mask", (), {"__class__": int})())


@pytest.mark.parametrize(
    "node",
    [
        {}, [], 1, 1.5, ["?"], [1], ["i"], ["i", 5], ["i", "zz"], ["i", "1", "2"], ["f", 1.0], ["f", "x"], ["s", ["l"]],
        ["d", "a"], ["d", ["l"], 1], ["c", "0x1p0"], ["b", "0"], ["l", {}], ["D", "x"], ["F", "1/0"], ["F", 1],
    ],
)  # fmt: skip
def test_a_malformed_node_is_tampering_and_not_a_value(node):
    with pytest.raises(Malformed):
        decode_value(node)


@pytest.mark.parametrize("payload", [b"", b"{}", b'["value"]', b"[1, 2]", b'["a", 1, 2]', b"\xff", b"[" * 100000])
def test_a_frame_that_is_no_pair_of_kind_and_body_is_tampering(payload):
    with pytest.raises(Malformed):
        decode_frame(payload)


def test_deep_nesting_is_tampering_and_not_a_crash():
    node = ["l"]
    for _ in range(5000):
        node = ["l", node]
    with pytest.raises(Malformed):
        decode_value(node)


def test_decimals_and_fractions_arrive_exactly():
    assert same(carried([Decimal("1.10"), Fraction(1, 3)]), [Decimal("1.10"), Fraction(1, 3)])
