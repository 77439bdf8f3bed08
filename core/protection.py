"""Where a position's stop and target stand: the signal's own prices, or percentages of the entry price."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.order import Order
from core.position import OrderSide

_HUNDRED = Decimal(100)


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Trigger prices, USDT, by last price; None: there is none."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


def protection_of(entry: Order, entry_price: Decimal) -> Protection:
    """Protection of the position `entry` opened at `entry_price`: an absolute price replaces a percentage.

    Percentages are of the entry price, unleveraged (decision 17). The venue puts them on its price grid.
    """
    direction = 1 if entry.side is OrderSide.BUY else -1
    return Protection(
        stop_loss=entry.stop_loss or _away(entry_price, entry.stop_loss_pct, -direction),
        take_profit=entry.take_profit or _away(entry_price, entry.take_profit_pct, direction),
    )


def _away(price: Decimal, percent: Decimal | None, direction: int) -> Decimal | None:
    return None if percent is None else price * (1 + direction * percent / _HUNDRED)
