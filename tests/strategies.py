"""Hypothesis strategies for the core's values: amounts as venues quote them, times in one era, fills, orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from core.ids import AccountId, ClientOrderId, OrderKey, RunId, UserId
from core.order import (
    Acknowledged,
    Canceled,
    Executed,
    Expired,
    Leg,
    NotPlaced,
    Order,
    OrderEvent,
    OrderKind,
    OutcomeUnknown,
    Rejected,
)
from core.position import Fill, OrderSide

ERA = datetime(2026, 1, 1, tzinfo=UTC)


def decimals(low: str, high: str, *, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


quantities = decimals("0.001", "50", places=3)
prices = decimals("0.01", "100000", places=2)
commissions = decimals("-5", "5", places=4)
amounts = decimals("-80", "80", places=2)
instants = st.integers(0, 10 * 86_400_000).map(lambda ms: ERA + timedelta(milliseconds=ms))
run_ids = st.uuids().map(RunId)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    return Fill(
        trade_id=str(draw(st.integers(0, 10**9))),
        side=draw(st.sampled_from(OrderSide)),
        quantity=draw(quantities),
        price=draw(prices),
        commission=draw(commissions),
        executed_at=draw(instants),
    )


order_keys = st.builds(
    OrderKey,
    run_id=run_ids,
    slot=st.integers(0, 2**31 - 1).map(lambda second: datetime.fromtimestamp(second, UTC)),
    leg=st.sampled_from(["exit", "entry", "flatten", "repair"]),
    attempt=st.integers(1, 36**2 - 1),
)

order_events: st.SearchStrategy[OrderEvent] = st.one_of(
    st.builds(Acknowledged, st.sampled_from(["v-1", "v-2"])),
    st.builds(Executed, decimals("0.1", "4", places=1), prices),
    st.builds(Canceled, st.just("user")),
    st.builds(Expired, st.just("no volume")),
    st.builds(Rejected, st.just("margin")),
    st.builds(NotPlaced, st.just("busy")),
    st.builds(OutcomeUnknown, st.just("timeout")),
)


def order(*, leg: Leg = Leg.ENTRY, quantity: str = "5") -> Order:
    """An intent of one run, reserved as entries are."""
    return Order(
        client_order_id=ClientOrderId("order-1"),
        run_id=RunId(UUID(int=1)),
        user_id=UserId("ann"),
        account_id=AccountId(UUID(int=2)),
        symbol="BTCUSDT",
        slot=ERA,
        leg=leg,
        attempt=1,
        side=OrderSide.BUY,
        kind=OrderKind.MARKET,
        quantity=Decimal(quantity),
        reference_price=Decimal(100),
        reduce_only=leg is not Leg.ENTRY,
        reserved=leg is Leg.ENTRY,
    )
