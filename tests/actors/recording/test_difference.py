"""Values are compared as the same values however they are written, and where they part is found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.recording.canonical import same, text
from actors.recording.difference import first_leaf, named_in
from actors.recording.failures import error_of, failure_of
from core.errors import IllegalTransition
from exchanges import errors
from schema.store import StoreUnavailable

numbers = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | numbers.map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(number=numbers, zeros=st.integers(min_value=0, max_value=6))
def test_a_number_is_the_same_with_zeros_behind_it(number: Decimal, zeros: int) -> None:
    padded = number.quantize(Decimal(1).scaleb(-8 - zeros))
    assert same(text({"price": number}), text({"price": padded}))
    assert same(text(number.normalize()), text(padded))
    assert not same(text(number), text(padded + Decimal("0.00000001")))


@given(one=values, other=values)
def test_two_values_part_at_a_leaf_exactly_when_they_are_not_the_same(one: Any, other: Any) -> None:
    left, right = msgspec.json.encode(one), msgspec.json.encode(other)
    leaf = first_leaf(left, right)
    assert same(left, right) == (leaf.recorded == leaf.replayed)


def test_the_run_and_slot_of_a_difference_are_those_around_it() -> None:
    row = {"run_id": "a", "slot": "12:00", "status": "ok"}
    recorded = {"ticks": [row, row | {"run_id": "b"}]}
    replayed = {"ticks": [row, row | {"run_id": "b", "status": "blocked"}]}
    leaf = first_leaf(msgspec.json.encode(recorded), msgspec.json.encode(replayed))
    assert (leaf.where, leaf.recorded, leaf.replayed) == ("ticks[1].status", "ok", "blocked")
    assert (named_in(leaf.around, "run_id"), named_in(leaf.around, "slot")) == ("b", "12:00")


@pytest.mark.parametrize(
    ("error", "outside"),
    [
        (errors.NotPlaced(errors.ErrorKind.CONNECTION, "away"), True),
        (errors.NoPrice("no candle"), True),
        (errors.RateLimited("slower", retry_after_s=2.0), True),
        (errors.ClockSkew("late", resynced=True), True),
        (errors.Rejected(errors.Refusal.MIN_NOTIONAL, "too small"), True),
        (errors.AuthFailed("key"), True),
        (errors.OutcomeUnknown(errors.ErrorKind.TIMEOUT, "nobody knows"), True),
        (StoreUnavailable("away"), True),
        (TimeoutError(), True),
        (errors.Withheld("permission_outdated"), True),
        (IllegalTransition("archived"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_comes_back_as_whoever_caught_it_would_treat_it(error: Exception, outside: bool) -> None:
    failure = failure_of(error)
    assert failure.refusal is not outside
    if outside:
        again = error_of(msgspec.json.decode(msgspec.json.encode(failure), type=type(failure)))
        assert type(again) is type(error)
        looked_at = ("kind", "counts", "refusal", "retry_after_s", "resynced")
        assert [getattr(again, name, None) for name in looked_at] == [
            getattr(error, name, None) for name in looked_at
        ]


def test_an_error_of_a_foreign_class_keeps_its_name() -> None:
    assert text(error_of(failure_of(KeyError("x")))) == text(KeyError("x"))
