"""A trade of a market as its venue told it, whoever made it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from core.errors import ImpossibleVenueData

# Decimals, as comparing with an int makes one of it each time.
_ZERO: Final = Decimal(0)
_MOST: Final = Decimal("1E12")
_LAST_MS: Final = 4_102_444_800_000  # 2100


class PublicTrade(msgspec.Struct, frozen=True, gc=False):
    """`number` never falls from one trade of a symbol to the next, and where the venue counts without a hole a jump
    means lost ones; `trade_id` names the trade where the number does not. `taker_bought`: who took the liquidity."""

    symbol: str
    number: int
    at_ms: int
    price: Decimal
    quantity: Decimal
    taker_bought: bool
    trade_id: str = ""


def check_trade(trade: PublicTrade) -> PublicTrade:
    """`trade` itself; raises ImpossibleVenueData for numbers and times that cannot be."""
    try:
        if _ZERO < trade.price < _MOST and _ZERO < trade.quantity < _MOST and 0 < trade.at_ms < _LAST_MS:
            return trade
    except InvalidOperation:
        pass  # a NaN has no order
    raise ImpossibleVenueData(f"A trade of {trade.symbol} has a price, a quantity or a time that cannot be.")
