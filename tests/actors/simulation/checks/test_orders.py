"""Orders: what the check accepts, and each way to break it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.simulation.checks.orders import OrderCheck
from core.ids import ClientOrderId
from core.order import Leg, Order, OrderStatus
from core.position import OrderSide
from exchanges.base import OrderReport
from tests.actors.simulation.checks.parts import ACCOUNT, RUN, SLOT, Bench, fill, order

EXIT = order(client_order_id=ClientOrderId("b1"), leg=Leg.EXIT)


def report(sent: Order) -> OrderReport:
    return OrderReport(
        client_order_id=sent.client_order_id,
        venue_order_id="v",
        status=OrderStatus.FILLED,
        filled_quantity=sent.quantity,
        executions=(),
    )


def sent(check: OrderCheck, each: Order, process: str = "p1") -> None:
    check.permitted(process, each.client_order_id)
    check.sending(each, process)


def test_an_entry_and_its_exit_break_nothing() -> None:
    bench = Bench()
    check = bench.orders()
    entry = order()
    check.committed(entry)
    sent(check, entry)
    check.arrived(entry, report(entry))
    check.positions[RUN].fill(fill(OrderSide.BUY, "0.1", "60000"))
    check.stored(replace(entry, status=OrderStatus.FILLED, filled_quantity=entry.quantity))
    check.committed(EXIT)
    sent(check, EXIT)
    assert [each.client_order_id for each in check.sent_by("p1")] == ["a1", "b1"]
    assert check.sent_by("p2") == []
    assert bench.broken == []


def held(check: OrderCheck) -> None:
    check.positions[RUN].fill(fill(OrderSide.BUY, "0.1", "60000"))


def exit_of(check: OrderCheck, **fields: object) -> None:
    held(check)
    check.committed(replace(EXIT, **fields))


def late_entry(bench: Bench, check: OrderCheck) -> None:
    bench.wait(30.001)
    check.committed(order())


def late_exit(bench: Bench, check: OrderCheck) -> None:
    bench.wait(300.001)
    exit_of(check)


def two_live(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.committed(order(client_order_id=ClientOrderId("a2"), attempt=2))


def same_id(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.stored(order(status=OrderStatus.NOT_PLACED))
    check.committed(order())


def under_the_switch(bench: Bench, check: OrderCheck) -> None:
    check.switched(True, None)
    check.committed(order())


def under_the_accounts_switch(bench: Bench, check: OrderCheck) -> None:
    check.switched(True, ACCOUNT)
    check.committed(order())


def sent_after_the_switch(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.switched(True, None)
    bench.wait(1.001)
    sent(check, order())


def entry_while_unknown(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.stored(order(status=OrderStatus.UNKNOWN))
    check.committed(order(client_order_id=ClientOrderId("c1"), slot=SLOT + timedelta(seconds=1)))


def sent_twice(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    sent(check, order())
    sent(check, order(), "p2")


def sent_otherwise(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    sent(check, order(quantity=Decimal("0.2")))


def sent_without_reading(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.sending(order(), "p1")


def sent_on_anothers_reading(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.permitted("p2", order().client_order_id)
    check.sending(order(), "p1")


def sent_on_an_old_reading(bench: Bench, check: OrderCheck) -> None:
    check.committed(order())
    check.permitted("p1", order().client_order_id)
    bench.wait(1.001)
    check.sending(order(), "p1")


def taken_twice(bench: Bench, check: OrderCheck) -> None:
    check.arrived(order(), report(order()))
    check.arrived(order(), report(order()))


def entered_twice(bench: Bench, check: OrderCheck) -> None:
    """The venue had taken the attempt before, which was believed never placed."""
    check.arrived(order(), report(order()))
    again = order(client_order_id=ClientOrderId("a2"), attempt=2)
    check.arrived(again, report(again))


def reverted(bench: Bench, check: OrderCheck) -> None:
    check.stored(order(status=OrderStatus.FILLED))
    check.stored(order(status=OrderStatus.CANCELED))


def never_resolved(bench: Bench, check: OrderCheck) -> None:
    check.stored(order(status=OrderStatus.UNKNOWN))
    bench.wait(75)
    check.overdue(0.0)
    assert bench.broken == []
    bench.wait(0.1)
    check.overdue(0.0)


def overfilled(bench: Bench, check: OrderCheck) -> None:
    check.stored(order(filled_quantity=Decimal("0.101")))


def on_top(bench: Bench, check: OrderCheck) -> None:
    held(check)
    check.committed(order())


@pytest.mark.parametrize(
    ("invariant", "breaking"),
    [
        ("I9", late_entry),
        ("I9", late_exit),
        ("I1", two_live),
        ("I1", same_id),
        ("I8", under_the_switch),
        ("I8", under_the_accounts_switch),
        ("I8", sent_after_the_switch),
        ("I4", entry_while_unknown),
        ("I4", sent_twice),
        ("I2", sent_otherwise),
        ("I8", sent_without_reading),
        ("I8", sent_on_anothers_reading),
        ("I8", sent_on_an_old_reading),
        ("I3", taken_twice),
        ("I4", entered_twice),
        ("I4", reverted),
        ("I4", never_resolved),
        ("I15", overfilled),
        ("I15", on_top),
        ("I2", lambda bench, check: check.committed(order(sign_ts=None))),
        ("I2", lambda bench, check: check.committed(order(fence=0))),
        ("I15", lambda bench, check: check.committed(order(leverage=4))),
        ("I15", lambda bench, check: check.committed(order(quantity=Decimal("0.10001")))),
        ("I15", lambda bench, check: exit_of(check, quantity=Decimal("0.2"))),
        ("I15", lambda bench, check: exit_of(check, reduce_only=False)),
        ("I15", lambda bench, check: exit_of(check, side=OrderSide.BUY)),
    ],
)
def test_i1_i2_i3_i4_i8_i9_i15_each_break_is_named(
    invariant: str, breaking: Callable[[Bench, OrderCheck], None]
) -> None:
    bench = Bench()
    breaking(bench, bench.orders())
    assert bench.broken == [invariant]


def test_i2_what_no_intent_stands_for_is_named_at_every_step() -> None:
    bench = Bench()
    check = bench.orders()
    check.permitted("p1", order().client_order_id)
    assert bench.broken == ["I5"]
    check.sending(order(), "p1")
    assert bench.broken == ["I5", "I2"]


def test_i5_an_intent_under_a_lease_not_held_is_named() -> None:
    bench = Bench()
    bench.orders(holds=False).committed(order())
    assert bench.broken == ["I5"]


def test_i5_leave_to_send_under_a_lease_not_held_is_named() -> None:
    bench = Bench()
    check = bench.orders(holds=False)
    check.stored(order())
    check.permitted("p1", order().client_order_id)
    assert bench.broken == ["I5"]


def test_a_switch_that_is_off_again_is_in_nobodys_way() -> None:
    bench = Bench()
    check = bench.orders()
    check.switched(True, None)
    check.switched(True, ACCOUNT)
    check.switched(False, ACCOUNT)
    check.switched(False, None)
    check.committed(order())
    assert bench.broken == []
