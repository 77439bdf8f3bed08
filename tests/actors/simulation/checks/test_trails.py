"""Trailing stops: what the check accepts, and each way to break it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from actors.simulation.checks.trails import TrailCheck
from core.position import FLAT, Fill, OrderSide, apply_fill
from tests.actors.simulation.checks.parts import Bench, order

AT = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("side", "later", "reopened", "broken"),
    [
        (OrderSide.BUY, "101", False, []),
        (OrderSide.BUY, "100", False, []),
        (OrderSide.BUY, "99", False, ["protection"]),
        (OrderSide.BUY, None, False, ["protection"]),
        (OrderSide.SELL, "99", False, []),
        (OrderSide.SELL, "101", False, ["protection"]),
        (OrderSide.BUY, "99", True, []),
    ],
)
def test_a_stop_that_loosens_is_named(
    side: OrderSide, later: str | None, reopened: bool, broken: list[str]
) -> None:
    bench = Bench()
    check = TrailCheck(bench.findings)
    for hours, best in ((0, "100"), (1 if reopened else 0, later)):
        fill = Fill(
            trade_id="t",
            side=side,
            quantity=Decimal(1),
            price=Decimal(100),
            commission=Decimal(0),
            executed_at=AT + timedelta(hours=hours),
        )
        held = apply_fill(FLAT, fill).position
        check.held(order().run_id, held, None if best is None else Decimal(best))
    assert bench.broken == broken
