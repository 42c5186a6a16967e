"""The value codec: what goes in comes out, and nothing malformed does more than raise."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil.checkers.sandbox.inside import wire

_HASHABLE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(st.characters()),  # lone surrogates included
        st.binary(),
        st.complex_numbers(allow_nan=False),
        st.fractions(),
        st.decimals(allow_nan=False),
        st.dates(),
        st.timedeltas(),
    ),
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)),
    max_leaves=5,
)
_VALUES = st.recursive(
    _HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(_HASHABLE, inner, max_size=4),
        st.sets(_HASHABLE, max_size=4),
        st.lists(inner, max_size=4).map(deque),
    ),
    max_leaves=12,
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from([*wire._UNPACKERS, "x"]),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=20,
)
_RAISES = (ValueError, TypeError, IndexError, KeyError, RecursionError, ArithmeticError)


def across(value: Any) -> Any:
    return wire.unpack(wire.loads(wire.dumps(wire.pack(value))))


def same(a: Any, b: Any) -> bool:
    """Compare values and types, through containers."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, list | tuple | deque):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    return True


@given(_VALUES)
def test_round_trip(value: Any) -> None:
    assert same(across(value), value)


@pytest.mark.slow
@settings(max_examples=100_000)
@given(_VALUES)
def test_round_trip_long(value: Any) -> None:
    assert same(across(value), value)


@given(_JSON)
def test_anything_sent_unpacks_or_raises_what_the_judge_catches(packed: Any) -> None:
    with contextlib.suppress(*_RAISES):
        wire.unpack(packed)


@pytest.mark.slow
@settings(max_examples=100_000)
@given(_JSON)
def test_anything_sent_unpacks_or_raises_long(packed: Any) -> None:
    with contextlib.suppress(*_RAISES):
        wire.unpack(packed)


@given(st.binary(max_size=200))
def test_garbage_bytes_raise_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        wire.loads(data)


def test_special_floats() -> None:
    assert math.isnan(across(float("nan")))
    assert across([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert math.copysign(1.0, across(-0.0)) == -1.0


def test_special_types() -> None:
    for value in (
        range(3, 9, 2),
        Counter("aab"),
        OrderedDict(a=1, b=2),
        deque([1, 2], maxlen=2),
        Fraction(-1, 3),
        Decimal("1e400"),
        bytearray(b"x"),
        date(2024, 2, 29),
        datetime(2024, 1, 1, 12, 30, 0, 5),
        time(1, 2),
        timedelta(-1, 5),
        ...,
        -(10**5000),
        "\ud800\0é",
    ):
        got = across(value)
        assert type(got) is type(value)
        assert got == value
    assert across(deque([1], maxlen=7)).maxlen == 7
    counts: defaultdict[str, int] = defaultdict(int, a=1)
    assert across(counts) == counts
    assert type(across(counts)) is defaultdict


def test_iterators_are_sent_as_what_they_yield() -> None:
    for value in ((x for x in (1, 2)), map(int, "12"), iter([1, 2]), filter(None, [1, 0, 2])):
        assert list(across(value)) == [1, 2]
    assert across({1: 2}.keys()) == {1}
    assert list(across({1: 2}.values())) == [2]
    assert across({1: 2}.items()) == {(1, 2)}


def test_honest_subclasses_travel_as_what_they_equal() -> None:
    Point = namedtuple("Point", "x y")

    class Colour(IntEnum):
        RED = 1

    assert across(Point(1, 2)) == (1, 2)
    assert type(across(Colour.RED)) is int


def test_hostile_subclasses_are_opaque() -> None:
    class Yes(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    class Plain:
        pass

    for value in (Yes(1), Plain(), Plain, len, lambda: 1, [object()], {1: {2: Yes()}}, object):
        with pytest.raises(wire.OpaqueError):
            wire.pack(value)


def test_depth_is_bounded() -> None:
    deep: list[Any] = []
    for _ in range(wire.MAX_DEPTH + 10):
        deep = [deep]
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for value in (deep, cyclic):
        with pytest.raises(wire.OpaqueError):
            wire.pack(value)


def test_an_endless_iterator_is_opaque() -> None:
    with pytest.raises(wire.OpaqueError):
        wire.pack(iter(x for x in itertools.count()))


def test_decimal_digits_are_bounded() -> None:
    with pytest.raises(ValueError, match="digits"):
        wire.loads(b"9" * 5000)
    with pytest.raises(RecursionError):
        wire.loads(b"[" * 100_000)


@given(st.lists(st.lists(st.integers())), st.lists(st.lists(st.integers())))
def test_assign_changes_in_place(old: list[list[int]], new: list[list[int]]) -> None:
    alias = old
    inner = list(old)
    wire.assign(old, json.loads(json.dumps(new)))
    assert alias is old
    assert old == new
    if len(inner) == len(new):
        assert all(a is b for a, b in zip(old, inner, strict=True))


def test_assign_keeps_inner_identities() -> None:
    inner = [2, 1]
    table = {"a": inner, "gone": 1}
    wire.assign(table, {"a": [1, 2], "new": 3})
    assert table == {"a": [1, 2], "new": 3}
    assert table["a"] is inner
    count = Counter("aab")
    wire.assign(count, Counter("b"))
    assert count == Counter("b")


def test_frames() -> None:
    r, w = os.pipe()
    wire.write_frame(w, b"ab", b"c")
    wire.write_frame(w, b"")
    assert wire.read_frame(r) == b"abc"
    assert wire.read_frame(r) == b""
    os.write(w, (10**9).to_bytes(4, "little"))
    with pytest.raises(wire.FrameError, match="at most"):
        wire.read_frame(r, most=1000)
    os.write(w, (5).to_bytes(4, "little") + b"ab")
    os.close(w)
    with pytest.raises(wire.FrameError, match="closed"):
        wire.read_frame(r)
    os.close(r)
    r, w = os.pipe()
    with pytest.raises(TimeoutError):
        wire.read_frame(r, deadline=0.0)
    os.close(r)
    os.close(w)
