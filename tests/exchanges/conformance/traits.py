"""Where venues differ in what they promise, all of it; whatever is not named here is the same for all."""

from __future__ import annotations

import msgspec

from core.order import OrderStatus
from exchanges.errors import Refusal


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """`unfilled_end`: how an order ends that the venue itself takes off, such as a reduce-only one of a flat position
    or the rest of a market order. `refusals`: what this venue calls some refusals the suite names otherwise.
    `order_path`: where orders are sent. `clock_paths`: where the venue's time is read.
    """

    unfilled_end: OrderStatus = OrderStatus.EXPIRED
    refusals: dict[Refusal, Refusal] = {}
    order_path: str = ""
    clock_paths: frozenset[str] = frozenset()


PAPER = Traits()
BINANCE = Traits(order_path="/fapi/v1/order", clock_paths=frozenset({"/fapi/v1/time"}))
BYBIT = Traits(order_path="/v5/order/create", clock_paths=frozenset({"/v5/market/time"}))
