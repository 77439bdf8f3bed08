"""Which Binance call there is, what it costs and what it demands."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from exchanges.simulator.binance_call import Call, Handler


class Security(Enum):
    NONE = "none"
    KEY = "key"  # the key's header alone
    SIGNED = "signed"
    TRADE = "trade"  # signed, by a key that may trade


def _flat(weight: int) -> Callable[[Call], int]:
    return lambda call: weight


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`orders`: how many of the account's order budget a call takes; batches by their size."""

    handler: Handler
    security: Security = Security.NONE
    weight: Callable[[Call], int] = _flat(1)
    orders: Callable[[Call], int] = _flat(0)


Routes = dict[tuple[str, str], Route]


def public(handler: Handler, weight: int = 1) -> Route:
    return Route(handler=handler, weight=_flat(weight))


def keyed(handler: Handler, weight: int = 1) -> Route:
    return Route(handler=handler, security=Security.KEY, weight=_flat(weight))


def signed(handler: Handler, weight: int = 1, *, without_symbol: int | None = None) -> Route:
    def cost(call: Call) -> int:
        return weight if without_symbol is None or "symbol" in call.params else without_symbol

    return Route(handler=handler, security=Security.SIGNED, weight=cost)


def trading(handler: Handler, weight: int = 1, *, orders: int = 0) -> Route:
    return Route(handler=handler, security=Security.TRADE, weight=_flat(weight), orders=_flat(orders))
