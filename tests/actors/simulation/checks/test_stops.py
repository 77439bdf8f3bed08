"""Processes told to stop: what the check accepts, and each way to break it."""

from __future__ import annotations

import pytest

from actors.simulation.checks.stops import StopCheck
from core.order import OrderStatus
from tests.actors.simulation.checks.parts import Bench, order


@pytest.mark.parametrize(
    ("process", "waited_s", "broken"), [("p1", 10, []), ("p1", 10.1, ["I16"]), ("p2", 99, [])]
)
def test_i16_a_claim_of_a_process_told_to_stop_is_named(
    process: str, waited_s: float, broken: list[str]
) -> None:
    bench = Bench()
    check = StopCheck(bench.findings, bench.clock, bench.orders())
    check.told("p1")
    bench.wait(waited_s)
    check.claimed(process)
    assert bench.broken == broken


@pytest.mark.parametrize(
    ("status", "process", "broken"),
    [
        (OrderStatus.INTENT, "p1", ["I16"]),
        (OrderStatus.INTENT, "p2", []),
        (OrderStatus.UNKNOWN, "p1", []),
        (OrderStatus.FILLED, "p1", []),
    ],
)
def test_i16_an_order_sent_and_not_recorded_at_the_end_is_named(
    status: OrderStatus, process: str, broken: list[str]
) -> None:
    bench = Bench()
    orders = bench.orders()
    check = StopCheck(bench.findings, bench.clock, orders)
    orders.committed(order())
    orders.permitted("p1", order().client_order_id)
    orders.sending(order(), "p1")
    orders.stored(order(status=status))
    check.stopped(process)
    assert bench.broken == broken
