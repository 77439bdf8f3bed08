"""Places of an account's orders: entries never take the last ones, and whatever closes goes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.ids import ClientOrderId
from core.order import Leg, Order
from core.order_queue import PLACES, RESERVED, OrderQueue, closes
from tests.strategies import order

E, X, F, R = Leg.ENTRY, Leg.EXIT, Leg.FLATTEN, Leg.REPAIR


def named(leg: Leg, number: int) -> Order:
    return replace(order(leg=leg), client_order_id=ClientOrderId(f"{leg.value}-{number}"))


@pytest.mark.parametrize(
    ("held", "leg", "admitted"),
    [
        ([], E, True),
        ([E, E], E, True),
        ([E, E, E], E, False),
        ([E, E, E], X, True),
        ([E, E, E, X], F, True),
        ([E, E, E, X, R], X, False),
        ([X, X, F], E, True),
        ([X, X, F, R], E, True),
        ([X, X, F, R, E], E, False),
        ([X, X, F, R, X], X, False),
    ],
)
def test_entries_leave_the_reserved_places_free(held: list[Leg], leg: Leg, admitted: bool) -> None:
    queue = OrderQueue(places=5, reserved=2)
    for number, each in enumerate(held):
        assert queue.admit(named(each, number))
    assert queue.admit(named(leg, 99)) is admitted
    assert len(queue) == len(held) + admitted


def test_a_place_is_kept_until_it_is_left_and_left_once() -> None:
    queue = OrderQueue(places=1, reserved=0)
    first = named(E, 1)
    assert queue.admit(first)
    with pytest.raises(ValueError, match="has its place"):
        queue.admit(first)
    queue.leave(first.client_order_id)
    queue.leave(first.client_order_id)
    assert queue.admit(named(E, 2))
    assert not queue.admit(named(E, 3))


def test_more_cannot_be_reserved_than_there_is() -> None:
    assert 0 < RESERVED < PLACES
    with pytest.raises(ValueError, match="reserved"):
        OrderQueue(places=2, reserved=3)


steps = st.lists(
    st.tuples(st.sampled_from(["admit", "leave"]), st.sampled_from([E, X, F, R]), st.integers(0, 9)),
    max_size=80,
)


@given(steps, st.integers(0, 6), st.integers(0, 6))
def test_laws_of_the_queue(steps: list[tuple[str, Leg, int]], entries: int, reserved: int) -> None:
    """A closing order is refused only where all places are held, at least the reserved ones by others that close;
    nothing is lost."""
    queue = OrderQueue(places=entries + reserved, reserved=reserved)
    held: list[Order] = []
    for number, (step, leg, count) in enumerate(steps):
        if step == "admit":
            asked = named(leg, number)
            if queue.admit(asked):
                held.append(asked)
            elif closes(asked):
                assert len(held) == entries + reserved
                assert sum(map(closes, held)) >= reserved
            else:
                opening = sum(not closes(each) for each in held)
                assert opening == entries or len(held) == entries + reserved
        elif held:
            queue.leave(held.pop(count % len(held)).client_order_id)
        assert sum(not closes(each) for each in held) <= entries
        assert list(queue) == held
