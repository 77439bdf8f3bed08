"""Where a position's stops and target stand: the signal's own prices, or percentages of the entry price."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from core.market import Rounding, SymbolRules
from core.order import Order
from core.position import OrderSide
from core.run import RunSettings

LEAST_CALLBACK_PCT: Final = Decimal("0.1")
MOST_CALLBACK_PCT: Final = Decimal(10)
CALLBACK_STEP_PCT: Final = Decimal("0.1")
"""What every venue takes: Binance's bounds and steps."""
MOST_ACTIVATION_PCT: Final = Decimal(99)
"""A short that activates at a fall of 100 % never would."""
_HUNDRED = Decimal(100)
_BUY = OrderSide.BUY
_UP, _DOWN = Rounding.UP, Rounding.DOWN


class Trailing(msgspec.Struct, frozen=True, kw_only=True):
    """A stop `callback_pct` percent behind the best price since `activation_price` was reached.

    `best`: that price; None: not reached yet. Where it is set from the beginning, the stop trails at once. A venue
    keeps it by itself, only a paper account has it from here. `measure`: what the venue that holds it says of it,
    which at Binance is the percentage, at Bybit the distance in USDT.
    """

    callback_pct: Decimal
    activation_price: Decimal
    best: Decimal | None = None
    measure: Decimal | None = None

    @property
    def distance(self) -> Decimal:
        """USDT behind the best price, for a venue that keeps the distance of the activation."""
        return self.activation_price * self.callback_pct / _HUNDRED


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Trigger prices, USDT, by last price; None: there is none. One stop that stays, and one that trails, at most."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing: Trailing | None = None

    @property
    def limits_loss(self) -> bool:
        return self.stop_loss is not None or self.trailing is not None


def is_callback(percent: Decimal) -> bool:
    """Whether a stop can trail so far behind at every venue."""
    in_bounds = percent.is_finite() and LEAST_CALLBACK_PCT <= percent <= MOST_CALLBACK_PCT
    return in_bounds and percent % CALLBACK_STEP_PCT == 0


def protection_of(entry: Order, entry_price: Decimal) -> Protection:
    """Protection of the position `entry` opened at `entry_price`: an absolute price replaces a percentage.

    Percentages are of the entry price, unleveraged (decision 17). The venue puts them on its price grid.
    """
    wanted = protection_at(entry_price, entry.side, entry)
    return Protection(
        stop_loss=entry.stop_loss or wanted.stop_loss,
        take_profit=entry.take_profit or wanted.take_profit,
        trailing=wanted.trailing,
    )


def protection_at(entry_price: Decimal, side: OrderSide, percent: Order | RunSettings) -> Protection:
    """Protection by percentages alone."""
    direction = 1 if side is _BUY else -1
    return Protection(
        stop_loss=_away(entry_price, percent.stop_loss_pct, -direction),
        take_profit=_away(entry_price, percent.take_profit_pct, direction),
        trailing=_trailing(entry_price, direction, percent),
    )


def _trailing(entry_price: Decimal, direction: int, percent: Order | RunSettings) -> Trailing | None:
    """At an activation of 0 % it trails from the entry on."""
    if percent.trailing_callback_pct is None:
        return None
    activation = entry_price * (1 + direction * percent.trailing_activation_pct / _HUNDRED)
    return Trailing(
        callback_pct=percent.trailing_callback_pct,
        activation_price=activation,
        best=None if percent.trailing_activation_pct else entry_price,
    )


def on_grid(wanted: Protection, side: OrderSide, rules: SymbolRules) -> Protection:
    """`wanted` of a position that `side` opened, on the venue's price grid; what is not above 0 is left out.

    A stop moves toward the entry, so that no more is lost than wanted; a target too, so that it is not missed by a
    tick. An activation price is moved as a target is.
    """
    stop, target = (_UP, _DOWN) if side is _BUY else (_DOWN, _UP)
    return Protection(
        stop_loss=_tick(wanted.stop_loss, stop, rules),
        take_profit=_tick(wanted.take_profit, target, rules),
        trailing=None if wanted.trailing is None else activated_on_grid(wanted.trailing, target, rules),
    )


def activated_on_grid(trailing: Trailing, rounding: Rounding, rules: SymbolRules) -> Trailing | None:
    activation = _tick(trailing.activation_price, rounding, rules)
    return None if activation is None else msgspec.structs.replace(trailing, activation_price=activation)


def _tick(price: Decimal | None, rounding: Rounding, rules: SymbolRules) -> Decimal | None:
    return None if price is None or price <= 0 else max(rules.price(price, rounding), rules.tick_size)


def _away(price: Decimal, percent: Decimal | None, direction: int) -> Decimal | None:
    return None if percent is None else price * (1 + direction * percent / _HUNDRED)
