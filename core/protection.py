"""Where a position's stop and target stand: the signal's own prices, or percentages of the entry price."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.market import Rounding, SymbolRules
from core.order import Order
from core.position import OrderSide

_HUNDRED = Decimal(100)
_BUY = OrderSide.BUY
_UP, _DOWN = Rounding.UP, Rounding.DOWN


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Trigger prices, USDT, by last price; None: there is none."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


def protection_of(entry: Order, entry_price: Decimal) -> Protection:
    """Protection of the position `entry` opened at `entry_price`: an absolute price replaces a percentage.

    Percentages are of the entry price, unleveraged (decision 17). The venue puts them on its price grid.
    """
    wanted = protection_at(entry_price, entry.side, entry.stop_loss_pct, entry.take_profit_pct)
    return Protection(
        stop_loss=entry.stop_loss or wanted.stop_loss, take_profit=entry.take_profit or wanted.take_profit
    )


def protection_at(
    entry_price: Decimal, side: OrderSide, stop_loss_pct: Decimal | None, take_profit_pct: Decimal | None
) -> Protection:
    """Protection by percentages alone."""
    direction = 1 if side is _BUY else -1
    return Protection(
        stop_loss=_away(entry_price, stop_loss_pct, -direction),
        take_profit=_away(entry_price, take_profit_pct, direction),
    )


def on_grid(wanted: Protection, side: OrderSide, rules: SymbolRules) -> Protection:
    """`wanted` of a position that `side` opened, on the venue's price grid; what is not above 0 is left out.

    A stop moves toward the entry, so that no more is lost than wanted; a target too, so that it is not missed by a
    tick.
    """
    stop, target = (_UP, _DOWN) if side is _BUY else (_DOWN, _UP)
    return Protection(
        stop_loss=_tick(wanted.stop_loss, stop, rules), take_profit=_tick(wanted.take_profit, target, rules)
    )


def _tick(price: Decimal | None, rounding: Rounding, rules: SymbolRules) -> Decimal | None:
    return None if price is None or price <= 0 else max(rules.price(price, rounding), rules.tick_size)


def _away(price: Decimal, percent: Decimal | None, direction: int) -> Decimal | None:
    return None if percent is None else price * (1 + direction * percent / _HUNDRED)
