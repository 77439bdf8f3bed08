"""Where venues differ in what they promise, all of it; whatever is not named here is the same for all."""

from __future__ import annotations

import msgspec

from core.order import OrderStatus
from exchanges.errors import Refusal


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """`idle_end`: how a resting reduce-only order ends once there is nothing to reduce.
    `refusals`: what this venue calls some refusals the suite names otherwise.
    `acknowledges`: an order is only acknowledged at first, and listed a little later.
    `order_path`, `stop_path`: where orders and stops are sent; `leverage_path`, `balance_path`.
    `clock_paths`: where the venue's time is read.
    """

    idle_end: OrderStatus = OrderStatus.EXPIRED
    refusals: dict[Refusal, Refusal] = {}
    acknowledges: bool = False
    order_path: str = ""
    stop_path: str = ""
    leverage_path: str = ""
    balance_path: str = ""
    clock_paths: frozenset[str] = frozenset()


PAPER = Traits()
BINANCE = Traits(
    order_path="/fapi/v1/order",
    stop_path="/fapi/v1/algoOrder",
    leverage_path="/fapi/v1/leverage",
    balance_path="/fapi/v3/balance",
    clock_paths=frozenset({"/fapi/v1/time"}),
)
BYBIT = Traits(
    idle_end=OrderStatus.CANCELED,
    refusals={Refusal.TICK_SIZE: Refusal.PRICE},
    acknowledges=True,
    order_path="/v5/order/create",
    stop_path="/v5/position/trading-stop",
    leverage_path="/v5/position/set-leverage",
    balance_path="/v5/account/wallet-balance",
    clock_paths=frozenset({"/v5/market/time"}),
)
