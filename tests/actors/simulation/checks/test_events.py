"""Events: numbered without a gap, one with each change, none for what was told before."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from actors.simulation.checks.events import EventCheck
from core.ids import RunId, UserId
from core.order import Acknowledged, OrderStatus
from schema.ops import ObserveOrder, OrderMoved
from schema.records import Event
from tests.actors.simulation.checks.parts import OTHER, RUN, SLOT, USER, Bench, order


def event(number: int, seq: int, run_id: RunId | None = RUN, user_id: UserId = USER) -> Event:
    payload = {"client_order_id": "a1"}
    return Event(
        id=number, user_id=user_id, run_id=run_id, seq=seq, type="order_update", at=SLOT, payload=payload
    )


def test_runs_and_users_are_each_counted_by_themselves() -> None:
    bench = Bench()
    check = EventCheck(bench.findings)
    check.appended([event(1, 1), event(2, 2), event(3, 1, OTHER), event(4, 1, None), event(5, 3)])
    assert bench.broken == []


@pytest.mark.parametrize(
    "events",
    [
        [event(1, 2)],
        [event(1, 1), event(2, 3)],
        [event(1, 1), event(2, 1)],
        [event(2, 1), event(1, 2)],
    ],
    ids=["first missing", "hole", "twice", "out of order"],
)
def test_i11_a_gap_is_named(events: list[Event]) -> None:
    bench = Bench()
    EventCheck(bench.findings).appended(events)
    assert bench.broken == ["I11"]


def test_i11_a_change_without_its_event_is_named() -> None:
    bench = Bench()
    check = EventCheck(bench.findings)
    check.changed("order_update", "a1", [event(1, 1)])
    assert bench.broken == []
    check.changed("order_fill", "a1", [event(1, 1)])
    check.changed("order_update", "a2", [event(1, 1)])
    assert bench.broken == ["I11", "I11"]


@pytest.mark.parametrize(("changed", "count", "broken"), [(True, 1, []), (False, 0, []), (False, 1, ["I17"])])
def test_i17_news_told_again_leaves_no_event(changed: bool, count: int, broken: list[str]) -> None:
    bench = Bench()
    moved = replace(order(), status=OrderStatus.SUBMITTED)
    op = ObserveOrder(client_order_id=moved.client_order_id, event=Acknowledged("v"))
    events = [event(number + 1, number + 1) for number in range(count)]
    EventCheck(bench.findings).settled([op], [OrderMoved(order=moved, changed=changed)], events)
    assert bench.broken == broken
