"""What is traded and by which rules: series names, and a symbol's filters in Decimal.

Quantities only ever round down; prices round in a direction the caller names, because a stop and a target of
the same position round to opposite sides.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from core.errors import ImpossibleVenueData, Reason
from core.timeframe import Timeframe

ZERO = Decimal(0)


class Market(StrEnum):
    """`perp`: USDT-margined perpetual; `spot`: spot, whose candles stand in where there is no perpetual."""

    PERP = "perp"
    SPOT = "spot"


class Series(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One candle series. `venue`: a `Venue`, or the name of what stands in for one, as generated candles do."""

    venue: str
    market: Market
    symbol: str
    timeframe: Timeframe


class Rounding(StrEnum):
    """Which way a price goes to reach its tick; halfway goes up."""

    DOWN = "down"
    UP = "up"
    NEAREST = "nearest"


# Looked up once: an enum's member costs more than the comparison it is for.
_UP, _DOWN, _NEAREST = Rounding.UP, Rounding.DOWN, Rounding.NEAREST


class SymbolRules(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's filters for one symbol. Quantities in base units, the rest in the quote currency."""

    symbol: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    market_step_size: Decimal
    max_market_quantity: Decimal

    def __post_init__(self) -> None:
        amounts = (
            self.tick_size,
            self.step_size,
            self.min_quantity,
            self.max_quantity,
            self.market_step_size,
            self.max_market_quantity,
        )
        if not all(amount.is_finite() and amount > 0 for amount in amounts):
            raise ImpossibleVenueData(f"The rules of {self.symbol} hold a size that is not above 0.")
        if not self.min_notional.is_finite() or self.min_notional < 0:
            raise ImpossibleVenueData(f"The minimum notional of {self.symbol} is below 0.")

    def quantity(self, wanted: Decimal, *, market: bool = True) -> Decimal:
        """The largest quantity an order may carry that is ≤ `wanted`; 0 when that is less than one step."""
        step = self.market_step_size if market else self.step_size
        most = self.max_market_quantity if market else self.max_quantity
        return floor_to(min(wanted, most), step)

    def price(self, wanted: Decimal, rounding: Rounding) -> Decimal:
        """`wanted` on the tick grid."""
        return _to_grid(wanted, self.tick_size, rounding)

    def price_of(self, market_price: float) -> Decimal:
        """A market-data price as money: its shortest decimal, on the nearest tick."""
        return self.price(Decimal(repr(float(market_price))), _NEAREST)

    def refusal(self, quantity: Decimal, price: Decimal, *, reduce_only: bool = False) -> Reason | None:
        """Why the venue would refuse this order, or None. Reduce-only orders are exempt from the notional."""
        if quantity < self.min_quantity:
            return Reason.BELOW_MIN_QUANTITY
        if not reduce_only and quantity * price < self.min_notional:
            return Reason.BELOW_MIN_NOTIONAL
        return None


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is ≤ `value`, never below 0."""
    return _to_grid(value, step, _DOWN) if value > 0 else ZERO


def _to_grid(value: Decimal, step: Decimal, rounding: Rounding) -> Decimal:
    """`value` ≥ 0 as a multiple of `step`. Quotient and remainder are exact, a division might not be."""
    steps, rest = divmod(value, step)
    if rest and (rounding is _UP or (rounding is _NEAREST and 2 * rest >= step)):
        steps += 1
    return (steps * step).quantize(step)
